// SPDX-License-Identifier: Apache-2.0

// Package tree reads what programs see of a directory, and says in what two differ.
package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Node is all there is to see of one name. What differs from filesystem to filesystem is left out:
// the size and links of a directory, times of access and change, numbers of inodes.
type Node struct {
	Missing          bool // it is listed, and nothing is there
	Mode             uint32
	Uid, Gid         uint32
	Seconds, Nanos   int64 // of the last modification
	Major, Minor     uint32
	Links            uint64
	Size             int64
	Target           string
	Content          [sha256.Size]byte
	Xattrs           map[string]string
	FirstName        string // of the same inode, in the order of names
	device, inode    uint64
	isDirectory      bool
	modificationTime time.Time
}

// Tree has every name below a directory, "." is the directory.
type Tree map[string]*Node

// Read looks at everything below root.
func Read(root string) (Tree, error) {
	found := Tree{}
	if err := found.add(root, "."); err != nil {
		return nil, err
	}
	first := map[[2]uint64]string{}
	for _, name := range found.Names() {
		node := found[name]
		if node.Missing || node.isDirectory {
			continue
		}
		key := [2]uint64{node.device, node.inode}
		if _, ok := first[key]; !ok {
			first[key] = name
		}
		node.FirstName = first[key]
	}
	return found, nil
}

// Names are sorted.
func (t Tree) Names() []string {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t Tree) add(root, name string) error {
	path := filepath.Join(root, name)
	node, err := look(path)
	if err != nil {
		return err
	}
	t[name] = node
	if !node.isDirectory {
		return nil
	}
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	names, err := directory.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := t.add(root, filepath.Join(name, child)); err != nil {
			return err
		}
	}
	return nil
}

func look(path string) (*Node, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return &Node{Missing: true}, nil
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	node := &Node{
		Mode: stat.Mode, Uid: stat.Uid, Gid: stat.Gid,
		Seconds: stat.Mtim.Sec, Nanos: stat.Mtim.Nsec,
		device: stat.Dev, inode: stat.Ino,
		modificationTime: time.Unix(stat.Mtim.Sec, stat.Mtim.Nsec),
	}
	var err error
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		node.isDirectory = true
	case unix.S_IFREG:
		node.Size = stat.Size
		node.Content, err = hash(path)
	case unix.S_IFLNK:
		node.Size = stat.Size
		node.Target, err = os.Readlink(path)
	case unix.S_IFCHR, unix.S_IFBLK:
		node.Major, node.Minor = unix.Major(stat.Rdev), unix.Minor(stat.Rdev)
	}
	if err != nil {
		return nil, err
	}
	if !node.isDirectory {
		node.Links = uint64(stat.Nlink)
	}
	node.Xattrs, err = xattrs(path)
	return node, err
}

func hash(path string) (sum [sha256.Size]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return sum, fmt.Errorf("%s: %w", path, err)
	}
	return [sha256.Size]byte(digest.Sum(nil)), nil
}

func xattrs(path string) (map[string]string, error) {
	names := make([]byte, 64<<10)
	size, err := unix.Llistxattr(path, names)
	if err != nil {
		return nil, fmt.Errorf("listxattr %s: %w", path, err)
	}
	found := map[string]string{}
	value := make([]byte, 64<<10)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		length, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("getxattr %s of %s: %w", name, path, err)
		}
		found[name] = string(value[:length])
	}
	return found, nil
}

// WasMadeBetween says whether the node's time is one at which somebody was unpacking.
func (n *Node) WasMadeBetween(begin, end time.Time) bool {
	return !n.modificationTime.Before(begin) && !n.modificationTime.After(end)
}

// IsDirectory says so.
func (n *Node) IsDirectory() bool { return n.isDirectory }

// Short quotes a path for people: of long names the beginning and the length.
func Short(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if len(part) > 40 {
			parts[i] = fmt.Sprintf("%s...%d", part[:8], len(part))
		}
	}
	return fmt.Sprintf("%q", strings.Join(parts, "/"))
}

// Compare says in what two trees differ, a line for each; none if they do not.
func Compare(wanted, found Tree) []string {
	var lines []string
	for _, name := range wanted.Names() {
		if other, ok := found[name]; ok {
			for _, line := range compare(wanted[name], other) {
				lines = append(lines, fmt.Sprintf("%s: %s", Short(name), line))
			}
		} else {
			lines = append(lines, fmt.Sprintf("%s: is not there", Short(name)))
		}
	}
	for _, name := range found.Names() {
		if _, ok := wanted[name]; !ok {
			lines = append(lines, fmt.Sprintf("%s: should not be there", Short(name)))
		}
	}
	return lines
}

func compare(wanted, found *Node) []string {
	fields := []struct {
		name          string
		wanted, found any
	}{
		{"missing", wanted.Missing, found.Missing},
		{"mode", fmt.Sprintf("%o", wanted.Mode), fmt.Sprintf("%o", found.Mode)},
		{"owner", [2]uint32{wanted.Uid, wanted.Gid}, [2]uint32{found.Uid, found.Gid}},
		{"mtime", [2]int64{wanted.Seconds, wanted.Nanos}, [2]int64{found.Seconds, found.Nanos}},
		{"device", [2]uint32{wanted.Major, wanted.Minor}, [2]uint32{found.Major, found.Minor}},
		{"links", wanted.Links, found.Links},
		{"size", wanted.Size, found.Size},
		{"target", wanted.Target, found.Target},
		{"content", fmt.Sprintf("%x", wanted.Content[:8]), fmt.Sprintf("%x", found.Content[:8])},
		{"xattrs", fmt.Sprintf("%q", wanted.Xattrs), fmt.Sprintf("%q", found.Xattrs)},
		{"same file as", wanted.FirstName, found.FirstName},
	}
	var lines []string
	for _, field := range fields {
		if field.wanted != field.found {
			lines = append(lines, fmt.Sprintf("%s is %v, not %v", field.name, field.found, field.wanted))
		}
	}
	return lines
}
