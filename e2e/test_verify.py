# SPDX-License-Identifier: Apache-2.0
"""verify=: what a mount compares with an image's digests, and what comes of bytes that are not what they say."""

import random
import re
import struct

import pytest

from e2e.harness import daxfs, module, programs

pytestmark = pytest.mark.every_kernel

PAGE, PIECE, CHUNK = 4096, 64 << 10, 2 << 20
SUPER_DATA = 0x60  # where the superblock says which bytes are data
SIZES = {"small": 1 << 20, "huge": 3 * CHUNK, "other": 5 * PAGE + 7}
# The byte at an offset of a mapped file.
TOUCH = """
import mmap, os, sys
print(mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)[int(sys.argv[2])])
"""


@pytest.fixture(scope="module")
def guest(vm, daxfs_module, tmp_path_factory):
    """A guest with the module, and an image in the memory."""
    work = tmp_path_factory.mktemp("verify")
    tree = work / "tree"
    tree.mkdir()
    vm.content = {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}
    for name, data in vm.content.items():
        (tree / name).write_bytes(data)
        (vm.share / name).write_bytes(data)
    programs.build_image(f"dir:{tree}", work / "image", "--huge-min", "2M")
    vm.image = (work / "image").read_bytes()
    vm.start = {name: vm.image.index(data[:PAGE]) for name, data in vm.content.items()}
    vm.run(["tee", "/tmp/touch.py"], stdin=TOUCH)
    module.load(vm, daxfs_module)
    return vm


@pytest.fixture(autouse=True)
def good_again(guest):
    """Each test begins with a good image and an empty log, and leaves nothing mounted."""
    guest.memory.write(0, guest.image)
    guest.assert_clean_log()
    guest.run("dmesg --clear; sleep 1")
    yield
    guest.run("umount /image /again", check=False)
    assert guest.run("grep -c ': daxfs' /proc/iomem", check=False).stdout == "0\n"


def damage(vm, offset):
    vm.memory.write(offset, bytes([vm.image[offset] ^ 1]))


def mount(vm, level, where="/image"):
    """Mounts it as it is; what the command says."""
    options = f"ro,phys={vm.nvdimm[0]:#x},size={len(vm.image)}" + (f",verify={level}" if level else "")
    vm.run(["mkdir", "-p", where])
    return vm.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", where], check=False)


def level_of(vm, where="/image"):
    shown = vm.run(["findmnt", "-n", "-o", "OPTIONS", "-M", where]).stdout
    found = re.search(r"verify=(\w+)", shown)
    return found.group(1) if found else "none"


def pieces(vm):
    return int(vm.read_text(f"/sys/fs/daxfs/{vm.nvdimm[0]:#x}/verified_pieces"))


def touch(vm, name, at):
    """The byte at `at` of the mapped file, or the number of the signal."""
    done = vm.run(["sh", "-c", f"python3 /tmp/touch.py /image/{name} {at}; echo ended=$?"], check=False)
    return int(re.match(r"ended=(\d+)", done.stdout).group(1)) - 128 if done.stdout.startswith("ended") else \
        int(done.stdout.split()[0]) + 1000


def byte(vm, name, at):
    return vm.content[name][at] + 1000


@pytest.mark.parametrize("level", ["", "none", "meta", "lazy", "full"])
def test_a_good_image(guest, daxfs_module, level):
    data_offset, data_size = struct.unpack_from("<QQ", guest.image, SUPER_DATA)
    all_pieces = -(-(data_offset + data_size) // PIECE)
    assert mount(guest, level).rc == 0
    daxfs.assert_daxfs(guest, daxfs_module, "/image")
    assert level_of(guest) == (level or "none")
    looked_at = [pieces(guest)]
    assert looked_at[0] == all_pieces if level == "full" else looked_at[0] == 0
    for _ in range(2):
        for name in SIZES:
            assert guest.run(["cmp", f"/image/{name}", f"/mnt/share/{name}"]).rc == 0
        assert touch(guest, "huge", CHUNK + 5) == byte(guest, "huge", CHUNK + 5)
        looked_at.append(pieces(guest))
    assert looked_at[1] == looked_at[2], "a piece is looked at twice"
    if level == "lazy":
        assert sum(SIZES.values()) // PIECE <= looked_at[1] <= all_pieces
    else:
        assert looked_at[1] == looked_at[0]


@pytest.mark.parametrize("level", ["none", "meta", "lazy", "full"])
def test_damaged_metadata(guest, level):
    digests = guest.image.rindex(b"\0" * 8)  # behind the last digest comes nothing but padding
    last = max(i for i in range(len(guest.image)) if guest.image[i] and i <= digests)
    damage(guest, last)
    done = mount(guest, level)
    if level == "none":
        assert done.rc == 0
        return
    assert done.rc != 0
    assert "metadata is not what the root digest says" in guest.kernel_log()


def damaged_data(guest, name, at):
    """Damages a byte of a file; the positions of it that are in the same piece."""
    offset = guest.start[name] + at
    damage(guest, offset)
    begin = offset // PIECE * PIECE - guest.start[name]
    return max(begin, 0), min(begin + PIECE, SIZES[name])


def test_damaged_data_and_full(guest):
    damaged_data(guest, "small", 100 * PAGE)
    assert mount(guest, "meta").rc == 0
    guest.run("umount /image")
    assert mount(guest, "full").rc != 0
    piece = (guest.start["small"] + 100 * PAGE) // PIECE
    assert f"data of piece {piece}, at {piece * PIECE:#x}: not what its digest says" in guest.kernel_log()


def test_damaged_data_and_lazy(guest):
    begin, end = damaged_data(guest, "small", 100 * PAGE)
    assert mount(guest, "lazy").rc == 0
    read = guest.run(["cat", "/image/small"], check=False)
    assert read.rc != 0 and "Structure needs cleaning" in read.stderr
    assert read.stdout_bytes == guest.content["small"][:begin]
    rest = guest.run(f"dd if=/image/small bs={PAGE} skip={end // PAGE} status=none").stdout_bytes
    assert rest == guest.content["small"][end:]
    assert touch(guest, "small", 100 * PAGE) == 7, "no SIGBUS where the bytes are wrong"
    assert touch(guest, "small", begin) == 7
    assert touch(guest, "small", begin - 1) == byte(guest, "small", begin - 1)
    assert touch(guest, "small", end) == byte(guest, "small", end)
    assert guest.run(["cmp", "/image/other", "/mnt/share/other"]).rc == 0
    assert int(guest.read_text(f"/sys/fs/daxfs/{guest.nvdimm[0]:#x}/corruptions")) >= 2


def test_damaged_huge_page(guest, stock_kernel):
    begin, end = damaged_data(guest, "huge", CHUNK + 40 * PAGE)
    assert mount(guest, "lazy").rc == 0
    assert touch(guest, "huge", 0) == byte(guest, "huge", 0)
    assert touch(guest, "huge", 2 * CHUNK) == byte(guest, "huge", 2 * CHUNK)
    assert touch(guest, "huge", begin) == 7
    beside = touch(guest, "huge", end)
    if stock_kernel.release.startswith("7."):
        assert beside == byte(guest, "huge", end), "newer kernels show the rest by small pages"
    else:
        assert beside == 7, "before 6.15 a mapping of huge pages has no others"


def test_raised_by_another_mount(guest):
    begin, _ = damaged_data(guest, "small", 100 * PAGE)
    assert mount(guest, "none").rc == 0
    assert guest.run(["cat", "/image/small"]).stdout_bytes != guest.content["small"]
    assert mount(guest, "full", "/again").rc != 0 and level_of(guest) == "none", "a refused mount changed the other"
    assert mount(guest, "lazy", "/again").rc == 0
    assert guest.run("stat -c %d /image /again | uniq | wc -l").stdout == "1\n"
    assert level_of(guest) == level_of(guest, "/again") == "lazy"
    assert guest.run(["cat", "/image/small"], check=False).stdout_bytes == guest.content["small"][:begin]


def test_what_is_looked_at_again(guest):
    """Each mount with `full` looks at everything, whoever has done so before."""
    assert mount(guest, "full").rc == 0
    damaged_data(guest, "small", 0)
    assert mount(guest, "lazy", "/again").rc == 0 and level_of(guest, "/again") == "full"
    guest.run("umount /again")
    assert mount(guest, "full", "/again").rc != 0
    assert "not what its digest says" in guest.kernel_log()


def test_remount(guest):
    assert mount(guest, "lazy").rc == 0
    guest.run("mount -i -o remount,ro,noexec /image")
    guest.run("mount -i -o remount,ro,verify=meta /image")
    assert level_of(guest) == "lazy", "weakened by a remount"
    assert guest.run("mount -i -o remount,ro,verify=full /image", check=False).rc != 0
    assert "raised by mounting the image once more" in guest.kernel_log()


def test_other_ways_to_the_bytes(guest):
    """A private write, sendfile: neither shows what is damaged."""
    damaged_data(guest, "small", 100 * PAGE)
    assert mount(guest, "lazy").rc == 0
    write = "import mmap, os, sys\n" \
        "m = mmap.mmap(os.open('/image/small', os.O_RDONLY), 0, flags=mmap.MAP_PRIVATE)\n" \
        "m[100 * 4096] = 1\nprint('written')"
    done = guest.run(["sh", "-c", f'python3 -c "{write}"; echo ended=$?'], check=False)
    assert done.stdout == f"ended={128 + 7}\n", done.stdout
    send = "import os\n" \
        "i, o = os.open('/image/small', os.O_RDONLY), os.open('/tmp/sent', os.O_WRONLY | os.O_CREAT)\n" \
        "os.sendfile(o, i, 100 * 4096, 4096)"
    done = guest.run(["python3", "-c", send], check=False)
    assert done.rc != 0 and "Structure needs cleaning" in done.stderr, done.stderr


def test_words_that_are_no_level(guest):
    assert mount(guest, "some").rc != 0
    assert mount(guest, "lazy,verify").rc != 0
