# SPDX-License-Identifier: Apache-2.0
"""daxfsctl from outside: what it shows, and how it refuses."""

import hashlib
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

MUST_FAIL = sorted((Path(__file__).parents[1] / "must_fail").glob("*.daxfs"))


@pytest.fixture(scope="module")
def image(build, tmp_path_factory):
    root = tmp_path_factory.mktemp("image")
    tree = root / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir" / "file").write_bytes(b"content\0\n")
    (tree / "dir" / "large").write_bytes(b"large" * 100_000)
    (tree / "link").symlink_to("dir/file")
    os.link(tree / "dir" / "file", tree / "hard")
    (Path(os.fsencode(tree).decode()) / os.fsdecode(b"caf\xe9\n")).write_text("x")
    build.ok(f"dir:{tree}", "-o", root / "image")
    return root / "image"


def test_info(ctl, image):
    info = json.loads(ctl.ok("image", "info", image, "--json"))
    assert info["version"] == 1 and info["profile"] == "archive" and info["inodes"] == 6
    assert info["image_bytes"] == image.stat().st_size
    assert [section["name"] for section in info["sections"]][0] == "inodes"
    text = ctl.ok("image", "info", image)
    assert info["uuid"] in text and info["root"] in text


def test_ls(ctl, image):
    assert len(ctl.ok("image", "ls", image).splitlines()) == 4
    names = [line.split(" ", 6)[-1] for line in ctl.ok("image", "ls", "-R", image).splitlines()]
    assert any(name.endswith("/link -> dir/file") for name in names)
    assert any(name.endswith("/caf\\xe9\\x0a") for name in names)
    listed = [json.loads(line) for line in ctl.ok("image", "ls", "--json", image, "/dir/").splitlines()]
    assert sorted(entry["path"] for entry in listed) == ["/dir/file", "/dir/large"]
    assert "dir/file" in ctl.ok("image", "ls", image, "dir/file")


def test_stat(ctl, image):
    stat = json.loads(ctl.ok("image", "stat", image, "/dir/large", "--json"))
    assert stat["size_bytes"] == 500_000 and stat["type"] == "file"
    assert sum(run["length"] for run in stat["data"]) == 500_000
    assert json.loads(ctl.ok("image", "stat", image, "hard", "--json"))["links"] == 2
    assert "target   dir/file" in ctl.ok("image", "stat", image, "link")
    assert "entries  2" in ctl.ok("image", "stat", image, "dir")


def test_cat(ctl, image):
    assert ctl.ok("image", "cat", image, "/dir/file") == "content\0\n"
    assert ctl.ok("image", "cat", image, "dir//./large") == "large" * 100_000


def test_several_paths(ctl, image):
    lines = ctl.ok("image", "stat", image, "--json", "dir/file", "/", "link").splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["dir/file", "/", "link"]
    assert ctl.ok("image", "stat", image, "dir/file", "link").count("path     ") == 2
    assert ctl.ok("image", "cat", image, "dir/file", "hard") == "content\0\n" * 2


def test_dump(ctl, image, tmp_path):
    text = ctl.ok("image", "dump", image)
    lines = text.splitlines()
    assert lines[0] == "daxfs-dump 1" and lines[-1] == "end"
    assert [line.split(" ")[0] for line in lines if line.startswith("/")] == [
        "/", "/caf\\xe9\\x0a", "/dir", "/dir/file", "/dir/large", "/hard", "/link"]
    assert "/hard hardlink target=/dir/file" in lines
    digest = hashlib.sha256(b"content\0\n").hexdigest()
    assert any(line.startswith("/dir/file file ") and line.endswith(f" size=9 sha256={digest}") for line in lines)
    ctl.ok("image", "dump", image, "-o", tmp_path / "dump")
    assert (tmp_path / "dump").read_text() == text


def test_a_dump_that_fails_leaves_nothing(ctl, image, tmp_path):
    data = bytearray(image.read_bytes())
    info = json.loads(ctl.ok("image", "info", image, "--json"))
    data[info["sections"][1]["offset"]] ^= 1  # the hash of a name
    (tmp_path / "bad").write_bytes(data)
    result = ctl.run("image", "dump", tmp_path / "bad", "-o", tmp_path / "dump")
    assert result.returncode == 1 and "hash" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


@pytest.mark.parametrize("level", ["none", "meta", "full"])
def test_verify(ctl, image, level):
    assert json.loads(ctl.ok("image", "verify", image, "--level", level, "--json"))["ok"]
    assert "ok" in ctl.ok("image", "verify", image, "--level", level)


def test_a_reader_that_leaves_is_no_failure(ctl, image):
    shell = f"set -o pipefail; '{ctl.path}' image cat '{image}' dir/large | head -c 1 >/dev/null"
    assert subprocess.run(["bash", "-c", shell], check=False).returncode == 0


def test_a_full_output_is_a_failure(ctl, image):
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([ctl.path, "image", "cat", image, "dir/large"], stdout=full, stderr=subprocess.PIPE,
                                text=True, check=False)
    assert result.returncode == 1 and "No space left" in result.stderr


def test_a_bar_on_a_terminal_only(ctl, image):
    """It is taken away again at the end; elsewhere there is none."""
    master, terminal = pty.openpty()
    result = subprocess.run([ctl.path, "image", "verify", image], stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    assert os.read(master, 1000) == b"\r\x1b[K" and b": ok, " in result.stdout
    os.close(master)
    assert ctl.run("image", "verify", image).stderr == ""


USAGE = [
    ([], "subcommand is required"),
    (["picture"], "unknown command"),
    (["image"], "subcommand is required"),
    (["image", "info"], "IMAGE is required"),
    (["image", "stat", "{image}"], "PATH is required"),
    (["image", "cat", "{image}"], "PATH is required"),
    (["image", "verify", "{image}", "--level", "half"], "use none, meta or full"),
    (["image", "info", "{image}", "more"], "not expected"),
    (["image", "dump"], "IMAGE is required"),
    (["image", "diff", "{image}"], "OTHER is required"),
    (["image", "diff", "{image}", "{image}", "{image}"], "not expected"),
    (["image", "extract", "{image}"], "--output is required"),
    (["image", "extract", "{image}", "-o", "out"], "is it dir:out or tar:out?"),
    (["image", "extract", "{image}", "-o", "dir:"], "-o names no path"),
    (["image", "extract", "{image}", "-o", "tar:"], "-o names no path"),
    (["image", "dump", "{image}", "more"], "not expected"),
    (["--log-level", "loud", "image", "info", "{image}"], "log level"),
]

FAILED = [
    (["image", "info", "{image}.none"], "No such file"),
    (["image", "info", "/"], "not a regular file"),
    (["image", "info", "/dev/null"], "not a regular file"),
    (["image", "info", __file__], "no DAXFS magic"),
    (["image", "ls", "{image}", "/none"], "No such file"),
    (["image", "ls", "{image}", "dir/file/x"], "Not a directory"),
    (["image", "stat", "{image}", "dir/../link"], " in a path"),
    (["image", "stat", "{image}", "n" * 300], "File name too long"),
    (["image", "dump", __file__], "no DAXFS magic"),
    (["image", "diff", "{image}", __file__], "no DAXFS magic"),
    (["image", "diff", "{image}.none", "{image}"], "No such file"),
    (["image", "extract", __file__, "-o", "dir:/none/out"], "no DAXFS magic"),
    (["image", "extract", "{image}", "-o", "dir:/none/out"], "No such file"),
    (["image", "extract", "{image}", "-o", "tar:/none/out"], "No such file"),
    (["image", "dump", "{image}", "-o", "/none/dump"], "No such file"),
    (["image", "dump", "{image}", "-o", "/dev/null"], "not a regular file"),
    (["image", "cat", "{image}", "/"], "is a directory, not a file"),
    (["image", "cat", "{image}", "link"], "is a symlink, not a file"),
]


@pytest.mark.parametrize("status, args, message", [(2, *row) for row in USAGE] + [(1, *row) for row in FAILED],
                         ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_bad_input(ctl, image, status, args, message):
    result = ctl.run(*[arg.format(image=image) for arg in args])
    assert result.returncode == status, result.stderr
    assert message in result.stderr and result.stdout == ""


def test_verify_finds_one_changed_byte(ctl, image, tmp_path):
    info = json.loads(ctl.ok("image", "info", image, "--json"))
    data = image.read_bytes()
    meta = info["sections"][0]["offset"]
    for position, level, fails in [(5000, "full", True), (5000, "meta", False), (meta + 100, "meta", True),
                                   (0x38, "none", True), (len(data) - 1, "none", False)]:
        changed = bytearray(data)
        changed[position] ^= 1
        (tmp_path / "changed").write_bytes(changed)
        result = ctl.run("image", "verify", tmp_path / "changed", "--level", level)
        assert (result.returncode == 1) == fails, (position, level, result.stderr)
        report = json.loads(ctl.run("image", "verify", tmp_path / "changed", "--level", level, "--json").stdout)
        assert report["ok"] != fails and (not fails or report["code"] == "DATA_LOSS" and report["error"])


def test_verify_refuses_short_files(ctl, image, tmp_path):
    data = image.read_bytes()
    for size in [0, 1, 4095, 4096, len(data) - 1]:
        (tmp_path / "short").write_bytes(data[:size])
        assert ctl.run("image", "verify", tmp_path / "short").returncode == 1


@pytest.mark.parametrize("path", MUST_FAIL, ids=lambda path: path.stem)
def test_bad_images_are_refused(ctl, path):
    result = ctl.run("image", "verify", path)
    assert result.returncode == 1 and result.stderr.startswith("daxfsctl: "), result.stderr
    for command in (["ls", "-R"], ["stat"], ["dump"]):
        extra = ["/"] if command == ["stat"] else []
        assert ctl.run("image", *command, path, *extra).returncode in (0, 1)


def test_there_are_bad_images():
    assert len(MUST_FAIL) > 50


@pytest.mark.parametrize("args, message", [
    (["image", "inf", "x"], 'unknown command "inf"; there is: info, ls, '),
    (["imag", "info"], 'unknown command "imag"; there is: image'),
    (["--log-level", "error"], "unknown command"),
])
def test_mistyped_commands(ctl, args, message):
    result = ctl.run(*args)
    assert result.returncode == 2 and message in result.stderr


@pytest.mark.parametrize("level, text", [("none", "nothing else was read"), ("full", "data digests over"),
                                         ("meta", "ok, 1 inode, 0 names; data was not read")])
def test_verify_says_how_far_it_went(build, ctl, tmp_path, level, text):
    (tmp_path / "tree").mkdir()
    build.ok(f"dir:{tmp_path / 'tree'}", "-o", tmp_path / "image")
    assert text in ctl.ok("image", "verify", "--level", level, tmp_path / "image")
    assert json.loads(ctl.ok("image", "verify", "--json", "--level", level, tmp_path / "image"))["level"] == level


def test_the_image_is_not_its_own_output(build, ctl, tmp_path):
    (tmp_path / "tree").mkdir()
    build.ok(f"dir:{tmp_path / 'tree'}", "-o", tmp_path / "image")
    before = (tmp_path / "image").read_bytes()
    for args in (["dump", "-o", tmp_path / "image"], ["extract", "-o", f"tar:{tmp_path / 'image'}"]):
        result = ctl.run("image", *args, tmp_path / "image")
        assert result.returncode == 1 and "is the image itself" in result.stderr
    assert (tmp_path / "image").read_bytes() == before
