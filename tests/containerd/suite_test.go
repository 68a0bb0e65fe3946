// SPDX-License-Identifier: Apache-2.0

// Package suite runs containerd's tests of snapshotters (core/snapshots/testsuite) against
// daxfs-snapshotter: a daemon for each test, over its socket, as containerd has it.
package suite

import (
	"context"
	"flag"
	"testing"

	"daxfs/tests/containerd/daemon"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/testsuite"
)

var (
	options daemon.Options
	name    = flag.String("name", "overlayfs", "the name the suite knows the snapshotter by; some of its tests depend on it")
)

func init() { options.Register(flag.CommandLine) }

func TestSnapshotter(t *testing.T) {
	testsuite.SnapshotterSuite(t, *name, func(_ context.Context, root string) (snapshots.Snapshotter, func() error, error) {
		running, err := options.Start(root)
		if err != nil {
			return nil, nil, err
		}
		return running.Snapshotter, running.Stop, nil
	})
}
