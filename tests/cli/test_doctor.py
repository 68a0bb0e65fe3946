# SPDX-License-Identifier: Apache-2.0
"""daxfsctl doctor: what it says of a node on which nothing runs, and of one with a pool and a daemon."""

import json
import os
import random
import tempfile
from pathlib import Path

import pytest

from daemon import Daemon

HOST = "00000000-0000-4000-8000-000000000001"


class Node:
    """A folder that has all of a node that can be moved: pools, sockets, configuration, programs."""

    def __init__(self, folder, ctl):
        self.folder, self.ctl = folder, ctl
        for name in ("pools.d", "bin"):
            (folder / name).mkdir()
        self.environment = {**os.environ, "DAXFS_POOLS_DIR": str(folder / "pools.d"), "DAXFS_HOST_ID": HOST,
                            "DAXFS_RUN_DIR": str(folder / "run"), "PATH": str(folder / "bin")}

    def doctor(self, *args):
        return self.ctl.run("doctor", "--config", self.folder / "snapshotter.yaml", "--address", self.folder / "s.sock",
                            "--containerd", self.folder / "c.sock", "--containerd-config", self.folder / "config.toml",
                            *args, env=self.environment)

    def findings(self):
        """{check: (verdict, what, advice)}; of several the last. The last line is about all."""
        lines = [json.loads(line) for line in self.doctor("--json").stdout.splitlines()]
        self.end = lines.pop()
        assert self.end["failed"] == sum(line["verdict"] == "FAIL" for line in lines)
        return {line["check"]: (line["verdict"], line["what"], line["advice"]) for line in lines}

    def make_pool(self, name, size="64M"):
        (self.folder / "pools.d" / f"{name}.yaml").write_text(f"devices: [{self.folder}/{name}.pool]\n")
        self.ctl.ok("pool", "create", "--size", size, name, env=self.environment)


@pytest.fixture
def node(ctl):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Node(Path(folder), ctl)


@pytest.fixture
def daemon(node):
    daemon = Daemon(node.folder)
    daemon.environment["DAXFS_POOLS_DIR"] = node.environment["DAXFS_POOLS_DIR"]
    yield daemon
    daemon.stop()


def test_of_a_bare_node_it_says_what_to_type(node):
    done = node.doctor()
    assert done.returncode == 1 and done.stderr == "" and "\033" not in done.stdout
    lines = done.stdout.splitlines()
    assert all(line.split("  ")[0] in ("ok", "warn", "FAIL") for line in lines), lines
    for line in lines:
        assert line.startswith("ok  ") != line.endswith(")"), line
    assert "(systemctl start daxfs-snapshotter)" in done.stdout and "(systemctl start containerd)" in done.stdout
    found = node.findings()
    assert not node.end["ok"] and len(lines) == len(found)
    assert {check for check, row in found.items() if row[0] == "FAIL"} >= {"daemon", "containerd"}
    assert found["host-id"][0] == "ok" and found["pool"][0] == "warn" and "no pool" in found["pool"][1]


def test_what_others_say_commands_no_terminal(node):
    done = node.ctl.run("doctor", "--address", node.folder / "s.sock", "--containerd", node.folder / "c\033[2J\n.sock",
                        env=node.environment)
    assert "\033" not in done.stdout and "c\\x1b[2J\\x0a.sock" in done.stdout


def test_pools_are_opened_and_measured(node, tmp_path):
    node.make_pool("images")
    found = node.findings()
    assert {found[check][0] for check in ("pool", "pool-room", "pool-damage", "host-unique")} == {"ok"}
    info = json.loads(node.ctl.ok("pool", "info", "--json", "images", env=node.environment))
    assert info["uuid"] in found["pool"][1]
    (tmp_path / "large").write_bytes(random.Random(1).randbytes(56 << 20))
    node.ctl.ok("pool", "put", "images", tmp_path / "large", "large", env=node.environment)
    assert node.findings()["pool-room"][0] == "warn" and "remove images" in node.findings()["pool-room"][2]


@pytest.mark.parametrize("text, said", [("devices: 3\n", "line 1"), ("devices: [/nowhere/pool]\n", "/nowhere/pool")])
def test_a_pool_that_is_wrong_fails(node, text, said):
    (node.folder / "pools.d/bad.yaml").write_text(text)
    verdict, what, advice = node.findings()["pool"]
    assert verdict == "FAIL" and said in what and "bad" in advice


def test_a_daemon_without_a_pool(node, daemon):
    daemon.start()
    found = node.findings()
    assert found["daemon"][0] == "ok" and f"{daemon.folder}/root" in found["daemon"][1]
    assert found["daemon-pool"][0] == "warn" and "snapshotter.yaml" in found["daemon-pool"][2]
    assert found["images"][:2] == ("ok", "0 snapshots, 0 of images, all there")
    assert found["root"][0] == ("ok" if os.getuid() == 0 else "warn")
    assert not [name for name in os.listdir(f"{daemon.folder}/root") if "probe" in name]


def test_a_daemon_with_a_pool(node, daemon, fuse):
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("nothing mounts here: no /dev/fuse")
    node.make_pool("images")
    daemon.write_config(pool="images", backend="fuse", fuse_program=fuse.path)
    daemon.start()
    found = node.findings()
    assert found["daemon-pool"][:2] == ("ok", "daxfs-snapshotter takes part in pool images and mounts by fuse")
    assert found["module"][0] != "FAIL"  # whatever this machine has: somebody mounts


def test_while_the_daemon_is_down_its_configuration_counts(node, daemon):
    node.make_pool("elsewhere")
    (node.folder / "pools.d/elsewhere.yaml").unlink()
    (node.folder / "root").mkdir()
    daemon.write_config(pool=f"{node.folder}/elsewhere.pool", containerd=f"{node.folder}/c.sock")
    asked = ("doctor", "--config", daemon.config_file, "--containerd-config", node.folder / "config.toml")
    lines = [json.loads(line) for line in node.ctl.run(*asked, "--json", env=node.environment).stdout.splitlines()]
    found = {line["check"]: line["what"] for line in lines[:-1]}
    assert found["config"] == f"{daemon.config_file} can be read"
    assert str(daemon.socket) in found["daemon"] and f"{node.folder}/c.sock" in found["containerd"]
    assert f"{node.folder}/elsewhere.pool" in found["pool"] and f"{node.folder}/root" in found["root"]
    daemon.write_config(backend="magic")
    verdict, what, advice = node.findings()["config"]
    assert verdict == "FAIL" and "backend: wants auto" in what and "--check-config" in advice


def test_of_a_node_with_a_daemon_only_what_is_not_there_fails(node, daemon):
    daemon.start()
    done = node.doctor()
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert done.returncode == 1 and any("containerd" in line for line in failed)
    assert all("containerd" in line or "mounted" in line for line in failed), failed
