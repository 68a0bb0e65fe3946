# SPDX-License-Identifier: Apache-2.0
"""Entries of a layer from Debian packages: contents, owners, modes and times as the archives have
them.

Nothing is unpacked to disk and no maintainer script runs; /bin, /lib, /lib64 and /sbin become the
links into /usr that an installed Debian has.
"""

import subprocess
import tarfile

from e2e.harness.apt import AptError
from e2e.oci.tree import Entry, ancestors, directory

MERGED = ("bin", "lib", "lib64", "sbin")
TYPES = {
    tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink", tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"
}


def merged_path(path):
    """The path in a merged-/usr system: `bin/x` is `usr/bin/x`."""
    path = path.removeprefix("./").strip("/")
    return f"usr/{path}" if path.split("/")[0] in MERGED else path


def read_package(archive):
    """The entries of one .deb file, in its order."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as dpkg:
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as members:
            entries = [entry_of(member, members) for member in members]
    if dpkg.returncode != 0:
        raise AptError(f"{archive}: dpkg-deb: exit status {dpkg.returncode}")
    return [entry for entry in entries if entry.path not in ("", ".")]


def entry_of(member, members):
    """The entry for a member of a package's archive."""
    kind = TYPES[member.type]
    target = member.linkname if kind == "symlink" else ""
    if kind == "hardlink":
        target = merged_path(member.linkname)
    content = members.extractfile(member).read() if kind == "file" else b""
    return Entry(merged_path(member.name), kind, member.mode, member.uid, member.gid,
                 int(member.mtime) * 10**9, content, target, (member.devmajor, member.devminor))


def layer_of(folder, names, below=None):
    """The entries of the packages `names` (archive file names in `folder`), parents before
    children.

    `below` are the directories of lower layers (None: this is the lowest), repeated only where
    something is put into them. Of a directory that several packages have the first wins, as dpkg
    does it.
    """
    found, is_base, below = {}, below is None, below or {}
    for name in sorted(names):
        for entry in read_package(folder / name):
            kept = found.get(entry.path)
            if kept is None or (kept.type == "dir" and entry.type != "dir"):
                found[entry.path] = entry
    if is_base:
        for link in MERGED:
            found[link] = Entry(link, "symlink", 0o777, target=f"usr/{link}")
            found.setdefault(f"usr/{link}", directory(f"usr/{link}"))
    for path in list(found):
        for folder_path in ancestors(path):
            found.setdefault(folder_path, below.get(folder_path) or directory(folder_path))
    return in_order(found.values())


def in_order(entries):
    """Each directory right before all that is in it, hard links last; names by their bytes."""
    return sorted(entries,
                  key=lambda entry: (entry.type == "hardlink", entry.path.encode().split(b"/")))
