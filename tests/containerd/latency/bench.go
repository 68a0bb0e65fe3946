// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"daxfs/tests/containerd/chain"
	"daxfs/tests/containerd/oracle"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
)

const (
	layersOfImage = 32
	filesOfLayer  = 20
	listed        = 1000
	warmUps       = 5
)

// bench asks both sides in turn, who begins changing with every round.
type bench struct {
	store   content.Store
	rounds  int
	only    string
	sides   []*oracle.Side
	names   [][]string // of each side's image, the lowest layer first
	results []operationsSamples
	mounted map[string]string
}

// call is one that is timed, with what comes before and after it untimed. Any of these may be nil.
type call struct {
	before, timed, after func(ctx context.Context, side *oracle.Side, names []string, key string) error
}

func (b *bench) once(ctx context.Context, c call, number int, key string) (float64, error) {
	side, names := b.sides[number], b.names[number]
	if c.before != nil {
		if err := c.before(ctx, side, names, key); err != nil {
			return 0, err
		}
	}
	started := time.Now()
	err := c.timed(ctx, side, names, key)
	us := float64(time.Since(started).Nanoseconds()) / 1e3
	if err == nil && c.after != nil {
		err = c.after(ctx, side, names, key)
	}
	return us, err
}

func (b *bench) add(ctx context.Context, operation string, c call) error {
	if b.only != "" && b.only != operation {
		return nil
	}
	samples := map[string][]float64{}
	for round := range b.rounds + warmUps {
		for turn := range b.sides {
			number := (round + turn) % len(b.sides)
			us, err := b.once(ctx, c, number, fmt.Sprintf("%s %d", operation, round))
			if err != nil {
				return fmt.Errorf("%s of %s: %w", operation, b.sides[number].Name, err)
			}
			if round >= warmUps {
				samples[b.sides[number].Name] = append(samples[b.sides[number].Name], us)
			}
		}
	}
	b.results = append(b.results, operationsSamples{operation, samples})
	return nil
}

// image is one of many small layers.
func image() []chain.Layer {
	var made []chain.Layer
	for layer := range layersOfImage {
		var entries []chain.Entry
		for number := range filesOfLayer {
			entries = append(entries, chain.Entry{
				Header: tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("layer%d/file%d", layer, number), Mode: 0o644,
					ModTime: time.Unix(1, 0), Format: tar.FormatPAX},
				Data: fmt.Appendf(nil, "%d of %d", number, layer),
			})
		}
		made = append(made, chain.Layer{Entries: entries, Compression: chain.Gzip})
	}
	return made
}

func (b *bench) unpack(ctx context.Context) ([]*chain.Stored, error) {
	stored, err := oracle.Store(ctx, b.store, image())
	if err != nil {
		return nil, err
	}
	b.mounted = map[string]string{}
	for _, side := range b.sides {
		unpacked := side.Unpack(ctx, "image", stored)
		if unpacked.Err != nil {
			return nil, fmt.Errorf("%s: %w", side.Name, unpacked.Err)
		}
		b.names = append(b.names, unpacked.Names)
		mounts, err := side.Snapshotter.Prepare(ctx, "container", unpacked.Names[layersOfImage-1])
		if err != nil {
			return nil, err
		}
		if b.mounted[side.Name], err = mountedOf(mounts); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// remove leaves nothing to be done in the background.
func remove(ctx context.Context, side *oracle.Side, _ []string, key string) error {
	return errors.Join(side.Snapshotter.Remove(ctx, key), clean(ctx, side))
}

func clean(ctx context.Context, side *oracle.Side) error {
	return side.Snapshotter.(snapshots.Cleaner).Cleanup(ctx)
}

// empty removes all snapshots: what mounts images ends with the last of each.
func empty(ctx context.Context, side *oracle.Side) error {
	for {
		var names []string
		err := side.Snapshotter.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			names = append(names, info.Name)
			return nil
		})
		if err != nil || len(names) == 0 {
			return errors.Join(err, clean(ctx, side))
		}
		removed := 0
		for _, name := range names {
			if err = side.Snapshotter.Remove(ctx, name); err == nil {
				removed++
			}
		}
		if removed == 0 {
			return err
		}
	}
}

func prepareOver(layers int) func(context.Context, *oracle.Side, []string, string) error {
	return func(ctx context.Context, side *oracle.Side, names []string, key string) error {
		parent := ""
		if layers > 0 {
			parent = names[layers-1]
		}
		_, err := side.Snapshotter.Prepare(ctx, key, parent)
		return err
	}
}

func viewOver(layers int) func(context.Context, *oracle.Side, []string, string) error {
	return func(ctx context.Context, side *oracle.Side, names []string, key string) error {
		_, err := side.Snapshotter.View(ctx, key, names[layers-1])
		return err
	}
}

// filled is a snapshot somebody has written into.
func filled(ctx context.Context, side *oracle.Side, _ []string, key string) error {
	mounts, err := side.Snapshotter.Prepare(ctx, key, "")
	if err != nil {
		return err
	}
	for number := range filesOfLayer {
		name := filepath.Join(mounts[0].Source, fmt.Sprintf("file%d", number))
		if err := os.WriteFile(name, []byte(key), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func commit(ctx context.Context, side *oracle.Side, _ []string, key string) error {
	return side.Snapshotter.Commit(ctx, "committed "+key, key)
}

func removeCommitted(ctx context.Context, side *oracle.Side, names []string, key string) error {
	return remove(ctx, side, names, "committed "+key)
}

// create is what starting a container costs of a snapshotter, and stopping it of the kernel.
func create(ctx context.Context, side *oracle.Side, names []string, key string) error {
	mounts, err := side.Snapshotter.Prepare(ctx, key, names[layersOfImage-1])
	if err != nil {
		return err
	}
	place, err := os.MkdirTemp("", "container-")
	if err != nil {
		return err
	}
	return errors.Join(mount.All(mounts, place), mount.UnmountAll(place, 0), os.Remove(place))
}

func (b *bench) run(ctx context.Context) (err error) {
	defer func() {
		for _, side := range b.sides {
			err = errors.Join(err, empty(ctx, side))
		}
	}()
	stored, err := b.unpack(ctx)
	if err != nil {
		return err
	}
	apply := func(ctx context.Context, side *oracle.Side, names []string, key string) error {
		mounts, err := side.Snapshotter.Prepare(ctx, key, names[0])
		if err == nil {
			_, err = side.Applier.Apply(ctx, stored[1].Descriptor, mounts)
		}
		return err
	}
	ask := func(what func(context.Context, snapshots.Snapshotter) error) call {
		return call{timed: func(ctx context.Context, side *oracle.Side, _ []string, _ string) error {
			return what(ctx, side.Snapshotter)
		}}
	}
	for _, row := range []struct {
		operation string
		call      call
	}{
		{"Prepare", call{nil, prepareOver(1), remove}},
		{"Prepare over 32 layers", call{nil, prepareOver(layersOfImage), remove}},
		{"View", call{nil, viewOver(1), remove}},
		{"View over 32 layers", call{nil, viewOver(layersOfImage), remove}},
		{"Mounts over 32 layers", ask(func(ctx context.Context, s snapshots.Snapshotter) error {
			_, err := s.Mounts(ctx, "container")
			return err
		})},
		{"Stat", ask(func(ctx context.Context, s snapshots.Snapshotter) error {
			_, err := s.Stat(ctx, "container")
			return err
		})},
		{"Commit of a layer", call{apply, commit, removeCommitted}},
		{"Commit of a directory", call{filled, commit, removeCommitted}},
		{"Usage of a layer", call{timed: func(ctx context.Context, side *oracle.Side, names []string, _ string) error {
			_, err := side.Snapshotter.Usage(ctx, names[0])
			return err
		}}},
		{"Usage of 20 files", call{filled, func(ctx context.Context, side *oracle.Side, _ []string, key string) error {
			_, err := side.Snapshotter.Usage(ctx, key)
			return err
		}, remove}},
		{"Remove", call{prepareOver(1), func(ctx context.Context, side *oracle.Side, _ []string, key string) error {
			return side.Snapshotter.Remove(ctx, key)
		}, func(ctx context.Context, side *oracle.Side, _ []string, _ string) error { return clean(ctx, side) }}},
		{"container of 32 layers", call{nil, create, remove}},
	} {
		if err := b.add(ctx, row.operation, row.call); err != nil {
			return err
		}
	}
	return b.addList(ctx)
}

// addList comes last: the others are of few snapshots.
func (b *bench) addList(ctx context.Context) error {
	for number, side := range b.sides {
		for i := len(b.names[number]) + 1; i < listed; i++ {
			if _, err := side.Snapshotter.View(ctx, fmt.Sprintf("listed %d", i), b.names[number][0]); err != nil {
				return err
			}
		}
	}
	return b.add(ctx, "List of 1000", call{timed: func(ctx context.Context, side *oracle.Side, _ []string, _ string) error {
		found := 0
		err := side.Snapshotter.Walk(ctx, func(context.Context, snapshots.Info) error {
			found++
			return nil
		})
		if err == nil && found != listed {
			err = fmt.Errorf("%d snapshots, not %d", found, listed)
		}
		return err
	}})
}
