# SPDX-License-Identifier: Apache-2.0
"""Many mounts: of many images at once, of one image at many places, one after the other. Afterwards the kernel has all
it had before. DAXFS_MOUNT_LOOPS says how many one after the other (10000 is the long figure); the figures are printed.
"""

import json
import os
import re

import pytest

from e2e.harness import daxfs, module, programs
from e2e.harness.pool import Pool, mount_options
from e2e.harness.pool_story import HOST_IDS, device, put_device_program, wait_until

pytestmark = pytest.mark.every_kernel

LOOPS = int(os.environ.get("DAXFS_MOUNT_LOOPS", "300"))
WARM_UP = 30  # loops that fill what the kernel keeps for the next time
LOOP_SECONDS = 1  # for one mount and unmount, some ten times what it takes
IMAGES, POINTS = 50, 1000
RANGE = 2 << 20
# KiB that may be in use behind LOOPS mounts and were not before. It does not grow with LOOPS: these are the machine's
# own, slabs half full on each processor, pages that wait for a grace period; some tens of KiB were seen. A page that
# every second mount of 300 leaves is more; of 10000 mounts none may leave 50 bytes.
GROWTH_KIB = {"in use": 512, "Slab": 256, "SUnreclaim": 256, "VmallocUsed": 64, "Percpu": 64}
PRINTED = ("MemFree", "KernelStack", "PageTables")


@pytest.fixture(scope="module")
def guest(vm, daxfs_module, tmp_path_factory):
    """A guest with the module; IMAGES images on the host, each with another text."""
    work = tmp_path_factory.mktemp("loops")
    vm.put(programs.compile_static("mountloop", work), "/usr/local/bin/mountloop")
    programs.install_tool(vm, "daxfsctl")
    put_device_program(vm)
    vm.trees = []
    for number in range(IMAGES):
        vm.trees.append(work / f"tree{number}")
        (vm.trees[-1] / "folder").mkdir(parents=True)
        (vm.trees[-1] / "which").write_text(text_of(number))
        (vm.trees[-1] / "folder" / "link").symlink_to("../which")
    vm.built = daxfs_module
    module.load(vm, daxfs_module, f"host_id={HOST_IDS[0]}")
    vm.run(f"mkdir -p /points /target && cd /tmp && mkdir $(seq -f at%g 0 {IMAGES - 1})")
    yield vm
    assert vm.alive()


@pytest.fixture(scope="module")
def in_ranges(guest, tmp_path_factory):
    """Each image in a range of its own; options of their mounts."""
    options, image = [], tmp_path_factory.mktemp("ranges") / "image"
    for number, tree in enumerate(guest.trees):
        size = programs.build_image(f"dir:{tree}", image)
        assert size <= RANGE
        guest.memory.write(number * RANGE, image.read_bytes())
        options.append(f"phys={guest.nvdimm[0] + number * RANGE:#x},size={size}")
    return options


@pytest.fixture(scope="module")
def in_pool(guest, tmp_path_factory):
    """All of them in a pool over the whole memory. What was in ranges is gone."""
    pool = Pool(guest.memory, tmp_path_factory.mktemp("pool") / "run")
    pool.images = [pool.add(f"dir:{tree}", f"image{number}") for number, tree in enumerate(guest.trees)]
    return pool


def text_of(number):
    return f"image {number}\n" * (number + 1)


def ranges(vm):
    """How many ranges of memory the module holds, as two places say."""
    held = int(vm.run("grep -c ': daxfs' /proc/iomem", check=False).stdout)
    assert len(vm.run("ls /sys/fs/daxfs").stdout.split()) == held
    return held


def status(vm):
    return json.loads(vm.run("daxfsctl kernel status --json").stdout)["ranges"]


def settled(vm):
    """No mount, no range, no user of the module is left, and nothing went slowly or wrong."""
    wait_until(lambda: ranges(vm) == 0, "a range is held")
    assert vm.read_text("/sys/module/daxfs/refcnt").strip() == "0"
    assert "still referenced" not in vm.kernel_log()
    vm.assert_clean_log()


def mount_all(vm, options):
    """Mounts each image at a place of its own; the others are there all the time."""
    lines = [f"mount -i -t daxfs -o ro,{text} none /tmp/at{number}" for number, text in enumerate(options)]
    vm.run("\n".join(["set -e", *lines]), timeout=180)
    for number in (0, len(options) - 1):
        daxfs.assert_daxfs(vm, vm.built, f"/tmp/at{number}")


def read_all(vm):
    """Every image has its own text and a device number of its own; unmounts them, the odd ones last."""
    places = [f"/tmp/at{number}" for number in range(IMAGES)]
    shown = vm.run(["cat", *(f"{place}/folder/link" for place in places)]).stdout
    assert shown == "".join(map(text_of, range(IMAGES)))
    assert len(set(vm.run(["stat", "-c", "%d", *places]).stdout.split())) == IMAGES
    vm.run(["umount", *places[::2]], timeout=120)
    assert vm.run(["cat", f"{places[1]}/which", f"{places[-1]}/which"]).stdout == text_of(1) + text_of(IMAGES - 1)
    vm.run(["umount", *places[1::2]], timeout=120)


def memory(vm):
    """KiB by name, when all that can be had back has been; pages on processors' own lists count as free."""
    shown = vm.run("sync; for i in 1 2; do echo 3 > /proc/sys/vm/drop_caches; sleep 0.5; done; cat /proc/meminfo; "
                   "awk '$1 == \"count:\" {pages += $2} END {print \"Lists: \" pages * 4}' /proc/zoneinfo").stdout
    found = {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+)", shown, re.M)}
    found["MemFree"] += found["Lists"]
    found["in use"] = found["MemTotal"] - found["MemFree"] - found["Cached"] - found["Buffers"] - found["SReclaimable"]
    return found


def loop(vm, count, source, options):
    done = vm.run(["mountloop", "times", str(count), source, "daxfs", options, "/target", "which"],
                  timeout=60 + count * LOOP_SECONDS)
    return done.stdout.strip()


def loops_leave_nothing(vm, what, count, source, options):
    """`count` mounts one after the other; the memory in use before and behind them is printed and compared."""
    loop(vm, WARM_UP, source, options)
    held, before = ranges(vm), memory(vm)
    said = loop(vm, count, source, options)
    wait_until(lambda: ranges(vm) == held, "a range is held")
    after = memory(vm)
    grown = {name: after[name] - before[name] for name in (*GROWTH_KIB, *PRINTED)}
    print(f"{vm.read_text('/proc/sys/kernel/osrelease').strip()}: {what}: {said}; KiB of growth: {grown}")
    assert {name: kib for name, kib in grown.items() if kib > GROWTH_KIB.get(name, kib)} == {}


def at_many_points(vm, source, options):
    """One image at POINTS places: one superblock; how many users its range has, then all are unmounted."""
    running = vm.popen(["mountloop", "points", str(POINTS), source, "daxfs", options, "/points", "which"], 900,
                       stdin=b"")
    assert running.wait_output("mounted ", 400), running.stdout + running.stderr
    lines = [line.split() for line in vm.read_text("/proc/mounts").splitlines()]
    assert len([line for line in lines if line[2] == "daxfs"]) == POINTS
    users = [entry["users"] for entry in status(vm)]
    assert users == [int(vm.run("cat /sys/fs/daxfs/*/users").stdout)]
    running.write(b"\n")
    assert running.wait(400) and running.rc == 0, running.stdout + running.stderr
    assert f"unmounted {POINTS}\n" in running.stdout
    print(f"{running.stdout.splitlines()[0]}, users {users[0]}")
    return users[0]


def test_many_images_in_ranges(guest, in_ranges):
    mount_all(guest, in_ranges)
    assert ranges(guest) == IMAGES
    assert [entry["users"] for entry in status(guest)] == [1] * IMAGES
    read_all(guest)
    settled(guest)


def test_one_image_at_many_points(guest, in_ranges):
    """Its range has one user however often it is mounted: the superblock."""
    assert at_many_points(guest, "none", in_ranges[7]) == 1
    settled(guest)


def test_mounts_one_after_the_other(guest, in_ranges):
    loops_leave_nothing(guest, "a range", LOOPS, "none", in_ranges[7])
    settled(guest)


def test_many_images_of_a_pool(guest, in_pool):
    mount_all(guest, [mount_options(guest, f"image{number}") for number in range(IMAGES)])
    assert ranges(guest) == 1
    assert all(in_pool.users(row) for row in in_pool.images)
    read_all(guest)
    assert not any(in_pool.users(row) for row in in_pool.images), "a use is left"
    settled(guest)
    assert not in_pool.attached()


def test_mounts_out_of_a_pool_one_after_the_other(guest, in_pool):
    """Each takes part in the pool anew, and leaves it."""
    options = mount_options(guest, "image7").removeprefix("ro,")
    loops_leave_nothing(guest, "a pool", LOOPS // 10, "none", options)
    settled(guest)
    assert not in_pool.attached()


def test_mounts_out_of_an_attached_pool(guest, in_pool):
    """By its name, one after the other and at many points. It is attached all the time, and free when it is not."""
    assert device(guest, "attach", "it", *guest.nvdimm) == "0"
    row = in_pool.images[7]
    users = int(guest.run("cat /sys/fs/daxfs/*/users").stdout)
    loops_leave_nothing(guest, "an attached pool", LOOPS, "pool:it", "image=image7")
    many = at_many_points(guest, "pool:it", f"image=sha256:{row.digest}")
    assert users < many < users + 10, f"{users} users of the range before, {many} with {POINTS} mounts"
    assert ranges(guest) == 1 and int(guest.run("cat /sys/fs/daxfs/*/users").stdout) == users
    wait_until(lambda: not in_pool.users(row), "the use is left")
    assert device(guest, "detach", "it") == "0"
    settled(guest)
    assert not in_pool.attached()


def test_everything_is_given_back(guest, daxfs_module):
    """Last in this file."""
    module.unload(guest, daxfs_module)
    assert guest.run("ls -d /sys/fs/daxfs", check=False).rc != 0
    assert guest.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip() == "0"
    guest.assert_clean_log()
