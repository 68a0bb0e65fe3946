# SPDX-License-Identifier: Apache-2.0
"""daxfsctl image extract: the same files again, as a directory and as a tar; what fails leaves nothing.

Images with what only root can make in a directory are made of dumps, which anybody can write."""

import hashlib
import io
import os
import resource
import signal
import stat
import subprocess
import tarfile
import time

import pytest
from layouts import Layout

COMMON = "mode=0640 uid=4000000000 gid=2097153 mtime=-1.500000000"
HEADER = """daxfs-dump 1
option profile layer
option huge_min_bytes 0
option data_align_bytes 4096
option flattened no
option user_xattr no
option source none
/ directory mode=0711 uid=0 gid=0 mtime=7.000000001
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def make_tree(root):
    """Everything an ordinary user can make."""
    (root / "dir" / "deep").mkdir(parents=True)
    (root / "dir" / "file").write_bytes(b"content\0\n")
    (root / "dir" / "large").write_bytes(os.urandom(1) * 1_500_000)
    (root / "empty").touch()
    with open(root / "sparse", "wb") as file:
        file.truncate(9_000_000)
        file.seek(4_000_000)
        file.write(b"island")
    with open(root / "hole", "wb") as file:
        file.truncate(300_000)
    os.link(root / "dir" / "file", root / "hard")
    os.symlink(b"dir/\xfe file", os.fsencode(root / "link"))
    os.link(root / "link", root / "dir" / "link-again", follow_symlinks=False)
    os.mkfifo(root / "fifo", 0o600)
    with open(os.fsencode(root) + b"/caf\xe9\n\\", "wb") as file:
        file.write(b"odd")
    for name, mode in (("dir/file", 0o4711), ("dir/deep", 0o1750), ("dir", 0o555), ("empty", 0o400), (".", 0o751)):
        os.chmod(root / name, mode)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)
    os.utime(root, ns=(0, -86_399_999_999_999))


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    make_tree(root)
    yield root
    os.chmod(root / "dir", 0o755)


def image_of(build, source, path, *more):
    build.ok(source, "-o", path, *more)
    return path.read_bytes()


def from_dump(build, tmp_path, lines, files=()):
    """An image of a dump's lines; files are (name, content)."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    for name, content in files:
        (data / name).write_bytes(content)
    (tmp_path / "dump").write_text(HEADER + "".join(line + "\n" for line in lines) + "end\n")
    build.ok(f"dump:{tmp_path / 'dump'}", "--data", data, "-o", tmp_path / "image")
    return tmp_path / "image"


@pytest.mark.parametrize("exists", [False, True])
def test_a_directory_again(build, ctl, tree, tmp_path, exists):
    os.mknod(tree / "socket", stat.S_IFSOCK | 0o755)
    os.utime(tree / "socket", ns=(0, 5))
    os.utime(tree, ns=(0, 6))
    image = image_of(build, f"dir:{tree}", tmp_path / "image")
    if exists:
        (tmp_path / "out").mkdir()
    ctl.ok("image", "extract", tmp_path / "image", "-o", f"dir:{tmp_path / 'out'}/")
    try:
        assert image_of(build, f"dir:{tmp_path / 'out'}", tmp_path / "again") == image
        sparse = (tmp_path / "out" / "sparse").stat()
        assert sparse.st_size == 9_000_000 and sparse.st_blocks * 512 < 3_000_000  # one granule of a HUGE file
        assert (tmp_path / "out" / "hole").stat().st_blocks == 0
    finally:
        os.chmod(tmp_path / "out" / "dir", 0o755)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "image", "out", "tree"]


def test_a_tar_again(build, ctl, tree, tmp_path):
    """GNU tar reads what we write: the directory it makes is the same image."""
    image = image_of(build, f"dir:{tree}", tmp_path / "image")
    ctl.ok("image", "extract", tmp_path / "image", "-o", f"tar:{tmp_path / 'out.tar'}")
    assert (tmp_path / "out.tar").stat().st_size < 5_000_000  # the holes are none of it
    piped = subprocess.run([ctl.path, "image", "extract", tmp_path / "image", "-o", "tar:-"], check=True,
                           capture_output=True).stdout
    assert piped == (tmp_path / "out.tar").read_bytes()
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "out", "--numeric-owner", "-xpf", tmp_path / "out.tar"], check=True)
    try:
        assert image_of(build, f"dir:{tmp_path / 'out'}", tmp_path / "again") == image
    finally:
        os.chmod(tmp_path / "out" / "dir", 0o755)


def test_what_only_root_makes_in_a_tar(build, ctl, tmp_path):
    binary = "a\\x00\\x0a\\x5c=\\xff"
    (tmp_path / "data" / "d").mkdir(parents=True)
    (tmp_path / "data" / "d" / "file").write_bytes(b"hello")
    image = from_dump(build, tmp_path, [
        f"/\\x0a\\xff symlink {COMMON} target=\\xfe",
        f"/block block {COMMON} device=4095:1048575",
        f"/d directory {COMMON} implicit",
        f"/d/file file {COMMON} size=5 sha256={sha256(b'hello')}",
        f"  xattr security.capability={binary}",
        "  xattr user.empty=",
        f"/e directory {COMMON} implicit",
        "/h hardlink target=/\\x0a\\xff",
        f"/opaque directory {COMMON} implicit",
        "  xattr trusted.overlay.opaque=y",
        f"/opaque/x fifo {COMMON}",
        f"/wh character {COMMON} device=0:0",
    ])
    data = subprocess.run([ctl.path, "image", "extract", image, "-o", "tar:-"], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        members = {os.fsencode(member.name): member for member in tar.getmembers()}
    assert sorted(members) == [b"\n\xff", b".", b"block", b"d/file", b"e", b"h", b"opaque", b"opaque/x", b"wh"]
    assert members[b"."].mode == 0o711 and members[b"."].pax_headers["mtime"] == "7.000000001"
    assert members[b"h"].islnk() and os.fsencode(members[b"h"].linkname) == b"\n\xff"
    assert members[b"\n\xff"].issym() and os.fsencode(members[b"\n\xff"].linkname) == b"\xfe"
    block, white = members[b"block"], members[b"wh"]
    assert block.isblk() and (block.devmajor, block.devminor) == (4095, 1048575)
    assert white.ischr() and (white.devmajor, white.devminor) == (0, 0)
    file = members[b"d/file"]
    assert (file.uid, file.gid, file.mode, file.pax_headers["mtime"]) == (4000000000, 2097153, 0o640, "-1.5")
    value = file.pax_headers["SCHILY.xattr.security.capability"]
    assert os.fsencode(value) == b"a\0\n\\=\xff" and file.pax_headers["SCHILY.xattr.user.empty"] == ""
    assert members[b"opaque"].pax_headers["SCHILY.xattr.trusted.overlay.opaque"] == "y"


def test_a_tar_as_a_layer(build, ctl, tmp_path):
    """What we write is a layer that becomes the same tree, but for the root, which a layer does not set."""
    later = COMMON.replace("-1.5", "1700000000.1")
    sparse = b"start" + bytes(400_000) + b"end"
    (tmp_path / "data").mkdir()
    image = from_dump(build, tmp_path, [
        f"/block block {later} device=4095:262143",
        "/d directory mode=0755 uid=0 gid=0 mtime=0.000000000 implicit",
        f"/d/\\xff= symlink {later.replace('0640', '0777')} target=\\xfe",
        f"/sparse file {later} size={len(sparse)} sha256={sha256(sparse)}",
        "  xattr security.label=a\\x00\\x0a\\x5c=\\xff",
        "/twice hardlink target=/sparse",
    ], [("sparse", sparse)])
    tar = subprocess.run([ctl.path, "image", "extract", image, "-o", "tar:-"], check=True, capture_output=True).stdout
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar]))
    build.ok(f"oci:{layout.path}", "-o", tmp_path / "again", "--flatten")
    lines = ctl.run("image", "diff", image, tmp_path / "again").stdout.splitlines()
    assert [line for line in lines if not line.startswith("/: ")] == []


# (lines of the dump, arguments, part of the message)
REFUSED = {
    "socket": ([f"/s socket {COMMON}"], "tar:{out}", "/s: a tar cannot hold a socket: extract to dir:, or"),
    "time": (["/t fifo mode=0644 uid=0 gid=0 mtime=-0.500000000"], "tar:{out}", "/t: a time less than one second"),
    "xattr": ([f"/x fifo {COMMON}", "  xattr user.a\\x3db=c"], "tar:{out}", "/x: a tar cannot hold an extended attr"),
    "stdout": ([f"/s socket {COMMON}"], "tar:-", "a tar cannot hold a socket"),
    "unknown xattr": (["/x fifo mode=0644 uid={uid} gid={gid} mtime=0.000000000", "  xattr none.such=c"], "dir:{out}",
                      "/x: set extended attribute none.such: Operation not supported"),
    "root's xattr": (["  xattr none.such=c", "/x fifo mode=0644 uid={uid} gid={gid} mtime=0.000000000"], "dir:{out}",
                     "set extended attribute none.such"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(build, ctl, tmp_path, case):
    lines, output, message = REFUSED[case]
    image = from_dump(build, tmp_path, [line.format(uid=os.getuid(), gid=os.getgid()) for line in lines])
    before = sorted(tmp_path.iterdir())
    result = ctl.run("image", "extract", image, "-o", output.format(out=tmp_path / "out"))
    assert result.returncode == 1 and message in result.stderr, result.stderr
    assert result.stdout == "" and sorted(tmp_path.iterdir()) == before


def test_sockets_are_skipped_when_asked(build, ctl, tmp_path):
    image = from_dump(build, tmp_path, [f"/f fifo {COMMON}", f"/s socket {COMMON}"])
    ctl.ok("image", "extract", image, "-o", f"tar:{tmp_path / 'out'}", "--skip-sockets")
    assert tarfile.open(tmp_path / "out").getnames() == [".", "f"]


@pytest.mark.skipif(os.getuid() != 0, reason="owners, devices and set-id files of others are root's to make")
def test_what_only_root_makes_in_a_directory(build, ctl, tmp_path):
    image = from_dump(build, tmp_path, [
        "/block block mode=0640 uid=5 gid=6 mtime=-0.500000000 device=8:1",
        "/f file mode=6755 uid=1000 gid=70000 mtime=1.000000001 size=0 sha256=" + sha256(b""),
        "  xattr user.note=\\x00",
        "/null character mode=0666 uid=0 gid=0 mtime=0.000000000 device=1:3",
        "/socket socket mode=0700 uid=3 gid=4 mtime=5.000000000",
    ], [("f", b"")])
    ctl.ok("image", "extract", image, "-o", f"dir:{tmp_path / 'out'}")
    dumps = []
    for source in (image, tmp_path / "again"):
        if source != image:
            build.ok(f"dir:{tmp_path / 'out'}", "-o", source, "--huge-min", "0")
        dumps.append([line for line in ctl.ok("image", "dump", source).splitlines() if line.startswith(("/", "  x"))])
    assert dumps[0] == dumps[1]


def test_a_target_in_use_is_refused(build, ctl, tree, tmp_path):
    build.ok(f"dir:{tree}", "-o", tmp_path / "image")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    before = sorted(tmp_path.rglob("*"))
    for target, message in (("full", "exists and is not empty"), ("image", "exists and is no directory"),
                            ("link", "exists and is no directory"), ("none/out", "No such file")):
        result = ctl.run("image", "extract", tmp_path / "image", "-o", f"dir:{tmp_path / target}")
        assert result.returncode == 1 and message in result.stderr
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["dir", "tar"])
def test_a_full_medium_leaves_nothing(build, ctl, tree, tmp_path, kind):
    build.ok(f"dir:{tree}", "-o", tmp_path / "image")
    before = sorted(tmp_path.iterdir())
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    result = ctl.run("image", "extract", tmp_path / "image", "-o", f"{kind}:{tmp_path / 'out'}", preexec_fn=limit)
    assert result.returncode == 1 and "File too large" in result.stderr, result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_signal_leaves_nothing(build, ctl, tmp_path):
    (tmp_path / "tree").mkdir()
    for number in range(30000):
        (tmp_path / "tree" / str(number)).touch()
    build.ok(f"dir:{tmp_path / 'tree'}", "-o", tmp_path / "image")
    (tmp_path / "made").mkdir()
    process = subprocess.Popen([ctl.path, "image", "extract", tmp_path / "image", "-o", f"dir:{tmp_path}/made/out"],
                               stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list((tmp_path / "made").glob("out.part.*/1*")):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    if process.returncode == 0:  # it was done before the signal came: a whole output is right too
        assert len(list((tmp_path / "made" / "out").iterdir())) == 30000
    else:
        assert process.returncode == 1 and "interrupted" in stderr
        assert list((tmp_path / "made").iterdir()) == []


def test_a_damaged_image_leaves_nothing(build, ctl, tree, tmp_path):
    image = bytearray(image_of(build, f"dir:{tree}", tmp_path / "image"))
    position = image.rindex(b"link-again")
    image[position] ^= 1  # a name without its hash
    (tmp_path / "image").write_bytes(image)
    before = sorted(tmp_path.iterdir())
    for kind in ("dir", "tar"):
        result = ctl.run("image", "extract", tmp_path / "image", "-o", f"{kind}:{tmp_path / 'out'}")
        assert result.returncode == 1 and "hash" in result.stderr
        assert sorted(tmp_path.iterdir()) == before
