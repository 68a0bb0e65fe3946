// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"fmt"
	"strconv"
)

// sparse has what archive/tar does not write: a sparse file in GNU's PAX format 1.0, whose map stands before its data.
func (e Entry) sparse() []byte {
	var body bytes.Buffer
	fmt.Fprintf(&body, "%d\n", len(e.Sparse))
	for _, piece := range e.Sparse {
		fmt.Fprintf(&body, "%d\n%d\n", piece.Offset, len(piece.Data))
	}
	body.Write(make([]byte, (block-body.Len()%block)%block))
	for _, piece := range e.Sparse {
		body.Write(piece.Data)
	}
	head := Extended("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", e.Name,
		"GNU.sparse.realsize", strconv.FormatInt(e.Size, 10),
		"mtime", fmt.Sprintf("%d.%09d", e.ModTime.Unix(), e.ModTime.Nanosecond()),
		"uid", strconv.Itoa(e.Uid), "gid", strconv.Itoa(e.Gid))
	return append(head.Bytes(), Raw{Name: "GNUSparseFile.0/file", Mode: e.Mode, Body: body.Bytes()}.Bytes()...)
}
