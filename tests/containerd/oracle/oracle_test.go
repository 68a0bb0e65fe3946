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

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff/apply"
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
)

func init() { options.Register(flag.CommandLine) }

// lab has containerd's snapshotter and applier, and ours, over one content store.
type lab struct {
	store        content.Store
	theirs, ours *Side
	builder      builder
	scratch      string
	begin        time.Time
	// Of the last comparison: what containerd shows over all layers it has, and why these are not all.
	shown   tree.Tree
	refused error
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir := t.TempDir()
	blobs := filepath.Join(dir, "content")
	store, err := local.NewStore(blobs)
	if err != nil {
		t.Fatal(err)
	}
	snapshotter, err := overlay.NewSnapshotter(filepath.Join(dir, "theirs"))
	if err != nil {
		t.Fatal(err)
	}
	with := options
	with.Content = blobs
	running, err := with.Start(filepath.Join(dir, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
		if err := snapshotter.Close(); err != nil {
			t.Error(err)
		}
	})
	return &lab{
		store:   store,
		theirs:  &Side{"containerd", snapshotter, apply.NewFileSystemApplier(store)},
		ours:    &Side{"daxfs", running.Snapshotter, running.Differ},
		builder: builder{*build, *second, running.Socket},
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
	theirStored, err := Store(ctx, l.store, theirLayers)
	if err != nil {
		return nil, err
	}
	ourStored, err := Store(ctx, l.store, ourLayers)
	if err != nil {
		return nil, err
	}
	theirs := l.theirs.Unpack(ctx, name, theirStored)
	ours := l.ours.Unpack(ctx, name, ourStored)
	lines, err := l.compare(ctx, theirs, ours, figures)
	if err == nil {
		var more []string
		more, err = l.builder.differences(filepath.Join(l.scratch, "layout"), ourStored, ours, 1+figures.Chains%3)
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
	return errors.Is(err, unix.ENOTDIR) || err != nil && strings.Contains(err.Error(), "too many links")
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
	ctx := namespaces.WithNamespace(context.Background(), "oracle")
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
	for _, pool := range []string{options.Pool, *second} {
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
