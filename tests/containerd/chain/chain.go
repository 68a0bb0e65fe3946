// SPDX-License-Identifier: Apache-2.0

// Package chain makes chains of image layers: by hand, or by chance from a seed, the same from the same.
package chain

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"strings"

	"daxfs/tests/containerd/tree"

	"github.com/klauspost/compress/zstd"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Compression is how a layer is stored.
type Compression string

// The ways a layer may be stored.
const (
	Plain Compression = ""
	Gzip  Compression = "+gzip"
	Zstd  Compression = "+zstd"
)

// Piece is a part of a sparse file that holds something.
type Piece struct {
	Offset int64
	Data   []byte
}

// Entry is one of a tar.
type Entry struct {
	tar.Header
	Data   []byte  // of a regular file; the size follows from it
	Sparse []Piece // instead: the file has Header.Size bytes and these, in order; written as PAX format 1.0
}

// Layer is a tar and how it is stored.
type Layer struct {
	Entries     []Entry
	Raw         []byte // instead: all of the tar
	Blob        []byte // what is stored, if Compression does not make it of the tar
	MediaType   string // if another than Compression's
	Compression Compression
	Trailing    int // bytes behind the end of the archive
}

// Chain is an image's layers, the lowest first.
type Chain struct {
	Seed   uint64
	Layers []Layer
}

// Stored is a layer as it lies in a content store.
type Stored struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
	TarBytes   int64
	Blob       []byte
}

// Tar has the bytes of the archive.
func (l Layer) Tar() ([]byte, error) {
	if l.Raw != nil {
		return l.Raw, nil
	}
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, entry := range l.Entries {
		if err := entry.write(writer, &out); err != nil {
			return nil, fmt.Errorf("%q: %w", entry.Name, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	out.Write(make([]byte, l.Trailing))
	return out.Bytes(), nil
}

func (e Entry) write(writer *tar.Writer, out *bytes.Buffer) error {
	if e.Sparse != nil {
		if err := writer.Flush(); err != nil {
			return err
		}
		_, err := out.Write(e.sparse())
		return err
	}
	header := e.Header
	header.Size = int64(len(e.Data))
	if err := writer.WriteHeader(&header); err != nil {
		return err
	}
	_, err := writer.Write(e.Data)
	return err
}

// Store packs the layer.
func (l Layer) Store() (*Stored, error) {
	plain, err := l.Tar()
	if err != nil {
		return nil, err
	}
	blob := l.Blob
	if blob == nil {
		if blob, err = l.Compression.Pack(plain); err != nil {
			return nil, err
		}
	}
	return &Stored{
		Descriptor: ocispec.Descriptor{
			MediaType: cmp.Or(l.MediaType, ocispec.MediaTypeImageLayer+string(l.Compression)),
			Digest:    digest.FromBytes(blob),
			Size:      int64(len(blob)),
		},
		DiffID:   digest.FromBytes(plain),
		TarBytes: int64(len(plain)),
		Blob:     blob,
	}, nil
}

// Pack compresses.
func (c Compression) Pack(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	var writer io.WriteCloser
	switch c {
	case Gzip:
		writer = gzip.NewWriter(&out)
	case Zstd:
		var err error
		if writer, err = zstd.NewWriter(&out); err != nil {
			return nil, err
		}
	default:
		return plain, nil
	}
	if _, err := writer.Write(plain); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// String lists the chain for people.
func (c Chain) String() string {
	var text strings.Builder
	for number, layer := range c.Layers {
		fmt.Fprintf(&text, "layer %d%s, %d bytes behind its end\n", number, layer.Compression, layer.Trailing)
		for _, entry := range layer.Entries {
			fmt.Fprintf(&text, "  %c %s mode %o owner %d:%d mtime %d.%09d", entry.Typeflag, tree.Short(entry.Name), entry.Mode,
				entry.Uid, entry.Gid, entry.ModTime.Unix(), entry.ModTime.Nanosecond())
			switch {
			case entry.Linkname != "":
				fmt.Fprintf(&text, " -> %s", tree.Short(entry.Linkname))
			case entry.Sparse != nil:
				fmt.Fprintf(&text, " %d bytes in %d pieces", entry.Size, len(entry.Sparse))
			case entry.Typeflag == tar.TypeReg:
				fmt.Fprintf(&text, " %d bytes", len(entry.Data))
			case entry.Typeflag == tar.TypeChar || entry.Typeflag == tar.TypeBlock:
				fmt.Fprintf(&text, " device %d:%d", entry.Devmajor, entry.Devminor)
			}
			for key, value := range entry.PAXRecords {
				fmt.Fprintf(&text, " %s=%s", key, tree.Short(value))
			}
			text.WriteByte('\n')
		}
	}
	return text.String()
}
