# SPDX-License-Identifier: Apache-2.0
"""The torture tree as a PAX tar. tarfile writes the headers; sparse files (GNU.sparse 1.0) and times before 1970 with
a fraction, which it cannot say, are records of our own. A tar holds no sockets: they are left out."""

import base64
import io
import os
import tarfile

from e2e.torture import manifest

KINDS = {
    "file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE, "hardlink": tarfile.LNKTYPE
}
NOT_ON_TAPE = ("socket", )


def seconds(ns):
    """Nanoseconds as a decimal number of seconds."""
    whole, fraction = divmod(abs(ns), 10**9)
    return f"{'-' if ns < 0 else ''}{whole}.{fraction:09d}"


def text(value):
    """Bytes in the form tarfile turns back into them."""
    return value.decode("utf-8", "surrogateescape")


def header(entry):
    """The tar header of an entry, without its content."""
    info = tarfile.TarInfo("./" if entry["path"] == "." else entry["path"])
    info.type = KINDS[entry["type"]]
    info.mode, info.uid, info.gid = entry["mode"], entry["uid"], entry["gid"]
    if entry["type"] in ("symlink", "hardlink"):
        info.linkname = entry["target"]
    info.mtime = entry["mtime_ns"] // 10**9
    if entry["mtime_ns"] % 10**9:
        info.pax_headers["mtime"] = seconds(entry["mtime_ns"])
    info.devmajor, info.devminor = entry.get("rdev", (0, 0))
    for name, value in sorted(entry.get("xattrs", {}).items()):
        info.pax_headers[f"SCHILY.xattr.{name}"] = text(base64.b64decode(value))
    return info


def content(entry, info):
    """The bytes behind the header. Files with holes become sparse in the tar."""
    runs = [(at, base64.b64decode(data)) for at, data in entry.get("runs", [])]
    size = entry.get("size", 0)
    if not size or (len(runs) == 1 and len(runs[0][1]) == size):
        return runs[0][1] if runs else b""
    table = "".join(f"{number}\n" for at, data in runs for number in (at, len(data)))
    table = f"{len(runs)}\n{table}".encode()
    info.pax_headers |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": info.name,
                         "GNU.sparse.realsize": str(size)}
    info.name = "GNUSparseFile.0/" + os.path.basename(info.name)
    return table + bytes(-len(table) % 512) + b"".join(data for _, data in runs)


def with_link_attributes(items):
    """The items a tar holds, each hard link with its file's attributes, as tar writes them."""
    seen = {}
    for entry in manifest.unfolded(items):
        if entry["type"] in NOT_ON_TAPE:
            continue
        if entry["type"] == "hardlink":
            first = seen[entry["target"]]
            entry = entry | {name: first[name] for name in ("mode", "uid", "gid", "mtime_ns")}
            entry["xattrs"] = first.get("xattrs", {})
        else:
            seen[entry["path"]] = entry
        yield entry


def write(path, items):
    """Writes the tar; the same bytes for the same items."""
    with tarfile.open(path, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8",
                      errors="surrogateescape") as archive:
        for entry in with_link_attributes(items):
            info = header(entry)
            data = content(entry, info) if entry["type"] == "file" else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            archive.members.clear()  # or all headers stay in memory
