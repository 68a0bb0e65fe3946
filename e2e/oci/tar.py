# SPDX-License-Identifier: Apache-2.0
"""A layer as a tar stream: PAX, extended attributes as SCHILY.xattr records, no field left to
chance."""

import gzip
import io
import tarfile

KINDS = {
    "file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE,
    "hardlink": tarfile.LNKTYPE
}


def header(entry):
    """The tar header of an entry."""
    info = tarfile.TarInfo(entry.path)
    info.type = KINDS[entry.type]
    info.mode = entry.mode
    info.uid, info.gid = entry.uid, entry.gid
    seconds, fraction = divmod(entry.mtime_ns, 10**9)
    info.mtime = seconds
    if fraction:
        info.pax_headers["mtime"] = f"{seconds}.{fraction:09d}"
    if entry.type in ("symlink", "hardlink"):
        info.linkname = entry.target
    if entry.type == "file":
        info.size = len(entry.content)
    info.devmajor, info.devminor = entry.rdev
    for name, value in sorted(entry.xattrs):
        info.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return info


def write(entries):
    """The bytes of the tar of `entries`, in their order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            archive.addfile(header(entry), io.BytesIO(entry.content))
    return out.getvalue()


def compress(data):
    """`data` by gzip, without the name and time gzip would add."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as stream:
        stream.write(data)
    return out.getvalue()
