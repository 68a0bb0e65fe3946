// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"archive/tar"
	"path"
	"time"
)

// poison adds what a layer over others cannot hold.
func (g *generator) poison(layer *Layer) {
	plain := func(name string, kind byte) Entry {
		return Entry{Header: tar.Header{Name: name, Typeflag: kind, Mode: 0o644, ModTime: time.Unix(1, 0)}}
	}
	link := func(name, target string, kind byte) Entry {
		entry := plain(name, kind)
		entry.Linkname = target
		return entry
	}
	file := plain("poison", tar.TypeReg)
	capability := plain("capability", tar.TypeReg)
	capability.PAXRecords = map[string]string{xattrRecord + "security.capability": "no capability"}
	device := plain("device", tar.TypeChar)
	device.Format, device.Devmajor, device.Devminor = tar.FormatGNU, 1<<32, 1
	lower := "nowhere"
	if files := g.untouched(func(kind byte) bool { return kind == tar.TypeReg }); len(files) > 0 {
		lower = pick(g, files)
	}
	layer.Entries = append(layer.Entries, pick(g, [][]Entry{
		{link("link", "nowhere", tar.TypeLink)},
		{link("link", lower, tar.TypeLink)},
		{plain("poison/", tar.TypeDir), link("link", "poison", tar.TypeLink)},
		{file, plain(whiteout+"poison", tar.TypeReg)},
		{plain(whiteout, tar.TypeReg)},
		{plain(path.Join("poison", whiteout)+".", tar.TypeReg)},
		{plain(whiteout+"..", tar.TypeReg)},
		{file, plain("poison/below", tar.TypeReg)},
		{plain(whiteout+"poison", tar.TypeReg), plain("poison/below", tar.TypeReg)},
		{capability}, {device},
		{plain("kind", 'K'+7)},
		{link("link", "", tar.TypeSymlink)},
		{link("one", "two", tar.TypeSymlink), link("two", "one", tar.TypeSymlink), plain("one/below", tar.TypeReg)},
	})...)
}
