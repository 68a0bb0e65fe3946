#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a mounted tree really holds, in the form of expected.json, and how it differs from it.

`walk.py DIR` prints one JSON array; it stands alone, so that a guest can run it. mtimes are in
nanoseconds, link counts of directories are null.
"""

import base64
import hashlib
import json
import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
    stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"
}
BLOCK_BYTES = 1 << 20


def digest(path):
    """SHA-256 of a file's content."""
    total = hashlib.sha256()
    with open(path, "rb") as content:
        while data := content.read(BLOCK_BYTES):
            total.update(data)
    return total.hexdigest()


def attributes(path):
    """{name: base64 of the value} of all extended attributes."""
    return {
        name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode()
        for name in sorted(os.listxattr(path, follow_symlinks=False))
    }


def describe(root, path):
    """What is at `path` below `root`."""
    full = os.path.join(root, path)
    status = os.lstat(full)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    found = {
        "path": path, "type": kind, "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid,
        "gid": status.st_gid, "mtime_ns": status.st_mtime_ns, "xattrs": attributes(full),
        "nlink": None if kind == "dir" else status.st_nlink
    }
    if kind == "file":
        found["size"] = status.st_size
        found["sha256"] = digest(full)
    elif kind == "symlink":
        found["target"] = os.readlink(full)
    elif kind in ("char", "block"):
        found["rdev"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
    return found


def walk(root):
    """Everything below `root`, sorted by the bytes of the path."""
    paths = []
    for folder, folders, files in os.walk(root, onerror=fail):
        below = os.path.relpath(folder, root)
        prefix = "" if below == "." else below + "/"
        paths += [prefix + name for name in folders + files]
    return [describe(root, path) for path in sorted(paths, key=os.fsencode)]


def fail(error):
    """A directory that cannot be read is an error, not an empty one."""
    raise error


def differences(expected, found, ignore=()):
    """Lines that say how `found` differs from `expected`, without the fields in `ignore`."""
    wanted = {item["path"]: item for item in expected}
    present = {item["path"]: item for item in found}
    lines = [f"{path!r}: missing" for path in wanted if path not in present]
    lines += [f"{path!r}: should not be there" for path in present if path not in wanted]
    for path in wanted.keys() & present.keys():
        for field in sorted(wanted[path].keys() | present[path].keys()):
            want, have = wanted[path].get(field), present[path].get(field)
            if want != have and field not in ignore:
                lines.append(f"{path!r}: {field} is {have!r:.200}, not {want!r:.200}")
    if len(found) != len(present):
        lines.append(f"{len(found) - len(present)} names listed more than once")
    return sorted(lines)


if __name__ == "__main__":
    json.dump(walk(sys.argv[1]), sys.stdout)
