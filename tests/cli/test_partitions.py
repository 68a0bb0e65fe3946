# SPDX-License-Identifier: Apache-2.0
"""A pool without coherence between hosts: a partition for each, from the command line."""

import json

import pytest

from layouts import Layout, tar_of
from pools import HOST, Pool


class PartitionedPool(Pool):
    def __init__(self, folder, build, ctl):
        self.folder, self.build_program, self.ctl_program = folder, build, ctl
        self.path = folder / "pool"
        hosts = [f"--partition={HOST.format(number)}" for number in (1, 2, 3)]
        self.made = self.ok("create", "--size", "96M", *hosts)


@pytest.fixture
def pool(memory, build, ctl):  # noqa: F811
    return PartitionedPool(memory, build, ctl)


def test_a_pool_of_three_hosts_is_made_and_shown(pool):
    assert "in each of 3 partitions" in pool.made
    info = pool.info()
    assert info["mode"] == "partitioned" and "chunks" not in info
    assert [part["partition_host"] for part in info["partitions"]] == [HOST.format(number) for number in (1, 2, 3)]
    assert [device["size_bytes"] for device in info["devices"]] == [pool.path.stat().st_size]
    assert not any(part["stated_off"] for part in info["partitions"])
    assert {part["chunks"]["free"] for part in info["partitions"]} == {info["partitions"][0]["chunks"]["total"]}
    text = pool.ok("info")
    assert "partitioned" in text and f"partition   2 of 3, host {HOST.format(3)}" in text
    assert pool.ok("watch", "--count", "1").count("(a character is") == 3
    assert pool.ok("check") == "clean\n"


def test_what_one_host_placed_the_others_find_hold_and_read(pool, tree, tmp_path):  # noqa: F811
    first = pool.json("put", tree, "tree", host=1)[0]
    assert first["how"] == "built"
    for host in (1, 2, 3):
        pool.ok("get", "tree", "-o", tmp_path / f"out{host}", host=host)
        assert (tmp_path / f"out{host}/below/large").read_bytes() == (tree / "below/large").read_bytes()
    listed = pool.json("ls", host=2)
    assert [(row["digest"], row["partition"], row["names"]) for row in listed] == [(first["digest"], 0, ["tree"])]
    refused = pool.run("rm", "tree", host=2)
    assert refused.returncode == 1 and "no name" in refused.stderr
    assert "freed" in pool.ok("rm", "tree", host=1)
    assert pool.run("get", "tree", "-o", tmp_path / "gone", host=2).returncode == 1


def test_ls_shows_the_names_of_all_hosts(pool, tree):  # noqa: F811
    pool.ok("put", tree, "zero", host=1)
    assert pool.json("put", tree, "two", host=3)[0]["how"] == "built", "one builds at home"
    layer = pool.json("ls", host=2)[0]["digest"]
    rows = pool.json("ls", host=2)
    assert [(row["digest"], row["partition"], row["names"], row["name_partitions"]) for row in rows] == [
        (layer, 0, ["zero"], [0]), (layer, 2, ["two"], [2])]
    lines = pool.ok("ls", host=2).splitlines()
    assert lines[0].split()[:2] == ["PART", "DIGEST"] and [line.split()[0] for line in lines[1:]] == ["0", "2"]


def test_ls_shows_who_named_anothers_object(pool, tmp_path):
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar_of([("file", b"x" * (3 << 20))])]))
    for host, name in ((2, "first"), (1, "second")):
        assert pool.build(f"oci:{tmp_path}/oci", "--per-layer", "--name", name, host=host).returncode == 0
    rows = pool.json("ls", host=3)
    assert [(row["partition"], row["names"], row["name_partitions"]) for row in rows] == [
        (1, [], []), (1, ["second", "first"], [0, 1])]
    assert [row["partition"] for row in pool.json("ls", "second", host=3)] == [1, 1], "the record, its layer"
    assert "second (of 0), first" in pool.ok("ls", host=3)


def test_a_layer_is_built_by_one_host_for_all(pool, tmp_path):
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar_of([("file", b"x" * (3 << 20))])]))
    source = f"oci:{tmp_path / 'oci'}"
    hows = []
    for host in (2, 1, 3):
        result = pool.build(source, "--per-layer", "--name", "app", "--json", host=host)
        assert result.returncode == 0, result.stderr
        hows += [image["how"] for image in json.loads(result.stdout)["images"]]
    assert hows == ["built", "found", "found"]
    # Each host has a name and a hold of its own: the layer goes when the last has let go.
    for host in (2, 1, 3):
        assert pool.json("gc", host=2)[-1]["objects"] == 0
        assert len(pool.json("ls", host=2)) == 2, "the layer and the image's config"
        pool.ok("rm", "app", host=host)
    assert pool.json("gc", host=2)[-1]["objects"] == 2
    assert pool.json("ls", host=2) == []
    assert pool.ok("check") == "clean\n"


def test_a_host_that_is_off_holds_nothing(pool, tree):  # noqa: F811
    pool.ok("put", tree, "tree", host=1)
    layout_free = pool.info()["partitions"][0]["chunks"]["free"]
    assert pool.build(f"dir:{tree}", "--name", "mine", host=2).returncode == 0
    assert "its own objects stay" in pool.ok("fence", "1", "--powered-off", host=3)
    parts = pool.info()["partitions"]
    assert [part["stated_off"] for part in parts] == [False, True, False]
    assert [host["host"] for part in parts for host in part["hosts"]] == [0, 1, 2]
    refused = pool.run("fence", "0", "--powered-off", host=1)
    assert refused.returncode == 1 and "is not off" in refused.stderr
    assert pool.info()["partitions"][0]["chunks"]["free"] == layout_free
    # What it placed stays, for all to read.
    assert len(pool.json("ls", host=3)) == 2
    assert pool.run("fence", "nobody", "--powered-off", host=1).returncode == 1


@pytest.mark.parametrize("args, message", [
    (["--partition=" + HOST.format(1)], "two hosts or more"),
    (["--partition=" + HOST.format(1), "--partition=" + HOST.format(1)], "named twice"),
    (["--partition=me", "--partition=you"], "--partition"),
    (["--partition=" + HOST.format(1), "--partition=" + HOST.format(2), "--hosts", "4"], "two hosts or more"),
])
def test_what_no_pool_can_be_made_of(memory, build, ctl, args, message):  # noqa: F811
    path = memory / "pool"
    result = ctl.run("pool", "create", path, "--size", "96M", *args)
    assert result.returncode == 1 and message in result.stderr
    assert not path.exists()


def test_a_stranger_is_told_whose_the_partitions_are(pool, tree):  # noqa: F811
    result = pool.run("put", tree, "tree", host=4)
    assert result.returncode == 1 and HOST.format(4) in result.stderr and HOST.format(1) in result.stderr
