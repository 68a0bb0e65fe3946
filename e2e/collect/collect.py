#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a tree holds, one JSON object a path: `collect.py [--no-root] [--data-map] [--sample PATH:N]... DIR`.

It stands alone, so that a guest can run it. Paths are relative to DIR, which is "."; bytes that are not UTF-8 are lone
surrogates (`os.fsdecode`), so that every name has exactly one form. Fields:

  path, type, mode (permissions), uid, gid, mtime_ns, xattrs {name: value, see `value_text`};
  nlink (null for directories: filesystems count differently) and, if another path is the same inode,
  same (the first such path); size and sha256, or blocks_sha256 (see `blocks_digest`) of large files;
  target of symbolic links; rdev [major, minor] of devices;
  data with --data-map: [[offset, length], …] of what is no hole, in blocks of 4096 bytes.

--sample PATH:N is for a crowded directory whose entries would take too long to look at one by one: all are listed, and
stand in the field names of PATH (their number and a digest over names and types); only every Nth is an object of its
own.
"""

import argparse
import base64
import errno
import hashlib
import json
import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
    stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"
}
READ_BYTES = 1 << 20
LARGE_BYTES = 256 << 20  # files above this may have holes nobody wants to hash
BLOCK_BYTES = 1 << 16
MAP_BYTES = 4096
VALUE_BYTES = 4096  # longer values of extended attributes are given by digest


def value_text(value):
    """An extended attribute's value: base64, or length and digest of a long one."""
    if len(value) <= VALUE_BYTES:
        return base64.b64encode(value).decode()
    return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"


def plain_digest(handle):
    """SHA-256 of the whole content."""
    total = hashlib.sha256()
    while data := os.read(handle, READ_BYTES):
        total.update(data)
    return total.hexdigest()


def data_runs(handle, size):
    """[offset, length) of what the filesystem says is data, in order."""
    at = 0
    while at < size:
        try:
            start = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        at = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, at - start


def blocks_digest(handle, size):
    """SHA-256 over (offset, bytes) of every block of 64 KiB that is not all zeros, and the size: the same wherever the
    holes are, and quick where they are known."""
    total, zeros, done = hashlib.sha256(), bytes(BLOCK_BYTES), 0
    for start, length in data_runs(handle, size):
        end = min(size, start + length)
        at = max(done, start // BLOCK_BYTES * BLOCK_BYTES)
        while at < end:
            data = os.pread(handle, BLOCK_BYTES, at)
            if data != zeros[:len(data)]:
                total.update(at.to_bytes(8, "little") + data)
            at += BLOCK_BYTES
        done = at
    total.update(size.to_bytes(8, "little"))
    return total.hexdigest()


def data_map(handle, size):
    """The runs of data in whole blocks, those that touch joined."""
    found = []
    for start, length in data_runs(handle, size):
        first = start // MAP_BYTES * MAP_BYTES
        end = -(-(start + length) // MAP_BYTES) * MAP_BYTES
        if found and found[-1][0] + found[-1][1] >= first:
            found[-1][1] = end - found[-1][0]
        else:
            found.append([first, end - first])
    return found


def content(path, size, with_map):
    """The fields of a regular file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        found = {"size": size}
        if size > LARGE_BYTES:
            found["blocks_sha256"] = blocks_digest(handle, size)
        else:
            found["sha256"] = plain_digest(handle)
        if with_map:
            found["data"] = data_map(handle, size)
        return found
    finally:
        os.close(handle)


def attributes(path):
    """All extended attributes by name."""
    return {
        os.fsdecode(name): value_text(os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(os.listxattr(path, follow_symlinks=False))
    }


class Collector:
    """One walk over the tree `root` (bytes). `samples`: {path: N}."""

    def __init__(self, root, with_map=False, samples=None):
        self.root = os.fsencode(root)
        self.with_map = with_map
        self.samples = {os.fsencode(path): step for path, step in (samples or {}).items()}

    def below(self, path):
        """The sorted names in the directory `path`, those not to be looked at left out, and its field names if
        there are such."""
        with os.scandir(os.path.join(self.root, path)) as listed:
            entries = sorted((entry.name, entry) for entry in listed)
        names = [name for name, _ in entries]
        if path not in self.samples:
            return names, {}
        total = hashlib.sha256()
        for name, entry in entries:
            is_dir, is_link = entry.is_dir(follow_symlinks=False), entry.is_symlink()
            total.update(name + b"\0" + (b"d" if is_dir else b"l" if is_link else b"-"))
        return names[::self.samples[path]], {"names": f"{len(names)}, sha256 {total.hexdigest()}"}

    def describe(self, path, more):
        """What is at `path`, and its inode."""
        full = os.path.join(self.root, path) if path != b"." else self.root
        status = os.lstat(full)
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        found = {
            "path": os.fsdecode(path), "type": kind, "mode": stat.S_IMODE(status.st_mode),
            "uid": status.st_uid, "gid": status.st_gid, "mtime_ns": status.st_mtime_ns,
            "xattrs": attributes(full), "nlink": None if kind == "dir" else status.st_nlink, **more
        }
        if kind == "file":
            found |= content(full, status.st_size, self.with_map)
        elif kind == "symlink":
            found["target"] = os.fsdecode(os.readlink(full))
        elif kind in ("char", "block"):
            found["rdev"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
        return found, (status.st_dev, status.st_ino)

    def walk(self):
        """Yields everything as `describe` gives it. A directory that cannot be read is an error, not an empty one."""
        waiting = [b"."]
        while waiting:
            path = waiting.pop()
            full = os.path.join(self.root, path)
            if not stat.S_ISDIR(os.lstat(full).st_mode):
                yield self.describe(path, {})
                continue
            names, more = self.below(path)
            yield self.describe(path, more)
            waiting += [name if path == b"." else path + b"/" + name for name in names]


def in_order(described):
    """The objects of [(object, inode)] in the order of the bytes of their paths, each that is a further name of an
    inode with the field same."""
    first, found = {}, []
    for item, inode in sorted(described, key=lambda pair: os.fsencode(pair[0]["path"])):
        if item["type"] != "dir":
            path = first.setdefault(inode, item["path"])
            if path != item["path"]:
                item["same"] = path
        found.append(item)
    return found


def collect(root, with_root=True, with_map=False, samples=None):
    """All of a tree as a list, in the order of the bytes of the paths."""
    walked = Collector(root, with_map, samples).walk()
    return in_order(pair for pair in walked if with_root or pair[0]["path"] != ".")


def sample(text):
    """PATH:N as (path, number)."""
    path, _, step = text.rpartition(":")
    return path, int(step)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="collect", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-root", action="store_true")
    parser.add_argument("--data-map", action="store_true")
    parser.add_argument("--sample", action="append", default=[], type=sample)
    parser.add_argument("dir")
    options = parser.parse_args(argv)
    for item in collect(options.dir, not options.no_root, options.data_map, dict(options.sample)):
        sys.stdout.write(json.dumps(item) + "\n")


if __name__ == "__main__":
    main()
