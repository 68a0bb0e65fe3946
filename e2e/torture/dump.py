# SPDX-License-Identifier: Apache-2.0
"""Reads the dump of an image (docs/dump.md) into the form of e2e/collect/collect.py. Its own reader of that text, so
that neither side of a comparison is its own judge."""

import os
import re

from e2e.collect import collect

KINDS = {"directory": "dir", "character": "char", "block": "block"}
ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
TIME = re.compile(r"(-?)(\d+)\.(\d{9})")


class BadDump(Exception):
    """The text is no dump, or was cut."""


def raw(text):
    """The bytes a TEXT stands for."""
    return ESCAPE.sub(lambda match: bytes([int(match.group(1), 16)]), text.encode("ascii"))


def path_of(text):
    """A PATH as collect.py gives it."""
    return os.fsdecode(raw(text)[1:]) or "."


def mtime_ns(text):
    sign, whole, fraction = TIME.fullmatch(text).groups()
    return (-1 if sign else 1) * (int(whole) * 10**9 + int(fraction))


def inode(kind, words):
    """What an inode's line says, the path apart."""
    said = dict(word.split("=", 1) for word in words if "=" in word)
    found = {"type": KINDS.get(kind, kind), "mode": int(said["mode"], 8), "uid": int(said["uid"]),
             "gid": int(said["gid"]), "mtime_ns": mtime_ns(said["mtime"]), "xattrs": {}}
    if kind == "file":
        found |= {"size": int(said["size"]), "sha256": said["sha256"], "data": []}
    elif kind == "symlink":
        found["target"] = os.fsdecode(raw(said["target"]))
    elif "device" in said:
        found["rdev"] = [int(number) for number in said["device"].split(":")]
    return found


def detail(found, line):
    """An indented line about the inode before it."""
    kind, _, rest = line.strip().partition(" ")
    if kind == "xattr":
        name, _, value = rest.partition("=")
        found["xattrs"][os.fsdecode(raw(name))] = collect.value_text(raw(value))
        return
    said = dict(word.split("=") for word in rest.split(" "))
    start, length = int(said["logical"]), int(said["length"])
    if found["data"] and sum(found["data"][-1]) == start:
        found["data"][-1][1] += length
    else:
        found["data"].append([start, length])


def parse(text):
    """The entries of a dump, in the order of their paths."""
    lines = text.splitlines()
    if lines[:1] != ["daxfs-dump 1"] or lines[-1:] != ["end"]:
        raise BadDump("no dump, or not all of it")
    inodes, names = {}, []
    found = None
    for line in lines[1:-1]:
        if line.startswith(("option ", "image ")):
            continue
        if line.startswith("  "):
            detail(found, line)
            continue
        word, kind, *words = line.split(" ")
        path = path_of(word)
        if kind == "hardlink":
            names.append((path, path_of(words[0].removeprefix("target="))))
        else:
            found = inodes[path] = inode(kind, words)
            names.append((path, path))
    count = {}
    for _, first in names:
        count[first] = count.get(first, 0) + 1
    return collect.in_order(
        ({"path": path, **inodes[first], "nlink": None if inodes[first]["type"] == "dir" else count[first]}, first)
        for path, first in names)
