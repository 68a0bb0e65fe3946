// SPDX-License-Identifier: Apache-2.0

// Many roots of one image at a time, a sleeping process in each, and what of this machine's memory they take: prepared by
// a containerd's snapshotter, mounted, entered. All of it is gone when it ends. Prints JSON, sizes in bytes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// What a kernel keeps for files, and for processes and itself; tmpfs is in both, so that it is in the sum.
var (
	ofFiles = map[string]int64{"Cached": 1, "Buffers": 1, "Shmem": -1}
	ofRest  = map[string]int64{"Shmem": 1, "AnonPages": 1, "PageTables": 1, "Slab": 1, "KernelStack": 1, "Percpu": 1}
)

type figures struct {
	Count     int   `json:"count"`
	Before    int64 `json:"before"`
	Mounted   int64 `json:"mounted"`
	Running   int64 `json:"running"`
	PageCache int64 `json:"page_cache"` // what it has grown by
	MountedMs int64 `json:"mounted_ms"`
	RunningMs int64 `json:"running_ms"`
}

// Containerd collects what nobody refers to.
var notCollected = snapshots.WithLabels(map[string]string{"containerd.io/gc.root": "true"})

// used is what is counted of /proc/meminfo, and of that the page cache.
func used() (all, cache int64, err error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		cache += ofFiles[name] * kib << 10
		all += (ofFiles[name] + ofRest[name]) * kib << 10
	}
	return all, cache, nil
}

type roots struct {
	snapshotter snapshots.Snapshotter
	folder      string
	made        []string // keys of snapshots
	mounted     []string
	running     []*exec.Cmd
}

func (r *roots) add(ctx context.Context, key, parent string) error {
	mounts, err := r.snapshotter.Prepare(ctx, key, parent, notCollected)
	if err != nil {
		return err
	}
	r.made = append(r.made, key)
	where := filepath.Join(r.folder, key)
	if err := os.Mkdir(where, 0o700); err != nil {
		return err
	}
	if err := mount.All(mounts, where); err != nil {
		return err
	}
	r.mounted = append(r.mounted, where)
	return nil
}

func (r *roots) enter(where string, command []string) error {
	process := exec.Command(command[0], command[1:]...)
	process.Dir = "/"
	process.SysProcAttr = &syscall.SysProcAttr{Chroot: where}
	if err := process.Start(); err != nil {
		return fmt.Errorf("%s in %s: %w", command[0], where, err)
	}
	r.running = append(r.running, process)
	return nil
}

// close takes everything away, whatever is there.
func (r *roots) close(ctx context.Context) error {
	var all []error
	for _, process := range r.running {
		all = append(all, process.Process.Kill())
		_ = process.Wait() // it says that it was killed
	}
	for _, where := range r.mounted {
		all = append(all, mount.UnmountAll(where, 0))
	}
	for _, key := range r.made {
		all = append(all, r.snapshotter.Remove(ctx, key))
	}
	return errors.Join(append(all, os.RemoveAll(r.folder))...)
}

// measure goes from no root to `count` of them with a process in each.
func (r *roots) measure(ctx context.Context, count int, parent string, command []string) (figures, error) {
	found := figures{Count: count}
	before, cache, err := used()
	if err != nil {
		return found, err
	}
	found.Before = before
	started := time.Now()
	for number := range count {
		if err := r.add(ctx, fmt.Sprintf("root-%d", number), parent); err != nil {
			return found, err
		}
	}
	found.MountedMs = time.Since(started).Milliseconds()
	if found.Mounted, _, err = used(); err != nil {
		return found, err
	}
	started = time.Now()
	for _, where := range r.mounted {
		if err := r.enter(where, command); err != nil {
			return found, err
		}
	}
	found.RunningMs = time.Since(started).Milliseconds()
	time.Sleep(time.Second) // they get to where they sleep
	for _, process := range r.running {
		if ended, err := syscall.Wait4(process.Process.Pid, nil, syscall.WNOHANG, nil); err != nil || ended != 0 {
			return found, fmt.Errorf("a process has ended: %s (%w)", process, errors.Join(err))
		}
	}
	var grown int64
	if found.Running, grown, err = used(); err != nil {
		return found, err
	}
	found.PageCache = grown - cache
	return found, nil
}

func run() (err error) {
	address := flag.String("address", "/run/containerd/containerd.sock", "containerd's socket")
	name := flag.String("snapshotter", "daxfs", "as containerd calls it")
	parent := flag.String("parent", "", "the committed snapshot of the image")
	count := flag.Int("count", 1000, "how many roots")
	folder := flag.String("folder", "", "a new folder below this one for the mounts")
	flag.Parse()
	if *parent == "" || *folder == "" || flag.NArg() == 0 {
		return errors.New("usage: roots -parent CHAIN -folder DIR [-snapshotter NAME] [-count N] COMMAND...")
	}
	connection, err := grpc.NewClient("unix://"+*address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx := namespaces.WithNamespace(context.Background(), "default")
	made, err := os.MkdirTemp(*folder, "roots-")
	if err != nil {
		return err
	}
	all := &roots{snapshotter: proxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(connection), *name), folder: made}
	defer func() { err = errors.Join(err, all.close(ctx)) }()
	found, err := all.measure(ctx, *count, *parent, flag.Args())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "roots:", err)
		os.Exit(1)
	}
}
