# SPDX-License-Identifier: Apache-2.0
"""daxfs-snapshotter as an operator has it: its metrics, and what a reload changes."""

import json
import re
import tempfile
import urllib.request

import pytest

from daemon import SECONDS, Daemon
from layouts import tar_of


@pytest.fixture
def daemon():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        daemon = Daemon(folder)
        yield daemon
        daemon.stop()


def port_of(daemon):
    return re.findall(r"serving metrics.* port=(\d+)", daemon.log())[-1]


def scrape(port):
    """{name with labels: value}; proxies of the environment have nothing to do with it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def test_metrics_are_what_was_asked_for_and_is_there(daemon):
    daemon.write_config(metrics="127.0.0.1:0")
    daemon.start()
    daemon.wait_for_log("serving metrics")
    daemon.prepare("base")
    daemon.commit("layer", "base")
    daemon.prepare("a", "layer")
    daemon.prepare("a", "layer")  # a second time
    found = scrape(port_of(daemon))
    calls = 'daxfs_snapshotter_calls_total{code="%s",method="%s"}'
    assert (found[calls % ("OK", "Prepare")], found[calls % ("ALREADY_EXISTS", "Prepare")],
            found[calls % ("OK", "Commit")]) == (2, 1, 1)
    assert found['daxfs_snapshotter_call_seconds_count{method="Prepare"}'] == 3
    assert found['daxfs_snapshotter_snapshots{kind="active",state="directory"}'] == 1
    assert found['daxfs_snapshotter_snapshots{kind="committed",state="directory"}'] == 1
    assert not [name for name in found if "pool" in name]


def test_metrics_of_a_pool(daemon, ctl):
    ctl.ok("pool", "create", "--size", "64M", daemon.folder / "pool", env=daemon.environment)
    daemon.write_config(metrics="127.0.0.1:0", pool=daemon.folder / "pool", content=daemon.folder / "content")
    daemon.start()
    daemon.wait_for_log("serving metrics")
    found = scrape(port_of(daemon))
    chunks = {name: value for name, value in found.items() if "pool_chunks" in name}
    info = json.loads(ctl.ok("pool", "info", "--json", daemon.folder / "pool", env=daemon.environment))
    assert sum(chunks.values()) == info["chunks"]["total"] and chunks['daxfs_snapshotter_pool_chunks{state="free"}'] > 0
    assert found["daxfs_snapshotter_pool_holds"] == 0
    tar = tar_of([("file", "content")])
    daemon.pull(tar, 1)
    found = scrape(port_of(daemon))
    assert (found["daxfs_snapshotter_pool_holds"], found["daxfs_snapshotter_pool_objects"]) == (1, 1)
    assert found['daxfs_snapshotter_layers_total{how="built"}'] == 1
    assert found["daxfs_snapshotter_layer_bytes_total"] == len(tar)
    assert found['daxfs_snapshotter_snapshots{kind="committed",state="placed"}'] == 1


def test_metrics_that_cannot_be_served_are_no_reason_to_fail(daemon):
    daemon.write_config(metrics="256.0.0.1:1")
    daemon.start()
    daemon.wait_for_log("no metrics are served")
    daemon.prepare("a")


def test_a_reload_changes_what_can_change(daemon):
    daemon.start()
    daemon.prepare("quiet")
    assert "Prepare" not in daemon.log()
    daemon.write_config(log_level="debug", metrics="127.0.0.1:0")
    daemon.reload("serving metrics")
    first = port_of(daemon)
    daemon.prepare("loud")
    daemon.wait_for_log("Prepare")
    # What was counted before counts, too.
    assert scrape(first)['daxfs_snapshotter_calls_total{code="OK",method="Prepare"}'] == 2
    daemon.write_config(metrics=None)
    daemon.reload("reloaded")
    daemon.reload("reloaded")  # then the one before is over
    with pytest.raises(OSError):
        scrape(first)


def test_what_cannot_change_wants_a_restart(daemon, ctl):
    daemon.start()
    daemon.write_config(root=daemon.folder / "other", pool="p1", log_level="debug")
    daemon.reload("reloaded")
    warned = re.findall(r"systemctl restart daxfs-snapshotter.* key=(\w+)", daemon.log())
    assert warned == ["root", "pool"]
    daemon.prepare("a")
    daemon.wait_for_log("Prepare")  # the rest counts
    assert not (daemon.folder / "other").exists()
    assert "snapshots/1/fs" in ctl.ok("snapshot", "info", "--address", daemon.socket, "a")


def test_a_broken_file_keeps_everything(daemon):
    daemon.write_config(metrics="127.0.0.1:0")
    daemon.start()
    daemon.wait_for_log("serving metrics")
    port = port_of(daemon)
    daemon.write_config(log_level="loud")
    daemon.reload("not reloaded")
    line = daemon.config_file.read_text().splitlines().index("log_level: loud") + 1
    assert f"{daemon.config_file}: line {line}: log_level" in daemon.log()
    daemon.prepare("a")
    assert scrape(port)['daxfs_snapshotter_calls_total{code="OK",method="Prepare"}'] == 1


def test_options_of_the_command_line_win_over_a_reload(daemon):
    daemon.start("--log-level", "info")
    daemon.write_config(log_level="debug", root=daemon.folder / "other")
    daemon.reload("key=root")
    daemon.prepare("a")
    assert "Prepare" not in daemon.log()
