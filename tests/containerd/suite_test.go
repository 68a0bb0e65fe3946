// SPDX-License-Identifier: Apache-2.0

// Package suite runs containerd's tests of snapshotters (core/snapshots/testsuite) against
// daxfs-snapshotter: a daemon for each test, over its socket, as containerd has it.
package suite

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/containerd/v2/core/snapshots/testsuite"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

var (
	daemon  = flag.String("daemon", "", "the program daxfs-snapshotter")
	name    = flag.String("name", "overlayfs", "the name the suite knows the snapshotter by; some of its tests depend on it")
	options = flag.String("overlay-options", "", "options for every OverlayFS mount, with commas between")
	pool    = flag.String("pool", "", "the pool images are in: a name or a path")
	backend = flag.String("backend", "auto", "who mounts images")
	fuse    = flag.String("fuse-program", "/usr/bin/daxfs-fuse", "the program daxfs-fuse")
)

// configure writes the daemon's configuration into dir.
func configure(dir, root, socket string) (string, error) {
	text := fmt.Sprintf("root: %s\naddress: %s\n", root, socket)
	if *pool != "" {
		text += fmt.Sprintf("pool: %s\nbackend: %s\nfuse_program: %s\n", *pool, *backend, *fuse)
	}
	if *options != "" {
		text += "overlay_options:\n"
		for _, option := range strings.Split(*options, ",") {
			text += fmt.Sprintf("- %s\n", option)
		}
	}
	path := filepath.Join(dir, "snapshotter.yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// start runs a daemon until the returned function is called, which fails unless it ends in order.
func start(root string) (net.Conn, func() error, error) {
	dir, err := os.MkdirTemp("", "suite-")
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(dir, "socket")
	config, err := configure(dir, root, socket)
	if err != nil {
		return nil, nil, err
	}
	command := exec.Command(*daemon, "--config", config)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() error {
		defer os.RemoveAll(dir)
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return command.Wait()
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return conn, stop, nil
		}
		if time.Now().After(deadline) {
			_ = stop()
			return nil, nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestSnapshotter(t *testing.T) {
	if *daemon == "" {
		t.Fatal("-daemon names no program")
	}
	testsuite.SnapshotterSuite(t, *name, func(_ context.Context, root string) (snapshots.Snapshotter, func() error, error) {
		conn, stop, err := start(root)
		if err != nil {
			return nil, nil, err
		}
		client, err := grpc.NewClient("passthrough:daxfs",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
		if err != nil {
			return nil, nil, err
		}
		snapshotter := proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(client), "daxfs")
		return snapshotter, func() error {
			_ = client.Close()
			return stop()
		}, nil
	})
}
