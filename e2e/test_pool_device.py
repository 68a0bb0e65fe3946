# SPDX-License-Identifier: Apache-2.0
"""A pool as /dev/daxfs/NAME: what programs of a machine may do with the memory its kernel holds. Two guests see it; the
second one's kernel has attached it."""

import hashlib
import re
import shutil

import pytest

from e2e.harness import daxfs, module, programs
from e2e.harness.pool import CHUNK, DEAD, said
from e2e.harness.pool_story import HOST_IDS, begin, device, mount, put_device_program, wait_until

pytestmark = pytest.mark.every_kernel

EEXIST, EINVAL, EBUSY, ENODEV, EPERM, ESTALE = 17, 22, 16, 19, 1, 116
SIGBUS = -7


@pytest.fixture(scope="module")
def story(two_vms, daxfs_module, tmp_path_factory):
    """Two guests and a pool in their memory."""
    pool = begin(two_vms, daxfs_module, tmp_path_factory.mktemp("pool"))
    yield two_vms, pool
    assert all(vm.alive() for vm in two_vms)


@pytest.fixture(scope="module")
def attached(story):
    """The second guest's kernel has attached the pool as `it`."""
    vms, _ = story
    vm = vms[1]
    put_device_program(vm)
    phys, size = vm.nvdimm
    assert device(vm, "attach", "it", phys, size) == "0"
    return vm


def test_a_device_for_programs(story, attached):
    _, pool = story
    phys, size = attached.nvdimm
    assert attached.run("stat -c %a /dev/daxfs/it /dev/daxfs/control").stdout.split() == ["660", "600"]
    for name, start, length, error in (("it", phys, size, EEXIST), ("two", phys + CHUNK, size - CHUNK, EBUSY),
                                       ("a/b", phys, size, EINVAL), ("", phys, size, EINVAL),
                                       ("control", phys, size, EINVAL), (".x", phys, size, EINVAL),
                                       ("two", phys + 4096, size, EINVAL), ("two", phys, 0, EINVAL)):
        assert device(attached, "attach", name, start, length) == str(error), (name, start, length)
    assert device(attached, "detach", "other") == str(ENODEV)
    ready = pool.chain(pool.images["straight"])[0]
    free = next(chunk for chunk in range(pool.chunks) if not pool.word("owners", chunk))
    places = [pool.table["hosts"] + 64, pool.data + ready * CHUNK, pool.data + free * CHUNK]
    assert device(attached, "stores", "/dev/daxfs/it", *places) == f"{size} 0 {SIGBUS} {SIGBUS}"
    assert device(attached, "private", "/dev/daxfs/it", pool.data + ready * CHUNK) == "True True"
    assert len(pool.attached()) == 1, "only the kernel takes part"


def test_mounting_by_the_pools_name(story, attached):
    _, pool = story
    attached.run("mount -i -t daxfs -o ro,image=small0 pool:it /image")
    daxfs.assert_daxfs(attached, attached.built, "/image")
    assert attached.read_text("/image/deep/er/file") == "content 0\n"
    attached.run("umount /image")
    programs.install_tool(attached, "mount.daxfs", "/sbin")
    attached.run("mount -t daxfs -o image=small1,nosuid pool:it /image")
    assert attached.read_text("/image/deep/er/file") == "content 1\n"
    attached.run("umount /image")
    done = attached.run("mount -t daxfs -o image=nowhere pool:it /image", check=False)
    assert done.rc != 0 and "image=nowhere: not in pool" in done.stderr, done.stderr
    for source, options, text in (("pool:other", "image=small0", "no pool other is attached"),
                                  ("pool:it", "ro", "say which image"),
                                  ("pool:it", "image=small0,phys=0,size=2M", "contradict pool:it")):
        done = attached.run(["mount", "-i", "-t", "daxfs", "-o", options, source, "/image"], check=False)
        assert done.rc != 0 and re.search(text, said(attached)), f"{said(attached)}\n{done.stderr}"


def test_writing_ends_with_the_seal_and_the_life_with_the_file(story, attached):
    _, pool = story
    slot = next(slot for slot in range(pool.slots) if pool.word("slot words", slot) & 15 == 0)
    row = next(row for row in range(pool.rows) if pool.word("row words", row) & 15 == 0)
    chunk = next(chunk for chunk in range(pool.chunks - 1)
                 if not pool.word("owners", chunk) and not pool.word("owners", chunk + 1))
    host = next(iter(pool.attached().values()))
    with pool.restored():
        told = device(attached, "build", "/dev/daxfs/it", pool.table["slot words"] + 8 * slot, slot,
                      pool.table["row words"] + 8 * row, row, pool.table["owners"] + 8 * chunk,
                      pool.data + chunk * CHUNK, host).splitlines()
        assert told == [f"not attached {ESTALE}", f"another host {EPERM}", f"out of range {EINVAL}", "life 0",
                        f"taken {EBUSY}", f"before {SIGBUS}", "building 0 0", f"neighbour {SIGBUS}",
                        f"another file {SIGBUS}", "seal 0", f"sealed {SIGBUS} building",
                        f"sealed out of range {EINVAL}"]
        assert pool.memory.read(pool.data + chunk * CHUNK, 8) == b"building"
        assert pool.word("slot words", slot) & 15 == DEAD, "the file is closed, the slot lives on"


def test_an_image_built_through_the_device(story, attached, tmp_path):
    vms, pool = story
    programs.install_tool(attached, "daxfs-build")
    programs.install_tool(attached, "daxfsctl")
    tree = attached.share / "built-here"
    tree.mkdir()
    shutil.copy(pool.trees["straight"] / "small", tree / "small")
    (tree / "hello").write_text("hello\n")
    environment = f"DAXFS_HOST_ID={HOST_IDS[1]} DAXFS_RUN_DIR=/run/daxfs"
    kernels = pool.attached()
    attached.run(f"{environment} daxfs-build dir:/mnt/share/built-here --pool /dev/daxfs/it --name built", timeout=120)
    assert pool.attached() == kernels, "the builder is gone, its slot is not"
    for vm in vms:
        mount(vm, "built", "/image")
        assert vm.read_text("/image/hello") == "hello\n"
        content = hashlib.sha256((tree / "small").read_bytes()).hexdigest()
        assert vm.run("sha256sum /image/small").stdout.split()[0] == content
        vm.run("umount /image")
    assert "built" in attached.run(f"{environment} daxfsctl pool ls /dev/daxfs/it").stdout
    attached.run(f"{environment} daxfsctl pool rm /dev/daxfs/it built")


def test_a_program_that_looks_keeps_no_image(story, attached):
    """Mappings of the device are taken away before an image is parked for them; a name that goes takes nothing from
    who has it open."""
    _, pool = story
    row = pool.images["straight"]
    mount(attached, "straight")
    places = [pool.data + chunk * CHUNK for chunk in pool.chain(row)]
    held = attached.popen(["python3", "/mnt/share/pool_device.py", "hold", "/dev/daxfs/it", *map(str, places)],
                          stdin=b"")
    assert held.wait_output("held", 30)
    attached.run("umount /straight")
    wait_until(lambda: not pool.users(row), "the use is kept for a mapping")
    assert device(attached, "detach", "it") == "0"
    assert attached.run("test -e /dev/daxfs/it", check=False).rc != 0
    assert attached.run(["rmmod", "daxfs"], check=False).rc != 0
    held.write(b"go\n")
    assert held.wait(30) and "let go" in held.stdout, held.stdout + held.stderr
    seen = re.findall(r"(?:held|let go) (\d+)", held.stdout)
    assert len(seen) == 2 and seen[0] == seen[1]
    wait_until(lambda: not pool.attached(), "the kernel still takes part")
    phys, size = attached.nvdimm
    assert device(attached, "attach", "it", phys, size) == "0"


def test_attached_at_load(story, attached, daxfs_module):
    _, pool = story
    assert device(attached, "detach", "it") == "0"
    module.unload(attached, daxfs_module)
    assert not pool.attached()
    phys, size = attached.nvdimm
    module.load(attached, daxfs_module, f"host_id={HOST_IDS[1]} attach=boot,{phys:#x},{size}")
    attached.run("mount -i -t daxfs -o ro,image=small1 pool:boot /image")
    assert attached.read_text("/image/deep/er/file") == "content 1\n"
    attached.run("umount /image")
    module.unload(attached, daxfs_module)  # what is attached and not open goes with the module
    assert not pool.attached()
    module.load(attached, daxfs_module, f"host_id={HOST_IDS[1]} attach=boot,{phys:#x}")
    assert "not attached" in said(attached)
    assert device(attached, "attach", "it", phys, size) == "0"


def test_everything_is_given_back(story, daxfs_module):
    """Last in this file."""
    vms, pool = story
    device(vms[1], "detach", "it")
    wait_until(lambda: not pool.attached(), "a kernel still takes part")
    for vm in vms:
        module.unload(vm, daxfs_module)
        assert vm.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip() == "0"
        vm.assert_clean_log()
