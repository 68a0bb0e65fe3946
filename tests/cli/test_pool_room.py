# SPDX-License-Identifier: Apache-2.0
"""A pool never has less memory than it says: what its file system cannot give is refused when it is made or grown."""

import json
import os
import random

import pytest

from pools import Pool

MIB = 1 << 20
MIBS_FREE = "free; take less, or make the file system larger"


def free(folder):
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize


def create(ctl, path, *args):
    return ctl.run("pool", "create", path, *args)


def test_a_pool_has_all_its_memory_when_it_is_made(small_tmpfs, build, ctl):
    pool = Pool(small_tmpfs, build, ctl, "8M", "--max-size", "64M")
    assert pool.path.stat().st_blocks * 512 == pool.path.stat().st_size == 8 * MIB
    assert 7 * MIB < free(small_tmpfs) <= 8 * MIB, "what it may become is no memory yet"
    pool.ok("resize", "12M")
    assert pool.path.stat().st_blocks * 512 == 12 * MIB


@pytest.mark.parametrize("before", [None, 0, 64 * MIB])
def test_one_too_large_is_refused_and_leaves_nothing(small_tmpfs, ctl, before):
    path = small_tmpfs / "pool"
    if before is not None:
        path.touch()
        os.truncate(path, before)
    room = free(small_tmpfs)
    refused = create(ctl, path, *([] if before else ["--size", "64M"]))
    assert refused.returncode == 1 and "64.0 MiB more needed, 16.0 MiB are " + MIBS_FREE in refused.stderr, refused
    assert path.stat().st_size == before if before is not None else not path.exists()
    assert free(small_tmpfs) >= room - os.sysconf("SC_PAGE_SIZE")
    assert create(ctl, path, "--force", "--size=8M").returncode == 0


def test_of_several_files_all_have_memory_or_none_is_left(small_tmpfs, ctl):
    refused = create(ctl, f"{small_tmpfs}/a,{small_tmpfs}/b", "--size", "10M")
    assert refused.returncode == 1 and "/b: its file system has no room for it: 10.0 MiB more needed" in refused.stderr
    assert list(small_tmpfs.iterdir()) == []


def test_where_nothing_is_left_a_refusal_is_all(small_tmpfs, ctl):
    with open(small_tmpfs / "other", "wb") as other:
        other.write(bytes(free(small_tmpfs)))
    for args in (["--size", "4M"], ["--size", "4M", "--json"]):
        refused = create(ctl, small_tmpfs / "pool", *args)
        assert refused.returncode == 1 and "4.0 MiB more needed, 0 B are free" in refused.stderr, refused
    assert json.loads(refused.stdout)["error"]["code"] == "RESOURCE_EXHAUSTED"
    assert not (small_tmpfs / "pool").exists()


def test_a_pool_that_cannot_grow_is_as_before(small_tmpfs, build, ctl, tmp_path):
    pool = Pool(small_tmpfs, build, ctl, "8M", "--max-size", "64M")
    (tmp_path / "file").write_bytes(random.Random(1).randbytes(3 * MIB))
    pool.ok("put", tmp_path / "file", "kept")
    before, room = pool.room(), free(small_tmpfs)
    refused = pool.run("resize", "40M")
    assert refused.returncode == 1 and "32.0 MiB more needed, 8.0 MiB are " + MIBS_FREE in refused.stderr, refused
    assert pool.room() == before and free(small_tmpfs) == room and pool.path.stat().st_size == 8 * MIB
    assert pool.ok("check") == "clean\n"
    pool.ok("resize", "14M")
    assert pool.path.stat().st_blocks * 512 == 14 * MIB


@pytest.mark.parametrize("size", ["40M", "12M"])
def test_a_refused_replacement_changes_nothing(small_tmpfs, build, ctl, tmp_path, size):
    pool = Pool(small_tmpfs, build, ctl, "8M", "--max-size", "16M")
    (tmp_path / "file").write_bytes(random.Random(1).randbytes(3 * MIB))
    pool.ok("put", tmp_path / "file", "kept")
    if size == "12M":  # smaller than the file it replaces, which is not all there
        with open(small_tmpfs / "other", "wb") as other:
            other.write(bytes(7 * MIB))
        os.truncate(pool.path, 16 * MIB)
    before, content = pool.room(), pool.path.read_bytes()
    refused = pool.run("create", "--force", "--size", size)
    assert refused.returncode == 1 and "more needed" in refused.stderr, refused
    assert pool.path.read_bytes() == content and pool.room() == before
    pool.ok("get", "kept", "-o", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "file").read_bytes()
    pool.ok("create", "--force", "--size", "8M")
    assert pool.path.stat().st_size == 8 * MIB and pool.ok("check") == "clean\n"


def test_a_file_system_that_promises_nothing_is_taken_as_it_is(own_mount, build, ctl, tmp_path):
    pool = Pool(own_mount("ramfs", "mode=755"), build, ctl, "8M", "--max-size", "16M")
    assert pool.path.stat().st_size == 8 * MIB
    pool.ok("resize", "16M")
    (tmp_path / "file").write_bytes(random.Random(1).randbytes(9 * MIB))
    pool.ok("put", tmp_path / "file", "kept")
    assert pool.path.stat().st_size == 16 * MIB and pool.ok("check") == "clean\n"
