# SPDX-License-Identifier: Apache-2.0
"""The layers of the demonstration image: a small Debian, Python, changes to both, and hard
cases."""

import hashlib
import posixpath

from e2e.oci import debian, tree
from e2e.oci.tree import Entry, directory, file

BASE = ("base-files", "bash", "busybox-static", "coreutils", "dash")
PYTHON = ("python3-minimal", "python3")
HIDDEN = "usr/share/doc/coreutils"  # made opaque
SITE = "usr/local/share/daxfs-demo"
# struct vfs_cap_data revision 2, little endian, effective: permitted cap_net_bind_service,
# cap_net_raw.
CAPABILITY = bytes.fromhex("01000002"
                           "00240000"
                           "00000000"
                           "00000000"
                           "00000000")
LARGE_BYTES = 10 * (1 << 20) + 123
CROWDS = (1, 136, 272, 5000)

PROGRAM = b"""\
import hashlib, json, os, platform, sys
print(json.dumps({"python": platform.python_version(), "kernel": platform.release(),
                  "text_sha256": hashlib.sha256(open(sys.executable, "rb").read()).hexdigest(),
                  "entries": len(os.listdir("/crowd/5000"))}, sort_keys=True))
"""
PASSWD = b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\n"


def base_layer(archives):
    """A Debian that runs bash, coreutils and busybox."""
    entries = {entry.path: entry for entry in debian.layer_of(archives, names(archives))}
    entries.setdefault("usr/bin/sh", Entry("usr/bin/sh", "symlink", 0o777, target="dash"))
    for path, mode in (("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("tmp", 0o1777),
                       ("root", 0o700), ("etc", 0o755)):
        entries[path] = directory(path, mode)
    entries["etc/passwd"] = file("etc/passwd", PASSWD)
    entries["etc/group"] = file("etc/group", GROUP)
    return debian.in_order(entries.values())


def python_layer(archives, base):
    """Python and what it needs beyond the base."""
    return debian.layer_of(archives, names(archives), below_of(base))


def names(archives):
    """The archives in a folder."""
    return [path.name for path in archives.iterdir()]


def below_of(*layers):
    """{path: directory entry} of what the layers are merged."""
    return {path: entry for path, (entry, _) in tree.merge(layers).items() if entry.type == "dir"}


def changes_layer(*below):
    """Deletions, an opaque directory, a capability, hard links, special files, odd names."""
    lower = {path: entry for path, (entry, _) in tree.merge(below).items()}
    locales = sorted(path for path in lower
                     if path.startswith("usr/share/locale/") and path.count("/") == 3)
    changelogs = sorted(path for path in lower if path.startswith("usr/share/doc/")
                        and path.endswith("/changelog.Debian.gz") and not path.startswith(HIDDEN))
    gone = [*locales[:40], *changelogs[:20], "usr/share/python3/runtime.d"]
    busybox = lower["usr/bin/busybox"].content
    entries = [tree.whiteout(path) for path in gone if path in lower]
    entries += [tree.opaque(HIDDEN), file(f"{HIDDEN}/README.daxfs", b"all else here is hidden\n")]
    entries += [
        directory(SITE, mtime_ns=tree.EPOCH_NS + 123456789),
        file(f"{SITE}/report.py", PROGRAM, 0o755),
        file(f"{SITE}/bind", busybox, 0o755, xattrs=(("security.capability", CAPABILITY), )),
        file(f"{SITE}/link-1", b"three names\n" * 500, 0o640, gid=65534),
        Entry(f"{SITE}/link-2", "hardlink", 0o640, gid=65534, target=f"{SITE}/link-1"),
        Entry("usr/local/link-3", "hardlink", 0o640, gid=65534, target=f"{SITE}/link-1"),
        file(f"{SITE}/setuid", b"#!/bin/sh\nid -u\n", 0o4755, uid=65534),
        file(f"{SITE}/attributes",
             b"",
             xattrs=(("user.comment", "größer".encode()), ("user.long", bytes(range(1, 128)) * 8))),
        file(f"{SITE}/nanoseconds", b"x", mtime_ns=tree.EPOCH_NS + 987654321),
        file(f"{SITE}/before-1970", b"x", mtime_ns=-86400 * 10**9),
        file(f"{SITE}/after-2106", b"x", mtime_ns=5_000_000_000 * 10**9),
        file(f"{SITE}/large-owner", b"x", uid=4_000_000_000, gid=3_000_000_000),
        file(f"{SITE}/" + "n" * 255, b"the longest name\n"),
        file(f"{SITE}/größe \n\t*?", b"a name with everything\n"),
        Entry(f"{SITE}/fifo", "fifo", 0o622),
        Entry(f"{SITE}/null", "char", 0o666, rdev=(1, 3)),
        Entry(f"{SITE}/disk", "block", 0o660, rdev=(259, 70000)),
        Entry(f"{SITE}/dangling", "symlink", 0o777, target="/nowhere/" + "t" * 3000),
        Entry(f"{SITE}/short", "symlink", 0o777, target="fifo"),
        directory(f"{SITE}/sticky", 0o1777),
        directory(f"{SITE}/empty", 0o500, uid=1, gid=2),
    ]
    # A file where a directory was, and the other way round.
    entries += [
        file("usr/share/base-files/motd", b""),
        file("usr/share/lintian", b"now a file\n"),
        directory("etc/issue.net"),
        file("etc/issue.net/file", b"was a file\n")
    ]
    return with_parents(entries, lower)


def crowd_name(count, number):
    """A long name, different from its neighbours at the end and at the beginning."""
    digest = hashlib.sha256(f"{count} {number}".encode()).hexdigest()
    return f"{digest[:8]}-{'long-name-' * 12}{number:05d}"


def crowd(count):
    """A directory of exactly `count` entries: files mostly, some links and directories."""
    folder = f"crowd/{count}"
    entries = [directory(folder)]
    for number in range(count):
        path = posixpath.join(folder, crowd_name(count, number))
        if number % 50 == 7:
            entries.append(Entry(path, "symlink", 0o777, target=crowd_name(count, number - 1)))
        elif number % 50 == 9:
            entries.append(directory(path))
        else:
            entries.append(file(path, b"%d\n" % number if number % 10 == 0 else b""))
    return entries


def pseudo_random(size_bytes, seed):
    """Bytes that do not compress, the same each time."""
    blocks = (hashlib.sha256(f"{seed} {number}".encode()).digest()
              for number in range(size_bytes // 32 + 1))
    return b"".join(blocks)[:size_bytes]


def data_layer(*below):
    """A large file, sizes around a page and around 2 MiB, and crowded directories."""
    entries = [directory("crowd"), directory("data")]
    for count in CROWDS:
        entries += crowd(count)
    entries.append(file("data/large", pseudo_random(LARGE_BYTES, "large")))
    for size_bytes in (0, 1, 4095, 4096, 4097, 65536, (2 << 20) - 1, 2 << 20, (2 << 20) + 1):
        entries.append(file(f"data/size-{size_bytes}", pseudo_random(size_bytes, size_bytes)))
    entries.append(file("data/zeros", bytes(3 << 20)))
    lower = {path: entry for path, (entry, _) in tree.merge(below).items()}
    return with_parents(entries, lower)


def with_parents(entries, lower):
    """`entries` in order, with the directories above them as the layers below have them."""
    found = {entry.path: entry for entry in entries}
    for path in list(found):
        for folder in ancestors_missing(path, found):
            found[folder] = lower.get(folder, directory(folder))
    return debian.in_order(found.values())


def ancestors_missing(path, found):
    """The directories above `path` that are not in `found`."""
    return [folder for folder in tree.ancestors(path) if folder not in found]
