# SPDX-License-Identifier: Apache-2.0
"""Layers as lists of entries, and what they are merged.

Paths are relative, without a leading or trailing slash; the root itself is never an entry.
Whiteouts are entries with their on-tape name (`.wh.NAME`, `.wh..wh..opq`), as in the OCI image
specification.
"""

import base64
import dataclasses
import hashlib
import posixpath

from e2e.collect.collect import in_order

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
TYPES = ("file", "dir", "symlink", "char", "block", "fifo", "hardlink")
# A fixed moment (2023-11-14 22:13:20 UTC) for everything that no package gives a time to.
EPOCH_NS = 1_700_000_000 * 10**9


@dataclasses.dataclass(frozen=True)
class Entry:
    """One member of a layer. `target` is a symlink's text or, for a hard link, the other path."""

    path: str
    type: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_ns: int = EPOCH_NS
    content: bytes = b""
    target: str = ""
    rdev: tuple = (0, 0)
    xattrs: tuple = ()  # of (name, bytes)

    @property
    def folder(self):
        """The path of the directory it is in; "" for the root."""
        return posixpath.dirname(self.path)

    @property
    def name(self):
        """The last part of its path."""
        return posixpath.basename(self.path)


def directory(path, mode=0o755, **more):
    """A directory entry."""
    return Entry(path, "dir", mode, **more)


def file(path, content, mode=0o644, **more):
    """A regular file."""
    return Entry(path, "file", mode, content=content, **more)


def whiteout(path):
    """The entry that deletes `path` of the layers below."""
    return Entry(posixpath.join(posixpath.dirname(path), WHITEOUT + posixpath.basename(path)),
                 "file", 0o600)


def opaque(path):
    """The entry that hides everything the layers below have in the directory `path`."""
    return Entry(posixpath.join(path, OPAQUE), "file", 0o600)


def ancestors(path):
    """The directories above `path`, outermost first, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count + 1]) for count in range(len(parts))]


def check(entries):
    """ValueError unless a tar of `entries` is well-formed: known types, no path twice, a directory
    before what is in it, a hard link after what it links to."""
    seen = {}
    for entry in entries:
        if entry.type not in TYPES or entry.path.strip("/") != entry.path or not entry.path:
            raise ValueError(f"{entry.path!r}: not a good entry ({entry.type})")
        if entry.path in seen:
            raise ValueError(f"{entry.path}: twice in one layer")
        if entry.folder and seen.get(entry.folder) != "dir":
            raise ValueError(f"{entry.path}: its directory is not before it")
        if entry.type == "hardlink" and seen.get(entry.target) != "file":
            raise ValueError(f"{entry.path}: links to {entry.target}, which is no file before it")
        seen[entry.path] = entry.type


def remove(tree, path, itself=True):
    """Deletes what is below `path` in `tree`, and `path` if `itself`."""
    below = path + "/"
    for name in [name for name in tree if name.startswith(below) or (itself and name == path)]:
        del tree[name]


def merge(layers):
    """{path: (entry, inode)} of the layers on top of each other, lowest first.

    `inode` is equal for names of one file. Whiteouts and opaque marks act on the layers below only,
    wherever in the layer they stand.
    """
    tree, inodes = {}, 0
    for layer in layers:
        for entry in layer:
            if entry.name == OPAQUE:
                remove(tree, entry.folder, itself=False)
            elif entry.name.startswith(WHITEOUT):
                remove(tree, posixpath.join(entry.folder, entry.name[len(WHITEOUT):]))
        for entry in layer:
            if entry.name.startswith(WHITEOUT):
                continue
            below = tree.get(entry.path)
            if below and not (below[0].type == entry.type == "dir"):
                remove(tree, entry.path)
            if entry.type == "hardlink":
                tree[entry.path] = tree[entry.target]
            else:
                inodes += 1
                tree[entry.path] = (entry, inodes)
    return tree


def describe(path, entry, links):
    """What a reader must find at `path`, in the form of e2e/collect/collect.py."""
    found = {
        "path": path, "type": entry.type, "mode": entry.mode, "uid": entry.uid, "gid": entry.gid,
        "mtime_ns": entry.mtime_ns, "nlink": None if entry.type == "dir" else links,
        "xattrs": {name: base64.b64encode(value).decode()
                   for name, value in sorted(entry.xattrs)}
    }
    if entry.type == "file":
        found["size"] = len(entry.content)
        found["sha256"] = hashlib.sha256(entry.content).hexdigest()
    elif entry.type == "symlink":
        found["target"] = entry.target
    elif entry.type in ("char", "block"):
        found["rdev"] = list(entry.rdev)
    return found


def expected(layers):
    """The merged tree as a list of descriptions, sorted by the bytes of the path."""
    tree = merge(layers)
    links = {}
    for _, inode in tree.values():
        links[inode] = links.get(inode, 0) + 1
    return in_order((describe(path, entry, links[inode]), inode)
                    for path, (entry, inode) in tree.items())


def expected_layer(layer):
    """What one layer alone holds: {"entries", "whiteouts", "opaque"}, the latter two as the paths
    they act on."""
    marks = [entry for entry in layer if entry.name.startswith(WHITEOUT)]
    hidden = sorted(entry.folder for entry in marks if entry.name == OPAQUE)
    deleted = sorted(
        posixpath.join(entry.folder, entry.name[len(WHITEOUT):])
        for entry in marks
        if entry.name != OPAQUE)
    plain = [entry for entry in layer if not entry.name.startswith(WHITEOUT)]
    return {"entries": expected([plain]), "whiteouts": deleted, "opaque": hidden}
