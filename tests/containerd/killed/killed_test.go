// SPDX-License-Identifier: Apache-2.0

// Package killed kills daxfs-snapshotter before each call by which an RPC changes something, starts it again, and looks
// what is left.
package killed

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"daxfs/tests/containerd/chain"
	"daxfs/tests/containerd/daemon"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
)

var (
	options daemon.Options
	ctl     = flag.String("daxfsctl", "", "the program daxfsctl")
)

func init() { options.Register(flag.CommandLine) }

const most = 400 // calls of one RPC

// node is a daemon that may be killed, and what its state has to be.
type node struct {
	t      *testing.T
	ctx    context.Context
	root   string
	layer  *chain.Stored
	daemon *daemon.Daemon
	kills  int
}

func newNode(t *testing.T) *node {
	t.Helper()
	dir := t.TempDir()
	blobs := filepath.Join(dir, "content")
	store, err := local.NewStore(blobs)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := chain.Layer{Compression: chain.Gzip, Entries: []chain.Entry{
		{Header: tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}},
		{Header: tar.Header{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o644}, Data: bytes.Repeat([]byte("daxfs"), 100000)},
	}}.Store()
	if err != nil {
		t.Fatal(err)
	}
	ctx := namespaces.WithNamespace(context.Background(), "killed")
	err = content.WriteBlob(ctx, store, "layer", bytes.NewReader(layer.Blob), layer.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	options.Content = blobs
	n := &node{t: t, ctx: ctx, root: filepath.Join(dir, "root"), layer: layer}
	n.start()
	return n
}

func (n *node) start() {
	n.t.Helper()
	running, err := options.Start(n.root)
	if err != nil {
		n.t.Fatal("it does not start again: ", err)
	}
	n.daemon = running
	n.t.Cleanup(running.Abandon)
}

func (n *node) must(what string, err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %v", what, err)
	}
}

func (n *node) prepare(key, parent string) []mount.Mount {
	n.t.Helper()
	mounts, err := n.daemon.Snapshotter.Prepare(n.ctx, key, parent)
	n.must("prepare "+key, err)
	return mounts
}

func (n *node) apply(mounts []mount.Mount) error {
	applied, err := n.daemon.Differ.Apply(n.ctx, n.layer.Descriptor, mounts)
	if err == nil && applied.Digest != n.layer.DiffID {
		return fmt.Errorf("applied %s, not %s", applied.Digest, n.layer.DiffID)
	}
	return err
}

// pull commits the layer as its chain, which is its diffID.
func (n *node) pull(name string) {
	n.t.Helper()
	n.must("apply", n.apply(n.prepare("extract-"+name, "")))
	n.must("commit", n.daemon.Snapshotter.Commit(n.ctx, name, "extract-"+name))
}

func (n *node) exists(key string) bool {
	n.t.Helper()
	_, err := n.daemon.Snapshotter.Stat(n.ctx, key)
	if err != nil && !errdefs.IsNotFound(err) {
		n.t.Fatalf("stat %s: %v", key, err)
	}
	return err == nil
}

func (n *node) remove(keys ...string) {
	n.t.Helper()
	for _, key := range keys {
		if n.exists(key) {
			n.must("remove "+key, n.daemon.Snapshotter.Remove(n.ctx, key))
		}
	}
}

// reads mounts what a snapshot is and reads the layer's file.
func (n *node) reads(mounts []mount.Mount) {
	n.t.Helper()
	place := n.t.TempDir()
	n.must("mount", mount.All(mounts, place))
	data, err := os.ReadFile(filepath.Join(place, "d/f"))
	n.must("unmount", mount.UnmountAll(place, 0))
	n.must("read", err)
	if len(data) != 500000 {
		n.t.Fatalf("the file has %d bytes", len(data))
	}
}

// collect frees what nobody refers to.
func (n *node) collect() {
	n.t.Helper()
	n.must("daxfsctl pool gc", exec.Command(*ctl, "pool", "gc", options.Pool).Run())
}

// used is how many of those the pool has: holds, objects.
func (n *node) used(what string) int {
	n.t.Helper()
	out, err := exec.Command(*ctl, "pool", "info", options.Pool, "--json").Output()
	n.must("daxfsctl pool info", err)
	var found map[string]json.RawMessage
	n.must("daxfsctl pool info", json.Unmarshal(out, &found))
	var counts struct{ Used int }
	n.must("daxfsctl pool info", json.Unmarshal(found[what], &counts))
	return counts.Used
}

// mounted is where layers are mounted.
func (n *node) mounted() (places []string) {
	n.t.Helper()
	mounted, err := os.ReadFile("/proc/self/mounts")
	n.must("mounts", err)
	for line := range strings.SplitSeq(string(mounted), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], n.root) {
			places = append(places, fields[1])
		}
	}
	return places
}

// unmountLayers does as a boot does: they are mounted when they are asked for.
func (n *node) unmountLayers() {
	n.t.Helper()
	for _, place := range n.mounted() {
		n.must("unmount", mount.UnmountAll(place, 0))
	}
}

// whole is that there is a directory for each snapshot, no mount but of theirs, and a hold for each image.
func (n *node) whole(images int) {
	n.t.Helper()
	n.must("cleanup", n.daemon.Snapshotter.(snapshots.Cleaner).Cleanup(n.ctx))
	known := 0
	n.must("list", n.daemon.Snapshotter.Walk(n.ctx, func(context.Context, snapshots.Info) error {
		known++
		return nil
	}))
	directories, err := os.ReadDir(filepath.Join(n.root, "snapshots"))
	n.must("directories", err)
	if len(directories) != known {
		n.t.Fatalf("%d directories of %d snapshots", len(directories), known)
	}
	for _, place := range n.mounted() {
		if _, err := os.Stat(filepath.Dir(place)); err != nil {
			n.t.Fatalf("mounted, but of no snapshot: %s", place)
		}
	}
	if holds := n.used("holds"); holds != images {
		n.t.Fatalf("%d holds of %d images", holds, images)
	}
}

// story is an RPC: what comes before it, what containerd does if it failed. All get a name of their own.
type story struct {
	name   string
	images int // held before and behind
	before func(name string)
	step   func(name string) error
	again  func(name string)
}

// killedAt tells a story once for each call of one kind, killed before that one.
func (n *node) killedAt(s story, call string) (kills int) {
	n.t.Helper()
	for number := 1; ; number++ {
		if number > most {
			n.t.Fatalf("%s: more than %d times %s", s.name, most, call)
		}
		name := fmt.Sprintf("%s-%s-%d", s.name, call, number)
		s.before(name)
		release, err := n.daemon.KillAt(call, number)
		n.must("strace", err)
		err = s.step(name)
		ended := n.daemon.HasEnded()
		release()
		if ended = ended || n.daemon.HasEndedSince(n.ctx); ended {
			kills++
			n.start()
		}
		s.again(name)
		n.whole(s.images)
		if !ended && err == nil {
			return kills
		}
	}
}

func (n *node) tell(s story) {
	n.t.Helper()
	var said []string
	sum := 0
	for _, call := range daemon.Calls {
		if kills := n.killedAt(s, call); kills > 0 {
			said = append(said, fmt.Sprintf("%s %d", call, kills))
			sum += kills
		}
	}
	n.t.Logf("%s: killed %d times: %s", s.name, sum, strings.Join(said, ", "))
	if sum == 0 {
		n.t.Errorf("%s: it never was killed", s.name)
	}
	n.kills += sum
}

func TestKilledAtEveryCall(t *testing.T) {
	n := newNode(t)
	base := "1/1/" + n.layer.DiffID.String()
	nothing := func(string) {}

	n.tell(story{"prepare", 0, nothing, func(name string) error {
		_, err := n.daemon.Snapshotter.Prepare(n.ctx, name, "")
		return err
	}, func(name string) {
		if !n.exists(name) {
			n.prepare(name, "")
		}
		_, err := n.daemon.Snapshotter.Mounts(n.ctx, name)
		n.must("mounts", err)
		n.remove(name)
	}})

	var mounts []mount.Mount
	n.tell(story{"apply", 0, func(name string) { mounts = n.prepare(name, "") },
		func(string) error { return n.apply(mounts) },
		func(name string) {
			n.remove(name)
			n.must("apply again", n.apply(n.prepare(name, "")))
			n.remove(name)
			n.collect() // so that it is read each time
		}})

	n.tell(story{"commit", 0, func(name string) { n.must("apply", n.apply(n.prepare("extract-"+name, ""))) },
		func(name string) error { return n.daemon.Snapshotter.Commit(n.ctx, name, "extract-"+name) },
		func(name string) {
			if !n.exists(name) {
				n.must("commit again", n.daemon.Snapshotter.Commit(n.ctx, name, "extract-"+name))
			}
			view, err := n.daemon.Snapshotter.View(n.ctx, "view-"+name, name)
			n.must("view", err)
			n.reads(view)
			n.remove("view-"+name, name)
		}})

	n.pull(base)
	reference := n.layer.DiffID.String()
	hit := func(name string) error {
		_, err := n.daemon.Snapshotter.Prepare(n.ctx, name, "",
			snapshots.WithLabels(map[string]string{"containerd.io/snapshot.ref": reference}))
		if err == nil {
			return errors.New("it is in the pool, and was not found")
		}
		if errdefs.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	n.tell(story{"hit", 1, nothing, hit, func(name string) {
		n.must("prepare again", hit(name))
		view, err := n.daemon.Snapshotter.View(n.ctx, "view-"+name, reference)
		n.must("view", err)
		n.reads(view)
		n.remove("view-"+name, reference)
	}})

	n.tell(story{"container", 1, func(string) { n.unmountLayers() }, func(name string) error {
		_, err := n.daemon.Snapshotter.Prepare(n.ctx, name, base)
		return err
	}, func(name string) {
		if !n.exists(name) {
			n.prepare(name, base)
		}
		mounts, err := n.daemon.Snapshotter.Mounts(n.ctx, name)
		n.must("mounts", err)
		n.reads(mounts)
		n.remove(name)
	}})

	n.tell(story{"remove", 1, func(name string) { n.prepare(name, base) },
		func(name string) error { return n.daemon.Snapshotter.Remove(n.ctx, name) },
		func(name string) { n.remove(name) }})

	n.tell(story{"remove-layer", 1, func(name string) { n.pull(name) },
		func(name string) error {
			if err := n.daemon.Snapshotter.Remove(n.ctx, name); err != nil {
				return err
			}
			return n.daemon.Snapshotter.(snapshots.Cleaner).Cleanup(n.ctx)
		},
		func(name string) { n.remove(name) }})

	n.tell(story{"update", 1, func(name string) { n.prepare(name, base) }, func(name string) error {
		_, err := n.daemon.Snapshotter.Update(n.ctx, snapshots.Info{Name: name,
			Labels: map[string]string{"containerd.io/snapshot/x": "y"}}, "labels")
		return err
	}, func(name string) {
		info, err := n.daemon.Snapshotter.Stat(n.ctx, name)
		n.must("stat", err)
		if label := info.Labels["containerd.io/snapshot/x"]; label != "" && label != "y" {
			n.t.Fatalf("label %q", label)
		}
		n.remove(name)
	}})

	n.remove(base)
	n.whole(0)
	n.must("stop", n.daemon.Stop())
	n.collect()
	if objects := n.used("objects"); objects != 0 {
		t.Fatalf("%d objects are left in the pool", objects)
	}
	fmt.Printf("killed %d times\n", n.kills)
}
