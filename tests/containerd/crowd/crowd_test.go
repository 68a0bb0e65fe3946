// SPDX-License-Identifier: Apache-2.0

// Package crowd has many clients pull, create and remove at once for a while, and looks what is left.
package crowd

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daxfs/tests/containerd/chain"
	"daxfs/tests/containerd/daemon"
	"daxfs/tests/containerd/oracle"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

var (
	options daemon.Options
	ctl     = flag.String("daxfsctl", "", "the program daxfsctl")
	seconds = flag.Int("seconds", 60, "how long")
	clients = flag.Int("clients", 50, "how many at once")
	seed    = flag.Uint64("seed", 1, "of what they do")
)

func init() { options.Register(flag.CommandLine) }

const (
	images     = 12
	layersMost = 4
	// What a process may have more of at the end than before: buffers and threads that gRPC and malloc keep.
	filesMore  = 8
	memoryMore = 96 << 20
)

// crowd is what all clients share.
type crowd struct {
	daemon                          *daemon.Daemon
	images                          [][]*chain.Stored
	pulled, found, created, removed atomic.Int64
}

// client pulls under names of its own, as the images of a containerd namespace are.
type client struct {
	*crowd
	ctx  context.Context
	name string
	dice *rand.Rand
}

func (c *client) pullLayer(layer *chain.Stored, parent, committed string, id digest.Digest) error {
	key := fmt.Sprintf("%s/extract-%d %s", c.name, c.dice.Uint64(), id)
	labels := snapshots.WithLabels(map[string]string{"containerd.io/snapshot.ref": id.String()})
	if c.dice.IntN(2) == 0 {
		labels = snapshots.WithLabels(nil) // as the older way of unpacking asks
	}
	mounts, err := c.daemon.Snapshotter.Prepare(c.ctx, key, parent, labels)
	if errdefs.IsAlreadyExists(err) {
		c.found.Add(1)
		return errFound
	}
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	applied, err := c.daemon.Differ.Apply(c.ctx, layer.Descriptor, mounts)
	if err != nil {
		return errors.Join(fmt.Errorf("apply: %w", err), c.daemon.Snapshotter.Remove(c.ctx, key))
	}
	if applied.Digest != layer.DiffID {
		return fmt.Errorf("applied %s, not %s", applied.Digest, layer.DiffID)
	}
	if err := c.daemon.Snapshotter.Commit(c.ctx, committed, key); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), c.daemon.Snapshotter.Remove(c.ctx, key))
	}
	c.pulled.Add(1)
	return nil
}

var errFound = errors.New("in the pool")

// named is the snapshot with that reference and parent, which a Prepare has just said to be there.
func (c *client) named(id digest.Digest, parent string) (string, error) {
	name := ""
	err := c.daemon.Snapshotter.Walk(c.ctx, func(_ context.Context, info snapshots.Info) error {
		// The label is on those, too, that others are pulling.
		if info.Parent == parent && info.Kind == snapshots.KindCommitted {
			name = info.Name
		}
		return nil
	}, fmt.Sprintf("labels.\"containerd.io/snapshot.ref\"==%s", id))
	if err == nil && name == "" {
		err = errdefs.ErrNotFound
	}
	return name, err
}

// container mounts what is over the layers, reads, writes, and lets go of it.
func (c *client) container(parent string) error {
	key := fmt.Sprintf("%s/container-%d", c.name, c.dice.Uint64())
	mounts, err := c.daemon.Snapshotter.Prepare(c.ctx, key, parent)
	if errdefs.IsNotFound(err) {
		return nil // another has removed the layer, which had no reference of ours yet
	}
	if err != nil {
		return fmt.Errorf("container: %w", err)
	}
	place, err := os.MkdirTemp("", "crowd-")
	if err != nil {
		return err
	}
	defer os.Remove(place)
	if err := mount.All(mounts, place); err != nil {
		return errors.Join(fmt.Errorf("mount: %w", err), c.daemon.Snapshotter.Remove(c.ctx, key))
	}
	names, err := os.ReadDir(place)
	if err == nil && len(names) == 0 {
		err = errors.New("nothing is to be seen of the layers")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(place, "written"), []byte(c.name), 0o644)
	}
	err = errors.Join(err, mount.UnmountAll(place, 0))
	if err == nil {
		_, err = c.daemon.Snapshotter.Usage(c.ctx, key)
	}
	c.created.Add(1)
	return errors.Join(err, c.daemon.Snapshotter.Remove(c.ctx, key))
}

// round is a pull, a container or two, and the end of all.
func (c *client) round() error {
	layers := c.images[c.dice.IntN(len(c.images))]
	var ids []digest.Digest
	var made []string
	parent := ""
	for _, layer := range layers {
		ids = append(ids, layer.DiffID)
		id := identity.ChainID(ids)
		committed := fmt.Sprintf("%s/%d/%s", c.name, c.dice.Uint64(), id)
		err := c.pullLayer(layer, parent, committed, id)
		if errors.Is(err, errFound) {
			if committed, err = c.named(id, parent); errdefs.IsNotFound(err) {
				break // another has removed it meanwhile
			}
		}
		if errdefs.IsNotFound(err) {
			break
		}
		if err != nil {
			return err
		}
		made = append(made, committed)
		parent = committed
	}
	for range c.dice.IntN(3) {
		if parent == "" {
			break
		}
		if err := c.container(parent); err != nil {
			return err
		}
	}
	for i := len(made) - 1; i >= 0; i-- {
		err := c.daemon.Snapshotter.Remove(c.ctx, made[i])
		// A layer that was found may be others' too, or gone.
		if err != nil && !errdefs.IsFailedPrecondition(err) && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove: %w", err)
		}
		c.removed.Add(1)
	}
	if c.dice.IntN(20) == 0 {
		return c.daemon.Snapshotter.(snapshots.Cleaner).Cleanup(c.ctx)
	}
	return nil
}

// process is how much a process has open and in memory.
func process(pid int) (files int, memory int64, err error) {
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, 0, err
	}
	var size, resident int64
	_, err = fmt.Sscan(string(text), &size, &resident)
	return len(names), resident * int64(os.Getpagesize()), err
}

// layerOf makes a layer of a few files.
func layerOf(dice *rand.Rand, number int) chain.Layer {
	directory := fmt.Sprintf("d%d", number)
	entries := []chain.Entry{{Header: tar.Header{Name: directory + "/", Typeflag: tar.TypeDir, Mode: 0o755}}}
	for file := range 1 + dice.IntN(6) {
		data := make([]byte, dice.IntN(400000))
		for i := range data {
			data[i] = byte(dice.Uint32())
		}
		name := fmt.Sprintf("%s/f%d", directory, file)
		entries = append(entries, chain.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, Data: data})
	}
	return chain.Layer{Entries: entries, Compression: chain.Gzip}
}

// prepareImages makes images, two of which share their lowest layers.
func prepareImages(t *testing.T, ctx context.Context, blobs string) (all [][]*chain.Stored) {
	t.Helper()
	store, err := local.NewStore(blobs)
	if err != nil {
		t.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(*seed, 0))
	for number := range images / 2 {
		var layers []chain.Layer
		for layer := range layersMost {
			layers = append(layers, layerOf(dice, number*layersMost+layer))
		}
		stored, err := oracle.Store(ctx, store, layers)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored, stored[:1+dice.IntN(layersMost)])
	}
	return all
}

// removeAll removes what clients have left to each other, children first.
func removeAll(t *testing.T, ctx context.Context, from snapshots.Snapshotter) {
	t.Helper()
	for range layersMost + 1 {
		var names []string
		if err := from.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			names = append(names, info.Name)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := from.Remove(ctx, name); err != nil && !errdefs.IsFailedPrecondition(err) {
				t.Fatal(err)
			}
		}
	}
}

func mountedBelow(t *testing.T, root string) (places []string) {
	t.Helper()
	mounted, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(mounted), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], root) {
			places = append(places, fields[1])
		}
	}
	return places
}

func TestNothingIsLeftOfACrowd(t *testing.T) {
	ctx := namespaces.WithNamespace(context.Background(), "crowd")
	dir := t.TempDir()
	options.Content = filepath.Join(dir, "content")
	root := filepath.Join(dir, "root")
	all := &crowd{images: prepareImages(t, ctx, options.Content)}
	var err error
	if all.daemon, err = options.Start(root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.daemon.Abandon)
	warm := &client{all, ctx, "warm", rand.New(rand.NewPCG(*seed, 0))}
	if err := warm.round(); err != nil {
		t.Fatal(err)
	}
	filesBefore, memoryBefore, err := process(all.daemon.Pid())
	if err != nil {
		t.Fatal(err)
	}

	var wait sync.WaitGroup
	end := time.Now().Add(time.Duration(*seconds) * time.Second)
	for number := range *clients {
		wait.Go(func() {
			one := &client{all, ctx, fmt.Sprintf("client-%d", number), rand.New(rand.NewPCG(*seed, uint64(number)+1))}
			for time.Now().Before(end) && !t.Failed() {
				if err := one.round(); err != nil {
					t.Errorf("%s: %v", one.name, err)
				}
			}
		})
	}
	wait.Wait()
	t.Logf("pulled %d layers, found %d, %d containers, %d removed", all.pulled.Load(), all.found.Load(),
		all.created.Load(), all.removed.Load())

	removeAll(t, ctx, all.daemon.Snapshotter)
	if err := all.daemon.Snapshotter.(snapshots.Cleaner).Cleanup(ctx); err != nil {
		t.Fatal(err)
	}
	files, memory, err := process(all.daemon.Pid())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("open files %d, then %d; in memory %d MiB, then %d MiB", filesBefore, files, memoryBefore>>20, memory>>20)
	if files > filesBefore+filesMore || memory > memoryBefore+memoryMore {
		t.Error("that is more than it may be")
	}
	if err := all.daemon.Stop(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(root, "snapshots"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d directories are left, %v", len(left), err)
	}
	if places := mountedBelow(t, root); len(places) > 0 {
		t.Errorf("mounts are left: %v", places)
	}
	checkDatabase(t, filepath.Join(root, "snapshots.db"))
	checkPool(t)
	fmt.Printf("crowd: %d layers pulled, %d found, %d containers\n", all.pulled.Load(), all.found.Load(), all.created.Load())
}

func checkDatabase(t *testing.T, path string) {
	t.Helper()
	const script = `import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(*database.execute("PRAGMA integrity_check").fetchone(), *database.execute("PRAGMA foreign_key_check").fetchall(),
      *(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("snapshots", "labels")))`
	out, err := exec.Command("python3", "-c", script, path).CombinedOutput()
	if err != nil || string(bytes.TrimSpace(out)) != "ok 0 0" {
		t.Errorf("the database: %s, %v", out, err)
	}
}

func checkPool(t *testing.T) {
	t.Helper()
	for _, arguments := range [][]string{{"gc", options.Pool}, {"check", options.Pool}} {
		if out, err := exec.Command(*ctl, append([]string{"pool"}, arguments...)...).CombinedOutput(); err != nil {
			t.Errorf("daxfsctl pool %v: %s", arguments, out)
		}
	}
	out, err := exec.Command(*ctl, "pool", "ls", options.Pool, "--json").Output()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("objects are left in the pool: %s, %v", out, err)
	}
}
