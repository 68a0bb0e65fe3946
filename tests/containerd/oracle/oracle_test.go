// SPDX-License-Identifier: Apache-2.0

package oracle

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
	"testing"
	"time"

	"daxfs/tests/containerd/chain"
	"daxfs/tests/containerd/daemon"
	"daxfs/tests/containerd/tree"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/diff/apply"
	diffproxy "github.com/containerd/containerd/v2/core/diff/proxy"
	"github.com/containerd/containerd/v2/core/leases"
	leasesproxy "github.com/containerd/containerd/v2/core/leases/proxy"
	snapshotsproxy "github.com/containerd/containerd/v2/core/snapshots/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"golang.org/x/sys/unix"
)

var (
	options daemon.Options
	seed    = flag.Uint64("seed", 1, "of the first chain; the next has the next")
	count   = flag.Int("count", 20, "of chains")
	collect = flag.String("collect", "", "the program daxfsctl: what chains have left in the pool goes at once")
	build   = flag.String("build", "", "the program daxfs-build")
	second  = flag.String("build-pool", "", "the pool it builds into")
	running = flag.String("containerd", "", "the socket of the containerd to compare with; otherwise this program has its code")
	names   = flag.Int("names", 20000, "in the largest directory")
)

func init() { options.Register(flag.CommandLine) }

// lab has containerd's snapshotter and applier, and ours.
type lab struct {
	theirs, ours *Side
	builder      builder
	scratch      string
	begin        time.Time
	// Of the last comparison: what containerd shows over all layers it has, and why these are not all.
	shown    tree.Tree
	compared int
	refused  error
}

// theirSide is containerd's own code, or one that runs.
func theirSide(t *testing.T, store content.Store, dir string) *Side {
	t.Helper()
	if *running != "" {
		conn, err := daemon.Connect(*running)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &Side{"containerd", contentproxy.NewContentStore(contentapi.NewContentClient(conn)),
			snapshotsproxy.NewSnapshotter(snapshotsapi.NewSnapshotsClient(conn), "overlayfs"),
			diffproxy.NewDiffApplier(diffapi.NewDiffClient(conn)).(diff.Applier)}
	}
	snapshotter, err := overlay.NewSnapshotter(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := snapshotter.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Side{"containerd", store, snapshotter, apply.NewFileSystemApplier(store)}
}

// context has a namespace, and a lease that keeps what is made in it.
func (l *lab) context(t *testing.T) context.Context {
	t.Helper()
	ctx := namespaces.WithNamespace(context.Background(), "oracle")
	if *running == "" {
		return ctx
	}
	conn, err := daemon.Connect(*running)
	if err != nil {
		t.Fatal(err)
	}
	manager := leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(conn))
	lease, err := manager.Create(ctx, leases.WithRandomID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := manager.Delete(ctx, lease, leases.SynchronousDelete); err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	return leases.WithLease(ctx, lease.ID)
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir := t.TempDir()
	blobs := filepath.Join(dir, "content")
	store, err := local.NewStore(blobs)
	if err != nil {
		t.Fatal(err)
	}
	theirs := theirSide(t, store, filepath.Join(dir, "theirs"))
	with := options
	with.Content = blobs
	ours, err := with.Start(filepath.Join(dir, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ours.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &lab{
		theirs:  theirs,
		ours:    &Side{"daxfs", store, ours.Snapshotter, ours.Differ},
		builder: builder{*build, *second, ours.Socket},
		scratch: dir,
		begin:   time.Now().Add(-time.Second),
	}
}

// figures are what a run is worth.
type figures struct {
	Chains      int `json:"oracle_chains"`
	Layers      int `json:"oracle_layers"`
	Entries     int `json:"oracle_entries"`
	Refused     int `json:"oracle_refused_by_both"`
	Stumbled    int `json:"oracle_refused_by_containerd_alone"`
	Trees       int `json:"oracle_trees"`
	Names       int `json:"oracle_names"`
	TimesOfRuns int `json:"oracle_directories_with_the_time_of_unpacking"`
}

// differences of two chains of layers that should show the same.
func (l *lab) differences(ctx context.Context, name string, theirLayers, ourLayers []chain.Layer,
	figures *figures) ([]string, error) {
	theirStored, err := Store(ctx, l.theirs.Content, theirLayers)
	if err != nil {
		return nil, err
	}
	ourStored, err := Store(ctx, l.ours.Content, ourLayers)
	if err != nil {
		return nil, err
	}
	theirs := l.theirs.Unpack(ctx, name, theirStored)
	ours := l.ours.Unpack(ctx, name, ourStored)
	lines, err := l.compare(ctx, theirs, ours, figures)
	if err == nil && l.builder.program != "" {
		var more []string
		more, err = l.builder.differences(filepath.Join(l.scratch, "layout"), ourStored, ours, 1+l.compared%3)
		l.compared++
		lines = append(lines, more...)
	}
	for _, unpacked := range []*Unpacked{theirs, ours} {
		if removed := unpacked.Remove(ctx); err == nil {
			err = removed
		}
	}
	return lines, err
}

func (l *lab) compare(ctx context.Context, theirs, ours *Unpacked, figures *figures) ([]string, error) {
	l.shown, l.refused = nil, theirs.Err
	var lines []string
	if stumbled(theirs.Err) && len(ours.Applied) > len(theirs.Applied) {
		figures.Stumbled++
	} else if (theirs.Err == nil) != (ours.Err == nil) || len(theirs.Applied) != len(ours.Applied) {
		lines = append(lines, fmt.Sprintf("containerd unpacks %d layers: %v; daxfs %d: %v",
			len(theirs.Applied), theirs.Err, len(ours.Applied), ours.Err))
	} else if theirs.Err != nil {
		figures.Refused++
	}
	layers := min(len(theirs.Applied), len(ours.Applied))
	for i := range layers {
		figures.Layers++
		wanted, found := theirs.Applied[i], ours.Applied[i]
		if wanted.Digest != found.Digest || wanted.Size != found.Size || wanted.MediaType != found.MediaType {
			lines = append(lines, fmt.Sprintf("layer %d is %v, not %v", i, found, wanted))
		}
		for _, writable := range []bool{false, true} {
			if writable && i > 0 && i < layers-1 {
				continue
			}
			different, err := l.compareTrees(ctx, theirs, ours, i+1, writable, figures)
			if err != nil {
				return nil, err
			}
			lines = append(lines, different...)
		}
	}
	return lines, nil
}

// stumbled says whether containerd could not look up something for reasons that are none: docs/snapshotter.md, "Where it
// differs from containerd".
func stumbled(err error) bool {
	return err != nil && (errors.Is(err, unix.ENOTDIR) || strings.Contains(err.Error(), unix.ENOTDIR.Error()) ||
		strings.Contains(err.Error(), "too many links"))
}

func (l *lab) compareTrees(ctx context.Context, theirs, ours *Unpacked, layers int, writable bool,
	figures *figures) ([]string, error) {
	wanted, err := theirs.See(ctx, layers, writable)
	if err != nil {
		return nil, err
	}
	found, err := ours.See(ctx, layers, writable)
	if err != nil {
		return nil, err
	}
	l.shown = wanted
	figures.Trees++
	figures.Names += len(wanted)
	// A directory that no entry names, and the root, get the time at which containerd made something in them.
	for name, node := range wanted {
		if other, ok := found[name]; ok && node.IsDirectory() && node.WasMadeBetween(l.begin, time.Now()) {
			node.Seconds, node.Nanos = other.Seconds, other.Nanos
			figures.TimesOfRuns++
		}
	}
	lines := tree.Compare(wanted, found)
	for i, line := range lines {
		lines[i] = fmt.Sprintf("over %d layers, writable %t: %s", layers, writable, line)
	}
	return lines, nil
}

func TestChains(t *testing.T) {
	lab := newLab(t)
	ctx := lab.context(t)
	var all figures
	for i := range *count {
		made := chain.Generate(*seed + uint64(i))
		t.Run(fmt.Sprintf("seed=%d", made.Seed), func(t *testing.T) {
			all.Chains++
			for _, layer := range made.Layers {
				all.Entries += len(layer.Entries)
			}
			lines, err := lab.differences(ctx, fmt.Sprint(made.Seed), made.Layers, made.Layers, &all)
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) > 0 {
				for _, line := range lines {
					t.Error(line)
				}
				t.Logf("again: -seed %d -count 1\n%v", made.Seed, made)
			}
			lab.collectAll(t)
		})
	}
	report(t, all)
	if all.Stumbled*20 > all.Chains {
		t.Errorf("%d of %d chains say little: containerd alone refuses them", all.Stumbled, all.Chains)
	}
}

// collectAll frees what nobody holds: what is like it is made anew.
func (l *lab) collectAll(t *testing.T) {
	t.Helper()
	pools := []string{options.Pool}
	if *second != "" {
		pools = append(pools, *second)
	}
	for _, pool := range pools {
		if out, err := exec.Command(*collect, "pool", "gc", pool).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// report hands the figures to the make target, and says them.
func report(t *testing.T, all figures) {
	t.Helper()
	line, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	path := os.Getenv("DAXFS_FIGURES")
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(file, "%s\n", line); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
