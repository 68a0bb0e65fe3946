# SPDX-License-Identifier: Apache-2.0
"""What a mounted image answers: attributes, xattrs, handles, errors; and what it makes of images that lie."""

import re
from pathlib import Path

import pytest

from e2e.harness import daxfs, module, programs

pytestmark = pytest.mark.every_kernel

MUST_FAIL = Path(__file__).resolve().parents[1] / "tests" / "must_fail"
# In the guest: a handle of a file, its opening by that handle, and the same after caches are dropped.
HANDLES = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def handle_of(path):
    buffer = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128), 136)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), buffer, ctypes.byref(mount), 0):
        raise OSError(ctypes.get_errno(), path)
    return buffer
def open_handle(root, buffer):
    fd = libc.open_by_handle_at(root, buffer, os.O_RDONLY)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return fd
top = sys.argv[1]
kept = handle_of(top + "/deep/er/file")
open("/proc/sys/vm/drop_caches", "w").write("2")
root = os.open(top, os.O_RDONLY)
print(os.read(open_handle(root, kept), 100).decode(), end="")
stale = ctypes.create_string_buffer(struct.pack("IiQ", 8, 0xd1, 1 << 40), 136)
try:
    open_handle(root, stale)
except OSError as error:
    print(error.errno)
"""


@pytest.fixture(scope="module")
def guest(vm, daxfs_module):
    """A guest with the module loaded and nothing mounted."""
    module.load(vm, daxfs_module)
    vm.run("mkdir -p /image")
    return vm


@pytest.fixture
def mounted(guest, daxfs_module, tmp_path):
    """A small tree, mounted; its tar has what a directory cannot give without root: owners, devices, xattrs."""
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "file").write_text("content\n")
    (tree / "link").symlink_to("deep/er/file")
    size = programs.build_image(f"dir:{tree}", tmp_path / "image")
    guest.memory.write(0, (tmp_path / "image").read_bytes())
    daxfs.mount(guest, daxfs_module, "/image", guest.nvdimm[0], size)
    yield guest
    guest.run("umount /image")


def test_answers(mounted):
    assert mounted.read_text("/image/link") == "content\n"
    assert mounted.run("readlink /image/link").stdout == "deep/er/file\n"
    assert mounted.run("cat /image/nothing", check=False).stderr.endswith("No such file or directory\n")
    for command in ("touch /image/new", "rm /image/link", "mkdir /image/d", "chmod 700 /image/deep",
                    "mount -o remount,rw /image"):
        done = mounted.run(command, check=False)
        assert done.rc != 0 and re.search("[Rr]ead-only|write-protected", done.stderr), f"{command}: {done.stderr}"
    assert mounted.run("stat -c %i:%h /image/.").stdout == mounted.run("stat -c %i:%h /image/deep/..").stdout
    assert mounted.run("cd /image/deep/er && ls -a").stdout.split() == [".", "..", "file"]
    mounted.run("mkdir -p /twice && mount --bind /image /twice && umount /twice")


def test_one_superblock_however_often_it_is_mounted(mounted, daxfs_module):
    options = mounted.run("findmnt -n -o OPTIONS /image").stdout
    phys, size = re.search(r"phys=(\w+),size=(\d+)", options).groups()
    mounted.run("mkdir -p /again")
    daxfs.mount(mounted, daxfs_module, "/again", int(phys, 16), int(size))
    assert mounted.run("stat -c %d /image /again").stdout.split()[0] == mounted.run("stat -c %d /again").stdout.strip()
    other = mounted.run(f"mount -i -t daxfs -o phys={phys},size={int(size) * 2} none /again", check=False)
    assert other.rc != 0
    mounted.run("umount /again")


def test_file_handles(mounted):
    mounted.run(["tee", "/tmp/handles.py"], stdin=HANDLES)
    shown = mounted.run(["python3", "/tmp/handles.py", "/image"]).stdout
    assert shown == "content\n116\n", shown  # 116: ESTALE


# In the guest, for each image: mount it, walk it, unmount it; a line each of what came of it.
WALK_ALL = """
while read -r name phys size; do
  if ! mount -i -t daxfs -o phys=$phys,size=$size none /image 2> /tmp/said; then
    echo "$name refused"
    continue
  fi
  (cd /image; ls -lR; getfattr -d -m - file; cat file dir/*) > /tmp/shown 2>&1
  umount /image && echo "$name used $(grep -c 'Structure needs cleaning' /tmp/shown)"
done
"""


def test_images_that_lie_are_refused(guest):
    """Every image of tests/must_fail: refused at mount or while it is walked, and the kernel goes on."""
    images = sorted(MUST_FAIL.glob("*.daxfs"))
    assert len(images) >= 70
    listed = []
    for number, image in enumerate(images):
        data = image.read_bytes()
        at = number * (2 << 20)
        guest.memory.write(at, data + bytes(-len(data) % (2 << 20)))
        listed.append(f"{image.stem} {guest.nvdimm[0] + at} {2 << 20}")
    shown = guest.run(["bash", "-c", WALK_ALL], stdin="\n".join(listed) + "\n", timeout=180).stdout.splitlines()
    assert len(shown) == len(images), shown
    used = {line.split()[0]: int(line.split()[2]) for line in shown if " used " in line}
    assert [name for name, errors in used.items() if not errors] == [], "walked whole although they lie"
    assert "daxfs: image" in guest.kernel_log()
    print(f"{len(images)} images: {len(images) - len(used)} refused at mount, {len(used)} in use")
    assert len(used) > 20 and len(images) - len(used) > 20
    guest.assert_clean_log()
    assert guest.run("grep -c ': daxfs' /proc/iomem", check=False).stdout.strip() == "0"
