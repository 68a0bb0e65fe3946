# SPDX-License-Identifier: Apache-2.0
"""Everything a filesystem can hold survives: a torture tree on XFS becomes an image, and kernel, FUSE, the dump, and
what is extracted onto XFS again show exactly what the manifest says; so does an image of the same tree as a PAX tar.
All fields of all paths are compared; what a view cannot show is listed here by name and printed.

Where the guest looks, all names and types of the crowded directory are compared, and all else of every 100th entry: the
machine is emulated. The dump is compared whole.
"""

import shutil
import subprocess
import time

import pytest

from e2e.collect import collect, compare
from e2e.harness import daxfs, module, placement, programs
from e2e.torture import dump, maker, manifest, tape

pytestmark = pytest.mark.part("fidelity")
SAMPLE = ("crowd", 100)
WALK = f"python3 /mnt/share/collect.py --data-map --sample {SAMPLE[0]}:{SAMPLE[1]}"
# What differs from the manifest, {view: {what: why}}; nothing else may. `holes` and `acls` are not left out but
# compared by a rule of their own.
COARSE = "an image keeps holes of whole pieces or chunks; smaller ones are stored as zeros"
TWICE = "XFS shows each ACL a second time, in a form of its own (trusted.SGI_ACL_*)"
EXCEPTIONS = {
    "source": {"acls": TWICE},
    "kernel": {"acls": TWICE, "holes": COARSE},
    "fuse": {"acls": TWICE, "holes": COARSE},
    "dump": {"acls": TWICE, "holes": COARSE},
    "extracted": {"acls": TWICE, "holes": COARSE},
    "tar": {"socket": "a tar holds no sockets", "holes": COARSE},
}
XFS_ACLS = {"trusted.SGI_ACL_FILE": "system.posix_acl_access", "trusted.SGI_ACL_DEFAULT": "system.posix_acl_default"}


class Clock:
    """Says how long each step took: the emulated machine makes that worth knowing."""

    def __init__(self):
        self.last = time.monotonic()

    def lap(self, what):
        now = time.monotonic()
        print(f"torture: {what}: {now - self.last:.1f} s")
        self.last = now


@pytest.fixture(scope="module")
def items():
    return manifest.manifest()


@pytest.fixture(scope="module")
def guest(start_vms, new_memory, daxfs_module):
    """A guest with the module, daxfs-build and the collector."""
    vm = start_vms("vm", memory=new_memory(256 << 20), memory_mib=2048)[0]
    module.load(vm, daxfs_module)
    for name in ("daxfs-build", "daxfsctl", "daxfs-fuse"):
        programs.install_tool(vm, name)
    for program in (collect, maker):
        shutil.copy(program.__file__, vm.share)
    return vm


@pytest.fixture(scope="module")
def source(guest, items):
    """The tree made on XFS at /source/tree. A name, a time or an attribute XFS refuses ends the run with its name."""
    clock = Clock()
    manifest.write(guest.share / "manifest", items)
    # The disk is a file in memory, as sparse as what is on it.
    guest.run("modprobe loop && modprobe xfs && truncate -s 8G /tmp/disk && mkfs.xfs -q /tmp/disk && mkdir /source && "
              "mount -t xfs $(losetup -f --show /tmp/disk) /source && mkdir /source/tree")
    clock.lap("mkfs.xfs")
    assert guest.run("stat -f -c %T /source").stdout == "xfs\n"
    guest.run("python3 /mnt/share/maker.py /mnt/share/manifest /source/tree", timeout=300)
    clock.lap("the tree made on XFS")
    return "/source/tree"


def without_second_acls(found):
    """`found` without what XFS adds, which has to be exactly where ACLs are."""
    for entry in found:
        added = {name for name in entry["xattrs"] if name in XFS_ACLS}
        assert added == {name for name, real in XFS_ACLS.items() if real in entry["xattrs"]}, entry["path"]
        for name in added:
            del entry["xattrs"][name]
    assert any("system.posix_acl_default" in entry["xattrs"] for entry in found)
    return found


def without_holes(wanted, found):
    """Both without `data`, once all data is where it should be and large holes are holes."""
    present = {entry["path"]: entry.get("data", []) for entry in found}
    for entry in wanted:
        runs = present.get(entry["path"], [])
        for start, length in entry.get("data", []):
            assert any(at <= start and start + length <= at + size for at, size in runs), f"{entry['path']}: {runs}"
    kept = {path: sum(size for _, size in present[path]) for path in ("holes/5GiB", "holes/all", "holes/head")}
    assert 0 < kept["holes/5GiB"] <= 8 << 20 and kept["holes/all"] == 0 and kept["holes/head"] <= 65536, kept
    return [[{name: value for name, value in entry.items() if name != "data"} for entry in side]
            for side in (wanted, found)]


def collected(vm, where, view):
    """What the guest's own system calls say of a folder."""
    clock = Clock()
    vm.run(f"{WALK} {where} > /mnt/out/{view}", timeout=300)
    clock.lap(f"{view} collected")
    return compare.load(vm.out / view)


def assert_same(items, view, found, sample=SAMPLE, large=None):
    for what, why in EXCEPTIONS[view].items():
        print(f"torture: {view}: not as in the manifest: {what}: {why}")
    wanted = manifest.expected(items, without=EXCEPTIONS[view].keys(), sample=sample)
    for entry in wanted:
        if "blocks_sha256" in entry and large:
            entry["sha256"] = large[entry["path"]]
            del entry["blocks_sha256"]
    if "acls" in EXCEPTIONS[view]:
        found = without_second_acls(found)
    if "holes" in EXCEPTIONS[view]:
        wanted, found = without_holes(wanted, found)
    lines = compare.differences(wanted, found)
    assert not lines, f"{view}: {len(lines)} differences\n" + "\n".join(lines[:40])
    assert len(found) > 1000


@pytest.fixture
def mount(guest, daxfs_module):
    """A function that places an image file in the shared memory and mounts it at /image."""
    def mounted(image):
        placed = placement.place(guest.memory, [("torture", image)])[0]
        daxfs.mount(guest, daxfs_module, "/image", guest.nvdimm[0] + placed.offset, placed.size_bytes)
        return "/image"

    yield mounted
    guest.run("umount /image", check=False)


@pytest.fixture(scope="module")
def image(guest, source):
    """The image the guest's daxfs-build makes of the tree."""
    clock = Clock()
    guest.run(f"daxfs-build dir:{source} --profile archive -o /tmp/torture.daxfs", timeout=300)
    clock.lap("daxfs-build dir:")
    guest.run("mv /tmp/torture.daxfs /mnt/out")
    return guest.out / "torture.daxfs"


def test_the_source_holds_the_manifest(guest, items, source):
    """Else the rest would prove nothing: XFS itself keeps all of it."""
    assert_same(items, "source", collected(guest, source, "source"))


def test_kernel(guest, items, image, mount):
    assert_same(items, "kernel", collected(guest, mount(image), "kernel"))


def test_fuse(guest, items, image):
    guest.run("cp /mnt/out/torture.daxfs /tmp/ && mkdir -p /fuse && modprobe fuse")
    guest.run("daxfs-fuse -o dev,suid /tmp/torture.daxfs /fuse")
    try:
        assert guest.run("findmnt -n -o FSTYPE -M /fuse").stdout == "fuse.daxfs\n"
        assert_same(items, "fuse", collected(guest, "/fuse", "fuse"))
    finally:
        guest.run("umount /fuse", check=False)


def test_extracted(guest, items, image):
    """What is extracted onto the filesystem the source was on is the source again."""
    clock = Clock()
    guest.run("daxfsctl image extract -o dir:/source/extracted /mnt/out/torture.daxfs", timeout=300)
    clock.lap("daxfsctl image extract")
    assert_same(items, "extracted", collected(guest, "/source/extracted", "extracted"))


def test_dump(items, image):
    clock = Clock()
    text = subprocess.run([programs.tool("daxfsctl"), "image", "dump", image], check=True, capture_output=True).stdout
    clock.lap("daxfsctl image dump")
    large = [entry for entry in items if entry.get("size", 0) > collect.LARGE_BYTES]
    large = {entry["path"]: manifest.plain_digest(entry) for entry in large}
    assert_same(items, "dump", dump.parse(text.decode("ascii")), sample=None, large=large)
    clock.lap("the dump compared")


def test_of_a_tar(guest, items, mount, tmp_path):
    clock = Clock()
    items = items + manifest.beyond_xfs()
    tape.write(tmp_path / "torture.tar", items)
    clock.lap("the tar written")
    programs.build_image(f"tar:{tmp_path}/torture.tar", tmp_path / "tar.daxfs")
    clock.lap("daxfs-build tar:")
    assert_same(items, "tar", collected(guest, mount(tmp_path / "tar.daxfs"), "tar"))


def test_the_comparison_is_not_blind(items):
    """One changed value of any field of any kind of entry is one difference."""
    wanted = manifest.expected(items, sample=SAMPLE)
    for kind in collect.KINDS.values():
        where = next(at for at, entry in enumerate(wanted) if entry["type"] == kind)
        for field in wanted[where].keys() - {"path"}:
            changed = [*wanted]
            changed[where] = wanted[where] | {field: "something else"}
            assert len(compare.differences(wanted, changed)) == 1, f"{kind}: {field} is not compared"
