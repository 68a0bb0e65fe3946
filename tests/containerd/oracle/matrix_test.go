// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"daxfs/tests/containerd/chain"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// refusedHere is the line of a layer that containerd takes.
const refusedHere = "containerd unpacks 1 layers: <nil>; daxfs 0: apply"

// row is an input that readers of layers stumble over.
type row struct {
	name   string
	layers []chain.Layer
	shows  []string // names containerd has in the end, but the root's; none: it refuses the last layer
	texts  []string // in what we differ, and say so in docs/snapshotter.md
	count  int      // instead of shows: so many names
}

func raw(name, body string) chain.Raw { return chain.Raw{Name: name, Mode: 0o644, Body: []byte(body)} }

func rawKind(kind byte, name, target string) chain.Raw {
	return chain.Raw{Kind: kind, Name: name, Link: target, Mode: 0o755}
}

func rawDirectory(name string) chain.Raw { return rawKind(tar.TypeDir, name, "") }

func set(entry chain.Raw, at int, text string) chain.Raw {
	if entry.Set == nil {
		entry.Set = map[int]string{}
	}
	entry.Set[at] = text
	return entry
}

func archive(entries ...chain.Raw) []chain.Layer { return bytesOf(chain.Archive(entries...)) }

func bytesOf(all []byte) []chain.Layer { return []chain.Layer{{Raw: all}} }

func over(below []chain.Layer, above ...[]chain.Layer) []chain.Layer {
	return slices.Concat(below, slices.Concat(above...))
}

func text(format string, values ...any) string { return fmt.Sprintf(format, values...) }

func rowsOfNames() []row {
	long, longer := strings.Repeat("n", 200), strings.Repeat("m", 255)
	deep := strings.Repeat("d/", 60) + "f"
	var parents []string
	for at, c := range deep {
		if c == '/' {
			parents = append(parents, deep[:at])
		}
	}
	gnu := func(entry chain.Raw) chain.Raw { return set(entry, chain.MagicAt, "ustar  \x00") }
	return []row{
		{name: "GNU long name and target", shows: []string{long, "l"}, layers: archive(
			chain.Long(tar.TypeGNULongName, long), gnu(raw("short", "x")),
			chain.Long(tar.TypeGNULongLink, long), gnu(rawKind(tar.TypeSymlink, "l", "short")))},
		{name: "GNU long names, one behind the other", shows: []string{"second"}, layers: archive(
			chain.Long(tar.TypeGNULongName, long), chain.Long(tar.TypeGNULongName, "second"), gnu(raw("short", "x")))},
		{name: "GNU long name with zeros behind it", shows: []string{"name"}, layers: archive(
			chain.Long(tar.TypeGNULongName, "name\x00\x00rest"), gnu(raw("short", "x")))},
		{name: "GNU long name and PAX path", shows: []string{"gnu"}, layers: archive(
			chain.Extended("path", "pax"), chain.Long(tar.TypeGNULongName, "gnu"), raw("short", "x"))},
		{name: "PAX path and GNU long name", shows: []string{"gnu"}, layers: archive(
			chain.Long(tar.TypeGNULongName, "gnu"), chain.Extended("path", "pax"), raw("short", "x"))},
		{name: "prefix of ustar", shows: []string{"prefix", "prefix/f"}, layers: archive(
			rawDirectory("prefix/"), set(raw("f", "x"), chain.PrefixAt, "prefix"))},
		{name: "a prefix beside a name of 100 bytes", shows: append(parents[:1:1], "d/"+long[:100]), layers: archive(
			rawDirectory("d"), set(raw(long[:100], "x"), chain.PrefixAt, "d"))},
		{name: "V7, no magic", shows: []string{"f"}, layers: archive(
			set(raw("f", "x"), chain.MagicAt, strings.Repeat("\x00", 255)))},
		{name: "bytes that are no UTF-8", shows: []string{"\xff\xfe", "caf\xe9"}, layers: archive(
			raw("\xff\xfe", "x"), chain.Extended("path", "caf\xe9"), raw("short", "y"))},
		{name: "names with what options escape", shows: []string{"a:b", "c,d", `e\f`, "g\nh", " "}, layers: archive(
			raw("a:b", "1"), raw("c,d", "2"), raw(`e\f`, "3"), raw("g\nh", "4"), raw(" ", "5"))},
		{name: "directories with what options escape, in two layers", shows: []string{"a:b", "a:b/1", "a:b/2"}, layers: over(
			archive(rawDirectory("a:b/"), raw("a:b/1", "1")), archive(raw("a:b/2", "2")))},
		{name: "a name of 255 bytes", shows: []string{longer}, layers: archive(
			chain.Extended("path", longer), raw("short", "x"))},
		{name: "a name of 256 bytes", layers: archive(chain.Extended("path", longer+"m"), raw("short", "x"))},
		{name: "60 directories deep", shows: append(parents, deep), layers: archive(
			chain.Extended("path", deep), raw("short", "x"))},
		{name: "a path of more than 4096 bytes", layers: archive(
			chain.Extended("path", strings.Repeat("d/", 2100)+"f"), raw("short", "x"))},
		{name: "up and away", shows: []string{"f", "g", "h"}, layers: archive(
			raw("../f", "x"), raw("/g", "y"), raw("/../../h", "z"))},
		{name: "no name", shows: []string{"f"}, layers: archive(raw("", ""), raw("f", "x"))},
		{name: "dots", shows: []string{"d", "d/f", "d/g"}, layers: archive(
			rawDirectory("./d/"), raw("./d/./f", "x"), raw("d//g", "y"))},
		{name: "the root", shows: []string{"f"}, layers: archive(
			chain.Raw{Kind: tar.TypeDir, Name: "./", Mode: 0o700}, raw("f", "x"))},
		{name: "a file where the root is", shows: []string{"f"}, layers: archive(raw(".", "x"), raw("f", "x"))},
		{name: "a slash behind a file's name", shows: []string{"f"}, layers: archive(raw("f/", ""))},
		{name: "a slash behind the name of a file with a body", layers: archive(raw("f/", "x")), texts: []string{refusedHere},
			shows: []string{"f"}},
		{name: "a slash behind an old file's name", shows: []string{"d"}, layers: archive(
			set(chain.Raw{Name: "d/", Mode: 0o755}, chain.KindAt, "\x00"))},
		{name: "types of old", shows: []string{"f"}, layers: archive(set(raw("f", "x"), chain.KindAt, "\x00"))},
		{name: "a contiguous file", layers: archive(rawKind(tar.TypeCont, "f", ""))},
		{name: "a type nobody knows", layers: archive(rawKind('Z', "f", ""))},
	}
}

func rowsOfRecords() []row {
	flip := func(texts ...string) []chain.Layer {
		return archive(chain.Extended(texts...), raw("short", "12345678"))
	}
	return []row{
		{name: "PAX records", shows: []string{"f"}, layers: flip(
			"path", "f", "uid", "3000000", "gid", "4000000000", "mtime", "1234567890.123456789", "atime", "99.5")},
		{name: "PAX records, the other way round", shows: []string{"f"}, layers: flip(
			"atime", "99.5", "mtime", "1234567890.123456789", "gid", "4000000000", "uid", "3000000", "path", "f")},
		{name: "PAX target", shows: []string{"l"}, layers: archive(
			chain.Extended("linkpath", strings.Repeat("t", 300)), rawKind(tar.TypeSymlink, "l", "short"))},
		{name: "PAX size", shows: []string{"f", "g"}, layers: archive(
			chain.Extended("size", "8"), set(raw("f", "12345678"), chain.SizeAt, "00000000000\x00"), raw("g", "x"))},
		{name: "PAX records twice", shows: []string{"short"}, layers: archive(
			chain.Extended("path", "f", "uid", "7"), chain.Extended("uid", "8"), raw("short", "x"))},
		{name: "one PAX record twice", shows: []string{"second"}, layers: flip("path", "first", "path", "second")},
		{name: "empty PAX records", shows: []string{"short"}, layers: flip("path", "", "uid", "", "mtime", "")},
		{name: "an empty PAX size", shows: []string{"short"}, layers: flip("size", ""), texts: []string{refusedHere}},
		{name: "PAX records nobody knows", shows: []string{"short"}, layers: flip("VENDOR.key", "value", "comment", "x")},
		{name: "what Solaris says of holes", shows: []string{"short"}, layers: flip("SUN.holesdata", " 2 4"),
			texts: []string{refusedHere}},
		{name: "PAX path with a zero", layers: flip("path", "a\x00b")},
		{name: "PAX time that is none", layers: flip("mtime", "1.2.3")},
		{name: "PAX number that is none", layers: flip("uid", "0x10")},
		{name: "PAX size below nothing", layers: flip("size", "-1")},
		{name: "PAX record without its length", layers: archive(
			chain.Raw{Kind: tar.TypeXHeader, Name: "x", Body: []byte("path=f\n")}, raw("short", "x"))},
		{name: "PAX record longer than it says", layers: archive(
			chain.Raw{Kind: tar.TypeXHeader, Name: "x", Body: []byte("5 path=f\n")}, raw("short", "x"))},
		{name: "PAX header of two MiB", layers: archive(chain.Extended("comment", strings.Repeat("c", 2<<20)), raw("f", "x"))},
		{name: "global PAX header", shows: []string{"f", "g"}, layers: archive(
			chain.Raw{Kind: tar.TypeXGlobalHeader, Name: "g", Body: chain.Records("path", "no", "uid", "77", "comment", "x")},
			raw("f", "x"), raw("g", "y"))},
		{name: "extended attributes", shows: []string{"f"}, layers: flip("path", "f",
			"SCHILY.xattr.user.bytes", "\x00\xff\n\x00", "SCHILY.xattr.user.empty", "", "SCHILY.xattr.user.large",
			strings.Repeat("v", 3000), "SCHILY.xattr.security.selinux", "system_u:object_r:etc_t:s0")},
		{name: "an extended attribute with an equals sign", shows: []string{"short"}, layers: flip("SCHILY.xattr.user.a=b", "c")},
		{name: "trusted extended attributes", shows: []string{"short"}, layers: flip(
			"SCHILY.xattr.trusted.overlay.opaque", "y", "SCHILY.xattr.user.kept", "1")},
		{name: "a user's attribute of a symbolic link", shows: []string{"l"}, layers: archive(
			chain.Extended("SCHILY.xattr.user.a", "1"), rawKind(tar.TypeSymlink, "l", "x"))},
		{name: "attributes as libarchive and Red Hat write them", shows: []string{"short"}, layers: flip(
			"LIBARCHIVE.xattr.user.a", "YQ", "RHT.security.selinux", "x")},
		{name: "a file's capabilities", shows: []string{"short"}, layers: flip(
			"SCHILY.xattr.security.capability", "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")},
		{name: "capabilities that are none", layers: flip("SCHILY.xattr.security.capability", "none")},
	}
}

func rowsOfNumbers() []row {
	one := func(at int, value string) []chain.Layer { return archive(set(raw("f", "x"), at, value)) }
	return []row{
		{name: "owner by 256", shows: []string{"f"}, layers: one(chain.UidAt, chain.Base256(1<<31+5, 8))},
		{name: "group by 256", shows: []string{"f"}, layers: one(chain.GidAt, chain.Base256(1<<22, 8))},
		{name: "time by 256 before 1970", shows: []string{"f"}, layers: one(chain.TimeAt, chain.Base256(-5, 12))},
		{name: "time by 256 beyond nanoseconds", shows: []string{"f"}, layers: one(chain.TimeAt, chain.Base256(1<<40, 12))},
		{name: "size by 256", shows: []string{"f"}, layers: one(chain.SizeAt, chain.Base256(1, 12))},
		{name: "size by 256 below nothing", layers: one(chain.SizeAt, chain.Base256(-1, 12))},
		{name: "size by 256 beyond all", layers: one(chain.SizeAt, chain.Base256(1<<62, 12))},
		{name: "time before 1970", shows: []string{"short"}, layers: archive(chain.Extended("mtime", "-3.5"), raw("short", "x"))},
		{name: "time far ahead", shows: []string{"short"}, layers: archive(
			chain.Extended("mtime", "10000000000"), raw("short", "x"))},
		{name: "numbers between spaces", shows: []string{"f"}, layers: one(chain.UidAt, "   12  \x00")},
		{name: "numbers with other digits", layers: one(chain.UidAt, "0000089\x00")},
		{name: "special bits", shows: []string{"d", "f"}, layers: archive(
			chain.Raw{Name: "f", Mode: 0o6755, Body: []byte("x")}, chain.Raw{Kind: tar.TypeDir, Name: "d", Mode: 0o3777})},
		{name: "a mode with the type in it", shows: []string{"d", "f"}, layers: archive(
			chain.Raw{Name: "f", Mode: 0o100640, Body: []byte("x")}, chain.Raw{Kind: tar.TypeDir, Name: "d", Mode: 0o40750})},
		{name: "the mode of a symbolic link", shows: []string{"l"}, layers: archive(
			chain.Raw{Kind: tar.TypeSymlink, Name: "l", Link: "x", Mode: 0o600})},
		{name: "a checksum of signed bytes", shows: []string{"\xe9\xe9"}, layers: archive(
			chain.Raw{Name: "\xe9\xe9", Mode: 0o644, Signed: true})},
		{name: "a wrong checksum", layers: bytesOf(wrongSum())},
		{name: "devices and a FIFO", shows: []string{"b", "c", "p"}, layers: archive(
			set(set(rawKind(tar.TypeBlock, "b", ""), chain.MajorAt, "0000010\x00"), chain.MinorAt, "0000001\x00"),
			set(set(rawKind(tar.TypeChar, "c", ""), chain.MajorAt, "0007777\x00"), chain.MinorAt, "3777777\x00"),
			rawKind(tar.TypeFifo, "p", ""))},
		{name: "a device that is a whiteout", shows: []string{"kept"}, layers: over(
			archive(raw("f", "x"), raw("kept", "y")),
			archive(set(set(rawKind(tar.TypeChar, "f", ""), chain.MajorAt, "0000000\x00"), chain.MinorAt, "0000000\x00")))},
	}
}

func wrongSum() []byte {
	all := chain.Archive(raw("f", "x"))
	all[chain.NameAt] = 'g'
	return all
}

func rowsOfSparseFiles() []row {
	body := "some more"
	old := func(name string) []chain.Layer {
		return archive(chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "2", "GNU.sparse.map", "0,4,8000,5"),
			raw(name, body))
	}
	return []row{
		{name: "sparse, PAX 0.1", shows: []string{"f"}, layers: old("f")},
		{name: "sparse, PAX 0.0", shows: []string{"f"}, layers: archive(
			chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "2", "GNU.sparse.offset", "0",
				"GNU.sparse.numbytes", "4", "GNU.sparse.offset", "8000", "GNU.sparse.numbytes", "5"), raw("f", body))},
		{name: "sparse, PAX 1.0", shows: []string{"f"}, layers: []chain.Layer{{Entries: []chain.Entry{{
			Header: tar.Header{Name: "f", Mode: 0o644, Size: 9000},
			Sparse: []chain.Piece{{Data: []byte("some")}, {Offset: 8000, Data: []byte(" more")}}}}}}},
		{name: "sparse, nothing but a hole", shows: []string{"f", "g"}, layers: archive(
			chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "9000,0"),
			raw("f", ""), raw("g", "x"))},
		{name: "sparse, a map of nothing", shows: []string{"f"}, texts: []string{refusedHere}, layers: archive(
			chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "0", "GNU.sparse.map", ""), raw("f", ""))},
		{name: "sparse, an end beyond its map", shows: []string{"f", "g"}, layers: archive(
			chain.Extended("GNU.sparse.size", "1000000", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "512,9"),
			raw("f", body), raw("g", "x"))},
		{name: "sparse, pieces over each other", layers: archive(
			chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "2", "GNU.sparse.map", "0,4,2,5"), raw("f", body))},
		{name: "sparse, a piece beyond the end", layers: archive(
			chain.Extended("GNU.sparse.size", "9", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "5,9"), raw("f", body))},
		{name: "sparse, less data than its map has", layers: archive(
			chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "0,600"), raw("f", body))},
		{name: "sparse, more data than its map has", layers: archive(
			chain.Extended("GNU.sparse.size", "9000", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "0,4"), raw("f", body))},
		{name: "sparse, PAX 1.0, a map of nothing and data", layers: archive(
			chain.Extended("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "4"),
			raw("f", "0\n"+strings.Repeat("\x00", 510)+"some"))},
		{name: "sparse, PAX 1.0, less data than its map has", layers: archive(
			chain.Extended("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize", "9000"),
			raw("f", "1\n0\n4000\n"+strings.Repeat("\x00", 501)+"some"))},
		{name: "sparse, old GNU", layers: archive(set(set(chain.Raw{Kind: tar.TypeGNUSparse, Name: "f", Mode: 0o644,
			Body: []byte("some")}, chain.MagicAt, "ustar  \x00"), 386, "00000000000\x0000000000004\x00"+
			strings.Repeat("\x00", 24*3+1)+"00000020000\x00"))},
	}
}

func rowsOfLinks() []row {
	hard := func(name, target string) chain.Raw { return rawKind(tar.TypeLink, name, target) }
	soft := func(name, target string) chain.Raw { return rawKind(tar.TypeSymlink, name, target) }
	return []row{
		{name: "a hard link to what came before", shows: []string{"f", "l"}, layers: archive(raw("f", "x"), hard("l", "f"))},
		{name: "a hard link to what comes later", layers: archive(hard("l", "f"), raw("f", "x"))},
		{name: "a hard link to a symbolic link", shows: []string{"f", "l", "s"}, layers: archive(
			raw("f", "x"), soft("s", "f"), hard("l", "s"))},
		{name: "a hard link to a symbolic link nowhere", shows: []string{"l", "s"}, layers: archive(
			soft("s", "/nowhere"), hard("l", "s"))},
		{name: "a hard link to a directory", layers: archive(rawDirectory("d"), hard("l", "d"))},
		{name: "a hard link to itself", layers: archive(raw("f", "x"), hard("f", "f"))},
		{name: "a hard link to the root", layers: archive(hard("l", "/"))},
		{name: "a hard link to what is below", layers: over(archive(raw("f", "x")), archive(hard("l", "f")))},
		{name: "a hard link to what this layer deletes", layers: archive(
			raw("f", "x"), raw(".wh.f", ""), hard("l", "f"))},
		{name: "a hard link of what this layer deletes behind it", layers: over(archive(raw("kept", "x")), archive(
			raw("f", "x"), hard("l", "f"), raw("g", "y")))[1:], shows: []string{"f", "g", "l"}},
		{name: "a hard link through a symbolic link", shows: []string{"d", "d/f", "l", "s"}, layers: archive(
			rawDirectory("d"), raw("d/f", "x"), soft("s", "d"), hard("l", "s/f"))},
		{name: "a hard link up and away", shows: []string{"f", "l"}, layers: archive(raw("f", "x"), hard("l", "../../f"))},
		{name: "a hard link in a directory nobody names", shows: []string{"d", "d/l", "f"}, layers: archive(
			raw("f", "x"), hard("d/l", "f"))},
		{name: "a hard link with a body", shows: []string{"f", "g", "l"}, layers: archive(
			raw("f", "x"), set(hard("l", "f"), chain.SizeAt, "00000000001\x00"), raw("g", "y"))},
		{name: "a hard link in the place of a file", shows: []string{"f", "l"}, layers: archive(
			raw("f", "x"), raw("l", "y"), hard("l", "f"))},
		{name: "writing through an absolute link", shows: []string{"etc", "etc/f", "s"}, layers: archive(
			rawDirectory("etc"), soft("s", "/etc"), raw("s/f", "x"))},
		{name: "writing through a link up and away", shows: []string{"f", "s"}, layers: archive(soft("s", "../../.."), raw("s/f", "x"))},
		{name: "writing through a link nowhere", shows: []string{"d", "d/f", "s"}, layers: archive(soft("s", "d"), raw("s/f", "x"))},
		{name: "writing through a link below", shows: []string{"d", "s", "s/f"}, layers: over(
			archive(rawDirectory("d"), soft("s", "d")), archive(raw("s/f", "x")))},
		{name: "links in a circle", layers: archive(soft("a", "b"), soft("b", "a"), raw("a/f", "x"))},
		{name: "a directory over a link", shows: []string{"d", "s", "s/f"}, layers: archive(
			rawDirectory("d"), soft("s", "d"), rawDirectory("s"), raw("s/f", "x"))},
		{name: "a file over a link", shows: []string{"f", "s"}, layers: archive(raw("f", "x"), soft("s", "f"), raw("s", "y"))},
		{name: "below a file", layers: archive(raw("f", "x"), raw("f/g", "y"))},
	}
}

func rowsOfDeletions() []row {
	below := archive(rawDirectory("d"), raw("d/f", "x"), rawDirectory("d/e"), raw("d/e/g", "y"), raw("h", "z"))
	up := func(entries ...chain.Raw) []chain.Layer { return over(below, archive(entries...)) }
	return []row{
		{name: "a whiteout of a file", shows: []string{"d", "d/e", "d/e/g", "h"}, layers: up(raw("d/.wh.f", ""))},
		{name: "a whiteout of a directory", shows: []string{"h"}, layers: up(raw(".wh.d", ""))},
		{name: "a whiteout of what is not there", shows: []string{"d", "d/e", "d/e/g", "d/f", "h"}, layers: up(raw("d/.wh.none", ""))},
		{name: "a whiteout in a directory that is not there", shows: []string{"d", "d/e", "d/e/g", "d/f", "h", "new", "new/none"},
			layers: up(raw("new/.wh.none", ""))},
		{name: "a whiteout twice", layers: up(raw(".wh.h", ""), raw(".wh.h", ""))},
		{name: "a whiteout before what comes in its place", shows: []string{"d", "d/e", "d/e/g", "d/f", "h"},
			layers: up(raw(".wh.h", ""), raw("h", "new"))},
		{name: "a whiteout behind what came in its place", layers: up(raw("h", "new"), raw(".wh.h", ""))},
		{name: "a whiteout before a directory in its place", shows: []string{"d", "d/e", "d/e/g", "d/f", "d/new", "h"},
			layers: up(raw(".wh.d", ""), rawDirectory("d"), raw("d/new", "x"))},
		{name: "a whiteout with a body", shows: []string{"d", "d/e", "d/e/g", "d/f"}, layers: up(raw(".wh.h", "body"))},
		{name: "a whiteout that is a directory", shows: []string{"d", "d/e", "d/e/g", "d/f"}, layers: up(rawDirectory(".wh.h"))},
		{name: "a whiteout that is a hard link", shows: []string{"d", "d/e", "d/e/g", "d/f", "i"},
			layers: up(raw("i", "x"), rawKind(tar.TypeLink, ".wh.h", "i"))},
		{name: "a whiteout in the lowest layer", shows: []string{"f"}, layers: archive(raw(".wh.none", ""), raw("f", "x"))},
		{name: "whiteouts in a directory that is deleted", layers: up(raw("d/.wh.f", ""), raw(".wh.d", ""))},
		{name: "a whiteout of a whiteout", shows: []string{"d", "d/e", "d/e/g", "d/f", "h"}, layers: up(raw(".wh..wh.h", ""))},
		{name: "a whiteout of nothing", layers: up(raw(".wh.", ""))},
		{name: "a whiteout of the directory it is in", layers: up(raw("d/.wh..", ""))},
		{name: "a whiteout of the directory above", layers: up(raw("d/.wh...", ""))},
		{name: "opaque", shows: []string{"d", "d/new", "h"}, layers: up(rawDirectory("d"), raw("d/.wh..wh..opq", ""), raw("d/new", "x"))},
		{name: "opaque behind what is in it", shows: []string{"d", "d/new", "h"},
			layers: up(rawDirectory("d"), raw("d/new", "x"), raw("d/.wh..wh..opq", ""))},
		{name: "opaque, the directory nobody names", shows: []string{"d", "d/new", "h"}, layers: up(
			raw("d/.wh..wh..opq", ""), raw("d/new", "x"))},
		{name: "opaque root", shows: []string{"d", "d/e", "d/e/g", "d/f", "h", "new"}, layers: up(raw(".wh..wh..opq", ""), raw("new", "x"))},
		{name: "opaque, with a whiteout in it", shows: []string{"d", "d/f", "d/new", "h"}, layers: up(
			rawDirectory("d"), raw("d/.wh..wh..opq", ""), raw("d/.wh.f", ""), raw("d/new", "x"))},
		{name: "opaque below opaque", shows: []string{"d", "d/e", "d/e/new", "h"}, layers: up(
			rawDirectory("d"), raw("d/.wh..wh..opq", ""), rawDirectory("d/e"), raw("d/e/.wh..wh..opq", ""), raw("d/e/new", "x"))},
		{name: "back in the layer above", shows: []string{"d", "d/e", "d/e/g", "d/f", "h"}, layers: over(
			up(raw(".wh.h", "")), archive(raw("h", "again")))},
		{name: "what AUFS keeps in the root", shows: []string{"f"}, layers: archive(
			raw(".wh..wh.aufs", ""), rawDirectory(".wh..wh.orph"), rawDirectory(".wh..wh.plnk"), raw("f", "x"))},
	}
}

func rowsOfReplacements() []row {
	return []row{
		{name: "the same file twice", shows: []string{"f"}, layers: archive(raw("f", "first"), raw("f", "second"))},
		{name: "a file, then a directory", shows: []string{"f", "f/g"}, layers: archive(
			raw("f", "x"), rawDirectory("f"), raw("f/g", "y"))},
		{name: "a directory, then a file", shows: []string{"d"}, layers: archive(rawDirectory("d"), raw("d", "x"))},
		{name: "a directory twice", shows: []string{"d", "d/f"}, layers: archive(
			rawDirectory("d"), raw("d/f", "x"), chain.Raw{Kind: tar.TypeDir, Name: "d", Mode: 0o700})},
		{name: "a file over a directory below", shows: []string{"d"}, layers: over(
			archive(rawDirectory("d"), raw("d/f", "x")), archive(raw("d", "y")))},
		{name: "a directory over a file below", shows: []string{"d", "d/f"}, layers: over(
			archive(raw("d", "y")), archive(rawDirectory("d"), raw("d/f", "x")))},
		{name: "a directory over a directory below", shows: []string{"d", "d/f", "d/g"}, layers: over(
			archive(rawDirectory("d"), raw("d/f", "x")),
			archive(chain.Raw{Kind: tar.TypeDir, Name: "d", Mode: 0o711}, raw("d/g", "y")))},
		{name: "a directory over a link below", shows: []string{"d", "s", "s/f"}, layers: over(
			archive(rawDirectory("d"), rawKind(tar.TypeSymlink, "s", "d")), archive(rawDirectory("s"), raw("s/f", "x")))},
		{name: "directories nobody names", shows: []string{"a", "a/b", "a/b/f"}, layers: archive(raw("a/b/f", "x"))},
		{name: "directories nobody names, below they have attributes", shows: []string{"tmp", "tmp/f"}, layers: over(
			archive(chain.Extended("uid", "5", "SCHILY.xattr.user.a", "1"), chain.Raw{Kind: tar.TypeDir, Name: "tmp", Mode: 0o1777}),
			archive(raw("tmp/f", "x")))},
		{name: "directories nobody names, two layers up", shows: []string{"tmp", "tmp/f", "x"}, layers: over(
			archive(chain.Raw{Kind: tar.TypeDir, Name: "tmp", Mode: 0o1777}), archive(raw("x", "x")), archive(raw("tmp/f", "x")))},
		{name: "the same layer twice", shows: []string{"f"}, layers: over(archive(raw("f", "x")), archive(raw("f", "x")))},
	}
}

func rowsOfArchives() []row {
	one := chain.Archive(raw("f", "x"))
	open := one[:len(one)-1024]
	return []row{
		{name: "no end", shows: []string{"f"}, layers: bytesOf(open)},
		{name: "one block of zeros", shows: []string{"f"}, layers: bytesOf(one[:len(one)-512])},
		{name: "half a block of zeros", layers: bytesOf(one[:len(one)-768])},
		{name: "a lone block of zeros, more behind it", layers: bytesOf(slices.Concat(one[:len(one)-512], one))},
		{name: "bytes behind the end", shows: []string{"f"}, layers: bytesOf(slices.Concat(one, []byte("garbage")))},
		{name: "a tar behind the end", shows: []string{"f"}, layers: bytesOf(slices.Concat(one, chain.Archive(raw("g", "y"))))},
		{name: "filled to a record", shows: []string{"f"}, layers: bytesOf(slices.Concat(one, make([]byte, 10240-len(one))))},
		{name: "cut in a header", layers: bytesOf(one[:100])},
		{name: "cut in a body", layers: bytesOf(chain.Archive(raw("f", "a body"))[:515])},
		{name: "cut in what fills a body's block", shows: []string{"f"}, layers: bytesOf(one[:600]), texts: []string{refusedHere}},
		{name: "no bytes", shows: []string{}, layers: bytesOf([]byte{})},
		{name: "nothing but the end", shows: []string{}, layers: bytesOf(make([]byte, 1024))},
		{name: "nothing but the end, four times", shows: []string{"f"}, layers: over(bytesOf(make([]byte, 1024)), bytesOf(one),
			bytesOf(make([]byte, 1024)), bytesOf(make([]byte, 1024)))},
		{name: "no tar", layers: bytesOf(bytes.Repeat([]byte("text "), 1000))},
		{name: "a large directory", layers: manyNames(*names), count: *names + 1},
		{name: "eStargz", layers: estargz(), shows: []string{".prefetch.landmark", "f", "stargz.index.json"}},
	}
}

func manyNames(count int) []chain.Layer {
	entries := []chain.Raw{rawDirectory("d")}
	for i := range count {
		entries = append(entries, raw(text("d/%d", i), ""))
	}
	return archive(entries...)
}

func pack(how chain.Compression, plain []byte) []byte {
	packed, err := how.Pack(plain)
	if err != nil {
		panic(err)
	}
	return packed
}

// members is a gzip stream of several, each so long.
func members(plain []byte, each int) []byte {
	var out []byte
	for part := range slices.Chunk(plain, each) {
		out = append(out, pack(chain.Gzip, part)...)
	}
	return out
}

// estargz is one as stargz writes it: a member an entry, its index behind them, and a footer with an extra field.
func estargz() []chain.Layer {
	plain := chain.Archive(raw(".prefetch.landmark", "\x0f"), raw("f", "x"), raw("stargz.index.json", "{}"))
	var footer bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&footer, gzip.NoCompression)
	writer.Extra = []byte("SG\x16\x000000000000000000STARGZ")
	if err := writer.Close(); err != nil {
		panic(err)
	}
	return []chain.Layer{{Raw: plain, Blob: append(members(plain, 1024), footer.Bytes()...), Compression: chain.Gzip}}
}

// skippable is a frame that readers of zstd leave out; zstd:chunked has its table in one.
func skippable(text string) []byte {
	head := binary.LittleEndian.AppendUint32(nil, 0x184d2a50)
	return append(binary.LittleEndian.AppendUint32(head, uint32(len(text))), text...)
}

func rowsOfCompressions() []row {
	plain := chain.Archive(raw("f", strings.Repeat("content ", 1000)), raw("g", "y"))
	layer := func(how chain.Compression, blob []byte) []chain.Layer {
		return []chain.Layer{{Raw: plain, Blob: blob, Compression: how}}
	}
	named := func(kind string, how chain.Compression) []chain.Layer {
		return []chain.Layer{{Raw: plain, Blob: pack(how, plain), MediaType: kind}}
	}
	var headed bytes.Buffer
	writer := gzip.NewWriter(&headed)
	writer.Name, writer.Comment, writer.Extra = "layer.tar", "of a layer", []byte("AB\x02\x00xy")
	_, err := writer.Write(plain)
	if err != nil || writer.Close() != nil {
		panic(err)
	}
	both := []string{"f", "g"}
	gz, zst := pack(chain.Gzip, plain), pack(chain.Zstd, plain)
	flipped := slices.Clone(gz)
	flipped[len(flipped)-6] ^= 1 // of the checksum
	return []row{
		{name: "gzip of several members", shows: both, layers: layer(chain.Gzip, members(plain, 700))},
		{name: "gzip with an empty member", shows: both, layers: layer(chain.Gzip, slices.Concat(pack(chain.Gzip, nil), gz))},
		{name: "gzip with all a header may have", shows: both, layers: layer(chain.Gzip, headed.Bytes())},
		{name: "gzip with zeros behind it", layers: layer(chain.Gzip, append(slices.Clone(gz), make([]byte, 512)...)),
			texts: []string{"gzip: invalid header"}},
		{name: "gzip with garbage behind it", layers: layer(chain.Gzip, append(slices.Clone(gz), "garbage"...))},
		{name: "gzip that is cut", layers: layer(chain.Gzip, gz[:len(gz)-20])},
		{name: "gzip with a wrong checksum", layers: layer(chain.Gzip, flipped)},
		{name: "zstd of several frames", shows: both, layers: layer(chain.Zstd, slices.Concat(
			pack(chain.Zstd, plain[:1000]), pack(chain.Zstd, plain[1000:])))},
		{name: "zstd with a frame to skip before it", shows: both, layers: layer(chain.Zstd, append(skippable("before"), zst...))},
		{name: "zstd:chunked", shows: both, layers: layer(chain.Zstd, slices.Concat(zst, skippable("{\"version\":1}"), skippable("GNUlInUx")))},
		{name: "zstd that is cut", layers: layer(chain.Zstd, zst[:len(zst)-3])},
		{name: "Docker's plain layer that is gzip", shows: both,
			layers: named("application/vnd.docker.image.rootfs.diff.tar", chain.Gzip)},
		{name: "Docker's gzip layer that is plain", shows: both,
			layers: named("application/vnd.docker.image.rootfs.diff.tar.gzip", chain.Plain)},
		{name: "OCI's gzip layer that is zstd", shows: both, layers: named(ocispec.MediaTypeImageLayerGzip, chain.Zstd)},
		{name: "a foreign layer", shows: both, layers: named("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", chain.Gzip)},
		{name: "a layer not to be passed on", shows: both,
			layers: named("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", chain.Gzip)},
		{name: "much of nothing", shows: []string{"f"}, layers: []chain.Layer{{Compression: chain.Gzip,
			Raw: chain.Archive(chain.Raw{Name: "f", Mode: 0o644, Body: make([]byte, 64<<20)})}}},
	}
}

// Each kind of input that readers of tars and layers are known to stumble over: containerd makes of it what is said
// here, and we the same.
func TestMatrix(t *testing.T) {
	lab := newLab(t)
	ctx := lab.context(t)
	for _, row := range slices.Concat(rowsOfNames(), rowsOfRecords(), rowsOfNumbers(), rowsOfSparseFiles(), rowsOfLinks(),
		rowsOfDeletions(), rowsOfReplacements(), rowsOfArchives(), rowsOfCompressions()) {
		t.Run(row.name, func(t *testing.T) {
			count := lab.checkLayers(ctx, t, row.name, row.layers, row.texts)
			lab.collectAll(t)
			shown := slices.DeleteFunc(lab.shown.Names(), func(name string) bool { return name == "." })
			if count.Stumbled > 0 {
				t.Error("containerd alone refuses it")
			}
			refused := row.shows == nil && row.count == 0
			slices.Sort(row.shows)
			switch {
			case refused && lab.refused == nil:
				t.Errorf("containerd takes it: %q", shown)
			case !refused && lab.refused != nil:
				t.Errorf("containerd refuses it: %v", lab.refused)
			case row.count > 0 && len(shown) != row.count:
				t.Errorf("containerd shows %d names", len(shown))
			case row.count == 0 && !refused && !slices.Contains(row.texts, refusedHere) && !slices.Equal(shown, row.shows):
				t.Errorf("containerd shows %q", shown)
			}
		})
	}
}
