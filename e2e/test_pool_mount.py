# SPDX-License-Identifier: Apache-2.0
"""Images of a pool are mounted by two kernels: in pieces or in granules, one superblock each, kept while a page of
them is referenced, never by bytes that lie. The pool is made, filled and collected from the host beside the guests."""

import hashlib
import json
import re
import shutil
import threading

import pytest

from e2e.collect import collect, compare
from e2e.harness import module, programs
from e2e.harness.pool import ATTACHED, CHUNK, GRANULE, NO_CHUNK
from e2e.harness.pool_story import begin, mount, refused, wait_until

pytestmark = pytest.mark.every_kernel


@pytest.fixture(scope="module")
def story(two_vms, daxfs_module, tmp_path_factory):
    """Two guests and a pool in their memory."""
    pool = begin(two_vms, daxfs_module, tmp_path_factory.mktemp("pool"))
    yield two_vms, pool
    assert all(vm.alive() for vm in two_vms)


@pytest.fixture
def mounted(story):
    """Mounts images in the first guest; unmounted afterwards, whatever happened."""
    vms, _ = story
    yield lambda image, where=None: mount(vms[0], image, where)
    vms[0].run("while umount $(awk '$3 == \"daxfs\" {print $2}' /proc/mounts) 2> /dev/null; do :; done", check=False)


def collected(vm, where):
    text = vm.run(f"python3 /mnt/share/collect.py {where}", timeout=180).stdout
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", ["pieces", "straight", "small0", "small1"])
def test_everything_is_there(story, mounted, name):
    vms, pool = story
    row = pool.images[name]
    chain = pool.chain(row) if row.chunks else []
    if name == "pieces":
        assert len(chain) >= 10 and chain == sorted(chain, reverse=True)
    if name.startswith("small"):
        assert row.granules and row.first * GRANULE // CHUNK == pool.images["small0"].first * GRANULE // CHUNK
    found = collected(vms[0], mounted(name))
    assert compare.differences(collect.collect(str(pool.trees[name])), found, ignore=("inode",)) == []
    assert pool.users(row) != []


@pytest.mark.parametrize("name", ["pieces", "straight"])
def test_every_kind_of_mapping(story, mounted, name):
    vms, _ = story
    shown = programs.check_mappings(vms[0], mounted(name))
    print(f"{name}:\n{shown}")
    faults = int(re.search(r"^ok huge-faults .*faults=(\d+)", shown, re.M).group(1))
    assert faults == 5, f"{faults} faults for 5 chunks: not mapped by huge pages"


def test_the_same_pages_in_both_kernels(story, mounted):
    vms, pool = story
    mounted("pieces")
    mount(vms[1], "pieces")
    try:
        for name, offset in (("huge", 0), ("huge", 7 << 20), ("small", 3 << 20)):
            frames = set()
            for vm in vms:
                frame, byte = vm.run(["mapcheck", "pfn", f"/pieces/{name}", str(offset)]).stdout.split()
                frames.add((int(frame, 16) - vm.nvdimm[0] // 4096, byte))
            assert len(frames) == 1, frames
            frame, byte = frames.pop()
            assert (frame * 4096 - pool.data) // CHUNK in pool.chain(pool.images["pieces"])
            assert pool.memory.read(frame * 4096, 1).hex() == byte
        users = pool.users(pool.images["pieces"])
        assert len({pool.attached()[slot] for slot in users}) == 2, "one use for each host"
    finally:
        vms[1].run("umount /pieces")


def test_one_superblock_and_one_use_for_each_image(story, mounted):
    vms, pool = story
    vm, row = vms[0], pool.images["pieces"]
    mounted("pieces")
    mounted(f"sha256:{row.digest}", "/again")
    mounted("straight")
    devices = vm.run("stat -c %d /pieces /again /straight").stdout.split()
    assert devices[0] == devices[1] != devices[2]
    options = vm.run("findmnt -n -o OPTIONS /pieces").stdout
    assert f"image=sha256:{row.digest}" in options
    vm.run("umount /pieces")
    assert pool.users(row), "the use went with the first of two mounts"
    assert vm.read_text("/again/which") == "1"
    vm.run("umount /again")
    wait_until(lambda: not pool.users(row), "the use is left")
    assert pool.users(pool.images["straight"])
    vm.run("umount /straight")
    wait_until(lambda: not pool.attached(), "the kernel still takes part")
    assert vm.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip() == "0"


def is_ready(pool, row):
    return any((other.number, other.generation) == (row.number, row.generation) for other in pool.ready())


def test_a_pinned_page_keeps_its_image(story, tmp_path):
    """A pipe holds a page when the last mount has gone: nobody may collect the image, the module must stay; when the
    pipe is empty the use goes by itself."""
    vms, pool = story
    vm = vms[0]
    tree = tmp_path / "pinned"
    tree.mkdir()
    shutil.copy(pool.trees["straight"] / "small", tree / "small")
    row = pool.add(f"dir:{tree}", "pinned")
    vm.run("mkdir -p /pinned")
    mount(vm, "pinned")
    pool.tool("daxfsctl", "pool", "rm", pool.memory.path, "pinned")
    held = vm.popen(["mapcheck", "hold", "/pinned/small"], stdin=b"")
    assert held.wait_output("held\n", 30)
    vm.run("umount /pinned")
    pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    assert is_ready(pool, row) and pool.users(row), "collected although a pipe holds a page of it"
    assert vm.run(["rmmod", "daxfs"], check=False).rc != 0, "the module went away under a page"
    mount(vm, f"sha256:{row.digest}", "/pinned")  # the parked image is taken back
    content = hashlib.sha256((tree / "small").read_bytes()).hexdigest()
    assert vm.run("sha256sum /pinned/small").stdout.split()[0] == content
    vm.run("umount /pinned")
    held.write(b"go\n")
    assert held.wait(30) and "intact" in held.stdout, held.stdout + held.stderr
    wait_until(lambda: not pool.users(row), "the use is left")
    pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    assert not is_ready(pool, row)
    wait_until(lambda: not pool.attached(), "the kernel still takes part")


def spoil_super(offset, value, sealed=True):
    def spoil(pool, _):
        pool.memory.write(offset, value)
        if sealed:
            pool.seal()
    return spoil


def spoil_row(**fields):
    return lambda pool, row: pool.put_row(row, **fields)


def spoil_link(index, value):
    return lambda pool, row: pool.put("links", pool.chain(row)[index], value, 4)


def chain_in_a_ring(pool, row):
    pool.put("links", pool.chain(row)[-1], row.first, 4)


def foreign_owner(pool, row):
    pool.put("owners", pool.chain(row)[1], pool.images["straight"].owner)


def foreign_granule(pool, row):
    pool.put("granules", row.first, row.owner + 1)


def not_split(pool, row):
    pool.put("owners", row.first // 32, 0)


def shortened(pool, row):
    """One chunk less than the image has, and nothing else wrong."""
    pool.put("links", pool.chain(row)[-2], NO_CHUNK, 4)
    pool.put_row(row, chunks=row.chunks - 1, size=(row.chunks - 1) * CHUNK)


def changed_root(pool, row):
    """Another image in the same place: its own checksum is right."""
    start = pool.data + pool.chain(row)[0] * CHUNK
    other = pool.data + pool.chain(pool.images["straight"])[0] * CHUNK
    pool.memory.write(start, pool.memory.read(other, 4096))


def nothing(*_):
    pass


DENIED = {
    "no-such-name": (nothing, "nowhere", "image=nowhere: not in pool"),
    "no-such-digest": (nothing, "sha256:" + "0" * 64, "not in pool"),
    "no-digest": (nothing, "sha256:12", "not 64 hexadecimal digits"),
    "no-image-said": (nothing, None, "holds a pool, say which image"),
    "empty": (nothing, "", "Bad value for 'image'"),
    "no-pool": (spoil_super(0, bytes(8), False), "pieces", "no DAXFS pool"),
    "newer-version": (spoil_super(8, b"\2"), "pieces", "a newer daxfs is needed"),
    "checksum": (spoil_super(72, b"\xff" * 8, False), "pieces", "checksum of the pool's superblock"),
    "unknown-incompat": (spoil_super(32, b"\x80"), "pieces", "a newer daxfs is needed"),
    "unknown-ro-compat": (spoil_super(24, b"\x80"), "pieces", "a newer daxfs"),
    "slots-out-of-range": (spoil_super(92, b"\xff" * 4), "pieces", "slot count out of range"),
    "tables-over-chunks": (spoil_super(96, b"\0\0\x10\0"), "pieces", "chunks begin inside the tables"),
    "longer-than-the-range": (spoil_super(3072 + 16, (1 << 40).to_bytes(8, "little") + (1 << 39).to_bytes(8, "little")),
                              "pieces", "is too small"),
    "no-image": (spoil_row(kind=2), "pieces", "object of another kind"),
    "neither-chunks-nor-granules": (spoil_row(chunks=0), "pieces", "neither chunks nor granules"),
    "more-chunks-than-there-are": (spoil_row(chunks=0xFFFFFFFF), "pieces", "more chunks than there are"),
    "larger-than-its-chunks": (spoil_row(size=1 << 60), "pieces", "larger than its chunks"),
    "no-size": (spoil_row(size=0), "pieces", "shorter than a superblock"),
    "first-outside": (spoil_row(first=0xFFFFFFF0), "pieces", "leaves the pool"),
    "link-outside": (spoil_link(2, 0x7FFFFFFF), "pieces", "leaves the pool"),
    "link-ends-early": (spoil_link(2, NO_CHUNK), "pieces", "leaves the pool"),
    "ring": (chain_in_a_ring, "pieces", "does not end"),
    "foreign-owner": (foreign_owner, "pieces", "belongs to another object"),
    "granules-outside": (spoil_row(first=0xFFFFFFF0), "small0", "outside their chunk"),
    "granules-over-the-end": (spoil_row(granules=33), "small0", "outside their chunk"),
    "granules-not-split": (not_split, "small0", "not split"),
    "foreign-granule": (foreign_granule, "small0", "belongs to another object"),
    "shortened": (shortened, "pieces", "its place in the pool of .* is too small"),
    "other-digest-in-row": (spoil_row(digest=bytes(32)), "pieces", "another one than its row says"),
}


@pytest.mark.parametrize("what", DENIED)
def test_what_lies_is_refused(story, what):
    vms, pool = story
    spoil, image, text = DENIED[what]
    with pool.restored():
        spoil(pool, pool.images.get(image))
        refused(vms[0], image, text)
    wait_until(lambda: not pool.attached(), "the kernel takes part although nothing is mounted")


def test_found_by_a_digest_it_does_not_have(story):
    vms, pool = story
    row = pool.images["pieces"]
    with pool.restored():
        pool.put_row(row, digest=bytes(32))
        refused(vms[0], f"sha256:{row.digest}", "another digest than the one it was found by")


def test_another_image_in_its_place(story):
    vms, pool = story
    row = pool.images["pieces"]
    start = pool.data + row.first * CHUNK
    kept = pool.memory.read(start, 4096)
    changed_root(pool, row)
    try:
        refused(vms[0], "pieces", "another one than its row says")
    finally:
        pool.memory.write(start, kept)


def test_a_range_that_is_too_small(story):
    """Of a pool that has grown elsewhere, say: what lies on the chunks that are there can be mounted."""
    vms, pool = story
    refused(vms[0], "pieces", "size=.* is too small", f",size={CHUNK}")
    chunks = sorted(pool.chain(pool.images["pieces"]))
    refused(vms[0], "pieces", "has grown beyond size=", f",size={pool.data + chunks[-1] * CHUNK}")


def test_still_mounted_after_all_that(story, mounted):
    vms, _ = story
    assert vms[0].read_text(mounted("small1") + "/deep/er/file") == "content 1\n"
    vms[0].assert_clean_log()


def test_a_host_stated_to_be_off(story, mounted):
    """Its slot is another's from then on: the kernel does not touch it, and takes part anew when all is unmounted."""
    vms, pool = story
    vm = vms[0]
    mounted("small0")
    slot = next(iter(pool.attached()))
    old = pool.word("slot words", slot)
    other = ATTACHED | 63 << 4 | (old >> 24) + 1 << 24
    pool.put("slot words", slot, other)
    refused(vm, "small1", "stated to be off")
    vm.run("umount /small0")
    wait_until(lambda: "daxfs" not in vm.read_text("/proc/iomem"), "the range is held")
    assert pool.word("slot words", slot) == other, "another's slot was changed"
    assert pool.users(pool.images["small0"]) == [slot], "another's use was dropped"
    pool.put("slot words", slot, 0)
    pool.put("uses", slot * ((pool.rows + 63) // 64) + pool.images["small0"].number // 64, 0)
    mounted("small0")
    vm.run("umount /small0")


def test_two_kernels_with_one_id(story):
    """While another kernel of this host beats, there is no mount; when it has stopped, its slot is dead."""
    vms, pool = story
    mount(vms[1], "small0")
    (slot, host), = pool.attached().items()
    vms[1].run("umount /small0")
    wait_until(lambda: not pool.attached(), "the kernel still takes part")
    stop = threading.Event()

    def beat():
        while not stop.wait(0.3):
            at = pool.table["slots"] + 128 * slot
            pool.memory.write(at, (int.from_bytes(pool.memory.read(at, 8), "little") + 1).to_bytes(8, "little"))

    pool.put("slot words", slot, ATTACHED | (1 << 16 | host) << 4 | 1 << 40)
    beating = threading.Thread(target=beat)
    beating.start()
    try:
        refused(vms[1], "small0", "another machine is alive as host")
    finally:
        stop.set()
        beating.join()
    mount(vms[1], "small0")
    assert pool.word("slot words", slot) & 15 == 2, "what the dead kernel left is not dead"
    vms[1].run("umount /small0")
    pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    assert pool.word("slot words", slot) & 15 == 0


def test_everything_is_given_back(story, daxfs_module):
    """Last in this file."""
    vms, pool = story
    wait_until(lambda: not pool.attached(), "a kernel still takes part")
    for vm in vms:
        module.unload(vm, daxfs_module)
        assert vm.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip() == "0"
        vm.assert_clean_log()
