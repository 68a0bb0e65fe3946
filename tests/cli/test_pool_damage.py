# SPDX-License-Identifier: Apache-2.0
"""Pools that are damaged, newer or contradict themselves are refused, or told and never followed."""

import random

import pytest

from e2e.harness.pool import crc32c


def flip(path, offset, mask=0xff):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


@pytest.mark.parametrize("offset", [0, 8, 12, 16, 32, 40, 56, 96, 100, 108, 112, 140, 200, 3072 + 16, 3072 + 36])
def test_a_damaged_superblock_is_refused(pool, tree, offset):
    flip(pool.path, offset)
    result = pool.run("info")
    assert result.returncode == 1 and str(pool.path) in result.stderr
    assert pool.build(f"dir:{tree}").returncode == 1


def test_newer_pools_are_shown_or_refused(pool, tree):
    """An unknown read-only feature: look, do not touch. An unknown version: neither."""
    data = bytearray(pool.path.read_bytes()[:4096])
    data[24] |= 0x80
    pool.path.open("r+b").write(sealed(data))
    assert pool.info()["version"] == 1
    result = pool.build(f"dir:{tree}")
    assert result.returncode == 1 and "can show it, not change it" in result.stderr
    data[24] &= 0x7f
    data[8] = 2
    pool.path.open("r+b").write(sealed(data))
    assert "a newer daxfs is needed" in pool.run("info").stderr


def sealed(data):
    blank = bytearray(data)
    blank[0:8] = bytes(8)
    blank[12:16] = bytes(4)
    data[12:16] = crc32c(bytes(blank)).to_bytes(4, "little")
    return bytes(data)


def test_superblocks_that_contradict_are_refused(memory, ctl):
    paths = [memory / name for name in ("a", "b")]
    devices = ",".join(map(str, paths))
    ctl.ok("pool", "create", "--size", "16M", devices)
    data = bytearray(paths[1].read_bytes()[:4096])
    data[3072 + 16:3072 + 32] = (1 << 40).to_bytes(8, "little") + (1 << 39).to_bytes(8, "little")  # of the first one
    with open(paths[1], "r+b") as file:
        file.write(sealed(data))
    for command in ("info", "ls", "check", "gc"):
        result = ctl.run("pool", command, devices)
        assert result.returncode == 1 and "contradict" in result.stderr, result.stderr


@pytest.mark.parametrize("seed", range(12))
def test_damaged_tables_are_told_and_never_followed(pool, tree, seed):
    """Bytes flipped anywhere in the tables: every command ends, with or without a complaint, and none crashes."""
    pool.build(f"dir:{tree}", "--name", "web")
    pool.ok("put", tree / "small", "weights")
    chance = random.Random(seed)
    end = pool.path.stat().st_size - pool.info()["chunks"]["total"] * (2 << 20)
    used = [i for i, byte in enumerate(pool.path.read_bytes()[4096:end], 4096) if byte]
    for _ in range(40):
        flip(pool.path, chance.choice(used) if chance.random() < 0.7 else chance.randrange(4096, end),
             1 << chance.randrange(8))
    for command in (["ls"], ["info"], ["check"], ["check", "--repair"], ["gc", "-n"], ["get", "web", "-o", "/dev/null"],
                    ["gc"], ["rm", "weights"], ["check"]):
        assert pool.run(*command).returncode in (0, 1), command
    assert pool.build(f"dir:{tree}").returncode in (0, 1)
    assert pool.ctl_program.run("image", "verify", f"pool:{pool.path}:web",
                                env=pool.environment()).returncode in (0, 1)
