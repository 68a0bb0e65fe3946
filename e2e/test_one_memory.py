# SPDX-License-Identifier: Apache-2.0
"""Two kernels mount one image: the pages they map are the same memory, and neither keeps a copy of its own."""

import re
import shutil
import subprocess

import pytest

from e2e.harness import daxfs, module, programs
from e2e.harness.cache import report

TOUCH_BYTES = 32 << 20
PAGE = 4096
READ_BYTE = "od -An -tx1 -j 20480 -N 1 /image/small | tr -d ' '"


@pytest.fixture(scope="module")
def story(two_vms, daxfs_module, tmp_path_factory):
    """Both guests with the image at /image and the same tree on the guest's ext4 at /disk (the control)."""
    work = tmp_path_factory.mktemp("one-memory")
    mapcheck = programs.compile_static("mapcheck", work)
    tree = work / "tree"
    tree.mkdir()
    subprocess.run([mapcheck, "generate", tree, str(TOUCH_BYTES)], check=True)
    size = programs.build_image(f"dir:{tree}", work / "tree.daxfs")
    two_vms[0].memory.write(0, (work / "tree.daxfs").read_bytes())
    for vm in two_vms:
        vm.put(mapcheck, "/usr/local/bin/mapcheck")
        shutil.copy(tree / "touch", vm.share / "touch")
        vm.run("mkdir -p /disk && cp /mnt/share/touch /disk/touch && sync")
        module.load(vm, daxfs_module)
        daxfs.mount(vm, daxfs_module, "/image", vm.nvdimm[0], size)
    return two_vms


def frame_and_byte(vm, path, offset):
    """Page frame of a byte of a mapped file, as an offset in the shared memory, and the byte."""
    frame, byte = vm.run(["mapcheck", "pfn", path, str(offset)]).stdout.split()
    return int(frame, 16) - vm.nvdimm[0] // PAGE, byte


PLACES = [("huge", 0), ("huge", 3 << 20), ("small", 0), ("small", 1 << 20), ("sparse", 0)]


@pytest.mark.parametrize("name,offset", PLACES)
def test_the_same_physical_pages(story, name, offset):
    found = [frame_and_byte(vm, f"/image/{name}", offset) for vm in story]
    print(f"{name}+{offset}: page frame minus base {found[0][0]:#x} and {found[1][0]:#x}")
    assert found[0] == found[1]
    frame, byte = found[0]
    assert 0 < frame < story[0].memory.size_bytes // PAGE
    assert story[0].memory.read(frame * PAGE, 1).hex() == byte


def test_a_byte_changed_from_outside_is_seen_in_both(story):
    """Nobody may do this to a published image; here it shows that there is one memory and no cache of it."""
    memory = story[0].memory
    frame, byte = frame_and_byte(story[0], "/image/small", 5 * PAGE)
    old = memory.read(frame * PAGE, 1)
    new = bytes([old[0] ^ 0x5A])
    for vm in story:  # read once, so that a cache would now hold the old byte
        assert vm.run(READ_BYTE).stdout.strip() == byte
    memory.write(frame * PAGE, new)
    try:
        for vm in story:
            assert vm.run(READ_BYTE).stdout.strip() == new.hex()
            assert frame_and_byte(vm, "/image/small", 5 * PAGE) == (frame, new.hex())
    finally:
        memory.write(frame * PAGE, old)


def cached_bytes(vm):
    """Page cache of a guest, in bytes."""
    return int(re.search(r"^Cached: +(\d+) kB", vm.read_text("/proc/meminfo"), re.M).group(1)) << 10


def growth(vm, path):
    """Page cache that reading and mapping a file adds, in bytes, and how many bytes were read."""
    vm.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    vm.run("cat /image/sparse | wc -c; mapcheck pfn /image/small 0")  # the programs themselves are cached now
    before = cached_bytes(vm)
    read = int(vm.run(f"cat {path} | wc -c").stdout)
    frames = [vm.run(["mapcheck", "pfn", path, str(at)]) for at in range(0, TOUCH_BYTES, TOUCH_BYTES // 4)]
    assert len(frames) == 4
    return cached_bytes(vm) - before, read


def test_no_page_cache_grows(story):
    """The same file on ext4 is the control: there it does grow, in each kernel once."""
    image = [growth(vm, "/image/touch") for vm in story]
    disk = [growth(vm, "/disk/touch") for vm in story]
    figures = {"page_cache_growth_daxfs_bytes": sum(g for g, _ in image),
               "page_cache_growth_ext4_bytes": sum(g for g, _ in disk), "read_bytes_each": image[0][1]}
    print(figures)
    report(figures)
    assert all(read == TOUCH_BYTES for _, read in image + disk)
    assert sum(g for g, _ in disk) >= 2 * TOUCH_BYTES * 9 // 10, "the control did not grow: the test is blind"
    assert sum(g for g, _ in image) <= TOUCH_BYTES // 16
