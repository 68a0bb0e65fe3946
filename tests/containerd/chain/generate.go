// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"archive/tar"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	layersMax     = 8
	entriesMax    = 40
	whiteout      = ".wh."
	opaque        = ".wh..wh..opq"
	xattrRecord   = "SCHILY.xattr."
	typeWhiteout  = byte('w')
	typeUnnamed   = byte('i') // a directory that is only there for what is in it
	typeDirectory = byte(tar.TypeDir)
)

// Few, so that layers meet each other; some that readers stumble over.
var words = []string{
	"a", "b", "c", "d", "e", "bin", "etc", "lib", "ümläut", "日本", "\xff\xfe bytes", "with space", "new\nline",
	`back\slash`, "colon:comma,", "equals=", "..data", ".hidden", ".wh", "-dash",
	strings.Repeat("long", 30), strings.Repeat("n", 255),
}

var modes = []int64{0o644, 0o644, 0o755, 0o755, 0o600, 0o4755, 0o2755, 0o1777, 0o6711, 0, 0o777, 0o7777}

var owners = []int{0, 0, 0, 1, 1000, 65534, 100000, 1<<21 + 7, 1<<31 - 1, 1<<31 + 5, 1<<32 - 2}

type generator struct {
	random *rand.Rand
	shown  map[string]byte // what a container would see so far: type by name
	own    map[string]byte // the same of the layer in the making, with its whiteouts
	below  map[string]bool // directories that any layer below has, shown or not
	inWay  map[string]bool // what any layer below has that is no directory
	again  bool            // the layer replaces something of its own
	layer  Layer
}

// Generate makes a chain of 1 to 8 layers by chance. A few of them hold what nobody can unpack.
func Generate(seed uint64) Chain {
	g := &generator{random: rand.New(rand.NewPCG(seed, 0)), shown: map[string]byte{}}
	g.below, g.inWay = map[string]bool{}, map[string]bool{}
	made := Chain{Seed: seed}
	for range 1 + g.random.IntN(layersMax) {
		if len(made.Layers) > 0 && g.chance(3) {
			made.Layers = append(made.Layers, made.Layers[g.random.IntN(len(made.Layers))])
			continue
		}
		made.Layers = append(made.Layers, g.makeLayer())
	}
	if g.chance(8) {
		g.poison(&made.Layers[len(made.Layers)-1])
	}
	return made
}

// chance is true in so many of 100 cases.
func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func pick[T any](g *generator, from []T) T { return from[g.random.IntN(len(from))] }

func (g *generator) makeLayer() Layer {
	g.own, g.again = map[string]byte{}, false
	g.layer = Layer{Compression: pick(g, []Compression{Plain, Gzip, Gzip, Zstd})}
	if g.chance(20) {
		g.layer.Trailing = g.random.IntN(10000)
	}
	entries := 1 + g.random.IntN(entriesMax)
	if g.chance(3) {
		entries = 0
	}
	actions := []struct {
		weight int
		do     func()
	}{
		{35, func() { g.put(g.newName(), tar.TypeReg) }}, {15, func() { g.put(g.newName(), tar.TypeDir) }},
		{8, func() { g.put(g.newName(), tar.TypeSymlink) }}, {8, g.addHardLink},
		{2, func() { g.put(g.newName(), tar.TypeFifo) }},
		{3, func() { g.put(g.newName(), pick(g, []byte{tar.TypeChar, tar.TypeBlock})) }},
		{10, g.addWhiteout}, {4, g.addOpaque}, {8, g.replace}, {7, g.nameAgain},
	}
	for range entries {
		chosen := g.random.IntN(100)
		for _, action := range actions {
			if chosen -= action.weight; chosen < 0 {
				action.do()
				break
			}
		}
	}
	if g.chance(10) {
		g.append(Entry{Header: g.header("./", tar.TypeDir)})
	}
	g.order()
	for name, kind := range g.own {
		if kind == typeDirectory || kind == typeUnnamed {
			g.below[name] = true
		} else {
			g.inWay[name] = true
		}
	}
	return g.layer
}

// order may mix the entries, so that directories come behind what is in them: those alone that no layer below has, see
// docs/snapshotter.md.
func (g *generator) order() {
	if g.again || !g.chance(30) {
		return
	}
	entries := g.layer.Entries
	g.random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	slices.SortStableFunc(entries, func(a, b Entry) int { return g.place(a) - g.place(b) })
}

// place puts whiteouts before what may take their place, and links behind their files.
func (g *generator) place(entry Entry) int {
	switch {
	case strings.HasPrefix(path.Base(entry.Name), whiteout), g.below[path.Clean("/" + entry.Name)[1:]]:
		return 0
	case entry.Typeflag == tar.TypeLink:
		return 2
	}
	return 1
}

// names of what is shown, and whether it is: sorted, since the order of maps is not the seed's.
func (g *generator) names(in map[string]byte, wanted func(name string, kind byte) bool) []string {
	var names []string
	for name, kind := range in {
		if wanted(name, kind) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// parent is a directory: one that is there, or one nobody will have named.
func (g *generator) parent() string {
	directory := "."
	there := g.names(g.shown, func(_ string, kind byte) bool { return kind == typeDirectory })
	if len(there) > 0 && g.chance(70) {
		directory = pick(g, there)
	}
	for g.chance(20) && strings.Count(directory, "/") < 8 {
		directory = path.Join(directory, pick(g, words))
	}
	return directory
}

// newName is one the layer does not have yet, in a directory that it may have.
func (g *generator) newName() string {
	for {
		name := path.Join(g.parent(), pick(g, words))
		if _, there := g.own[name]; !there && g.mayBeIn(path.Dir(name)) {
			return name
		}
	}
}

// mayBeIn says whether the layer has nothing in the way of that directory, and no layer below what containerd stumbles
// over when it looks there for the attributes of a directory nobody names.
func (g *generator) mayBeIn(directory string) bool {
	for above := directory; above != "."; above = path.Dir(above) {
		kind, there := g.own[above]
		if there && kind != typeDirectory && kind != typeUnnamed || above != directory && g.inWay[above] {
			return false
		}
	}
	return true
}

func (g *generator) append(entry Entry) { g.layer.Entries = append(g.layer.Entries, entry) }

// record notes what a name is now.
func (g *generator) record(name string, kind byte) {
	for above := path.Dir(name); above != "."; above = path.Dir(above) {
		g.shown[above] = typeDirectory
		if _, there := g.own[above]; !there {
			g.own[above] = typeUnnamed
		}
	}
	if kind != typeDirectory {
		for below := range g.shown {
			if strings.HasPrefix(below, name+"/") {
				delete(g.shown, below)
			}
		}
	}
	g.own[name] = kind
	g.shown[name] = kind
	if kind == typeWhiteout {
		delete(g.shown, name)
	}
}

// put adds an entry of that type.
func (g *generator) put(name string, kind byte) {
	entry := Entry{Header: g.header(name, kind)}
	switch kind {
	case tar.TypeReg:
		g.fill(&entry)
	case tar.TypeSymlink:
		entry.Linkname = g.target()
	case tar.TypeChar, tar.TypeBlock:
		entry.Devmajor = pick(g, []int64{1, 8, 0, 4095})
		entry.Devminor = pick(g, []int64{3, 0, 255, 1<<20 - 1})
	}
	g.addXattrs(&entry)
	if entry.Sparse == nil {
		g.chooseFormat(&entry)
	}
	g.record(name, kind)
	g.append(entry)
}

func (g *generator) target() string {
	target := pick(g, []string{"/", "", "../", "../../../", "./"}) + pick(g, words)
	if g.chance(5) {
		target = strings.Repeat("x/", 300) + target
	}
	return target
}

func (g *generator) header(name string, kind byte) tar.Header {
	if kind == tar.TypeDir && g.chance(70) {
		name += "/"
	}
	if g.chance(10) {
		name = pick(g, []string{"./", "/", "//", "a/../"}) + name
	}
	return tar.Header{
		Typeflag: kind, Name: name, Format: tar.FormatPAX, ModTime: g.time(),
		Mode: pick(g, modes), Uid: pick(g, owners), Gid: pick(g, owners),
	}
}

func (g *generator) time() time.Time {
	seconds := g.random.Int64N(1_700_000_000)
	switch {
	case g.chance(4):
		seconds = -seconds
	case g.chance(4):
		seconds += 1 << 32
	case g.chance(2):
		seconds += 9_300_000_000 // beyond 2262
	}
	return time.Unix(seconds, pick(g, []int64{0, 0, 1, 999_999_999, g.random.Int64N(1_000_000_000)}))
}

// chooseFormat takes an older one now and then, where it can hold the header.
func (g *generator) chooseFormat(entry *Entry) {
	if !g.chance(30) {
		return
	}
	header := entry.Header
	header.ModTime = header.ModTime.Truncate(time.Second)
	header.Format = pick(g, []tar.Format{tar.FormatUSTAR, tar.FormatGNU})
	if tar.NewWriter(io.Discard).WriteHeader(&header) == nil {
		entry.Header = header
	}
}

func (g *generator) fill(entry *Entry) {
	size := g.random.IntN(300)
	switch {
	case g.chance(15):
		size = 0
	case g.chance(15):
		size = pick(g, []int{511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 200_000})
	case g.chance(2):
		size = 1<<20 + g.random.IntN(5<<20)
	}
	if g.chance(4) {
		g.fillSparse(entry)
		return
	}
	entry.Data = g.bytes(size)
}

func (g *generator) fillSparse(entry *Entry) {
	entry.Sparse = []Piece{}
	end := int64(0)
	for range g.random.IntN(4) {
		piece := Piece{Offset: end + int64(512*g.random.IntN(2000)), Data: g.bytes(512 * (1 + g.random.IntN(20)))}
		entry.Sparse = append(entry.Sparse, piece)
		end = piece.Offset + int64(len(piece.Data))
	}
	entry.Size = end + int64(g.random.IntN(100_000))
}

func (g *generator) bytes(size int) []byte {
	var seed [32]byte
	// Few different ones, so that files are equal now and then.
	binary.LittleEndian.PutUint64(seed[:], uint64(g.random.IntN(50)))
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(data)
	return data
}

// addXattrs adds some that containerd keeps, and some it passes over.
func (g *generator) addXattrs(entry *Entry) {
	if !g.chance(15) || entry.Sparse != nil {
		return
	}
	entry.PAXRecords = map[string]string{}
	for range 1 + g.random.IntN(3) {
		name := pick(g, []string{"user.a", "user.b", "user.größe", "trusted.a", "security.label"})
		entry.PAXRecords[xattrRecord+name] = string(g.bytes(1 + g.random.IntN(100)))
	}
	if entry.Typeflag == tar.TypeReg && g.chance(50) {
		entry.PAXRecords[xattrRecord+"security.capability"] = pick(g, []string{
			"\x01\x00\x00\x02\x00\x20\x00\x00" + strings.Repeat("\x00", 12),
			"\x00\x00\x00\x03\x00\x20\x00\x00" + strings.Repeat("\x00", 12) + "\xe8\x03\x00\x00",
		})
	}
}

func (g *generator) addHardLink() {
	files := g.names(g.own, func(_ string, kind byte) bool { return kind == tar.TypeReg || kind == tar.TypeSymlink })
	if len(files) == 0 {
		return
	}
	name := g.newName()
	entry := Entry{Header: g.header(name, tar.TypeLink)}
	entry.Linkname = pick(g, []string{"", "/", "./"}) + pick(g, files)
	g.addXattrs(&entry)
	g.chooseFormat(&entry)
	g.record(name, tar.TypeLink)
	g.append(entry)
}

// untouched are names the layers below show and this one says nothing of.
func (g *generator) untouched(wanted func(kind byte) bool) []string {
	return g.names(g.shown, func(name string, kind byte) bool {
		_, named := g.own[name]
		return !named && wanted(kind) && g.mayBeIn(path.Dir(name))
	})
}

func anything(byte) bool { return true }

func (g *generator) addWhiteout() {
	name := g.newName()
	if there := g.untouched(anything); len(there) > 0 && g.chance(75) {
		name = pick(g, there)
	}
	kind := byte(tar.TypeReg)
	if g.chance(5) {
		kind = tar.TypeLink
	}
	entry := Entry{Header: g.header(path.Join(path.Dir(name), whiteout+path.Base(name)), kind)}
	if kind == tar.TypeLink {
		entry.Linkname = "a"
	}
	g.record(name, typeWhiteout)
	g.append(entry)
}

func (g *generator) addOpaque() {
	directory := g.parent()
	if g.chance(5) {
		directory = "."
	}
	name := path.Join(directory, opaque)
	if _, there := g.own[name]; there || !g.mayBeIn(directory) {
		return
	}
	// With nothing below containerd removes what is in directories nobody has named, and cannot give directories among
	// that their times any more.
	named := g.names(g.own, func(name string, kind byte) bool {
		return kind == typeDirectory && (directory == "." || strings.HasPrefix(name, directory+"/"))
	})
	if len(g.below) == 0 && len(named) > 0 {
		return
	}
	g.record(name, typeWhiteout)
	for below := range g.shown {
		if _, named := g.own[below]; !named && strings.HasPrefix(below, directory+"/") {
			delete(g.shown, below)
		}
	}
	g.append(Entry{Header: g.header(name, tar.TypeReg)})
}

// replace gives a name of the layers below another type; rarely one of this layer, and then of no directory, see
// docs/snapshotter.md.
func (g *generator) replace() {
	there := g.untouched(anything)
	if g.chance(10) {
		g.again = true
		there = g.names(g.own, func(_ string, kind byte) bool {
			return kind != typeWhiteout && kind != typeDirectory && kind != typeUnnamed
		})
	}
	if len(there) > 0 {
		g.put(pick(g, there), pick(g, []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeFifo, tar.TypeChar}))
	}
}

// nameAgain names a directory of the layers below.
func (g *generator) nameAgain() {
	there := g.untouched(func(kind byte) bool { return kind == typeDirectory })
	if len(there) > 0 {
		g.put(pick(g, there), tar.TypeDir)
	}
}
