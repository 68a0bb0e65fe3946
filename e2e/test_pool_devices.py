# SPDX-License-Identifier: Apache-2.0
"""A pool of three devices in one kernel: attached one by one, in any order; its images lie on one of them or on
several. They are built by programs of the guest, through the devices."""

import hashlib
import itertools
import json
import re
import shutil
import subprocess

import pytest

from e2e.collect import collect, compare
from e2e.harness import daxfs, module, programs
from e2e.harness.pool import CHUNK, DEAD, Pool, make_devices, said
from e2e.harness.pool_story import HOST_IDS, device, make_crowd, put_device_program, wait_until

pytestmark = pytest.mark.every_kernel

MIB = 1 << 20
PLACES = [(0, 48 * MIB), (64 * MIB, 48 * MIB), (128 * MIB, 16 * MIB)]
OTHER_PLACES = [(160 * MIB, 16 * MIB), (192 * MIB, 16 * MIB)]
COPY = 256 * MIB  # room for another superblock of device 1
NAMES = ["a", "a.1", "a.2"]
TOUCH_BYTES = 52 * MIB  # a file larger than a device
ENVIRONMENT = f"DAXFS_HOST_ID={HOST_IDS[0]} DAXFS_RUN_DIR=/run/daxfs"
EPERM, ENXIO, EBADF, EBUSY, ENODEV, EINVAL = 1, 6, 9, 16, 19, 22
SIGBUS = -7


@pytest.fixture(scope="module")
def story(vm, daxfs_module, tmp_path_factory):
    """A guest, and a pool with `big`, larger than any of its three devices; `small` on the second alone; `mixed`, whose
    chunks are by turns on the first and the second; `first` on the first. Nothing is attached."""
    work = tmp_path_factory.mktemp("devices")
    pool = Pool(vm.memory, work, PLACES)
    pool.other = make_devices(vm.memory, OTHER_PLACES, work)
    pool.trees = make_trees(work, programs.compile_static("mapcheck", work))
    vm.put(work / "mapcheck", "/usr/local/bin/mapcheck")
    shutil.copy(collect.__file__, vm.share / "collect.py")
    put_device_program(vm)
    programs.install_tool(vm, "daxfs-build")
    programs.install_tool(vm, "daxfsctl")
    configure(vm, "a", [(vm.nvdimm[0] + start, size) for start, size in PLACES])
    module.load(vm, daxfs_module, f"host_id={HOST_IDS[0]}")
    vm.run("mkdir -p /image /again /scratch")
    vm.built = daxfs_module
    told = vm.run("daxfsctl pool attach a").stdout
    assert told == "/dev/daxfs/a,/dev/daxfs/a.1,/dev/daxfs/a.2\n"
    built = {name: build(vm, pool, name) for name in pool.trees}
    pool.images = dict(zip(built, pool.move([(row, place(pool, name, row)) for name, row in built.items()])))
    vm.run("daxfsctl pool detach a")
    wait_until(lambda: ranges(vm) == [], "a range is held")
    yield vm, pool
    assert vm.alive()


def make_trees(work, mapcheck):
    trees = {name: work / name for name in ("mixed", "big", "small", "first")}
    for tree in trees.values():
        tree.mkdir()
    subprocess.run([mapcheck, "generate", trees["mixed"], str(TOUCH_BYTES)], check=True)
    (trees["mixed"] / "touch").rename(trees["big"] / "touch")
    shutil.copy(trees["mixed"] / "small", trees["first"] / "small")
    (trees["small"] / "small").write_bytes((trees["mixed"] / "small").read_bytes()[:256 << 10])
    make_crowd(trees["mixed"] / "crowd")
    return trees


def configure(vm, name, places):
    """The guest's pools.d has a pool at these ranges."""
    lines = [f"{key}: [{', '.join(str(one[at]) for one in places)}]" for at, key in enumerate(("phys", "size"))]
    vm.run(f"mkdir -p /etc/daxfs/pools.d && cat > /etc/daxfs/pools.d/{name}.yaml", stdin="\n".join(lines) + "\n")


def build(vm, pool, name):
    """Builds a tree in the guest, through the devices, and returns its row."""
    before = {row.number for row in pool.ready()}
    archive = vm.share / f"{name}.tar"
    subprocess.run(["tar", "-C", pool.trees[name], "--format=posix", "-cf", archive, "."], check=True)
    vm.run(f"{ENVIRONMENT} daxfs-build tar:/mnt/share/{name}.tar --pool a --name {name}", timeout=300)
    archive.unlink()
    row, = (row for row in pool.ready() if row.number not in before)
    return row


def place(pool, name, row):
    """The chunks an image is to have; builders begin anywhere."""
    border = pool.devices[1].first
    if name == "big":  # two runs
        return [*range(12), *range(border, border + row.chunks - 12)]
    if name == "mixed":
        return [(border - 1 if number % 2 == 0 else border + 22) - number // 2 for number in range(row.chunks)]
    return [border + 16] if row.granules else list(range(12, 12 + row.chunks))


def devices_of(pool, row):
    """The numbers of the devices that an object is on."""
    return {number for number, one in enumerate(pool.devices) for chunk in pool.chunks_of(row)
            if one.first <= chunk < one.first + one.chunks}


def attach(vm, pool, number, name=None):
    one = pool.devices[number]
    assert device(vm, "attach", name or NAMES[number], vm.nvdimm[0] + one.start, one.size) == "0"


def ranges(vm):
    """Where the guest's daxfs holds memory: starts of ranges in the shared memory."""
    lines = re.findall(r"^ *(\w+)-\w+ : daxfs$", vm.read_text("/proc/iomem"), re.M)
    return sorted(int(start, 16) - vm.nvdimm[0] for start in lines)


def starts(pool, *numbers):
    return [pool.devices[number].start for number in numbers]


def mount(vm, image, where="/image", source="pool:a"):
    vm.run(["mount", "-i", "-t", "daxfs", "-o", f"ro,image={image}", source, where])
    daxfs.assert_daxfs(vm, vm.built, where)


def refused(vm, image, text, source="pool:a"):
    """Asserts that a mount fails and that the log says why."""
    done = vm.run(["mount", "-i", "-t", "daxfs", "-o", f"ro,image={image}", source, "/image"], check=False)
    assert done.rc != 0, f"{image} was mounted"
    assert text in said(vm), f"{said(vm)}\n{done.stderr}"


def same_bytes(vm, pool, image, file, where="/image"):
    """Asserts that a file of a mounted image is what it was built from."""
    expected = hashlib.sha256((pool.trees[image] / file).read_bytes()).hexdigest()
    assert vm.run(["sha256sum", f"{where}/{file}"], timeout=180).stdout.split()[0] == expected


@pytest.fixture
def attached(story):
    """All three are attached; afterwards nothing is attached or mounted, and all ranges are given back."""
    vm, pool = story
    for number in range(len(PLACES)):
        attach(vm, pool, number)
    yield vm, pool
    given_back(vm, pool)


@pytest.fixture
def bare(story):
    """The same, but nothing is attached yet."""
    yield story
    given_back(*story)


def given_back(vm, pool):
    vm.run("while umount $(awk '$3 == \"daxfs\" {print $2}' /proc/mounts) 2> /dev/null; do :; done", check=False)
    for name in vm.run("ls /dev/daxfs").stdout.split():
        assert name == "control" or device(vm, "detach", name) == "0"
    wait_until(lambda: ranges(vm) == [], "a range is held")
    assert not pool.attached(), "the kernel still takes part"


def test_where_the_images_are(story):
    _, pool = story
    assert {name: devices_of(pool, row) for name, row in pool.images.items()} == {
        "mixed": {0, 1}, "big": {0, 1}, "small": {1}, "first": {0}}
    assert pool.images["small"].granules and not pool.images["first"].granules
    assert pool.images["big"].chunks * CHUNK > max(size for _, size in PLACES)
    mixed = pool.chain(pool.images["mixed"])
    assert len(mixed) >= 8 and all((a < 23) != (b < 23) for a, b in itertools.pairwise(mixed))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
def test_attached_in_any_order(bare, order):
    """Programs and mounts wait for device 0, which makes the kernel take part; names go in any order, too."""
    vm, pool = bare
    for done, number in enumerate(order, 1):
        attach(vm, pool, number)
        there = 0 in order[:done]
        assert len(pool.attached()) == there
        assert device(vm, "open", f"/dev/daxfs/{NAMES[number]}") == str(0 if there else ENXIO)
        if not there:
            refused(vm, "first", f"device {pool.devices[0].uuid} of pool", source=f"pool:{NAMES[number]}")
            assert "which has its tables, is missing" in said(vm)
    assert ranges(vm) == starts(pool, 0, 1, 2)
    for name in NAMES:
        mount(vm, "small", source=f"pool:{name}")
        same_bytes(vm, pool, "small", "small")
        vm.run("umount /image")
    for done, number in enumerate(order, 1):
        assert device(vm, "detach", NAMES[number]) == "0"
        kept = starts(pool, *sorted(order[done:]))
        wait_until(lambda kept=kept: ranges(vm) == kept, "not what is attached")
        assert len(pool.attached()) == (0 in order[done:])


def test_what_is_missing_is_named(bare):
    vm, pool = bare
    attach(vm, pool, 0)
    mount(vm, "first")
    same_bytes(vm, pool, "first", "small")
    for image in ("big", "mixed", "small"):
        refused(vm, image, f"device {pool.devices[1].uuid} of pool {pool.uuid} is missing")
        assert not pool.users(pool.images[image]), "the use is left"
    attach(vm, pool, 1)
    for image in ("big", "mixed", "small"):
        mount(vm, image, "/again")
        vm.run("umount /again")
    assert device(vm, "detach", "a.1") == "0"
    wait_until(lambda: ranges(vm) == starts(pool, 0), "the range is held")
    refused(vm, "small", f"device {pool.devices[1].uuid} of pool")


def test_every_byte_of_a_file_larger_than_a_device(attached):
    vm, pool = attached
    mount(vm, "big", source="pool:a.2")
    same_bytes(vm, pool, "big", "touch")
    chain = pool.chain(pool.images["big"])
    seen = set()
    for offset in range(0, TOUCH_BYTES, CHUNK):
        frame, byte = vm.run(["mapcheck", "pfn", "/image/touch", str(offset)]).stdout.split()
        at = int(frame, 16) * 4096 - vm.nvdimm[0]
        assert pool.memory.read(at, 1).hex() == byte
        seen.add(at // CHUNK * CHUNK)
    assert seen <= {pool.at(chunk) for chunk in chain} and len(seen) >= TOUCH_BYTES // CHUNK
    mount(vm, f"sha256:{pool.images['big'].digest}", "/again", f"pool:{NAMES[1]}")
    assert len(set(vm.run("stat -c %d /image /again").stdout.split())) == 1, "two superblocks"


def test_every_kind_of_mapping_and_all_metadata(attached):
    """Of an image whose neighbouring chunks are never on one device."""
    vm, pool = attached
    mount(vm, "mixed")
    shown = programs.check_mappings(vm, "/image")
    faults = int(re.search(r"^ok huge-faults .*faults=(\d+)", shown, re.M).group(1))
    assert faults == 5, f"{faults} faults for 5 chunks: not mapped by huge pages"
    text = vm.run("python3 /mnt/share/collect.py /image", timeout=180).stdout
    found = [json.loads(line) for line in text.splitlines()]
    assert compare.differences(collect.collect(str(pool.trees["mixed"])), found, ignore=("inode",)) == []


def test_mounting_by_an_address(attached):
    """Of any of the ranges; the image need not lie on that one."""
    vm, pool = attached
    for number in range(len(PLACES)):
        one = pool.devices[number]
        options = f"ro,phys={vm.nvdimm[0] + one.start:#x},size={one.size},image=small"
        vm.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", "/image"])
        same_bytes(vm, pool, "small", "small")
        assert f"phys={vm.nvdimm[0] + pool.devices[0].start:#x}" in vm.run("findmnt -n -o OPTIONS /image").stdout
        vm.run("umount /image")
    assert device(vm, "detach", "a") == "0"
    wait_until(lambda: not pool.attached(), "the kernel still takes part")
    options = f"ro,phys={vm.nvdimm[0] + pool.devices[0].start:#x},size={pool.devices[0].size},image=big"
    vm.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", "/image"])
    same_bytes(vm, pool, "big", "touch")


def test_a_mount_keeps_what_it_needs(attached):
    """Its devices stay without their names, and go with it; nobody else can stand in for them meanwhile."""
    vm, pool = attached
    mount(vm, "big")
    for name in NAMES:
        assert device(vm, "detach", name) == "0"
    assert ranges(vm) == starts(pool, 0, 1), "not the two that the image is on"
    same_bytes(vm, pool, "big", "touch")
    pool.memory.write(COPY, pool.memory.read(pool.devices[1].start, 4096))
    assert device(vm, "attach", "copy", vm.nvdimm[0] + COPY, pool.devices[1].size) == str(EBUSY)
    attach(vm, pool, 1, "again")
    mount(vm, "small", "/again", "pool:again")
    vm.run("umount /image /again")
    wait_until(lambda: ranges(vm) == starts(pool, 1), "not what is attached")


@pytest.mark.parametrize("image", ["first", "small"])
def test_a_pinned_page_keeps_both_devices(attached, image):
    """That it is on, and that of the tables with the use of it."""
    vm, pool = attached
    mount(vm, image)
    held = vm.popen(["mapcheck", "hold", "/image/small"], stdin=b"")
    assert held.wait_output("held\n", 30)
    vm.run("umount /image")
    for name in NAMES:
        assert device(vm, "detach", name) == "0"
    kept = sorted({0} | devices_of(pool, pool.images[image]))
    wait_until(lambda: ranges(vm) == starts(pool, *kept), "not what is needed")
    assert pool.users(pool.images[image]), "the use is gone while a pipe holds a page"
    assert vm.run(["rmmod", "daxfs"], check=False).rc != 0
    held.write(b"go\n")
    assert held.wait(30) and "intact" in held.stdout, held.stdout + held.stderr
    wait_until(lambda: ranges(vm) == [], "a range is held")
    assert not pool.users(pool.images[image]) and not pool.attached()


def other_epoch(block):
    block[56] ^= 1


def other_device(block):
    block[3072 + 64] ^= 1


def shifted(block):
    """Device 2's place in the table changes places with device 1's UUID: another table."""
    block[3072 + 64:3072 + 80], block[3072 + 128:3072 + 144] = block[3072 + 128:3072 + 144], block[3072 + 64:3072 + 80]


@pytest.mark.parametrize("change, error, text", [
    (lambda block: None, EBUSY, "device {uuid} of pool {pool} is there already"),
    (other_epoch, EINVAL, "device {uuid}, epoch .*: pool {pool} has {uuid}, epoch"),
    (other_device, EINVAL, "device .*, epoch .*: pool {pool} has {uuid}, epoch"),
    (shifted, EINVAL, "device {third}, epoch .*: pool {pool} has {uuid}, epoch"),
], ids=["twice", "epoch", "uuid", "table"])
def test_what_does_not_belong_is_refused(attached, change, error, text):
    vm, pool = attached
    block = bytearray(pool.memory.read(pool.devices[1].start, 4096))
    change(block)
    pool.memory.write(COPY, bytes(block))
    pool.seal(COPY)
    assert device(vm, "attach", "copy", vm.nvdimm[0] + COPY, pool.devices[1].size) == str(error)
    wanted = text.format(uuid=pool.devices[1].uuid, third=pool.devices[2].uuid, pool=pool.uuid)
    assert re.search(wanted, said(vm)), said(vm)
    assert ranges(vm) == starts(pool, 0, 1, 2)


def test_devices_of_two_pools(attached):
    """Each waits for its own device 0; programs say what does not belong together."""
    vm, pool = attached
    first, second = pool.other
    assert device(vm, "attach", "b.1", vm.nvdimm[0] + second.start, second.size) == "0"
    refused(vm, "small", f"device {first.uuid} of pool", source="pool:b.1")
    assert device(vm, "attach", "b", vm.nvdimm[0] + first.start, first.size) == "0"
    refused(vm, "small", "image=small: not in pool", source="pool:b.1")
    for paths, text in (("/dev/daxfs/a,/dev/daxfs/b.1", "belongs to another pool"),
                        ("/dev/daxfs/a,/dev/daxfs/a.1", f"device {pool.devices[2].uuid} of its pool is missing"),
                        ("/dev/daxfs/a.1,/dev/daxfs/a,/dev/daxfs/a.1", "is named twice")):
        done = vm.run(f"{ENVIRONMENT} daxfsctl pool ls {paths}", check=False)
        assert done.rc == 1 and text in done.stderr, done.stderr
    listed = vm.run(f"{ENVIRONMENT} daxfsctl pool ls /dev/daxfs/a.2,/dev/daxfs/a,/dev/daxfs/a.1").stdout
    assert all(name in listed for name in pool.images)


def test_what_programs_may_write_on_another_device(attached):
    """What lies there follows the tables, which may also name chunks that are not there; the life of a slot ends when
    the last file by which it writes is closed."""
    vm, pool = attached
    first, _ = pool.other
    assert device(vm, "detach", "a.2") == "0"
    assert device(vm, "attach", "a.2", vm.nvdimm[0] + pool.devices[2].start, 4 * CHUNK) == "0"
    assert device(vm, "attach", "b", vm.nvdimm[0] + first.start, first.size) == "0"
    slot = next(slot for slot in range(pool.slots - 1)
                if not any(pool.word("slot words", slot + more) & 15 for more in (0, 1)))
    row = next(row for row in range(pool.rows) if pool.word("row words", row) & 15 == 0)
    one = pool.devices[2]
    chunk = next(chunk for chunk in range(one.first, one.first + one.chunks - 1)
                 if not pool.word("owners", chunk) and not pool.word("owners", chunk + 1))
    host = next(iter(pool.attached().values()))
    with pool.restored():
        pool.put("owners", one.first + one.chunks - 1, row + 1 | pool.word("row words", row) >> 24 << 24)
        told = device(vm, "across", "/dev/daxfs/a", "/dev/daxfs/a.2", "/dev/daxfs/b",
                      pool.table["slot words"] + 8 * slot, slot, pool.table["row words"] + 8 * row, row,
                      pool.table["owners"] + 8 * chunk, pool.at(chunk) - one.start, host).splitlines()
        assert told == [f"nobody's life {EPERM}", "lives 0 0", f"its own file {EINVAL}", f"no file {EBADF}",
                        f"another's life {EPERM}", f"another pool {EINVAL}", f"no device {EINVAL}",
                        f"not shared {SIGBUS}", "shared 0 0", f"two lives {EBUSY}", "building 0 0",
                        f"neighbour {SIGBUS}", f"superblock {SIGBUS}", "other device sealed 0 0",
                        f"sealed 0 {SIGBUS}", "tables closed 1", f"all closed {DEAD} 1"]
        assert pool.memory.read(pool.at(chunk), 8) == b"building"


def test_a_name_that_goes_takes_nothing_from_who_has_it_open(attached):
    """A file of another device keeps that of the tables, too; mappings of it keep no image."""
    vm, pool = attached
    mount(vm, "small")
    at = pool.at(pool.images["small"].first // 32) - pool.devices[1].start
    held = vm.popen(["python3", "/mnt/share/pool_device.py", "hold", "/dev/daxfs/a.1", str(at)], stdin=b"")
    assert held.wait_output("held", 30)
    vm.run("umount /image")
    wait_until(lambda: not pool.users(pool.images["small"]), "the use is kept for a mapping")
    for name in NAMES:
        assert device(vm, "detach", name) == "0"
    wait_until(lambda: ranges(vm) == starts(pool, 0, 1), "not what is open")
    assert vm.run(["rmmod", "daxfs"], check=False).rc != 0
    held.write(b"go\n")
    assert held.wait(30) and "let go" in held.stdout, held.stdout + held.stderr


def test_all_of_a_pool_or_nothing(bare):
    """pools.d names ranges of which one is no pool; then all of them again, by the right ones."""
    vm, pool = bare
    places = [(vm.nvdimm[0] + start, size) for start, size in PLACES]
    configure(vm, "wrong", [*places[:2], (vm.nvdimm[0] + 400 * MIB, 16 * MIB)])
    done = vm.run("daxfsctl pool attach wrong", check=False)
    assert done.rc == 1 and "attach wrong.2" in done.stderr, done.stderr
    assert vm.run("ls /dev/daxfs").stdout == "control\n" and ranges(vm) == []
    told = json.loads(vm.run("daxfsctl pool attach a --json").stdout)
    assert told == {"ok": True, "device": "/dev/daxfs/a,/dev/daxfs/a.1,/dev/daxfs/a.2"}
    assert pool.uuid in vm.run(f"{ENVIRONMENT} daxfsctl pool info a").stdout
    vm.run("daxfsctl pool detach a")
    assert vm.run("ls /dev/daxfs").stdout == "control\n"


def test_attached_at_load(bare, daxfs_module):
    vm, pool = bare
    module.unload(vm, daxfs_module)
    wanted = [f"{name},{vm.nvdimm[0] + one.start:#x},{one.size}" for name, one in zip(NAMES, pool.devices)]
    text = f"{wanted[1]}:wrong,0:{wanted[0]};{wanted[2]}"
    module.load(vm, daxfs_module, f"host_id={HOST_IDS[0]} 'attach={text}'")
    assert re.search(r"attach=wrong,0: not attached", vm.kernel_log())
    assert sorted(vm.run("ls /dev/daxfs").stdout.split()) == [*NAMES, "control"]
    mount(vm, "mixed")
    same_bytes(vm, pool, "mixed", "huge")
    vm.run("umount /image")
    module.unload(vm, daxfs_module)  # what is attached and not open goes with the module
    assert ranges(vm) == [] and not pool.attached()
    module.load(vm, daxfs_module, f"host_id={HOST_IDS[0]}")


def test_everything_is_given_back(story, daxfs_module):
    """Last in this file."""
    vm, pool = story
    assert not pool.attached() and ranges(vm) == []
    module.unload(vm, daxfs_module)
    vm.assert_clean_log()
