# SPDX-License-Identifier: Apache-2.0
"""daxfs-build from outside: what it makes, what it refuses, and that it leaves nothing behind."""

import gzip
import hashlib
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import time
import zlib

import pytest
from layouts import UNNAMED, UNNAMED_MODES, Layout, docker_archive, tar_of, zstd

# (arguments, part of the message); all are wrong usage: exit status 2 and nothing made.
USAGE = [
    ([], "SOURCE is required"),
    (["dir:{tree}"], "either -o OUT or --pool POOL"),
    (["{tree}", "-o", "{out}"], "is it dir:{tree} (a directory), oci:{tree} (an OCI image layout) or tar:{tree}?"),
    (["x.tar.gz", "-o", "{out}"], "is it tar:x.tar.gz or docker-archive:x.tar.gz"),
    (["-", "-o", "{out}"], "is it tar:-"),
    (["tar:", "-o", "{out}"], "names no path"),
    (["tar:{tree}", "-o", "{out}", "--flatten"], "a directory, tar or dump has no layers"),
    (["tar:{tree}", "-o", "{out}", "--platform", "linux/amd64"], "--platform chooses among images"),
    (["docker-archive:{tree}", "-o", "{out}"], "choose --per-layer"),
    (["dir:", "-o", "{out}"], "names no path"),
    (["floppy:x", "-o", "{out}"], "unknown prefix \"floppy:\""),
    (["dir:{tree}", "-o", ""], "either -o OUT or --pool POOL"),
    (["dir:{tree}", "-o", "-"], "cannot go to a pipe"),
    (["docker-archive:-", "-o", "{out}", "--flatten"], "needs a file"),
    (["dirr:{tree}", "-o", "{out}"], "unknown prefix \"dirr:\""),
    (["dir:{tree}", "-o", "{out}", "--per-layer"], "a directory, tar or dump has no layers"),
    (["dir:{tree}", "-o", "{out}", "--flatten"], "a directory, tar or dump has no layers"),
    (["oci:{oci}", "-o", "{out}"], "choose --per-layer"),
    (["oci:{oci}", "-o", "{out}", "--per-layer", "--flatten"], "exclude each other"),
    (["oci:{oci}", "-o", "{out}", "--flatten", "--profile", "archive"], "--profile archive is for tar: and dir:"),
    (["dir:{tree}", "-o", "{out}", "--profile", "zip"], "use layer or archive"),
    (["dir:{tree}", "-o", "{out}", "--huge-min", "8X"], "--huge-min: \"8X\" is not a size"),
    (["dir:{tree}", "-o", "{out}", "--pool", "p"], "--pool"),
    (["dir:{tree}", "-o", "{out}", "--log-level", "loud"], "log level \"loud\""),
    (["dir:{tree}", "-o", "{out}", "--log-format", "xml"], "log format \"xml\""),
    (["dir:{tree}", "-o", "{out}", "--unknown"], "--unknown"),
    (["dir:{tree}", "dir:{tree}", "-o", "{out}"], "not expected"),
    (["dump:{dump}", "-o", "{out}"], "say with --data where they are"),
    (["dump:", "-o", "{out}", "--data", "{tree}"], "names no path"),
    (["dump:{dump}", "-o", "{out}", "--data", "{tree}", "--flatten"], "a directory, tar or dump has no layers"),
    (["dump:{dump}", "-o", "{out}", "--data", "{tree}", "--profile", "layer"], "a dump says its own profile"),
    (["dir:{tree}", "-o", "{out}", "--data", "{tree}"], "--data goes with dump: only"),
    (["containerd:x", "-o", "{out}"], "wants NAMESPACE/IMAGE"),
    (["containerd:/x", "-o", "{out}"], "wants NAMESPACE/IMAGE"),
    (["containerd:default/x", "-o", "{out}"], "choose --per-layer"),
    (["oci:{oci}", "-o", "{out}", "--flatten", "-j", "0"], "--jobs"),
]

# The same with exit status 1: the usage is right, the world is not.
FAILED = [
    (["containerd:default/x", "-o", "{out}", "--flatten", "--containerd", "{tree}/none"], "containerd: "),
    (["dir:{tree}/none", "-o", "{out}"], "No such file or directory"),
    (["dir:{tree}/a", "-o", "{out}"], "Not a directory"),
    (["dir:{tree}", "-o", "{out}/none/image"], "No such file or directory"),
    (["dir:{tree}", "-o", "{tree}"], "not a regular file"),
    (["dir:{tree}", "-o", "{tree}/image"], "inside the directory"),
    (["dir:{tree}", "-o", "{oci}/index.json"], "exists and is no DAXFS image"),
    (["tar:{oci}/index.json", "-o", "{oci}/index.json"], "is what the image would be made of"),
    (["tar:/dev/null", "-o", "{out}"], "no bytes at all"),
    (["tar:{tree}", "-o", "{out}"], "is a directory"),
    (["tar:{tree}/none", "-o", "{out}"], "No such file or directory"),
    (["tar:{tree}/a", "-o", "{out}"], "tar:"),
    (["docker-archive:{tree}/none", "-o", "{out}", "--flatten"], "No such file or directory"),
    (["docker-archive:{tree}", "-o", "{out}", "--flatten"], "is a directory"),
    (["docker-archive:{tree}/a", "-o", "{out}", "--flatten"], "tar:"),
    (["dir:{tree}", "-o", "/dev/null"], "not a regular file"),
    (["dump:{dump}.none", "-o", "{out}", "--data", "{tree}"], "No such file or directory"),
    (["dump:{tree}", "-o", "{out}", "--data", "{tree}"], "is a directory"),
    (["dump:{tree}/a", "-o", "{out}", "--data", "{tree}"], "line 1"),
    (["dump:{dump}", "-o", "{out}", "--data", "{tree}/none"], "No such file or directory"),
    (["dump:{dump}", "-o", "{out}", "--data", "{tree}/a"], "shorter than a superblock"),
    (["dump:{dump}", "-o", "{out}", "--data", "{made}"], "line 14: /a: a: No such file or directory"),
    (["dump:{dump}", "-o", "{out}", "--data", "{oci}"], "line 14: /a: a: No such file or directory"),
    (["dump:{dump}", "-o", "{out}/none/image", "--data", "{tree}"], "No such file or directory"),
    (["oci:{tree}", "-o", "{out}", "--flatten"], "no OCI image layout"),
    (["oci:{tree}/none", "-o", "{out}", "--flatten"], "No such file or directory"),
    (["oci:{oci}:tag", "-o", "{out}", "--flatten"], "in the layout; it has: sha256:"),
    (["oci:{oci}", "-o", "{out}", "--flatten", "--platform", "linux/s390x"], "no image for linux/s390x"),
    (["oci:{oci}", "-o", "{out}", "--flatten", "--platform", "linux"], "is not os/arch"),
    (["oci:{oci}", "-o", "{tree}", "--per-layer"], "exists"),
    (["oci:{oci}", "-o", "{out}/none/layers", "--per-layer"], "No such file or directory"),
]


DIGEST = hashlib.sha256(b"a").hexdigest()
DUMP = f"""daxfs-dump 1
option profile archive
option huge_min_bytes 8388608
option data_align_bytes 4096
option flattened no
option user_xattr no
option source none
image root sha256:0
image image_bytes 0
image data_bytes 0
image waste_bytes 0
image inodes 0
/ directory mode=0755 uid=0 gid=0 mtime=5.000000000
/a file mode=0644 uid=1 gid=2 mtime=-0.500000000 size=1 sha256={DIGEST}
/b hardlink target=/a
end
"""


@pytest.fixture
def world(tmp_path):
    """A tree, a layout of two layers, and an empty folder for what is made."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_text("a")
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar_of([("etc/passwd", "root"), ("lib", "-> usr/lib")]),
                               tar_of([("etc/.wh.passwd", ""), ("etc/group", "x" * 5000)])], compress=True))
    made = tmp_path / "made"
    made.mkdir()
    dump = tmp_path / "dump"
    dump.write_text(DUMP)
    return {"dump": dump, "tree": tree, "oci": layout.path, "out": made / "out", "made": made, "layout": layout}


def fill(args, world):
    return [arg.format(**{key: str(value) for key, value in world.items()}) for arg in args]


@pytest.mark.parametrize("args, message", USAGE, ids=lambda value: value[:50] if isinstance(value, str) else "")
def test_wrong_usage(build, world, args, message):
    before = sorted(world["tree"].parent.rglob("*"))
    result = build.run(*fill(args, world))
    assert result.returncode == 2, result.stderr
    assert message.format(**world) in result.stderr
    assert "--help" in result.stderr and result.stdout == ""
    assert sorted(world["tree"].parent.rglob("*")) == before


def test_standard_input_that_is_closed_is_refused(build, tmp_path):
    """And nothing that the program opens itself is taken for it."""
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", build.path, "tar:-", "-o", tmp_path / "out"],
                          capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1 and "Bad file descriptor" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("args, message", FAILED, ids=lambda value: value[:50] if isinstance(value, str) else "")
def test_failures_say_why_and_leave_nothing(build, world, args, message):
    before = sorted(world["tree"].parent.rglob("*"))
    result = build.run(*fill(args, world))
    assert result.returncode == 1, result.stderr
    assert message in result.stderr
    assert result.stdout == ""
    assert sorted(world["tree"].parent.rglob("*")) == before


def damaged(layout, how):
    """Damages the second layer of the world's layout."""
    blob = layout.blob_path(layout.layers[1])
    data = bytearray(blob.read_bytes())
    if how == "cut":
        data = data[:-20]
    elif how == "flipped":
        data[len(data) // 2] ^= 1
    elif how == "longer":
        data += b"\0"
    blob.unlink()
    if how != "missing":
        blob.write_bytes(data)


@pytest.mark.parametrize("mode", ["--per-layer", "--flatten"])
@pytest.mark.parametrize("how", ["cut", "flipped", "longer", "missing"])
def test_damaged_layers_leave_nothing(build, world, mode, how):
    damaged(world["layout"], how)
    result = build.run(f"oci:{world['oci']}", "-o", world["out"], mode)
    assert result.returncode == 1
    assert "layer 2 of 2" in result.stderr
    assert list(world["made"].iterdir()) == []


BAD_LAYERS = {
    "wrong diffID": (tar_of([("a", "x")]), "the image config says"),
    "no tar": (b"this is no tar at all", "tar:"),
    "cut tar": (tar_of([("a", "x" * 3000)])[:2000], "tar:"),
    "link through a file": (tar_of([("a", "x"), ("a/b", "y")]), "a/b: a parent is no directory"),
    "bad whiteout": (tar_of([(".wh..", "")]), "invalid whiteout name"),
}


@pytest.mark.parametrize("mode", ["--per-layer", "--flatten"])
@pytest.mark.parametrize("case", BAD_LAYERS)
def test_bad_layers_leave_nothing(build, world, tmp_path, mode, case):
    tar, message = BAD_LAYERS[case]
    layout = Layout(tmp_path / "bad")
    diff_ids = ["sha256:" + "0" * 64] if case == "wrong diffID" else None
    layout.index(layout.image([tar], compress=True, diff_ids=diff_ids))
    result = build.run(f"oci:{layout.path}", "-o", world["out"], mode)
    assert result.returncode == 1
    assert message in result.stderr
    assert list(world["made"].iterdir()) == []


@pytest.mark.parametrize("args", [["dir:{tree}"], ["oci:{oci}", "--flatten"], ["oci:{oci}", "--per-layer"]])
def test_a_full_medium_leaves_nothing(build, world, args):
    (world["tree"] / "large").write_bytes(b"x" * 100000)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    result = build.run(*fill(args, world), "-o", world["out"], preexec_fn=limit)
    assert result.returncode == 1, result.stderr
    assert "File too large" in result.stderr
    assert list(world["made"].iterdir()) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(build, world, tmp_path, signum):
    layout = Layout(tmp_path / "large")
    layout.index(layout.image([tar_of([("small", "x")]), tar_of([("zeros", b"\0" * 100_000_000)])], compress=True))
    process = subprocess.Popen([build.path, f"oci:{layout.path}", "-o", world["out"], "--per-layer"],
                               stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(world["made"].glob("out.part.*/00-*")):
        time.sleep(0.001)
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    if process.returncode == 0:  # it was done before the signal came: a whole output is right too
        assert (world["out"] / "image.json").exists()
    else:
        assert process.returncode == 1 and "interrupted" in stderr
        assert list(world["made"].iterdir()) == []


def test_directory_to_image(build, ctl, world):
    report = json.loads(build.ok(f"dir:{world['tree']}", "-o", world["out"], "--json"))
    image = report["images"][0]
    assert report["ok"] and image["path"] == str(world["out"])
    assert image["size_bytes"] == world["out"].stat().st_size
    assert json.loads(ctl.ok("image", "info", world["out"], "--json"))["root"] == image["root"]
    assert ctl.ok("image", "cat", world["out"], "/a") == "a"


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_tar_from_a_file_and_from_standard_input(build, ctl, world, tmp_path, compress):
    plain = tar_of([("etc/passwd", "root"), (".wh.gone", "")])
    (tmp_path / "x.tar").write_bytes(compress(plain))
    report = json.loads(build.ok(f"tar:{tmp_path / 'x.tar'}", "-o", world["out"], "--json"))
    assert report["images"][0]["diff_id"] == "sha256:" + hashlib.sha256(plain).hexdigest()
    assert ctl.ok("image", "cat", world["out"], "/etc/passwd") == "root"
    ctl.ok("image", "stat", world["out"], "/.wh.gone")
    first = world["out"].read_bytes()
    with open(tmp_path / "x.tar", "rb") as stdin:
        build.ok("tar:-", "-o", world["out"], stdin=stdin)
    assert world["out"].read_bytes() == first
    build.ok(f"tar:{tmp_path / 'x.tar'}", "-o", world["out"], "--profile", "layer")
    assert "character" in ctl.ok("image", "stat", world["out"], "/gone")


@pytest.mark.parametrize("jobs", [[], ["-j", "1"], ["-j", "9"]])
def test_parents_no_entry_names_are_what_lies_below(build, ctl, world, jobs):
    layout = Layout(world["made"].parent / "unnamed")
    layout.index(layout.image(UNNAMED))
    build.ok(f"oci:{layout.path}", "-o", world["out"], "--per-layer", *jobs)
    layers = sorted(world["out"].glob("*.daxfs"))
    modes = {path: json.loads(ctl.ok("image", "stat", layers[2], path, "--json"))["mode"] for path in UNNAMED_MODES}
    assert modes == UNNAMED_MODES
    assert ctl.run("image", "stat", layers[0], "/nothing").returncode != 0, "there is nothing below to hide"
    described = json.loads((world["out"] / "image.json").read_text())["layers"]
    for path, layer in zip(layers, described):
        assert layer["path"] == path.name and layer["root"] in ctl.ok("image", "info", path)


def test_standard_input_that_says_nothing(build, world):
    """A signal ends the waiting, and a terminal is not read at all."""
    read, write = os.pipe()
    process = subprocess.Popen([build.path, "tar:-", "-o", world["out"]], stdin=read, stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    os.close(read)
    os.close(write)
    assert process.returncode == 1 and "interrupted" in stderr
    primary, secondary = os.openpty()
    result = build.run("tar:-", "-o", world["out"], stdin=secondary)
    os.close(primary)
    os.close(secondary)
    assert result.returncode == 1 and "which is a terminal" in result.stderr
    assert list(world["made"].iterdir()) == []


def test_a_pipe_nobody_writes_to(build, world, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    process = subprocess.Popen([build.path, f"tar:{tmp_path / 'fifo'}", "-o", world["out"]], stderr=subprocess.PIPE)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1].endswith(b"interrupted\n") and process.returncode == 1


def test_names_cannot_command_a_terminal(build, world, tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_of([("a", "x"), ("a/\033[31mred\x9b", "y")]))
    stderr = build.run(f"tar:{tmp_path / 'x.tar'}", "-o", world["out"]).stderr
    assert "\\x1b[31mred\\xc2\\x9b" in stderr and "\033" not in stderr


@pytest.mark.parametrize("mode", ["--per-layer", "--flatten"])
def test_a_docker_archive_is_the_same_image(build, world, tmp_path, mode):
    tars = [tar_of([("etc/passwd", "root"), ("lib", "-> usr/lib")]),
            tar_of([("etc/.wh.passwd", ""), ("etc/group", "x" * 5000)])]
    (tmp_path / "saved.tar").write_bytes(docker_archive(tars, "name:tag"))
    build.ok(f"oci:{world['oci']}", "-o", world["out"], mode)
    build.ok(f"docker-archive:{tmp_path / 'saved.tar'}:name:tag", "-o", world["made"] / "saved", mode)
    want, got = (digest_of(world["made"] / name) for name in ("out", "saved"))
    if mode == "--per-layer":  # the configs are not the same bytes
        want.pop("image.json"), got.pop("image.json")
    assert got == want


def test_gzip_of_every_kind(build, tmp_path):
    """A member by each level, strategy, window and memory level zlib has, flushed in each of its ways."""
    parts = [bytes([number % 7]) * 500 + random.Random(number).randbytes(300) + b"ab" * number for number in range(600)]
    tar = tar_of([(f"f{number}", part) for number, part in enumerate(parts)])
    kinds = list(itertools.product(range(10), range(5), (9, 12, 15), (1, 5, 8, 9)))
    step = -(-len(tar) // len(kinds))
    packed = b""
    for number, (level, strategy, window, memory) in enumerate(kinds):
        part = tar[number * step:(number + 1) * step]
        packer = zlib.compressobj(level, zlib.DEFLATED, 16 + window, memory, strategy)
        flush = (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_BLOCK)[number % 4]
        packed += packer.compress(part[:step // 2]) + packer.flush(flush)
        packed += packer.compress(part[step // 2:]) + packer.flush()
    (tmp_path / "layer.tar").write_bytes(tar)
    (tmp_path / "layer.tar.gz").write_bytes(packed)
    build.ok(f"tar:{tmp_path}/layer.tar", "-o", tmp_path / "plain")
    build.ok(f"tar:{tmp_path}/layer.tar.gz", "-o", tmp_path / "packed")
    assert (tmp_path / "packed").read_bytes() == (tmp_path / "plain").read_bytes()


def test_zstd_layers(build, ctl, world, tmp_path):
    layout = Layout(tmp_path / "zstd")
    layout.index(layout.image([tar_of([("a", "x" * 5000)])], compress="zstd"))
    build.ok(f"oci:{layout.path}", "-o", world["out"], "--flatten")
    assert ctl.ok("image", "cat", world["out"], "/a") == "x" * 5000


@pytest.mark.parametrize("said", ["", "+gzip", "+zstd"])
@pytest.mark.parametrize("compress", [False, True, "zstd"])
def test_media_types_may_lie(build, ctl, world, tmp_path, said, compress):
    layout = Layout(tmp_path / "lies")
    layout.index(layout.image([tar_of([("a", "x")])], compress=compress, said=said))
    build.ok(f"oci:{layout.path}", "-o", world["out"], "--flatten")
    assert ctl.ok("image", "cat", world["out"], "/a") == "x"


def test_many_layers_and_the_same_empty_one_twice(build, ctl, world, tmp_path):
    layout = Layout(tmp_path / "many")
    empty = tar_of([])
    layout.index(layout.image([empty, empty] + [tar_of([(f"f{number}", str(number))]) for number in range(140)]))
    build.ok(f"oci:{layout.path}", "-o", world["out"], "--per-layer")
    assert len(list(world["out"].glob("*.daxfs"))) == 142
    build.ok(f"oci:{layout.path}", "-o", world["made"] / "flat", "--flatten")
    assert len(ctl.ok("image", "ls", world["made"] / "flat").splitlines()) == 140


def test_a_bomb_of_zeros_is_a_hole(build, world, tmp_path):
    layout = Layout(tmp_path / "bomb")
    layout.index(layout.image([tar_of([("zeros", bytes(300_000_000))])], compress=True))
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))  # noqa: E731
    build.ok(f"oci:{layout.path}", "-o", world["out"], "--flatten", preexec_fn=limit)
    assert world["out"].stat().st_size < 100_000


def test_an_older_image_is_replaced(build, ctl, world):
    build.ok(f"dir:{world['oci']}", "-o", world["out"])
    assert str(world["out"]) in build.ok(f"dir:{world['tree']}", "-o", world["out"])
    ctl.ok("image", "verify", world["out"])
    assert list(world["made"].iterdir()) == [world["out"]]


def test_one_image_a_layer(build, ctl, world):
    build.ok(f"oci:{world['oci']}", "-o", f"{world['out']}/", "--per-layer")
    image = json.loads((world["out"] / "image.json").read_text())
    assert [sorted(layer) for layer in image["layers"]] == [["diff_id", "path", "root", "size_bytes"]] * 2
    assert image["config"]["rootfs"]["diff_ids"] == [layer["diff_id"] for layer in image["layers"]]
    for number, layer in enumerate(image["layers"]):
        assert layer["path"] == f"{number:02}-{layer['diff_id'].removeprefix('sha256:')}.daxfs"
        file = world["out"] / layer["path"]
        assert file.stat().st_size == layer["size_bytes"]
        verified = json.loads(ctl.ok("image", "verify", file, "--json"))
        assert verified["ok"] and verified["root"] == layer["root"]
    made = {file.name for file in world["out"].iterdir()}
    assert made == {"image.json"} | {layer["path"] for layer in image["layers"]}


def source_of(ctl, image):
    return json.loads(ctl.ok("image", "info", image, "--json"))["source"]


def said_of(tar):
    return {"digest": "sha256:" + hashlib.sha256(tar).hexdigest(), "size_bytes": len(tar)}


@pytest.mark.parametrize("profile", ["layer", "archive"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd])
def test_an_image_says_which_tar_it_was_made_of(build, ctl, world, tmp_path, compress, profile):
    """All of it, also what follows its end marks: so two tars of one tree are two images."""
    tar = tar_of([("etc/passwd", "root")])
    roots = set()
    for content in (tar, tar + bytes(10240), tar + b"something else"):
        (tmp_path / "tar").write_bytes(compress(content))
        build.ok(f"tar:{tmp_path / 'tar'}", "-o", world["out"], "--profile", profile)
        assert source_of(ctl, world["out"]) == said_of(content)
        roots.add(json.loads(ctl.ok("image", "verify", world["out"], "--json"))["root"])
    assert len(roots) == 3
    assert f"made of     tar {said_of(content)['digest']}, " in ctl.ok("image", "info", world["out"])


@pytest.mark.parametrize("compress", [False, True])
def test_each_layer_says_which_tar_it_was_made_of(build, ctl, world, tmp_path, compress):
    tars = [tar_of([("a", "x" * 70000)]), tar_of([]), b"", tar_of([("b", "y")]) + b"more"]
    layout = Layout(tmp_path / "layers")
    layout.index(layout.image(tars, compress=compress))
    build.ok(f"oci:{layout.path}", "-o", world["out"], "--per-layer")
    assert [source_of(ctl, image) for image in sorted(world["out"].glob("*.daxfs"))] == [said_of(tar) for tar in tars]


def test_what_is_of_no_tar_or_of_several_says_none(build, ctl, world):
    for args in ([f"dir:{world['tree']}"], [f"oci:{world['oci']}", "--flatten"]):
        build.ok(*args, "-o", world["out"])
        assert source_of(ctl, world["out"]) is None
        assert "made of" not in ctl.ok("image", "info", world["out"])
        assert "option source none\n" in ctl.ok("image", "dump", world["out"])


def test_a_dump_keeps_which_tar_it_was(build, ctl, world, tmp_path):
    tar = tar_of([("a", "a")])
    (tmp_path / "tar").write_bytes(tar)
    build.ok(f"tar:{tmp_path / 'tar'}", "-o", world["out"])
    (tmp_path / "dump").write_text(ctl.ok("image", "dump", world["out"]))
    build.ok(f"dump:{tmp_path / 'dump'}", "-o", world["made"] / "again", "--data", world["tree"])
    assert source_of(ctl, world["made"] / "again") == said_of(tar)
    assert (world["made"] / "again").read_bytes() == world["out"].read_bytes()


def test_layers_flattened(build, ctl, world):
    build.ok(f"oci:{world['oci']}", "-o", world["out"], "--flatten")
    listed = [json.loads(line) for line in ctl.ok("image", "ls", "-R", "--json", world["out"]).splitlines()]
    assert sorted(entry["path"] for entry in listed) == ["/etc", "/etc/group", "/lib"]


def make_tree(root, names):
    root.mkdir(parents=True)
    for name in names:
        (root / name).write_text(name * 1000)
        (root / name).chmod(0o640)
        os.utime(root / name, ns=(5, 1_600_000_000_123_456_789))
    os.utime(root, ns=(5, 1_500_000_000_000_000_000))
    root.chmod(0o755)


def digest_of(path):
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.iterdir()}


def test_the_same_bytes_everywhere(build, world, tmp_path):
    """Path, order of creation, umask, time zone and locale leave no trace."""
    names = [f"file-{number}" for number in range(300)]
    surroundings = [("one", names, 0o022, {"TZ": "UTC", "LC_ALL": "C"}),
                    ("deep/two", names[::-1], 0o077, {"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "LANG": "tr_TR"})]
    made = []
    for folder, order, umask, environment in surroundings:
        make_tree(tmp_path / folder, order)
        old = os.umask(umask)
        try:
            env = {**os.environ, **environment}
            image, layers = world["made"] / f"image{umask}", world["made"] / f"layers{umask}"
            build.ok(f"dir:{tmp_path / folder}", "-o", image, env=env)
            build.ok(f"oci:{world['oci']}", "-o", layers, "--per-layer", env=env)
            flat = world["made"] / f"flat{umask}"
            build.ok(f"oci:{world['oci']}", "-o", flat, "--flatten", env=env)
        finally:
            os.umask(old)
        made.append((digest_of(image), digest_of(layers), digest_of(flat)))
    assert made[0] == made[1]


def test_a_dump_becomes_an_image(build, ctl, world):
    """From a directory, from an image, from standard input: the same image; and its own dump makes it again."""
    build.ok(f"dump:{world['dump']}", "-o", world["out"], "--data", world["tree"])
    text = ctl.ok("image", "dump", world["out"])
    figures = ("image ", "  extent ")
    assert [line for line in text.splitlines() if not line.startswith(figures)] == \
           [line for line in DUMP.splitlines() if not line.startswith(figures)]
    again = world["made"] / "again"
    build.ok("dump:-", "-o", again, "--data", world["out"], input=text)
    assert again.read_bytes() == world["out"].read_bytes()
    build.ok(f"dump:{world['dump']}", "-o", again, "--data", world["tree"], "--huge-min", "1")
    assert json.loads(ctl.ok("image", "info", again, "--json"))["huge_min_bytes"] == 1
    assert " huge\n" in ctl.ok("image", "dump", again)


@pytest.mark.parametrize("content, message", [("b", "the data has sha256 3e23e816"), ("aa", "the data has 2 bytes")])
def test_data_that_is_not_the_dumps_leaves_nothing(build, world, content, message):
    (world["tree"] / "a").write_text(content)
    result = build.run(f"dump:{world['dump']}", "-o", world["out"], "--data", world["tree"])
    assert result.returncode == 1 and f"line 14: /a: {message}" in result.stderr
    assert list(world["made"].iterdir()) == []


def test_data_is_not_looked_for_outside(build, world):
    (world["made"].parent / "secret").write_text("a")
    (world["tree"] / "a").unlink()
    (world["tree"] / "a").symlink_to("../secret")
    result = build.run(f"dump:{world['dump']}", "-o", world["out"], "--data", world["tree"])
    assert result.returncode == 1 and "/a: not a regular file" in result.stderr
    assert list(world["made"].iterdir()) == []


def test_a_cut_dump_leaves_nothing(build, world):
    for size in range(0, len(DUMP), 7):
        result = build.run("dump:-", "-o", world["out"], "--data", world["tree"], input=DUMP[:size])
        assert result.returncode == 1 and "standard input: line " in result.stderr, DUMP[:size]
        assert list(world["made"].iterdir()) == []


def test_help_and_version(build):
    assert "--per-layer" in build.ok("--help")
    assert build.ok("--version").startswith("daxfs-build 0.")


def test_failures_as_json(build, world):
    result = build.run("dir:/nonexistent", "-o", world["out"], "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 1 and report["code"] == "NOT_FOUND" and not report["ok"]
    assert "/nonexistent" in report["error"]


def test_wrong_usage_as_json(build):
    result = build.run("--json", "nothing")
    assert result.returncode == 2 and json.loads(result.stdout)["code"] == "INVALID_ARGUMENT"


def test_json_log(build, world):
    result = build.run("dir:/nonexistent", "-o", world["out"], "--log-format", "json")
    line = json.loads(result.stderr)
    assert line["level"] == "error" and line["code"] == "NOT_FOUND"


def test_the_last_word_names_the_program(build, world):
    stderr = build.run("dir:/nonexistent", "-o", world["out"]).stderr
    assert stderr == "daxfs-build: /nonexistent: No such file or directory\n"
