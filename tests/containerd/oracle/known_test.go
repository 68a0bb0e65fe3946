// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"archive/tar"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"daxfs/tests/containerd/chain"
)

func entry(kind byte, name string, mode int64) chain.Entry {
	return chain.Entry{Header: tar.Header{
		Typeflag: kind, Name: name, Mode: mode, Uid: 1, Gid: 2, ModTime: time.Unix(1000, 7), Format: tar.FormatPAX,
	}}
}

func file(name, data string) chain.Entry {
	made := entry(tar.TypeReg, name, 0o644)
	made.Data = []byte(data)
	return made
}

func directory(name string, mode int64) chain.Entry { return entry(tar.TypeDir, name, mode) }

func link(kind byte, name, target string) chain.Entry {
	made := entry(kind, name, 0o644)
	made.Linkname = target
	return made
}

func device(name string, major, minor int64) chain.Entry {
	made := entry(tar.TypeChar, name, 0o644)
	made.Devmajor, made.Devminor = major, minor
	return made
}

func with(made chain.Entry, xattr, value string) chain.Entry {
	made.PAXRecords = map[string]string{"SCHILY.xattr." + xattr: value}
	return made
}

func at(made chain.Entry, seconds int64) chain.Entry {
	made.ModTime = time.Unix(seconds, 0)
	return made
}

func owned(made chain.Entry, uid int) chain.Entry {
	made.Uid = uid
	return made
}

func layers(of ...[]chain.Entry) []chain.Layer {
	var made []chain.Layer
	for _, entries := range of {
		made = append(made, chain.Layer{Entries: entries})
	}
	return made
}

// check wants each line to have one of the texts in it, and each text to be in a line.
func check(t *testing.T, lines, texts []string) {
	t.Helper()
	for _, line := range lines {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
			t.Errorf("unexpected: %s", line)
		}
	}
	for _, text := range texts {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, text) }) {
			t.Errorf("nothing says %q: %q", text, lines)
		}
	}
}

// checkLayers unpacks them on both sides: they differ as the texts say.
func (l *lab) checkLayers(ctx context.Context, t *testing.T, name string, layers []chain.Layer, texts []string) figures {
	t.Helper()
	var count figures
	lines, err := l.differences(ctx, name, layers, layers, &count)
	if err != nil {
		t.Fatal(err)
	}
	check(t, lines, texts)
	return count
}

// What differs, and is listed in docs/snapshotter.md, "Where it differs from containerd": none may go unnoticed either.
func TestKnownDifferences(t *testing.T) {
	lab := newLab(t)
	ctx := lab.context(t)
	for _, row := range []struct {
		name   string
		layers []chain.Layer
		texts  []string
	}{
		{"parents below what was no directory", layers(
			[]chain.Entry{file("d", "x")}, []chain.Entry{file("d/e/f", "y")}), nil},
		{"a directory its own layer replaces, with one in it", layers(
			[]chain.Entry{directory("d", 0o755), directory("d/e", 0o755), file("d", "x")}), nil},
		{"the time of a directory its own layer replaces", layers(
			[]chain.Entry{at(directory("d", 0o755), 5), at(file("d", "x"), 9)}), []string{`"d": mtime is [9 0], not [5 0]`}},
		{"a directory its own layer, the lowest, deletes", layers(
			[]chain.Entry{directory("d", 0o755), file(".wh.d", "")}), []string{"containerd unpacks 0 layers"}},
		{"attributes of a directory named behind what is in it", layers(
			[]chain.Entry{with(directory("d", 0o755), "user.a", "1")}, []chain.Entry{file("d/e", "x"), directory("d", 0o755)}),
			[]string{`"d": xattrs is map[], not map["user.a":"1"]`}},
		{"what AUFS left behind", layers([]chain.Entry{file("d/.wh..wh.plnk/1", "x"), file("d/e", "y")}),
			[]string{`"d/.wh..wh.plnk": is not there`, `"d/.wh..wh.plnk/1": is not there`}},
		{"access control lists that say no more than the mode", layers(
			[]chain.Entry{with(file("f", "x"), "system.posix_acl_access", "\x02\x00\x00\x00"+
				"\x01\x00\x06\x00\xff\xff\xff\xff\x04\x00\x04\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff")}),
			[]string{`"f": xattrs`}},
		{"device numbers the kernel has not", layers([]chain.Entry{device("d", 4096, 1)}), []string{"daxfs 0: apply"}},
		{"the owner -1", layers([]chain.Entry{owned(file("f", "x"), 1<<32-1)}), []string{"daxfs 0: apply"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			count := lab.checkLayers(ctx, t, row.name, row.layers, row.texts)
			if (row.texts == nil) != (count.Stumbled == 1) {
				t.Errorf("containerd alone refuses it: %d", count.Stumbled)
			}
		})
	}
}

// sample has one of everything that is compared.
func sample() []chain.Layer {
	return layers(
		[]chain.Entry{
			directory("d", 0o2750), file("d/deleted", "x"), file("d/f", "data"), link(tar.TypeLink, "d/hard", "d/f"),
			link(tar.TypeSymlink, "soft", "d/f"), device("null", 1, 3), with(file("x", "y"), "user.a", "1"),
			directory("opaque", 0o755), file("opaque/hidden", "x"), directory("sticky", 0o1777),
		},
		[]chain.Entry{file("d/.wh.deleted", ""), file("opaque/.wh..wh..opq", ""), file("sticky/f", "x")},
	)
}

// The comparison is not blind: whatever is done to one side, it says so, and nothing else.
func TestWhatIsAlteredIsNoticed(t *testing.T) {
	lab := newLab(t)
	ctx := lab.context(t)
	drop := func(layer, number int) func([]chain.Layer) {
		return func(made []chain.Layer) {
			made[layer].Entries = slices.Delete(made[layer].Entries, number, number+1)
		}
	}
	alter := func(number int, change func(made *chain.Entry)) func([]chain.Layer) {
		return func(made []chain.Layer) { change(&made[0].Entries[number]) }
	}
	for _, row := range []struct {
		name  string
		spoil func(made []chain.Layer)
		texts []string
	}{
		{"nothing", func([]chain.Layer) {}, nil},
		{"mode", alter(3, func(e *chain.Entry) { e.Mode = 0o4644 }), []string{`"d/f": mode`, `"d/hard": mode`}},
		{"uid", alter(4, func(e *chain.Entry) { e.Uid = 9 }), []string{`"soft": owner`}},
		{"gid", alter(5, func(e *chain.Entry) { e.Gid = 9 }), []string{`"null": owner`}},
		{"mtime", alter(6, func(e *chain.Entry) { e.ModTime = time.Unix(1000, 8) }), []string{`"x": mtime`}},
		{"of a directory", alter(7, func(e *chain.Entry) { e.ModTime = time.Unix(1000, 8) }), []string{`"opaque": mtime`}},
		{"content", alter(6, func(e *chain.Entry) { e.Data = []byte("z") }), []string{`"x": content`}},
		{"size", alter(6, func(e *chain.Entry) { e.Data = []byte("yy") }), []string{`"x": size`, `"x": content`}},
		{"target", alter(4, func(e *chain.Entry) { e.Linkname = "d/g" }), []string{`"soft": target`}},
		{"device", alter(5, func(e *chain.Entry) { e.Devminor = 5 }), []string{`"null": device`}},
		{"type", alter(5, func(e *chain.Entry) { e.Typeflag = tar.TypeFifo }), []string{`"null": mode`, `"null": device`}},
		{"xattr", alter(6, func(e *chain.Entry) { *e = with(*e, "user.a", "2") }), []string{`"x": xattrs`}},
		{"another name", alter(6, func(e *chain.Entry) { *e = with(*e, "user.b", "1") }), []string{`"x": xattrs`}},
		{"a link that is a file", alter(3, func(e *chain.Entry) { *e = file(e.Name, "data") }),
			[]string{`"d/f": links`, `"d/hard": links`, `"d/hard": same file as`}},
		{"a file less", drop(0, 6), []string{`"x": is not there`}},
		{"a file more", func(made []chain.Layer) { made[1].Entries = append(made[1].Entries, file("more", "")) },
			[]string{`"more": should not be there`}},
		{"no whiteout", drop(1, 0), []string{`"d/deleted": should not be there`}},
		{"not opaque", drop(1, 1), []string{`"opaque/hidden": should not be there`}},
		{"a parent nobody names", drop(0, 9), []string{`"sticky": mode`, `"sticky": owner`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			spoiled := sample()
			row.spoil(spoiled)
			var count figures
			lines, err := lab.differences(ctx, row.name, sample(), spoiled, &count)
			if err != nil {
				t.Fatal(err)
			}
			// That its digest is another goes without saying; over the lowest layer alone it may look otherwise.
			lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "over 2") })
			check(t, lines, row.texts)
		})
	}
	unseen := sample()
	unseen[1].Entries[0].Uid = 77
	lines, err := lab.differences(ctx, "digest", sample(), unseen, &figures{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, lines, []string{"layer 1 is"})
}
