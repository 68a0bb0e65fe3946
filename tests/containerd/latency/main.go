// SPDX-License-Identifier: Apache-2.0

// Latency times each call of a snapshotter: daxfs-snapshotter and containerd's overlayfs snapshotter behind its own proxy
// service, each in a process of its own, asked in turn by one client. Prints all samples; `make bench` sums them up.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"daxfs/tests/containerd/daemon"
	"daxfs/tests/containerd/oracle"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

// Filesystems the state of both may be on, by statfs(2).
var filesystems = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
}

// place is what was measured with the state of both in one folder.
type place struct {
	Filesystem string              `json:"filesystem"`
	Mounted    map[string]string   `json:"mounted"` // what a container of many layers consists of
	Operations []operationsSamples `json:"operations"`
}

type operationsSamples struct {
	Operation string               `json:"operation"`
	Samples   map[string][]float64 `json:"us"` // by who answers, in pairs
}

func filesystem(folder string) (string, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(folder, &found); err != nil {
		return "", err
	}
	if name, ok := filesystems[found.Type]; ok {
		return name, nil
	}
	return fmt.Sprintf("%#x", found.Type), nil
}

// startPeer runs this program again as the other server.
func startPeer(root, socket string) (*exec.Cmd, snapshots.Snapshotter, error) {
	command := exec.Command("/proc/self/exe", "-serve", root, "-address", socket)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, nil, err
	}
	client, err := daemon.Connect(socket)
	if err != nil {
		return nil, nil, errors.Join(err, stop(command))
	}
	return command, proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(client), "overlayfs"), nil
}

func stop(command *exec.Cmd) error {
	if err := command.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	return command.Wait()
}

// measure runs everything with both servers' state in a folder.
func measure(ctx context.Context, options daemon.Options, folder, only string, rounds int) (measured *place, err error) {
	folder, err = os.MkdirTemp(folder, "latency-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	options.Content = filepath.Join(folder, "content")
	store, err := local.NewStore(options.Content)
	if err != nil {
		return nil, err
	}
	command, theirs, err := startPeer(filepath.Join(folder, "overlayfs"), filepath.Join(folder, "socket"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop(command)) }()
	ours, err := options.Start(filepath.Join(folder, "daxfs"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.Stop()) }()
	walking := apply.NewFileSystemApplier(store)
	differ := ours.Differ
	if options.Pool == "" {
		differ = walking // layers are directories
	}
	bench := &bench{store: store, rounds: rounds, only: only, sides: []*oracle.Side{
		{Name: "daxfs", Snapshotter: ours.Snapshotter, Applier: differ},
		{Name: "overlayfs", Snapshotter: theirs, Applier: walking},
	}}
	measured = &place{}
	if measured.Filesystem, err = filesystem(folder); err != nil {
		return nil, err
	}
	if err := bench.run(ctx); err != nil {
		return nil, err
	}
	measured.Operations, measured.Mounted = bench.results, bench.mounted
	return measured, nil
}

// mountedOf says what mounts lead to: the types of what is mounted in the folders OverlayFS puts together.
func mountedOf(mounts []mount.Mount) (string, error) {
	types := map[string]int{}
	for _, option := range mounts[0].Options {
		lowers, ok := strings.CutPrefix(option, "lowerdir=")
		if !ok {
			continue
		}
		for lower := range strings.SplitSeq(lowers, ":") {
			info, err := mount.Lookup(lower)
			if err != nil {
				return "", err
			}
			if info.Mountpoint != lower {
				types["directories on "+info.FSType]++
			} else {
				types[info.FSType+" mounts"]++
			}
		}
	}
	var parts []string
	for kind, count := range types {
		parts = append(parts, fmt.Sprintf("%d %s", count, kind))
	}
	return fmt.Sprintf("%s over %s", mounts[0].Type, strings.Join(parts, ", ")), nil
}

func run() error {
	var options daemon.Options
	options.Register(flag.CommandLine)
	rounds := flag.Int("rounds", 200, "of each call")
	only := flag.String("only", "", "measure that call alone, for a profile")
	serve := flag.String("serve", "", "be containerd's overlayfs snapshotter, with that root")
	address := flag.String("address", "", "the socket to serve at")
	flag.Parse()
	if *serve != "" {
		return servePeer(*serve, *address)
	}
	_ = log.SetLevel("error")
	ctx := namespaces.WithNamespace(context.Background(), "bench")
	var places []*place
	for _, folder := range flag.Args() {
		measured, err := measure(ctx, options, folder, *only, *rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		places = append(places, measured)
	}
	return json.NewEncoder(os.Stdout).Encode(places)
}

func main() {
	started := time.Now()
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "latency: after %v: %v\n", time.Since(started).Round(time.Second), err)
		os.Exit(1)
	}
}
