# SPDX-License-Identifier: Apache-2.0
"""Images in dma-bufs of others, and dma-bufs of images for the devices of others."""

import random
import re
import shutil
import subprocess

import pytest

from e2e.harness import daxfs, module, programs

pytestmark = pytest.mark.every_kernel

PAGE, CHUNK = 4096, 2 << 20


@pytest.fixture(scope="module")
def guest(vm, daxfs_module, stock_kernel, tmp_path_factory):
    """A guest with both modules, mapcheck's tree and some files as an image at /image, and its file in the share."""
    work = tmp_path_factory.mktemp("buffers")
    tree = work / "tree"
    (tree / "folder").mkdir(parents=True)
    for name in ("mapcheck", "dmabuf"):
        vm.put(programs.compile_static(name, work), f"/usr/local/bin/{name}")
    subprocess.run([work / "mapcheck", "generate", tree], check=True)
    (tree / "odd").write_bytes(random.Random(5).randbytes(3 * PAGE + 5))
    vm.get("/usr/bin/busybox", tree / "busybox")
    (tree / "busybox").chmod(0o755)
    vm.size = programs.build_image(f"dir:{tree}", vm.share / "image.daxfs")
    vm.memory.write(0, (vm.share / "image.daxfs").read_bytes())
    for path in tree.iterdir():
        if path.is_file():
            shutil.copy(path, vm.share)
    vm.run("mkdir -p /scratch /buffer")
    module.load(vm, daxfs_module, "dma_buf_mappable=system,daxfs_test_buffers")
    module.load(vm, module.build_test_module("buffers", stock_kernel, work))
    vm.run("chmod 0666 /dev/daxfs_test_buffers")
    daxfs.mount(vm, daxfs_module, "/image", vm.nvdimm[0], vm.size)
    return vm


@pytest.fixture(autouse=True)
def nothing_left(guest):
    """No dma-buf is left, whoever made it."""
    yield
    guest.run("umount /buffer", check=False)
    assert guest.run("ls /sys/fs/daxfs | grep -c dma-buf", check=False).stdout == "0\n"
    assert buffers(guest) == 0


def buffers(vm):
    """How many dma-bufs there are."""
    return int(re.search(r"Total (\d+) objects", vm.read_text("/sys/kernel/debug/dma_buf/bufinfo")).group(1))


def mount(vm, kind, *options):
    return vm.run(["dmabuf", "mount", kind, "/mnt/share/image.daxfs", "/buffer", *options], check=False)


def has(vm, path):
    return vm.run(["test", "-e", path], check=False).rc == 0


def kinds_of_memory(vm):
    """What this kernel has whose pages programs may map."""
    return ["test"] + (["heap"] if has(vm, "/dev/dma_heap/system") else [])


# Import


def test_an_image_in_a_dma_buf(guest, daxfs_module):
    kinds = kinds_of_memory(guest)
    print("dma-bufs:", kinds)
    assert ("heap" in kinds) != guest.run(["uname", "-r"]).stdout.startswith("6.1."), "Debian's 6.1 has no heaps"
    for kind in kinds:
        done = mount(guest, kind, "name=one", "verify=full")
        assert done.rc == 0, done.stderr
        daxfs.assert_daxfs(guest, daxfs_module, "/buffer")
        options = guest.run(["findmnt", "-n", "-o", "OPTIONS", "-M", "/buffer"]).stdout
        assert "name=one,verify=full" in options and "phys=" not in options
        for name in ("huge", "small", "sparse", "odd"):
            assert guest.run(["cmp", f"/buffer/{name}", f"/mnt/share/{name}"]).rc == 0
        programs.check_mappings(guest, "/buffer")
        assert guest.run(["/buffer/busybox", "echo", "started"]).stdout == "started\n"
        shown = guest.run("cat /sys/fs/daxfs/dma-buf-*/reads /sys/fs/daxfs/dma-buf-*/window_faults").stdout.split()
        assert all(int(number) for number in shown)
        guest.run("umount /buffer")


def test_pages_of_a_page_cache_are_read_alone(guest):
    if not has(guest, "/dev/udmabuf"):
        pytest.skip(f"{guest.run(['uname', '-r']).stdout.strip()} has no udmabuf")
    done = mount(guest, "udmabuf")
    assert done.rc == 0, done.stderr
    assert guest.run(["cmp", "/buffer/huge", "/mnt/share/huge"]).rc == 0
    mapped = guest.run(["mapcheck", "pfn", "/buffer/small", "0"], check=False)
    assert mapped.rc != 0 and "No such device" in mapped.stderr + mapped.stdout
    started = guest.run("/buffer/busybox echo started", check=False)
    assert started.rc != 0


def test_a_page_outlives_the_buffer(guest):
    for kind in kinds_of_memory(guest):
        assert mount(guest, kind).rc == 0
        held = guest.popen(["mapcheck", "hold", "/buffer/small"], stdin=b"")
        assert held.wait_output("held\n", 30)
        guest.run("umount /buffer")
        assert buffers(guest) == 0
        held.write(b"go\n")
        assert held.wait(30) and "intact" in held.stdout, held.stdout + held.stderr


def test_one_buffer_mounted_twice(guest):
    guest.run("mkdir -p /second")
    done = mount(guest, "test", "twice=/second")
    assert done.rc == 0, done.stderr
    assert guest.run("stat -c %d /buffer /second | uniq | wc -l").stdout == "1\n"
    guest.run("umount /buffer")
    assert guest.run(["cmp", "/second/huge", "/mnt/share/huge"]).rc == 0
    guest.run("umount /second")


def test_what_is_refused(guest):
    for options, words in ((["phys=0x100000000"], "contradict dmabuf"), (["image=name"], "contradict dmabuf"),
                           (["verify=what"], "verify"), (["dmabuf=0"], "is no dma-buf"),
                           (["dmabuf=77"], "is no dma-buf")):
        done = mount(guest, "test", *options)
        assert done.rc != 0 and words in done.stderr, (options, done.stderr)
        assert buffers(guest) == 0
    (guest.share / "short.daxfs").write_bytes(b"no image")
    done = guest.run("dmabuf mount test /mnt/share/short.daxfs /buffer", check=False)
    assert done.rc != 0 and "no DAXFS magic" in done.stderr, done.stderr


# Export


def export(vm, path, offset=0, length=0, how="device", *more, user=None):
    argv = ["dmabuf", "export", path, str(offset), str(length), how, *more]
    if user:
        argv = ["setpriv", f"--reuid={user}", "--clear-groups", *argv]
    return vm.run(argv, check=False)


def rounded(data):
    return data + bytes(-len(data) % PAGE)


@pytest.mark.parametrize("how", [("device", ), ("both", "writable"), ("kernel", "writable")])
def test_an_importer_has_the_bytes(guest, how):
    for name in ("odd", "small", "huge", "busybox"):
        data = rounded((guest.share / name).read_bytes())
        done = export(guest, f"/image/{name}", 0, 0, *how)
        assert done.rc == 0, done.stderr
        assert done.stdout_bytes == data, name
        assert export(guest, f"/image/{name}", PAGE, 2 * PAGE, *how).stdout_bytes == data[PAGE:3 * PAGE]
    image = (guest.share / "image.daxfs").read_bytes()
    assert export(guest, "/image", 0, 0, *how).stdout_bytes == image


def test_nothing_damaged_is_exported(guest):
    image = bytearray((guest.share / "image.daxfs").read_bytes())
    at = image.index((guest.share / "odd").read_bytes()[:PAGE]) + PAGE
    guest.run("mkdir -p /verified")
    options = f"ro,phys={guest.nvdimm[0] + (256 << 20):#x},size={guest.size},verify=lazy"
    guest.memory.write((256 << 20), bytes(image))
    guest.memory.write((256 << 20) + at, bytes([image[at] ^ 1]))
    guest.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", "/verified"])
    assert export(guest, "/verified/huge").stdout_bytes == rounded((guest.share / "huge").read_bytes())
    for path in ("/verified/odd", "/verified"):
        assert "Structure needs cleaning" in export(guest, path).stderr
    guest.run("umount /verified")


def test_what_is_not_exported(guest):
    for arguments, words in (
            (("/image/small", 1), "Invalid argument"), (("/image/small", 0, 100), "Invalid argument"),
            (("/image/small", 1 << 40), "Invalid argument"), (("/image/small", 0, 1 << 40), "Invalid argument"),
            (("/image/small", (1 << 64) - PAGE, 2 * PAGE), "Invalid argument"),
            (("/image/sparse", ), "No such device or address"), (("/image/folder", ), "Is a directory"),
            (("/image/small", 0, 0, "both"), "import: Permission denied"),
            (("/image/small", 0, 0, "kernel"), "import: Invalid argument")):
        done = export(guest, *arguments)
        assert done.rc != 0 and words in done.stderr, (arguments, done.stderr)
        assert buffers(guest) == 0
    assert export(guest, "/image/sparse", 0, 64 * PAGE).rc == 0, "its data before the hole"
    assert mount(guest, "test").rc == 0
    assert "Operation not supported" in export(guest, "/buffer/small").stderr


def test_who_may(guest):
    """A file: who may read it. The image, which has files of others, and a buffer that may be written: the
    administrator."""
    data = rounded((guest.share / "odd").read_bytes())
    assert export(guest, "/image/odd", user="nobody").stdout_bytes == data
    assert "Operation not permitted" in export(guest, "/image", user="nobody").stderr
    assert "Operation not permitted" in export(guest, "/image/odd", 0, 0, "both", "writable", user="nobody").stderr


def test_a_dma_buf_outlives_the_mount(guest, daxfs_module):
    """Last in this file: unmounted, and the module asked to go, under it."""
    held = guest.popen(["dmabuf", "hold", "/image/huge"], stdin=b"")
    assert held.wait_output("held\n", 30)
    assert buffers(guest) == 1
    guest.run("umount /image")
    assert guest.run("grep -c ': daxfs' /proc/iomem").stdout == "1\n", "given back under a dma-buf"
    assert guest.run(["rmmod", "daxfs"], check=False).rc != 0
    daxfs.mount(guest, daxfs_module, "/image", guest.nvdimm[0], guest.size)  # the parked range is taken back
    assert guest.run(["cmp", "/image/small", "/mnt/share/small"]).rc == 0
    guest.run("umount /image")
    held.write(b"go\n")
    assert held.wait(30) and held.rc == 0, held.stderr
    assert held.stdout_bytes == b"held\n" + rounded((guest.share / "huge").read_bytes())
    guest.run("for i in $(seq 100); do grep -q ': daxfs' /proc/iomem || exit 0; sleep 0.1; done; exit 1")
    module.unload(guest, daxfs_module)
    guest.assert_clean_log()
    module.load(guest, daxfs_module)
