// SPDX-License-Identifier: Apache-2.0

// Package oracle unpacks chains of layers as containerd does, with one snapshotter and one applier or another, and
// looks at what containers would see.
package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"daxfs/tests/containerd/chain"
	"daxfs/tests/containerd/tree"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	digest "github.com/opencontainers/go-digest"
)

// Side is who unpacks, out of a content store.
type Side struct {
	Name        string
	Content     content.Store
	Snapshotter snapshots.Snapshotter
	Applier     diff.Applier
}

// Unpacked is what came of a chain: a descriptor and a snapshot for each layer that could be unpacked.
type Unpacked struct {
	side    *Side
	Applied []ocispec.Descriptor
	Names   []string
	Err     error // of the layer behind those
	made    []string
}

// Store puts the layers into a content store.
func Store(ctx context.Context, store content.Store, layers []chain.Layer) ([]*chain.Stored, error) {
	var all []*chain.Stored
	for _, layer := range layers {
		stored, err := layer.Store()
		if err != nil {
			return nil, err
		}
		reference := stored.Descriptor.Digest.String()
		if err := content.WriteBlob(ctx, store, reference, bytes.NewReader(stored.Blob), stored.Descriptor); err != nil {
			return nil, err
		}
		all = append(all, stored)
	}
	return all, nil
}

// Unpack does what containerd does of a pull (pkg/rootfs/apply.go), up to the first layer that cannot be unpacked. The
// name makes it another chain than those before.
func (s *Side) Unpack(ctx context.Context, name string, layers []*chain.Stored) *Unpacked {
	unpacked := &Unpacked{side: s}
	var ids []digest.Digest
	parent := ""
	for _, layer := range layers {
		ids = append(ids, layer.DiffID)
		committed := fmt.Sprintf("%s/%d/%s", name, len(ids), identity.ChainID(ids))
		applied, err := s.unpackLayer(ctx, unpacked, committed, parent, layer)
		if err != nil {
			unpacked.Err = err
			return unpacked
		}
		unpacked.Applied = append(unpacked.Applied, applied)
		unpacked.Names = append(unpacked.Names, committed)
		parent = committed
	}
	return unpacked
}

func (s *Side) unpackLayer(ctx context.Context, unpacked *Unpacked, committed, parent string,
	layer *chain.Stored) (ocispec.Descriptor, error) {
	var none ocispec.Descriptor
	key := "extract-" + committed
	mounts, err := s.Snapshotter.Prepare(ctx, key, parent)
	if err != nil {
		return none, fmt.Errorf("prepare: %w", err)
	}
	applied, err := s.Applier.Apply(ctx, layer.Descriptor, mounts)
	if err != nil {
		return none, errors.Join(fmt.Errorf("apply: %w", err), s.Snapshotter.Remove(ctx, key))
	}
	if err := s.Snapshotter.Commit(ctx, committed, key); err != nil {
		return none, errors.Join(fmt.Errorf("commit: %w", err), s.Snapshotter.Remove(ctx, key))
	}
	unpacked.made = append(unpacked.made, committed)
	return applied, nil
}

// See reads what is shown over so many layers: by a view, or to a container that may write.
func (u *Unpacked) See(ctx context.Context, layers int, writable bool) (found tree.Tree, err error) {
	parent := u.Names[layers-1]
	key := fmt.Sprintf("see-%t-%s", writable, parent)
	make := u.side.Snapshotter.View
	if writable {
		make = u.side.Snapshotter.Prepare
	}
	mounts, err := make(ctx, key, parent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, u.side.Snapshotter.Remove(ctx, key)) }()
	place, err := os.MkdirTemp("", "see-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(place)
	if err := mount.All(mounts, place); err != nil {
		return nil, fmt.Errorf("%v: %w", mounts, err)
	}
	defer func() { err = errors.Join(err, mount.UnmountAll(place, 0)) }()
	return tree.Read(place)
}

// Remove removes all of it.
func (u *Unpacked) Remove(ctx context.Context) error {
	var err error
	for i := len(u.made) - 1; i >= 0; i-- {
		err = errors.Join(err, u.side.Snapshotter.Remove(ctx, u.made[i]))
	}
	if cleaner, ok := u.side.Snapshotter.(snapshots.Cleaner); ok {
		if cleaned := cleaner.Cleanup(ctx); !errdefs.IsNotImplemented(cleaned) {
			err = errors.Join(err, cleaned)
		}
	}
	return err
}
