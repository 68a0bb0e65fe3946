# SPDX-License-Identifier: Apache-2.0
"""The same chain of layers twice: unpacked and mounted by containerd's overlayfs snapshotter, and converted by
daxfs-build, mounted by daxfs.ko and put under OverlayFS. A collector that knows neither finds the same tree.

Where containerd leaves something to the moment or to the layers below, the difference is listed here with its reason,
has to be exactly that, and is printed.
"""

import json
import shutil
import subprocess
import time

import pytest

from e2e.collect import collect, compare
from e2e.harness import daxfs, module, placement, programs
from e2e.oci import layout, tree
from e2e.oci.tree import Entry, directory, file, opaque, whiteout

pytestmark = pytest.mark.part("containerd")
NAME = "daxfs/oracle"
OTHER_NS = 1_650_000_000 * 10**9 + 987654321
CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)
CONFIG = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'

BASE = [
    directory("etc", mtime_ns=OTHER_NS), file("etc/keep", b"keep\n"), file("etc/gone", b"gone\n"),
    file("etc/changed", b"old\n"), directory("tmp", 0o1777), directory("root", 0o700, uid=5, gid=6),
    directory("opt"), directory("opt/opaque", 0o711), file("opt/opaque/hidden", b"h"), directory("opt/opaque/dir"),
    file("opt/opaque/dir/hidden", b"h"), directory("opt/gone"), directory("opt/gone/deep"),
    file("opt/gone/deep/file", b"f"), directory("opt/file now"), file("opt/file now/inside", b"i"),
    file("opt/dir now", b"was a file"), Entry("opt/link now", "symlink", 0o777, target="keep"),
    file("opt/link1", b"linked\n"), Entry("opt/link2", "hardlink", target="opt/link1"),
    file("opt/ping", b"p", 0o755, xattrs=(("security.capability", CAPABILITY), ("user.name", b"\0value"))),
    Entry("opt/null", "char", 0o666, rdev=(1, 3)), Entry("opt/fifo", "fifo", 0o622),
    file("opt/sticky", b"s", 0o6755, uid=70000, gid=4_000_000_000), file("opt/largest", bytes(range(256)) * 1000),
    directory("opt/back"), file("opt/back/old", b"old"), directory("opt/again"), file("opt/again/1", b"1"),
]
CHANGES = [
    directory("etc", 0o750, gid=7), whiteout("etc/gone"), file("etc/changed", b"new\n", 0o600),
    file("etc/größe", b"x", mtime_ns=OTHER_NS), directory("opt"), directory("opt/opaque", 0o700), opaque("opt/opaque"),
    file("opt/opaque/new", b"n"), whiteout("opt/gone"), file("opt/file now", b"a file"), directory("opt/dir now"),
    file("opt/dir now/inside", b"i"), file("opt/link now", b"no link"), whiteout("opt/never was"),
    file("opt/link2", b"alone"), whiteout("opt/back"), directory("opt/again"), opaque("opt/again"),
    directory("opt/again/2"), file("opt/again/2/x", b"x"), Entry("opt/loose", "symlink", 0o777, target="/no/where"),
]
# Its parents are named by no entry of this layer: `root` and `tmp` are in the lowest, `srv` is in none.
IMPLICIT = [file("tmp/made", b"m"), file("root/made", b"m"), file("srv/www/index", b"w"), file("opt/back", b"a file")]
LAST = [
    directory("opt"), directory("opt/opaque", 0o700), whiteout("opt/opaque/new"), file("opt/opaque/last", b"l"),
    directory("opt/dir now"), whiteout("opt/dir now/inside"), whiteout("opt/again"), whiteout("etc/größe"),
    directory("etc", 0o755), file("etc/gone", b"here again\n"),
]
LAYERS = [("base", BASE, True), ("changes", CHANGES, False), ("parents nobody names", IMPLICIT, True),
          ("last", LAST, False)]
# What differs, and why that is right.
MADE_WHEN_UNPACKED = "containerd gives the root, and parents no entry names, the time of unpacking"
DIFFERENCES = {
    ".": ({"mtime_ns"}, MADE_WHEN_UNPACKED),
    "srv": ({"mtime_ns"}, MADE_WHEN_UNPACKED), "srv/www": ({"mtime_ns"}, MADE_WHEN_UNPACKED),
    "tmp": ({"mtime_ns"}, MADE_WHEN_UNPACKED), "root": ({"mtime_ns"}, MADE_WHEN_UNPACKED),
}


def write_layout(folder, layers):
    """An OCI layout of the layers; returns it."""
    folder.mkdir()
    layout.write(folder, layers, check=lambda entries: None)
    return folder / "image"


def start_containerd(vm):
    """containerd with nothing but what images and snapshots need."""
    (vm.share / "containerd.toml").write_text(CONFIG)
    vm.run("mkdir -p /var/lib/containerd")
    vm.popen("exec containerd -c /mnt/share/containerd.toml > /tmp/containerd.log 2>&1", timeout=600)
    vm.run("for i in $(seq 300); do ctr version > /dev/null 2>&1 && exit; sleep 0.2; done; "
           "cat /tmp/containerd.log; exit 1", timeout=90)


@pytest.fixture(scope="module")
def guest(start_vms, new_memory, daxfs_module):
    vm = start_vms("vm", memory=new_memory(64 << 20))[0]
    module.load(vm, daxfs_module)
    shutil.copy(collect.__file__, vm.share)
    return vm


def collected(vm, where):
    vm.run(f"python3 /mnt/share/collect.py {where} > /mnt/out/collected", timeout=120)
    return compare.load(vm.out / "collected")


@pytest.fixture(scope="module")
def by_containerd(guest, tmp_path_factory):
    """The tree containerd's overlayfs snapshotter shows of the chain."""
    started = time.monotonic()
    image = write_layout(tmp_path_factory.mktemp("oracle") / "chain", LAYERS)
    subprocess.run(["tar", "-C", image, "-cf", guest.share / "chain.tar", "."], check=True)
    start_containerd(guest)
    print(f"oracle: containerd up: {time.monotonic() - started:.1f} s")
    guest.run(f"ctr images import --base-name {NAME} --snapshotter overlayfs /mnt/share/chain.tar", timeout=120)
    guest.run(f"mkdir /oracle && ctr images mount --snapshotter overlayfs {NAME}:{layout.REF} /oracle", timeout=60)
    shown = guest.run("findmnt -n -o FSTYPE,OPTIONS -M /oracle").stdout
    assert shown.startswith("overlay ") and shown.count("/snapshots/") == len(LAYERS), shown
    found = collected(guest, "/oracle")
    print(f"oracle: containerd's tree collected: {time.monotonic() - started:.1f} s")
    return found


def by_daxfs(vm, built, layers, work):
    """The tree OverlayFS shows of the same layers, each an image of its own."""
    image = write_layout(work / "layout", layers)
    subprocess.run([programs.tool("daxfs-build"), f"oci:{image}", "--per-layer", "-o", work / "layers"], check=True)
    listed = json.loads((work / "layers/image.json").read_text(encoding="utf-8"))["layers"]
    files = [(number, work / "layers" / layer["path"]) for number, layer in enumerate(listed)]
    for placed in placement.place(vm.memory, files):
        daxfs.mount(vm, built, f"/layers/{placed.name}", vm.nvdimm[0] + placed.offset, placed.size_bytes)
    lowers = [f"/layers/{number}" for number in reversed(range(len(files)))]
    try:
        vm.run(f"mkdir -p /overlay && mount -t overlay -o lowerdir={':'.join(lowers)} none /overlay")
        found = collected(vm, "/overlay")
    finally:
        vm.run(["umount", "/overlay", *lowers], check=False)
    return found


def unexplained(wanted, found):
    """The differences that are not in the table; those that are have to be there, all of them."""
    fields = {path: set() for path in DIFFERENCES}
    lines = []
    for line in compare.differences(wanted, found):
        path = next((path for path in DIFFERENCES if line.startswith(f"{path!r}: ")), None)
        field = line[len(f"{path!r}: "):].split(" ")[0] if path else None
        if path and field in DIFFERENCES[path][0]:
            fields[path].add(field)
        else:
            lines.append(line)
    missed = {path: DIFFERENCES[path][0] - seen for path, seen in fields.items() if seen != DIFFERENCES[path][0]}
    return lines + [f"{path!r}: does not differ in {names}" for path, names in missed.items()]


def test_the_same_tree(guest, daxfs_module, by_containerd, tmp_path):
    found = by_daxfs(guest, daxfs_module, LAYERS, tmp_path)
    lines = unexplained(by_containerd, found)
    assert not lines, "\n".join(lines)
    for path, (fields, why) in DIFFERENCES.items():
        print(f"oracle: {path} differs in {', '.join(sorted(fields))}: {why}")
    paths = {item["path"] for item in found}
    assert len(paths) > 25 and {"opt/opaque/last", "opt/dir now", "etc/gone", "srv/www/index", "opt/back"} <= paths
    assert not paths & {"opt/gone", "opt/opaque/hidden", "opt/opaque/new", "opt/again", "etc/größe", "opt/never was"}
    assert not any(name.startswith("trusted.overlay.") for item in found for name in item["xattrs"])


@pytest.mark.parametrize("layer, gone, shows", [
    (1, whiteout("opt/gone"), {"opt/gone", "opt/gone/deep", "opt/gone/deep/file"}),
    (1, opaque("opt/opaque"), {"opt/opaque/dir", "opt/opaque/dir/hidden", "opt/opaque/hidden"}),
    (3, whiteout("opt/dir now/inside"), {"opt/dir now/inside"}),
], ids=["whiteout", "opaque", "in a new directory"])
def test_one_mark_less_is_noticed(guest, daxfs_module, by_containerd, tmp_path, layer, gone, shows):
    """The comparison is not blind: without one mark, on our side, it fails and says which files show."""
    fewer = [(comment, [entry for entry in entries if number != layer or entry != gone], packed)
             for number, (comment, entries, packed) in enumerate(LAYERS)]
    assert sum(len(entries) for _, entries, _ in fewer) == sum(len(entries) for _, entries, _ in LAYERS) - 1
    lines = unexplained(by_containerd, by_daxfs(guest, daxfs_module, fewer, tmp_path))
    assert set(lines) == {f"{path!r}: should not be there" for path in shows}


def test_the_layers_are_what_they_are_meant_to_be():
    """By the rules of the image specification, apart from containerd: the marks hide what they should."""
    merged = tree.merge([entries for _, entries, _ in LAYERS])
    assert {"opt/opaque/last", "etc/gone", "opt/back"} <= merged.keys()
    assert not merged.keys() & {"opt/gone", "opt/opaque/hidden", "opt/again", "etc/größe"}
