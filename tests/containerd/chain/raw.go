// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
)

const block = 512

// Places in a header, for Raw.Set.
const (
	NameAt, ModeAt, UidAt, GidAt, SizeAt, TimeAt, SumAt, KindAt, LinkAt = 0, 100, 108, 116, 124, 136, 148, 156, 157
	MagicAt, MajorAt, MinorAt, PrefixAt                                 = 257, 329, 337, 345
)

// Raw is an entry of a tar byte by byte, for what archive/tar does not write.
type Raw struct {
	Kind       byte // of a regular file unless said
	Name, Link string
	Mode       int64
	Body       []byte
	Set        map[int]string // bytes of the header, by their places
	Signed     bool           // the checksum is that of signed bytes
}

// Bytes are the header, the body and what fills its last block.
func (r Raw) Bytes() []byte {
	var header [block]byte
	if r.Kind == 0 {
		r.Kind = tar.TypeReg
	}
	copy(header[NameAt:ModeAt], r.Name)
	copy(header[ModeAt:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00", r.Mode, 0, 0, len(r.Body), 0))
	header[KindAt] = r.Kind
	copy(header[LinkAt:MagicAt], r.Link)
	copy(header[MagicAt:], "ustar\x0000")
	for at, text := range r.Set {
		copy(header[at:], text)
	}
	copy(header[SumAt:], "        ")
	sum := 0
	for _, value := range header {
		if r.Signed {
			sum += int(int8(value))
		} else {
			sum += int(value)
		}
	}
	copy(header[SumAt:], fmt.Sprintf("%06o\x00 ", sum))
	return slices.Concat(header[:], r.Body, make([]byte, (block-len(r.Body)%block)%block))
}

// Records are those of an extended header: a key, its value, and so on.
func Records(texts ...string) []byte {
	var records bytes.Buffer
	for i := 0; i+1 < len(texts); i += 2 {
		records.WriteString(record(texts[i], texts[i+1]))
	}
	return records.Bytes()
}

// record says its own length, digits included.
func record(key, value string) string {
	length := len(key) + len(value) + 3
	for {
		made := fmt.Sprintf("%d %s=%s\n", length, key, value)
		if len(made) == length {
			return made
		}
		length = len(made)
	}
}

// Extended is a header for the entry behind it.
func Extended(texts ...string) Raw {
	return Raw{Kind: tar.TypeXHeader, Name: "PaxHeaders.0/x", Body: Records(texts...)}
}

// Long is GNU's name (tar.TypeGNULongName) or target (tar.TypeGNULongLink) of the entry behind it.
func Long(kind byte, text string) Raw {
	return Raw{Kind: kind, Name: "././@LongLink", Body: []byte(text)}
}

// Base256 is a number in a field of so many bytes.
func Base256(number int64, bytes int) string {
	text := make([]byte, bytes)
	for i := range text {
		text[bytes-1-i] = byte(number >> min(8*i, 63))
	}
	text[0] |= 0x80
	return string(text)
}

// Archive has the entries and the end.
func Archive(entries ...Raw) []byte {
	var out []byte
	for _, entry := range entries {
		out = append(out, entry.Bytes()...)
	}
	return append(out, make([]byte, 2*block)...)
}
