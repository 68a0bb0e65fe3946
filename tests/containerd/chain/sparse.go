// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strconv"
)

const block = 512

// writeSparse writes what archive/tar cannot: a sparse file in GNU's PAX format 1.0, whose map stands before its data.
func (e Entry) writeSparse(out *bytes.Buffer) {
	var records bytes.Buffer
	for _, record := range [][2]string{
		{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"},
		{"GNU.sparse.name", e.Name}, {"GNU.sparse.realsize", strconv.FormatInt(e.Size, 10)},
		{"mtime", fmt.Sprintf("%d.%09d", e.ModTime.Unix(), e.ModTime.Nanosecond())},
		{"uid", strconv.Itoa(e.Uid)}, {"gid", strconv.Itoa(e.Gid)},
	} {
		records.WriteString(paxRecord(record[0], record[1]))
	}
	var body bytes.Buffer
	fmt.Fprintf(&body, "%d\n", len(e.Sparse))
	for _, piece := range e.Sparse {
		fmt.Fprintf(&body, "%d\n%d\n", piece.Offset, len(piece.Data))
	}
	pad(&body)
	for _, piece := range e.Sparse {
		body.Write(piece.Data)
	}
	writeRaw(out, tar.TypeXHeader, 0o644, records.Bytes())
	writeRaw(out, tar.TypeReg, e.Mode, body.Bytes())
}

// paxRecord says its own length, digits included.
func paxRecord(key, value string) string {
	length := len(key) + len(value) + 3
	for {
		record := fmt.Sprintf("%d %s=%s\n", length, key, value)
		if len(record) == length {
			return record
		}
		length = len(record)
	}
}

// writeRaw writes an entry whose name and times are said elsewhere.
func writeRaw(out *bytes.Buffer, kind byte, mode int64, body []byte) {
	var header [block]byte
	copy(header[0:], "GNUSparseFile.0/file")
	copy(header[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00", mode, 0, 0, len(body), 0))
	copy(header[148:], "        ")
	header[156] = kind
	copy(header[257:], "ustar\x0000")
	sum := 0
	for _, value := range header {
		sum += int(value)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	out.Write(header[:])
	out.Write(body)
	pad(out)
}

// pad fills the last block. All that was written before is whole blocks.
func pad(out *bytes.Buffer) {
	out.Write(make([]byte, (block-out.Len()%block)%block))
}
