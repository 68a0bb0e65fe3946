# SPDX-License-Identifier: Apache-2.0
"""The collector sees each thing a tree can hold, and the comparison names each thing planted in one of two trees."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.collect import collect, compare

HERE = Path(__file__).resolve().parent
ODD = b"caf\xe9\n,:\\"


def make(root):
    """One of everything an ordinary user can make."""
    root.mkdir()
    (root / "d").mkdir(mode=0o750)
    (root / "d/a").write_bytes(b"1")
    (root / "d/b").hardlink_to(root / "d/a")
    (root / "d/c").write_bytes(b"1")
    os.utime(root / "d/a", ns=(0, -1_000_000_001))
    os.symlink(b"now\xffhere", root / "l")
    os.link(root / "l", root / "l2", follow_symlinks=False)
    os.mkfifo(root / "fifo", 0o600)
    folder = os.open(root, os.O_PATH)  # the path itself may be too long for an address
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{folder}/socket")
    os.close(folder)
    with open(os.fsencode(root) + b"/" + ODD, "wb") as file:
        file.write(b"name")
    with open(root / "sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    for path in ("d", "d/c", "sparse", "fifo", "."):
        os.utime(root / path, ns=(0, 5))
    os.utime(root / "socket", ns=(0, 5))
    os.utime(root / "l", ns=(0, 5), follow_symlinks=False)
    os.utime(os.fsencode(root) + b"/" + ODD, ns=(0, 5))
    return root


@pytest.fixture
def tree(tmp_path):
    return make(tmp_path / "tree")


def by_path(found):
    return {item["path"]: item for item in found}


def test_every_kind_is_described(tree):
    found = by_path(collect.collect(tree, with_map=True))
    odd = os.fsdecode(ODD)
    assert list(found) == [".", odd, "d", "d/a", "d/b", "d/c", "fifo", "l", "l2", "socket", "sparse"]
    assert {path: item["type"] for path, item in found.items()} == {
        ".": "dir", odd: "file", "d": "dir", "d/a": "file", "d/b": "file", "d/c": "file", "fifo": "fifo",
        "l": "symlink", "l2": "symlink", "socket": "socket", "sparse": "file"}
    assert (found["d"]["mode"], found["d"]["nlink"], found["d/a"]["nlink"]) == (0o750, None, 2)
    assert (found["d/b"]["same"], found["l2"]["same"]) == ("d/a", "l")
    assert "same" not in found["d/a"] and "same" not in found["d/c"]
    assert found["d/a"]["mtime_ns"] == -1_000_000_001 and found["d/a"]["size"] == 1
    assert found["l"]["target"] == "now\udcffhere"
    assert found["sparse"]["data"] in ([[1 << 20, 4096]], [[0, (1 << 20) + 4096]])  # not all filesystems have holes
    assert found["d/a"]["uid"] == os.getuid() and found["d/a"]["gid"] == os.getgid()


def test_a_walk_is_the_same_through_the_program_and_as_json(tree):
    done = subprocess.run([sys.executable, HERE / "collect.py", "--data-map", tree], capture_output=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == collect.collect(tree, with_map=True)
    done = subprocess.run([sys.executable, HERE / "collect.py", "--no-root", tree], capture_output=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == collect.collect(tree)[1:]


def change(path, new):
    """A planter that sets a field to `new`."""
    field = next(iter(new))
    return path, field, lambda root: PLANT[field](root / path, new[field])


def replace_content(path, data):
    times = os.stat(path).st_mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(0, times))


def replace_link(path, target):
    path.unlink()
    path.symlink_to(target)
    os.utime(path, ns=(0, 5), follow_symlinks=False)


PLANT = {
    "mode": os.chmod, "mtime_ns": lambda path, ns: os.utime(path, ns=(0, ns)), "sha256": replace_content,
    "target": replace_link
}
PLANTED = [change("d", {"mode": 0o751}), change("d/a", {"mode": 0o4755}), change(".", {"mode": 0o1777}),
           change("d/c", {"mtime_ns": 6}), change("d", {"mtime_ns": -5}), change("d/c", {"sha256": b"2"})]


@pytest.mark.parametrize("path, field, plant", PLANTED, ids=[f"{field} of {path}" for path, field, _ in PLANTED])
def test_each_difference_in_a_tree_is_named(tree, path, field, plant):
    before = collect.collect(tree)
    assert compare.differences(before, collect.collect(tree)) == []
    plant(tree)
    lines = compare.differences(before, collect.collect(tree))
    names = {path} | ({"d/b"} if path == "d/a" else set())  # the other name of the inode
    assert {line.split(" is ")[0] for line in lines} == {f"{name!r}: {field}" for name in names}


def unlink_and(then):
    """Makes d/b an inode of its own with the same content and times."""
    def plant(root):
        (root / "d/b").unlink()
        then(root)
        os.utime(root / "d", ns=(0, 5))
    return plant


def copy_of_a(root):
    (root / "d/b").write_bytes(b"1")
    os.utime(root / "d/b", ns=(0, -1_000_000_001))


def link_of_c(root):
    os.link(root / "d/c", root / "d/b")


NAMES = [
    (unlink_and(lambda root: None), {"'d/b': missing", "'d/a': nlink"}),
    (unlink_and(copy_of_a), {"'d/a': nlink", "'d/b': nlink", "'d/b': same"}),
    (unlink_and(link_of_c), {"'d/a': nlink", "'d/b': mtime_ns", "'d/b': same", "'d/c': nlink", "'d/c': same"}),
    (unlink_and(lambda root: (root / "d/b").mkdir()), {"'d/a': nlink", "'d/b': type"}),
    (lambda root: (root / "d/new").write_bytes(b""), {"'d/new': should not be there"}),
]


@pytest.mark.parametrize("plant, expected", NAMES, ids=["gone", "copied", "other file", "other type", "new"])
def test_each_difference_in_names_is_named(tree, plant, expected):
    before = collect.collect(tree)
    plant(tree)
    lines = compare.differences(before, collect.collect(tree))
    assert expected <= {line.split(" is ")[0] for line in lines}, lines


def entry(**fields):
    return {"path": "p", "type": "file", "mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": 0, "nlink": 1, "xattrs": {},
            **fields}


@pytest.mark.parametrize("want, have, line", [
    (entry(), entry(uid=1), "'p': uid is 1, not 0"),
    (entry(), entry(gid=2**32 - 2), "'p': gid is 4294967294, not 0"),
    (entry(rdev=[1, 3]), entry(rdev=[1, 5]), "'p': rdev is [1, 5], not [1, 3]"),
    (entry(xattrs={"user.a": ""}), entry(), "'p': xattr 'user.a' is None, not ''"),
    (entry(xattrs={"user.a": "AA=="}), entry(xattrs={"user.a": "AQ=="}), "'p': xattr 'user.a' is 'AQ==', not 'AA=='"),
    (entry(), entry(xattrs={"user.b": ""}), "'p': xattr 'user.b' is '', not None"),
    (entry(data=[[0, 4096]]), entry(data=[]), "'p': data is [], not [[0, 4096]]"),
    (entry(size=1), entry(size=2), "'p': size is 2, not 1"),
    (entry(names="3"), entry(), "'p': names is None, not '3'"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_difference_in_a_field_is_named(want, have, line):
    assert compare.differences([want], [have]) == [line]
    assert compare.differences([want], [want]) == []


def test_paths_listed_twice_are_named():
    assert compare.differences([entry()], [entry(), entry()]) == ["1 paths found more than once"]
    assert compare.differences([entry(), entry()], [entry()]) == ["1 paths expected more than once"]


def test_only_what_is_to_be_ignored_is(tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_text(json.dumps(entry()) + "\n")
    right.write_text(json.dumps(entry(uid=1, size=4)) + "\n")
    argv = [sys.executable, HERE / "compare.py", left, right]
    done = subprocess.run([*argv, "--ignore", "uid"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "'p': size is 4, not None\n")
    done = subprocess.run([*argv, "--ignore", "uid", "--ignore", "size"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_long_values_differ_by_digest():
    long = bytes(65536)
    assert collect.value_text(long) == collect.value_text(bytes(65536))
    assert collect.value_text(long) != collect.value_text(long[:-1] + b"\1")
    assert collect.value_text(long) != collect.value_text(long[:-1])
    assert collect.value_text(b"\0\1") == "AAE="


def test_blocks_digest_is_about_bytes_and_not_about_holes(tmp_path):
    size = 5 * collect.BLOCK_BYTES + 7

    def digest(name, writes):
        with open(tmp_path / name, "w+b") as file:
            file.truncate(size)
            for at, data in writes:
                os.pwrite(file.fileno(), data, at)
            return collect.blocks_digest(file.fileno(), size)

    one = digest("one", [(70000, b"x"), (size - 1, b"y")])
    assert one == digest("zeros", [(0, bytes(size)), (70000, b"x"), (size - 1, b"y")])
    assert one == digest("some", [(65536, bytes(4096)), (70000, b"x"), (size - 1, b"y")])
    for name, writes in (("less", [(70000, b"x")]), ("moved", [(70001, b"x"), (size - 1, b"y")]),
                         ("block", [(70000 + 65536, b"x"), (size - 1, b"y")])):
        assert one != digest(name, writes)


def test_a_sample_lists_all_and_looks_at_some(tmp_path):
    (tmp_path / "crowd").mkdir()
    for number in range(100):
        (tmp_path / f"crowd/{number:03d}").write_bytes(b"")

    def sampled():
        return collect.collect(tmp_path, samples={"crowd": 10})

    before = sampled()
    assert [item["path"] for item in before] == [".", "crowd", *(f"crowd/{n:03d}" for n in range(0, 100, 10))]
    assert by_path(before)["crowd"]["names"].startswith("100, sha256 ")
    (tmp_path / "crowd/055").unlink()
    (tmp_path / "crowd/055").mkdir()
    lines = compare.differences(before, sampled(), ignore=("mtime_ns", ))
    assert len(lines) == 1 and lines[0].startswith("'crowd': names is '100, sha256 ")
    (tmp_path / "crowd/055").rmdir()
    assert any("crowd': names is '99," in line for line in compare.differences(before, sampled()))


def test_what_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        collect.collect(tmp_path / "nothing")
