# SPDX-License-Identifier: Apache-2.0
"""Memory of an image fails, said by hwpoison-inject: who reads it gets EIO, who has it mapped SIGBUS, everyone else
goes on; the counters say so. That a processor runs into such memory (a machine check) cannot be had here."""

import random
import re
import shutil
import time

import pytest

from e2e.harness import daxfs, kernel_log, module, programs
from e2e.harness.pool import Pool, mount_options
from e2e.harness.pool_story import HOST_IDS

pytestmark = pytest.mark.every_kernel

PAGE = 4096
CHUNK = 2 << 20
# Prints a byte of a mapped file, and again for each line it gets.
TOUCH = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
mapped = mmap.mmap(file, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
at = int(sys.argv[2])
print(mapped[at], flush=True)
for line in sys.stdin:
    print(mapped[at], flush=True)
"""


# Opens inode 2 by its number, as a server of NFS does.
BY_NUMBER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
handle = ctypes.create_string_buffer(struct.pack("IiQ", 8, 0xd1, 2), 136)
if libc.open_by_handle_at(os.open(sys.argv[1], os.O_RDONLY), handle, os.O_RDONLY) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
"""


@pytest.fixture(scope="module")
def guest(vm, daxfs_module, tmp_path_factory):
    """A guest with an image mounted at /image that has a small file, another, and a huge one."""
    work = tmp_path_factory.mktemp("failure")
    tree = work / "tree"
    tree.mkdir()
    for name, size in (("small", 64 * PAGE), ("other", 64 * PAGE), ("huge", 5 * CHUNK)):
        (tree / name).write_bytes(random.Random(name).randbytes(size))  # equal pages would be one
    vm.image_bytes = programs.build_image(f"dir:{tree}", work / "image", "--huge-min", "4M")
    vm.memory.write(0, (work / "image").read_bytes())
    module.load(vm, daxfs_module)
    daxfs.mount(vm, daxfs_module, "/image", vm.nvdimm[0], vm.image_bytes)
    vm.run("modprobe hwpoison-inject")
    vm.run(["tee", "/tmp/touch.py"], stdin=TOUCH)
    vm.tree = tree
    for path in tree.iterdir():
        shutil.copy(path, vm.share)
    yield vm
    # Only what was asked for is in the log; the rest of the run looks at it again.
    bad = [line for line in kernel_log.complaints(vm.kernel_log()) if "Memory failure" not in line]
    assert not bad, bad
    vm.run("dmesg --clear")


def counter(vm, name):
    return int(vm.read_text(f"/sys/fs/daxfs/{vm.nvdimm[0]:#x}/{name}"))


def fail(vm, name, at):
    """The memory of byte `at` of a file fails."""
    shown = vm.run(["mapcheck", "pfn", f"/image/{name}", str(at)]).stdout
    inject(vm, int(shown.split()[0], 16))


def inject(vm, frame):
    vm.run(f"echo {frame:#x} > /sys/kernel/debug/hwpoison/corrupt-pfn")


def touching(vm, name, at):
    """A program that has byte `at` of the file mapped and has touched it."""
    program = vm.popen(["sh", "-c", f"python3 /tmp/touch.py /image/{name} {at}; echo ended=$?"], stdin=b"")
    assert program.wait_output("\n", 30)
    return program


def again(program):
    """What comes of touching it again: a byte, or how the program ended."""
    before = len(program.stdout.splitlines())
    program.write(b"again\n")
    for _ in range(300):
        lines = program.stdout.splitlines()
        if len(lines) > before:
            return lines[before]
        program.wait(0.1)
    raise AssertionError("the program says nothing")


@pytest.fixture(autouse=True)
def no_programs_left(guest):
    yield
    guest.run("pkill -f touch.py", check=False)


@pytest.fixture(scope="module", autouse=True)
def mapcheck(vm, tmp_path_factory):
    vm.put(programs.compile_static("mapcheck", tmp_path_factory.mktemp("mapcheck")), "/usr/local/bin/mapcheck")


def test_a_page_of_a_small_file(guest):
    at = 5 * PAGE + 7
    here, neighbour, other = touching(guest, "small", at), touching(guest, "small", 0), touching(guest, "other", at)
    fail(guest, "small", at)
    assert again(here) == f"ended={128 + 7}", "no SIGBUS where the memory has failed"
    assert again(neighbour) == str((guest.tree / "small").read_bytes()[0])
    assert again(other) == str((guest.tree / "other").read_bytes()[at])
    read = guest.run("cat /image/small", check=False)
    assert read.rc != 0 and "Input/output error" in read.stderr
    assert len(read.stdout_bytes) == 5 * PAGE, "what lies before it is not read"
    assert guest.run(f"dd if=/image/small bs={PAGE} skip=6 status=none | sha256sum").stdout == \
        guest.run(f"dd if=/mnt/share/small bs={PAGE} skip=6 status=none | sha256sum").stdout
    assert guest.run("cmp /image/other /mnt/share/other").rc == 0
    assert counter(guest, "memory_failures") == 1 and counter(guest, "bad_pages") == 1
    assert counter(guest, "refused_faults") >= 1


def test_a_page_of_a_huge_file(guest):
    at = CHUNK + 9 * PAGE
    before, known = counter(guest, "huge_faults"), counter(guest, "bad_pages")
    here, elsewhere, near = (touching(guest, "huge", where) for where in (at, 3 * CHUNK, at + PAGE))
    assert counter(guest, "huge_faults") == before + 3, "not mapped by huge pages"
    fail(guest, "huge", at)
    content = (guest.tree / "huge").read_bytes()
    # A mapping chosen to be huge can show nothing smaller, before 6.15.
    old = tuple(map(int, guest.read_text("/proc/sys/kernel/osrelease").split(".")[:2])) < (6, 15)
    assert again(near) == (f"ended={128 + 7}" if old else str(content[at + PAGE]))
    assert again(here) == f"ended={128 + 7}"
    assert again(elsewhere) == str(content[3 * CHUNK])
    fresh = touching(guest, "huge", at + PAGE)  # a new mapping loses no more than the page
    assert again(fresh) == str(content[at + PAGE])
    assert counter(guest, "bad_pages") == known + 1


def test_it_is_remembered_over_a_mount(guest, daxfs_module):
    known = counter(guest, "bad_pages")
    guest.run("umount /image")
    guest.run("for i in $(seq 100); do grep -q ': daxfs' /proc/iomem || exit 0; sleep 0.1; done; exit 1")
    daxfs.mount(guest, daxfs_module, "/image", guest.nvdimm[0], guest.image_bytes)
    assert counter(guest, "bad_pages") == known > 0 and counter(guest, "memory_failures") == 0
    assert [guest.run(f"cat /image/{name}", check=False).rc for name in ("small", "huge")].count(0) < 2
    assert guest.run("cmp /image/other /mnt/share/other").rc == 0


def test_metadata(guest, daxfs_module):
    """Its last page is metadata: nothing of the image is answered any more, and it is not mounted again."""
    guest.run(["tee", "/tmp/handle.py"], stdin=BY_NUMBER)
    guest.run("python3 /tmp/handle.py /image")
    kept = touching(guest, "other", 0)
    inject(guest, (guest.nvdimm[0] + guest.image_bytes - 1) // PAGE)
    assert again(kept) == f"ended={128 + 7}"
    for command in ("ls /image", "cat /image/other", "stat /image/huge", "getfattr -d -m - /image/other"):
        done = guest.run(f"echo 2 > /proc/sys/vm/drop_caches; {command}", check=False)
        assert done.rc != 0 and "Input/output error" in done.stderr, command
    assert "Stale file handle" in guest.run("python3 /tmp/handle.py /image", check=False).stderr  # the kernel's word
    guest.run("umount /image")
    refused = guest.run(f"mount -i -t daxfs -o phys={guest.nvdimm[0]:#x},size={guest.image_bytes} none /image",
                        check=False)
    assert refused.rc != 0
    assert re.search("memory of the image's superblock or metadata has failed", guest.kernel_log())
    module.unload(guest, daxfs_module)


def test_metadata_of_an_image_that_is_being_verified(guest, daxfs_module, tmp_path_factory):
    """Nobody sees it yet, but the mount that looks at it does not come about."""
    work = tmp_path_factory.mktemp("verified")
    (work / "tree").mkdir()
    (work / "tree" / "large").write_bytes(random.Random(1).randbytes(128 << 20))
    size = programs.build_image(f"dir:{work}/tree", work / "image")
    guest.memory.write(0, (work / "image").read_bytes())
    module.load(guest, daxfs_module)
    where = f"phys={guest.nvdimm[0]:#x},size={size}"
    mounting = guest.popen(["mount", "-i", "-t", "daxfs", "-o", f"{where},verify=full", "none", "/image"])
    guest.run(f"until [ -e /sys/fs/daxfs/{guest.nvdimm[0]:#x} ]; do sleep 0.01; done", timeout=60)
    inject(guest, (guest.nvdimm[0] + size - 1) // PAGE)
    assert mounting.wait(120) and mounting.rc != 0, "mounted, or verified before it failed"
    assert "memory of the image has failed" in guest.kernel_log()
    module.unload(guest, daxfs_module)


def test_tables_of_a_pool(guest, daxfs_module, tmp_path_factory):
    """They are left alone from then on: nothing is written there, nothing is looked up; what is mounted goes on."""
    pool = Pool(guest.memory, tmp_path_factory.mktemp("pool") / "run")
    pool.add(f"dir:{guest.tree}", "image")
    module.load(guest, daxfs_module, f"host_id={HOST_IDS[0]}")
    mount = f"mount -i -t daxfs -o {mount_options(guest, 'image')} none"
    guest.run(f"{mount} /image && mkdir -p /again")
    assert still(pool, 2) is False, "its heart does not beat"
    inject(guest, guest.nvdimm[0] // PAGE + 1)
    time.sleep(2)
    assert still(pool, 4)
    assert guest.run(f"{mount} /again", check=False).rc != 0
    for words in ("memory of its tables has failed", "memory of the pool's tables has failed"):
        assert words in guest.kernel_log()
    assert guest.run("cmp /image/other /mnt/share/other && cmp /image/huge /mnt/share/huge").rc == 0
    guest.run("umount /image")
    module.unload(guest, daxfs_module)


def still(pool, seconds):
    """Whether the tables stay as they are for so long."""
    before = pool.memory.read(0, pool.data)
    time.sleep(seconds)
    return pool.memory.read(0, pool.data) == before
