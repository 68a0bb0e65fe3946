// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path"
	"strings"
	"testing"
	"time"
)

func TestTheSameSeedMakesTheSameChain(t *testing.T) {
	digests := map[string]uint64{}
	for seed := range uint64(40) {
		for i, layer := range Generate(seed).Layers {
			first, err := layer.Store()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			again, err := Generate(seed).Layers[i].Store()
			if err != nil || again.Descriptor.Digest != first.Descriptor.Digest {
				t.Errorf("seed %d, layer %d: %v, then %v: %v", seed, i, first.Descriptor, again.Descriptor, err)
			}
			if other, there := digests[first.DiffID.String()]; there && other != seed && len(layer.Entries) > 0 {
				t.Errorf("seeds %d and %d share a layer", seed, other)
			}
			digests[first.DiffID.String()] = seed
		}
	}
}

// Everything the oracle is for is there, and often.
func TestChainsHaveWhatTheyAreFor(t *testing.T) {
	counts := map[string]int{}
	note := func(what string, is bool) {
		if is {
			counts[what]++
		}
	}
	for seed := range uint64(100) {
		made := Generate(seed)
		if len(made.Layers) < 1 || len(made.Layers) > layersMax {
			t.Errorf("seed %d: %d layers", seed, len(made.Layers))
		}
		named := map[string]byte{}
		for number, layer := range made.Layers {
			counts["layer"+string(layer.Compression)]++
			note("bytes behind the end", layer.Trailing > 0)
			for _, entry := range layer.Entries {
				base := path.Base(entry.Name)
				name := path.Clean(entry.Name)
				before, again := named[name]
				note("type "+string(entry.Typeflag), true)
				note("whiteout", strings.HasPrefix(base, whiteout) && base != opaque)
				note("whiteout in the lowest layer", strings.HasPrefix(base, whiteout) && number == 0)
				note("opaque", base == opaque)
				note("sparse", entry.Sparse != nil)
				note("empty", entry.Typeflag == tar.TypeReg && len(entry.Data) == 0)
				note("large", len(entry.Data) > 1<<20)
				note("before 1970", entry.ModTime.Before(time.Unix(0, 0)))
				note("nanoseconds", entry.ModTime.Nanosecond() != 0)
				note("xattrs", len(entry.PAXRecords) > 0)
				note("capability", entry.PAXRecords[xattrRecord+"security.capability"] != "")
				note("set-id", entry.Mode&0o6000 != 0)
				note("long name", len(base) == 255)
				note("in a directory nobody names", path.Dir(name) != "." && named[path.Dir(name)] == 0)
				note("replaced", again && before != entry.Typeflag)
				note("directory named again", again && before == tar.TypeDir && entry.Typeflag == tar.TypeDir)
				named[name] = entry.Typeflag
			}
		}
	}
	for _, what := range []string{
		"layer", "layer+gzip", "layer+zstd", "bytes behind the end", "type 0", "type 1", "type 2", "type 3", "type 4",
		"type 5", "type 6", "whiteout", "whiteout in the lowest layer", "opaque", "sparse", "empty", "large", "before 1970",
		"nanoseconds", "xattrs", "capability", "set-id", "long name", "in a directory nobody names", "replaced",
		"directory named again",
	} {
		if counts[what] < 20 {
			t.Errorf("%s: %d", what, counts[what])
		}
	}
}

func TestSparseFilesAreReadAsTheyAreMeant(t *testing.T) {
	for _, pieces := range [][]Piece{
		{}, {{0, []byte("begin")}}, {{700, bytes.Repeat([]byte("x"), 600)}, {5000, []byte("end")}},
	} {
		entry := Entry{Sparse: pieces, Header: tar.Header{
			Name: "d/\xff", Mode: 0o640, Uid: 3, Gid: 1 << 31, Size: 6000, ModTime: time.Unix(7, 9)}}
		layer := Layer{Entries: []Entry{entry, {Header: tar.Header{Name: "behind", Typeflag: tar.TypeReg}}}}
		packed, err := layer.Tar()
		if err != nil {
			t.Fatal(err)
		}
		reader := tar.NewReader(bytes.NewReader(packed))
		header, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		wanted := make([]byte, entry.Size)
		for _, piece := range pieces {
			copy(wanted[piece.Offset:], piece.Data)
		}
		if header.Name != entry.Name || header.Mode != entry.Mode || header.Uid != 3 || header.Gid != 1<<31 ||
			!header.ModTime.Equal(entry.ModTime) || !bytes.Equal(data, wanted) {
			t.Errorf("%v with %d bytes", header, len(data))
		}
		if header, err = reader.Next(); err != nil || header.Name != "behind" {
			t.Errorf("%v, %v", header, err)
		}
		if _, err = reader.Next(); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
}
