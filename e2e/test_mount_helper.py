# SPDX-License-Identifier: Apache-2.0
"""mount.daxfs: a device name becomes a range, its driver lets go, and gets it back when the mount fails."""

import re
import subprocess

import pytest

from e2e.harness import daxfs, module, programs

pytestmark = pytest.mark.every_kernel

LEGACY = "32M!512M"  # memory of the guest's own that its firmware calls persistent, without an NFIT
LEGACY_PHYS = 512 << 20


@pytest.fixture(scope="module")
def story(start_vms, shared_memory, daxfs_module, tmp_path_factory):
    """A guest with module and helper; the image's bytes; the memory is still empty."""
    vm = start_vms("helper", memory=shared_memory, append=f"memmap={LEGACY}")[0]
    work = tmp_path_factory.mktemp("helper")
    (work / "tree").mkdir()
    (work / "tree" / "hello").write_text("hello\n")
    programs.build_image(f"dir:{work}/tree", work / "image")
    module.load(vm, daxfs_module)
    programs.install_tool(vm, "mount.daxfs", "/sbin")
    vm.run("mkdir -p /image")
    vm.image = (work / "image").read_bytes()
    return vm


@pytest.fixture
def placed(story):
    """The image at the start of the memory; gone afterwards."""
    story.memory.write(0, story.image)
    yield story
    story.run("umount /image", check=False)
    story.memory.write(0, bytes(len(story.image)))


def mounted(vm):
    return vm.run("grep -c ' daxfs ' /proc/mounts", check=False).stdout.strip() != "0"


def test_a_plain_range(placed, daxfs_module):
    phys = placed.nvdimm[0]
    placed.run(f"mount -t daxfs -o phys={phys},size=2M,nosuid none /image")
    daxfs.assert_daxfs(placed, daxfs_module, "/image")
    assert placed.read_text("/image/hello") == "hello\n"
    options = placed.run("findmnt -n -o OPTIONS /image").stdout.strip()
    assert "nosuid" in options and f"phys={phys:#x},size=2097152" in options


def test_a_pmem_device(placed, daxfs_module):
    placed.run("modprobe nd_pmem && test -b /dev/pmem0")
    done = placed.run("mount -v -t daxfs /dev/pmem0 /image")
    assert f"{placed.nvdimm[0]:#x}" in done.stderr and "taken from its driver" in done.stderr
    daxfs.assert_daxfs(placed, daxfs_module, "/image")
    assert placed.read_text("/image/hello") == "hello\n"
    assert placed.run("findmnt -n -o SOURCE /image").stdout.strip() == "/dev/pmem0"
    placed.run("umount /image")
    placed.run("echo namespace0.0 > /sys/bus/nd/drivers/nd_pmem/bind && test -b /dev/pmem0")


def test_a_device_without_an_image_stays_its_drivers(story):
    story.run("modprobe nd_pmem && test -b /dev/pmem0")
    done = story.run("mount -t daxfs /dev/pmem0 /image", check=False)
    assert done.rc != 0 and "no DAXFS magic" in done.stderr, done.stderr
    assert not mounted(story) and story.run("test -b /dev/pmem0").rc == 0
    story.run("mkfs.ext4 -q /dev/pmem0 && mount /dev/pmem0 /image")
    done = story.run("mount.daxfs /dev/pmem0 /mnt", check=False)
    assert done.rc == 1 and "is in use" in done.stderr, done.stderr
    story.run("umount /image && wipefs -q -a /dev/pmem0")


def test_a_devdax_device(story, daxfs_module):
    """A namespace in devdax mode with its struct pages in ordinary memory, so nothing writes into the shared one."""
    story.run("modprobe nd_pmem; modprobe device_dax; ndctl create-namespace -f -e namespace0.0 -m devdax --map=mem")
    device = re.search(r"dax\d+\.\d+", story.run("ls /sys/bus/dax/devices").stdout).group(0)
    phys = int(story.read_text(f"/sys/bus/dax/devices/{device}/resource"), 16)
    story.memory.write(phys - story.nvdimm[0], story.image)
    done = story.run(f"mount -v -t daxfs /dev/{device} /image")
    assert f"{phys:#x}" in done.stderr
    daxfs.assert_daxfs(story, daxfs_module, "/image")
    assert story.read_text("/image/hello") == "hello\n"
    story.run("umount /image")
    story.run(f"echo {device} > /sys/bus/dax/drivers/device_dax/bind && test -c /dev/{device}")
    story.memory.write(phys - story.nvdimm[0], bytes(4096))
    done = story.run(f"mount -t daxfs /dev/{device} /image", check=False)
    assert done.rc != 0 and "no DAXFS magic" in done.stderr
    story.run(f"test -c /dev/{device}")


@pytest.fixture
def dax_device(story):
    """The name of the namespace as a dax device with the image in it, nobody's or some driver's."""
    if not story.run("ls /sys/bus/dax/devices", check=False).stdout.strip():
        story.run("modprobe nd_pmem; modprobe device_dax; "
                  "ndctl create-namespace -f -e namespace0.0 -m devdax --map=mem")
    device = re.search(r"dax\d+\.\d+", story.run("ls /sys/bus/dax/devices").stdout).group(0)
    offset = int(story.read_text(f"/sys/bus/dax/devices/{device}/resource"), 16) - story.nvdimm[0]
    story.memory.write(offset, story.image)
    yield device
    story.run("umount /image", check=False)
    story.memory.write(offset, bytes(len(story.image)))


def test_a_dax_device_of_filesystems(dax_device, story, daxfs_module):
    """fsdev_dax has no pages that could be mapped the module's way: it is asked to let go, as device_dax is."""
    if story.run("modprobe fsdev_dax", check=False).rc != 0:
        pytest.skip("this kernel has no fsdev_dax")
    drivers = "/sys/bus/dax/drivers"
    story.run(f"cd {drivers}; echo {dax_device} > device_dax/unbind 2>/dev/null; "
              f"echo {dax_device} > fsdev_dax/new_id; test -e fsdev_dax/{dax_device}")
    phys = int(story.read_text(f"/sys/bus/dax/devices/{dax_device}/resource"), 16)
    done = story.run(f"mount -i -t daxfs -o ro,phys={phys},size=2M none /image", check=False)
    assert done.rc != 0 and re.search("(held|mapped) by another driver", story.kernel_log()), done.stderr
    assert not mounted(story)
    done = story.run(f"mount -v -t daxfs /dev/{dax_device} /image")
    assert "taken from its driver" in done.stderr
    daxfs.assert_daxfs(story, daxfs_module, "/image")
    assert story.read_text("/image/hello") == "hello\n"
    assert story.run(f"test -e {drivers}/fsdev_dax/{dax_device}", check=False).rc != 0
    story.run("umount /image")


def test_legacy_persistent_memory(story, daxfs_module):
    """Nobody's, then by name from its driver."""
    assert "Persistent Memory (legacy)" in story.read_text("/proc/iomem")
    known = set(story.run("ls /sys/block").stdout.split())
    story.run("modprobe nd_e820 && modprobe nd_pmem")
    pmem = (set(story.run("ls /sys/block").stdout.split()) - known).pop()
    (story.share / "image").write_bytes(story.image)
    story.run(f"dd if=/mnt/share/image of=/dev/{pmem} conv=fsync bs=4k status=none")
    done = story.run(f"mount -v -t daxfs /dev/{pmem} /image")
    assert f"{LEGACY_PHYS:#x}" in done.stderr and "taken from its driver" in done.stderr
    daxfs.assert_daxfs(story, daxfs_module, "/image")
    assert story.read_text("/image/hello") == "hello\n"
    story.run("umount /image")
    daxfs.mount(story, daxfs_module, "/image", LEGACY_PHYS, 2 << 20)
    assert story.read_text("/image/hello") == "hello\n"
    story.run("umount /image")
    namespace = story.run("cd /sys/bus/nd/devices && for n in namespace*; do "
                          f"[ $(($(cat $n/resource))) = {LEGACY_PHYS} ] && echo $n; done", check=False).stdout.strip()
    story.run(f"echo {namespace} > /sys/bus/nd/drivers/nd_pmem/bind && test -b /dev/{pmem}")


BAD = [
    ("", 2, "SOURCE and DIR"),
    ("none /image", 2, "phys=ADDRESS"),
    ("none /image -o phys=0x100001000,size=2M", 1, "not a multiple of 2 MiB"),
    ("none /image -o phys=4G,size=2M", 1, "no DAXFS magic|(held|mapped) by another driver"),
    ("none /image -o phys=zero,size=2M", 1, "not a number"),
    ("none /image -o phys=0,size=0", 1, "out of range"),
    ("none /image -o phys=0x200000,size=2M", 1, "System RAM"),
    ("none /image -o phys=0x100000000000,size=4E", 1, "not a number|beyond"),
    ("none /image -o phys=0x100000000000,size=4000000T", 1, "beyond"),
    ("none /image -o phys=0x100000000,size=2M,wrong=1", 1, "[Uu]nknown parameter|wrong"),
    ("none /nowhere -o phys=0x100000000,size=2M", 1, "No such file or directory"),
    ("/dev/dax9.9 /image", 1, "no such dax device"),
    ("/dev/pmem9 /image", 1, "no such pmem device"),
    ("/dev/null /image", 2, "neither /dev/daxX.Y nor /dev/pmemN"),
    ("/dev/pmem9 /image -o phys=0", 2, "contradicts"),
]


@pytest.mark.parametrize("arguments,code,text", BAD, ids=[row[0] or "nothing" for row in BAD])
def test_bad_input(story, arguments, code, text):
    done = story.run(f"mount.daxfs {arguments}", check=False)
    assert done.rc == code and re.search(text, done.stderr), f"rc={done.rc}\n{done.stderr}"
    assert not mounted(story)
    assert story.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip() == "0"


def test_help_and_version():
    for argument, text in (("--help", "Usage: mount.daxfs"), ("--version", "mount.daxfs ")):
        done = subprocess.run([programs.tool("mount.daxfs"), argument], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(text)
