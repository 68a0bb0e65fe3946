# SPDX-License-Identifier: Apache-2.0
"""Pools that grow and shrink from the command line, while others build in them."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from layouts import tar_of
from pools import Pool, building, wait_for

MIB = 1 << 20


@pytest.fixture
def pool(memory, build, ctl):  # noqa: F811
    return Pool(memory, build, ctl, "12M", "--max-size", "64M")


def total(pool):
    return pool.info()["chunks"]["total"]


def test_a_builder_goes_on_in_what_was_added(pool, tmp_path):
    fifo = tmp_path / "fifo.tar"
    os.mkfifo(fifo)
    data = tar_of([("a", random.Random(1).randbytes(30 * MIB))])
    process = pool.start(f"tar:{fifo}", "--name", "large", host=2)
    with open(fifo, "wb") as writer:
        writer.write(data[:3 * MIB])
        writer.flush()
        wait_for(lambda: building(pool), "it builds")
        before = total(pool)
        assert pool.json("resize", "64M")[0]["ok"]
        writer.write(data[3 * MIB:])
    assert process.wait() == 0, process.stderr.read()
    assert total(pool) > before and pool.path.stat().st_size == 64 * MIB
    pool.ctl_program.ok("image", "verify", f"pool:{pool.path}:large", env=pool.environment())
    assert pool.ok("check") == "clean\n"


def test_full_and_then_grown_and_shrunk_again(pool, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(random.Random(2).randbytes(20 * MIB))
    refused = pool.run("put", source, "web")
    assert refused.returncode == 1 and "daxfsctl pool resize" in refused.stderr
    assert "may grow to" in pool.ok("info")
    pool.ok("resize", "40M")
    pool.ok("put", source, "web")
    small = pool.run("resize", "12M")
    assert small.returncode == 1 and '"web"' in small.stderr and "rm takes its name away" in small.stderr
    assert pool.path.stat().st_size == 40 * MIB and pool.ok("check") == "clean\n"
    pool.ok("rm", "web")
    said = pool.ok("resize", "12M")
    assert "of at most" in said and pool.path.stat().st_size == 12 * MIB
    info = pool.info()
    assert info["chunks"]["free"] == info["chunks"]["total"] and info["chunks"]["absent"] > 0
    assert any(set(line) == {".", "-"} for line in pool.ok("watch", "-c", "1").splitlines()), "free, absent"


@pytest.mark.parametrize("args, message", [
    (["65M"], "at most"), (["1M"], "its tables and one chunk"), (["x"], "--size"), ([], "SIZE"),
])
def test_sizes_that_cannot_be(pool, args, message):
    before = pool.room()
    result = pool.run("resize", *args)
    assert result.returncode in (1, 2) and message in result.stderr, result.stderr
    assert pool.room() == before and pool.path.stat().st_size == 12 * MIB


def test_without_max_size_it_cannot_grow(memory, build, ctl):  # noqa: F811
    pool = Pool(memory, build, ctl, "16M")
    assert "at most" in pool.run("resize", "17M").stderr
    pool.ok("resize", "12M")
    pool.ok("resize", "16M")
    assert pool.info()["chunks"]["absent"] == 0


def test_resizers_killed_anywhere_and_builders_beside_them(pool, tmp_path):
    """Whatever was begun, the pool opens, checks clean, and the next resize finishes it."""
    chance = random.Random(5)
    for i in range(30):
        source = tmp_path / "source"
        source.write_bytes(chance.randbytes(chance.choice([10, 100000, 3 * MIB])))
        builder = pool.start(f"dir:{tmp_path}", host=2)
        resizer = subprocess.Popen([pool.ctl_program.path, "pool", "resize", pool.path, chance.choice(["12M", "64M"])],
                                   env=pool.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(chance.uniform(0, 0.03))
        resizer.send_signal(signal.SIGKILL)
        resizer.communicate()
        _, said = builder.communicate()
        assert builder.returncode == 0 or "pool is full" in said, said
        if i % 5 == 4:
            pool.json("gc")
            assert pool.run("check", "--repair").returncode == 0
    for o in pool.json("ls"):
        pool.ctl_program.ok("image", "verify", f"pool:{pool.path}:{o['digest']}", env=pool.environment())
    pool.json("gc")
    pool.ok("resize", "64M")
    assert pool.info()["chunks"]["absent"] == 0 and pool.ok("check") == "clean\n"
    pool.ok("resize", "12M")
    info = pool.info()
    assert info["chunks"]["free"] == info["chunks"]["total"] and not info["participants"]
    assert pool.path.stat().st_size == 12 * MIB


def test_force_makes_a_file_of_another_size_anew(pool):
    assert "--force makes it anew" in pool.run("create", "--size", "20M").stderr
    made = json.loads(pool.ok("create", "--force", "--json", "--size", "20M"))
    assert pool.path.stat().st_size == 20 * MIB and made["bytes"] == made["max_bytes"]
    pool.ok("create", "--force", "--size", "8M")
    assert pool.path.stat().st_size == 8 * MIB and pool.ok("check") == "clean\n"
