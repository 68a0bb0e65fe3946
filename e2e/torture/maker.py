#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tree of a manifest: `maker.py MANIFEST DIR`, as root, DIR empty. MANIFEST has a JSON object a line, see
manifest.py. It stands alone, so that a guest can run it. What the filesystem refuses ends it, with the path and the
attribute in the message."""

import base64
import hashlib
import json
import os
import socket
import stat
import sys

SPECIAL = {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO, "file": stat.S_IFREG}
CROWD_MTIME_NS = 1_600_000_000 * 10**9


class Refused(Exception):
    """The filesystem does not hold what the manifest says."""


def crowd(path, count):
    """The entries of a crowded directory: empty files mostly, of three or four names each. By function, because they
    are too many to list."""
    before = None
    for number in range(count):
        salt = hashlib.sha256(b"%d" % number).hexdigest()[:10]
        name = f"{path}/{salt}-entry-{number:06d}"
        item = {"path": name, "type": "file", "mode": 0o644, "uid": 7 if number % 200 == 8 else 0, "gid": 0,
                "mtime_ns": CROWD_MTIME_NS}
        if number % 100 == 7:
            item |= {"type": "symlink", "mode": 0o777, "target": f"to-{number}"}
        elif number % 100 == 9:
            item |= {"type": "dir", "mode": 0o711}
        elif number % 4:
            item |= {"type": "hardlink", "target": before}
        elif number % 1000 == 0:
            item |= {"size": 7, "runs": [[0, base64.b64encode(b"%06d\n" % number).decode()]]}
        if item["type"] == "file":
            before = name
            item["plain"] = not item["uid"]
        yield item


def entries(lines):
    """The items of a manifest, crowds unfolded."""
    for line in lines:
        item = json.loads(line)
        yield item
        if "crowd" in item:
            yield from crowd(item["path"], item["crowd"])


def bind(path):
    """A socket; its folder is entered because an address holds 107 bytes at most."""
    here = os.open(".", os.O_RDONLY)
    os.chdir(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.basename(path))
    os.fchdir(here)
    os.close(here)


def make(root, item):
    """The name and the content of an item, not its attributes."""
    path = os.path.join(root, os.fsencode(item["path"]))
    kind = item["type"]
    if kind == "dir":
        if item["path"] != ".":
            os.mkdir(path)
    elif kind == "symlink":
        os.symlink(os.fsencode(item["target"]), path)
    elif kind == "hardlink":
        os.link(os.path.join(root, os.fsencode(item["target"])), path, follow_symlinks=False)
    elif kind == "socket":
        bind(path)
    else:
        os.mknod(path, SPECIAL[kind] | item["mode"], os.makedev(*item.get("rdev", (0, 0))))
    if item.get("size"):
        with open(path, "r+b") as file:
            file.truncate(item["size"])
            for offset, data in item["runs"]:
                file.seek(offset)
                file.write(base64.b64decode(data))


def set_attributes(root, item):
    """Owner before mode, which chown changes; times last. What `make` has given already is left out: there are many,
    and the machine may be emulated."""
    path = os.path.join(root, os.fsencode(item["path"]))
    if not item.get("plain"):
        os.chown(path, item["uid"], item["gid"], follow_symlinks=False)
        if item["type"] != "symlink":
            os.chmod(path, item["mode"])
    for name, value in item.get("xattrs", {}).items():
        try:
            os.setxattr(path, os.fsencode(name), base64.b64decode(value), follow_symlinks=False)
        except OSError as error:
            raise Refused(f"xattr {name} of {len(base64.b64decode(value))} bytes: {error}") from error
    os.utime(path, ns=(0, item["mtime_ns"]), follow_symlinks=False)


def fill(root, items):
    """Everything in order; directories get their attributes last, inner ones first, because making what is in them
    changes their times, and default ACLs would be inherited."""
    folders = []
    for item in items:
        try:
            make(root, item)
            if item["type"] == "dir":
                folders.append(item)
            elif item["type"] != "hardlink":
                set_attributes(root, item)
        except (OSError, Refused) as error:
            raise Refused(f"{item['path']!r}: {error}") from error
    for item in reversed(folders):
        try:
            set_attributes(root, item)
        except (OSError, Refused) as error:
            raise Refused(f"{item['path']!r}: {error}") from error


def main(argv):
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    os.umask(0)
    try:
        with open(argv[1], encoding="utf-8") as lines:
            fill(os.fsencode(argv[2]), entries(lines))
    except Refused as error:
        print(f"maker: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
