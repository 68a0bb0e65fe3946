# SPDX-License-Identifier: Apache-2.0
"""daxfsctl snapshot: what people see of a running daxfs-snapshotter."""

import json
import tempfile

import pytest

from daemon import Daemon
from layouts import tar_of
from test_pool_screen import Screen


@pytest.fixture
def daemon():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        daemon = Daemon(folder)
        yield daemon
        daemon.stop()


def listed(ctl, daemon, *args):
    lines = ctl.ok("snapshot", "ls", "--address", daemon.socket, "--json", *args).splitlines()
    return [json.loads(line) for line in lines]


def test_what_containerd_has_asked_for_is_listed(ctl, daemon):
    daemon.start()
    assert listed(ctl, daemon) == []
    daemon.prepare("base")
    daemon.commit("layer", "base")
    daemon.prepare("container", "layer")
    rows = listed(ctl, daemon)
    assert [(row["number"], row["name"], row["kind"], row["state"], row["parent"]) for row in rows] == [
        (1, "layer", "committed", "directory", ""), (2, "container", "active", "directory", "layer")]
    assert [row["name"] for row in listed(ctl, daemon, "--kind", "active")] == ["container"]
    assert listed(ctl, daemon, "--missing") == []
    text = ctl.ok("snapshot", "ls", "--address", daemon.socket)
    assert text.splitlines()[0].split() == ["NUMBER", "KIND", "STATE", "SIZE", "PARENT", "KEY"]
    assert text.splitlines()[2].split() == ["2", "active", "directory", "-", "1", "container"]


def test_info_says_everything_and_what_is_below(ctl, daemon):
    daemon.start()
    daemon.prepare("base")
    daemon.commit("layer", "base")
    daemon.prepare("container", "layer")
    for key in ("container", "2"):
        said = json.loads(ctl.ok("snapshot", "info", "--address", daemon.socket, "--json", key))
        assert [layer["name"] for layer in said["layers"]] == ["container", "layer"]
        assert said["layers"][1]["path"] == f"{daemon.folder}/root/snapshots/1/fs"
    daemon.prepare("default/7/web", "layer")
    assert "default/7/web" in ctl.ok("snapshot", "info", "--address", daemon.socket, "web")
    daemon.prepare("k8s.io/8/web", "layer")
    said, code = refused(ctl, "info", "--address", daemon.socket, "web")
    assert code == "INVALID_ARGUMENT" and "default/7/web" in said and "k8s.io/8/web" in said
    assert "2 layers, the uppermost first:\n" in ctl.ok("snapshot", "info", "--address", daemon.socket, "container")


def test_it_is_the_same_after_a_restart(ctl, daemon):
    daemon.start()
    daemon.prepare("a")
    before = listed(ctl, daemon)
    daemon.stop()
    daemon.start()
    assert listed(ctl, daemon) == before != []


def test_an_image_is_placed_until_the_pool_has_lost_it(ctl, daemon):
    pool = daemon.folder / "pool"
    make = ["pool", "create", "--size", "64M", pool]
    ctl.ok(*make, env=daemon.environment)
    daemon.write_config(pool=pool, content=daemon.folder / "content", backend="fuse", fuse_program="/nowhere")
    daemon.start()
    digest = daemon.pull(tar_of([("file", "content")]), 1)
    row, = listed(ctl, daemon)
    assert (row["name"], row["state"], row["kind"], row["diff_id"], row["chain"], row["mounted"]) == (
        digest, "placed", "committed", digest, digest, False)
    assert row["digest"] in ctl.ok("pool", "ls", pool, env=daemon.environment)
    assert listed(ctl, daemon, "--missing") == []
    daemon.stop()
    (daemon.folder / "content/blobs/sha256" / digest.removeprefix("sha256:")).unlink()
    pool.unlink()
    ctl.ok(*make, env=daemon.environment)
    daemon.start()
    daemon.wait_for_log("placing a layer again is put off")
    row, = listed(ctl, daemon)
    assert (row["name"], row["state"]) == (digest, "missing") and listed(ctl, daemon, "--missing") == [row]
    assert " missing " in ctl.ok("snapshot", "info", "--address", daemon.socket, "1")
    doctor = ctl.run("doctor", "--address", daemon.socket, env=daemon.environment)
    assert doctor.returncode == 1 and row["why"]
    assert f"1 of them are not in the pool any more and cannot be placed again: {row['why']}" in doctor.stdout
    assert row["why"] in ctl.ok("snapshot", "info", "--address", daemon.socket, "1")


def refused(ctl, *args):
    """What standard error says, and the error's code in JSON."""
    said = ctl.run("snapshot", *args)
    as_json = ctl.run("snapshot", *args, "--json")
    assert said.returncode == as_json.returncode == 1 and said.stdout == ""
    return said.stderr, json.loads(as_json.stdout)["error"]["code"]


def test_what_fails_says_what_to_do(ctl, daemon, tmp_path):
    said, code = refused(ctl, "ls", "--address", daemon.socket)
    assert code == "UNAVAILABLE" and "No such file" in said and "systemctl start daxfs-snapshotter" in said
    daemon.start()
    said, code = refused(ctl, "info", "--address", daemon.socket, "nobody")
    assert code == "NOT_FOUND" and '"nobody"' in said and "daxfsctl snapshot ls" in said
    daemon.process.kill()
    daemon.process.wait()
    daemon.process = None
    said, code = refused(ctl, "ls", "--address", daemon.socket)
    assert code == "UNAVAILABLE" and "Connection refused" in said
    said, code = refused(ctl, "ls", "--address", tmp_path / ("x" * 200))
    assert code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("args, said", [
    ([], "there is: ls, info"),
    (["rm"], 'unknown command "rm"; there is: ls, info'),
    (["info"], "KEY"),
    (["ls", "--kind", "other"], "--kind"),
])
def test_wrong_usage(ctl, args, said):
    done = ctl.run("snapshot", *args)
    assert done.returncode == 2 and (said in done.stderr or not args), done.stderr


def test_a_terminal_is_not_overrun(ctl, daemon):
    daemon.start()
    daemon.prepare("k" * 100)
    for command in ["ls"], ["info", "1"]:
        screen = Screen(80, 24)
        screen.start_program([ctl.path, "snapshot", *command, "--address", daemon.socket])
        lines = screen.read_until(None).splitlines()
        assert screen.end() == (0, "") and max(map(len, lines)) <= 80
        assert any(line.endswith("…") for line in lines) and "k" * 20 in "".join(lines)
