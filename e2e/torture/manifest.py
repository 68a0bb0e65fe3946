# SPDX-License-Identifier: Apache-2.0
"""The torture tree as data: one dictionary a path, in an order in which it can be made.

Fields: path (as `os.fsdecode` gives it), type (also "hardlink", with the other path as target), mode, uid, gid,
mtime_ns, xattrs {name: base64}, target, rdev, size and runs [[offset, base64], …] of files (between runs are holes),
crowd: the number of entries maker.crowd puts in that directory. Made by `manifest(seed)`, the same for the same seed.
"""

import base64
import hashlib
import json
import os
import random
import struct

from e2e.collect import collect
from e2e.torture import maker

CROWD = 100_000
SPARSE_BYTES = 5 << 30
BLOCK_BYTES = 4096
EPOCH_NS = 1_700_000_000 * 10**9
FAR_FUTURE_NS = 7_000_000_000 * 10**9 + 1
ODD_NAMES = [
    b"n" * 255, b"\xff" * 255, b"caf\xe9", b"\xc3\x28", b"new\nline", b"colon:", b"com,ma", b"back\\slash", b" ",
    b" both ", b"-dash", b"tab\t", b"*?[a]", b"'\"`$", b"#!", b"...", b"..x", b"\x01\x7f", "größe".encode(),
    b"\xe2\x80\xae", b":,\\\n=\xfe", b"lowerdir=a:b,upperdir=c"
]


def encoded(value):
    return base64.b64encode(value).decode()


def item(path, kind, mode, **more):
    """One entry; attributes not given are root's and of a fixed time."""
    attributes = {name: encoded(value) for name, value in more.pop("xattrs", {}).items()}
    return {"path": os.fsdecode(path), "type": kind, "mode": mode, "uid": 0, "gid": 0, "mtime_ns": EPOCH_NS,
            "xattrs": attributes, **more}


def directory(path, mode=0o755, **more):
    return item(path, "dir", mode, **more)


def file(path, content=b"", mode=0o644, **more):
    return sparse(path, len(content), [(0, content)] if content else [], mode, **more)


def sparse(path, size, runs, mode=0o644, **more):
    return item(path, "file", mode, size=size, runs=[[at, encoded(data)] for at, data in runs], **more)


def link(path, target):
    return item(path, "hardlink", 0, target=target)


def acl(*entries):
    """A POSIX ACL as the kernel's xattr has it: (tag, permissions, id)."""
    none = 0xffffffff
    rows = [struct.pack("<HHI", tag, permissions, none if who is None else who) for tag, permissions, who in entries]
    return struct.pack("<I", 2) + b"".join(rows)


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ACCESS = acl((USER_OBJ, 6, None), (USER, 4, 1000), (GROUP_OBJ, 4, None), (GROUP, 6, 3_000_000_000), (MASK, 6, None),
             (OTHER, 0, None))
DEFAULT = acl((USER_OBJ, 7, None), (USER, 5, 2**32 - 2), (GROUP_OBJ, 5, None), (MASK, 5, None), (OTHER, 0, None))
# struct vfs_cap_data revision 2, effective: permitted cap_net_bind_service.
CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)


def types():
    return [
        directory("types"), file("types/file", b"content\n"), file("types/empty"), directory("types/dir", 0o700),
        item("types/symlink", "symlink", 0o777, target="file"),
        item("types/dangling", "symlink", 0o777, target=os.fsdecode(b"no\xffwhere/" + b"t" * 1000)),
        item("types/char", "char", 0o666, rdev=[1, 3]), item("types/block", "block", 0o660, rdev=[259, 70000]),
        item("types/largest", "char", 0o600, rdev=[511, (1 << 18) - 1]),
        item("types/whiteout", "char", 0o600, rdev=[0, 0]),
        item("types/fifo", "fifo", 0o622), item("types/socket", "socket", 0o755)
    ]


def names():
    inside = [file(b"names/" + name, b"%d" % number) for number, name in enumerate(ODD_NAMES)]
    deep = [directory("/".join(["names", *["d" * 200] * depth])) for depth in range(1, 6)]
    return [directory("names"), *inside, *deep, file("/".join(["names", *["d" * 200] * 5, "end"]), b"deep")]


def xattrs(rng):
    many = {f"user.name{number:03d}": rng.randbytes(number % 40) for number in range(200)}
    return [
        directory("xattrs", xattrs={"user.of a directory": b"yes", "trusted.dir": b"\0"}),
        file("xattrs/large", b"x", xattrs={"user.large": rng.randbytes(65536)}),
        file("xattrs/many", b"x", xattrs=many),
        file("xattrs/binary", xattrs={"user.all": bytes(range(256)), "user.nul": b"\0", "user.empty": b"",
                                      "user.tail": b"text\0"}),
        file("xattrs/name", xattrs={"user." + "n" * 250: b"longest name"}),
        file("xattrs/same1", xattrs={"user.a": b"1", "user.b": b"2"}),
        file("xattrs/same2", xattrs={"user.b": b"2", "user.a": b"1"}),
        file("xattrs/security", xattrs={"security.capability": CAPABILITY, "security.selinux": b"u:r:t:s0\0"}),
        file("xattrs/acl", b"x", 0o660, xattrs={"system.posix_acl_access": ACCESS}),
        directory("xattrs/acl-dir", 0o770, xattrs={"system.posix_acl_access": acl_of_directory(),
                                                   "system.posix_acl_default": DEFAULT}),
        item("xattrs/symlink", "symlink", 0o777, target="acl", xattrs={"trusted.of a link": b"\1\0\2"}),
        item("xattrs/fifo", "fifo", 0o600, xattrs={"trusted.of a fifo": b"f"}),
    ]


def acl_of_directory():
    return acl((USER_OBJ, 7, None), (USER, 7, 65534), (GROUP_OBJ, 5, None), (MASK, 7, None), (OTHER, 0, None))


def attributes():
    owners = [(2**31, 0), (2**31 + 1, 2**31 + 2), (2**32 - 2, 2**32 - 2), (0, 65536)]
    times = [0, 1, -1, -10**9, -1_500_000_000, -2_000_000_000 * 10**9 + 123456789, 2**31 * 10**9, 2**32 * 10**9 + 5,
             EPOCH_NS + 999999999, EPOCH_NS + 1, FAR_FUTURE_NS]
    modes = [0o4755, 0o2755, 0o6711, 0o7777, 0o0000, 0o0001, 0o1644]
    made = [directory("attributes")]
    made += [file(f"attributes/owner{number}", uid=uid, gid=gid) for number, (uid, gid) in enumerate(owners)]
    made += [file(f"attributes/time{number}", mtime_ns=at) for number, at in enumerate(times)]
    made += [item("attributes/old link", "symlink", 0o777, target="x", mtime_ns=-10**9 + 1),
             directory("attributes/old dir", mtime_ns=-86400 * 10**9 + 7)]
    made += [file(f"attributes/mode{mode:04o}", b"m", mode) for mode in modes]
    made += [directory(f"attributes/dir{mode:04o}", mode, gid=5) for mode in (0o1777, 0o2775, 0o0000, 0o7000)]
    return made


def links():
    return [
        directory("links"), directory("links/deep"), file("links/a", b"three names", uid=5), link("links/b", "links/a"),
        link("links/deep/c", "links/a"), item("links/s1", "symlink", 0o777, target="a", uid=6),
        link("links/s2", "links/s1"), item("links/fifo1", "fifo", 0o640), link("links/fifo2", "links/fifo1"),
        item("links/dev1", "char", 0o640, rdev=[5, 1]), link("links/dev2", "links/dev1"),
        file("links/equal", b"three names", uid=5)
    ]


def sizes(rng):
    made = [directory("sizes")]
    for size in (1, 4095, 4096, 4097, 65536, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, (8 << 20) + 123):
        made.append(file(f"sizes/{size}", rng.randbytes(size)))
    middle = SPARSE_BYTES // 2 + 4096
    return made + [
        directory("holes"),
        sparse("holes/5GiB", SPARSE_BYTES, [(0, b"begin"), (middle, rng.randbytes(8192)), (SPARSE_BYTES - 3, b"end")]),
        sparse("holes/all", 1 << 20, []), sparse("holes/tail", 1 << 20, [(0, b"head")]),
        sparse("holes/head", (1 << 20) + 1, [(1 << 20, b"t")]),
        sparse("holes/comb", 64 * BLOCK_BYTES,
               [(at * BLOCK_BYTES, rng.randbytes(BLOCK_BYTES)) for at in range(1, 64, 2)])
    ]


def manifest(seed=1, crowd=CROWD):
    """All of it, the root first."""
    rng = random.Random(seed)
    return [directory(".", 0o751, uid=3, gid=4, mtime_ns=EPOCH_NS + 5, xattrs={"user.of the root": b"r"}), *types(),
            *names(), *xattrs(rng), *attributes(), *links(), *sizes(rng), directory("crowd", crowd=crowd)]


def beyond_xfs():
    """What a tar and an image hold, and XFS does not: it has symbolic links of at most 1024 bytes, and device numbers
    of 9 and 18 bits."""
    target = "/".join(["t" * 255] * 16)
    return [directory("beyond"), item("beyond/longest", "symlink", 0o777, target=target),
            item("beyond/largest", "block", 0o600, rdev=[4095, (1 << 20) - 1])]


def write(path, items):
    """The manifest as JSON Lines."""
    with open(path, "w", encoding="utf-8") as out:
        for entry in items:
            out.write(json.dumps(entry) + "\n")


def unfolded(items):
    """The items with the crowds' entries."""
    return maker.entries(json.dumps(entry) for entry in items)


# What a reader must find


def plain_digest(entry):
    """SHA-256 of the whole content, however large."""
    total, at, zeros = hashlib.sha256(), 0, bytes(1 << 20)
    for start, data in [*((at, base64.b64decode(data)) for at, data in entry["runs"]), (entry["size"], b"")]:
        while at < start:
            step = min(len(zeros), start - at)
            total.update(zeros[:step])
            at += step
        total.update(data)
        at += len(data)
    return total.hexdigest()


def content_digest(entry):
    """The digest field of a file as collect.py gives it."""
    runs = [(at, base64.b64decode(data)) for at, data in entry["runs"]]
    if entry["size"] <= collect.LARGE_BYTES:
        content = bytearray(entry["size"])
        for at, data in runs:
            content[at:at + len(data)] = data
        return {"sha256": hashlib.sha256(content).hexdigest()}
    blocks = {}
    for at, data in runs:
        for offset, byte in enumerate(data, at):
            start = offset // collect.BLOCK_BYTES * collect.BLOCK_BYTES
            block = blocks.setdefault(start, bytearray(min(collect.BLOCK_BYTES, entry["size"] - start)))
            block[offset - start] = byte
    total = hashlib.sha256()
    for start, block in sorted(blocks.items()):
        if any(block):
            total.update(start.to_bytes(8, "little") + block)
    total.update(entry["size"].to_bytes(8, "little"))
    return {"blocks_sha256": total.hexdigest()}


def data_runs(entry):
    """The runs of whole blocks that are no hole."""
    found = []
    for at, data in sorted((at, base64.b64decode(data)) for at, data in entry["runs"]):
        first = at // BLOCK_BYTES * BLOCK_BYTES
        end = -(-(at + len(data)) // BLOCK_BYTES) * BLOCK_BYTES
        if found and sum(found[-1]) >= first:
            found[-1][1] = end - found[-1][0]
        else:
            found.append([first, end - first])
    return found


def describe(entry, links_count):
    """An item that is no hard link in the form of collect.py."""
    kind = entry["type"]
    values = {name: collect.value_text(base64.b64decode(value)) for name, value in entry.get("xattrs", {}).items()}
    found = {"path": entry["path"], "type": kind, "mode": entry["mode"], "uid": entry["uid"], "gid": entry["gid"],
             "mtime_ns": entry["mtime_ns"], "xattrs": values, "nlink": None if kind == "dir" else links_count}
    if kind == "file":
        entry = {"size": 0, "runs": [], **entry}
        found |= {"size": entry["size"], "data": data_runs(entry), **content_digest(entry)}
    elif kind == "symlink":
        found["target"] = entry["target"]
    elif kind in ("char", "block"):
        found["rdev"] = entry["rdev"]
    return found


def expected(items, without=(), sample=None):
    """What collect.py --data-map must find, types in `without` left out; with --sample if that is (path, N)."""
    items = [entry for entry in unfolded(items) if entry["type"] not in without]
    real, count = {}, {}
    for entry in items:
        first = entry["target"] if entry["type"] == "hardlink" else entry["path"]
        count[first] = count.get(first, 0) + 1
        real.setdefault(first, entry)
    described = []
    for entry in items:
        first = entry["target"] if entry["type"] == "hardlink" else entry["path"]
        described.append((describe(real[first], count[first]) | {"path": entry["path"]}, first))
    return collect.in_order(sampled(described, *sample) if sample else described)


def sampled(described, path, step):
    """What `--sample PATH:N` leaves of [(object, inode)] of everything."""
    prefix = path + "/"
    inside = sorted((os.fsencode(entry["path"][len(prefix):]), entry["type"])
                    for entry, _ in described if entry["path"].startswith(prefix))
    total, marks = hashlib.sha256(), {"dir": b"d", "symlink": b"l"}
    for name, kind in inside:
        total.update(name + b"\0" + marks.get(kind, b"-"))
    names_field = f"{len(inside)}, sha256 {total.hexdigest()}"
    kept = {prefix + os.fsdecode(name) for name, _ in inside[::step]}
    return [(entry | ({"names": names_field} if entry["path"] == path else {}), inode) for entry, inode in described
            if not entry["path"].startswith(prefix) or entry["path"] in kept]
