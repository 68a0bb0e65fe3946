# SPDX-License-Identifier: Apache-2.0
"""Real containerd over daxfs-snapshotter and the kernel module, in two guests on one pool: images come out of the pool
by their layers' digests, containers run from mounts of daxfs, nothing is left of what was removed."""

import json
import os
import re
import subprocess
import time

import pytest

from e2e.harness import daxfs, module, programs
from e2e.harness.cache import report
from e2e.harness.containerd import SNAPSHOTTER_ROOT, Node
from e2e.harness.pool import Pool
from e2e.harness.pool_story import HOST_IDS
from e2e.oci import layout

pytestmark = pytest.mark.part("containerd")

POOL_BYTES = 512 << 20
POOL = "images"
GO = dict(os.environ, CGO_ENABLED="0", GOFLAGS="-mod=readonly", GOTOOLCHAIN="local")
LEAST_KILLS = 80


@pytest.fixture(scope="module", params=["2.x", pytest.param("1.6", marks=pytest.mark.long)])
def nodes(request, start_vms, new_memory, daxfs_module, cache, tmp_path_factory):
    """Two guests with containerd, their kernels with the pool attached. The first daemon is started."""
    memory = new_memory(POOL_BYTES)
    pool = Pool(memory, tmp_path_factory.mktemp("pool"))
    made = []
    # 1.6 has no proxy differ: nothing of it reaches another host by ctr.
    for name, host_id in zip("a" if request.param == "1.6" else "ab", HOST_IDS):
        vm = start_vms(f"{request.param}-{name}", memory=memory, memory_mib=1536)[0]
        phys, size = vm.nvdimm
        module.load(vm, daxfs_module, f"host_id={host_id} attach={POOL},{phys:#x},{size}")
        vm.run(f"mkdir -p /etc/daxfs && echo {host_id} > /etc/daxfs/host-id")
        made.append(Node(vm, cache, request.param, POOL))
        made[-1].version = request.param
        made[-1].pool = pool
        made[-1].start()
    return made


def import_demo(node, image):
    """`ctr images import`: the client unpacks on 1.6, containerd's transfer service on 2.x."""
    archive = node.put_image(image)
    node.ctr("images", "import", "--snapshotter", "daxfs", "--base-name", "demo", archive)
    return node.ctr("images", "ls", "-q").stdout.split()[0]


def committed(node):
    """Keys of the committed snapshots."""
    rows = node.ctr("snapshots", "--snapshotter", "daxfs", "ls").stdout.splitlines()[1:]
    return [row.split()[0] for row in rows if row.split()[-1] == "Committed"]


def run(node, image, *command):
    """What a container that ends says."""
    return node.ctr("run", "--rm", "--snapshotter", "daxfs", image, "c-run", *command).stdout


@pytest.mark.long
def test_killed_before_each_call(nodes):
    """As `make killed` does with FUSE, here with the kernel module; while nothing else is in the pool."""
    first = nodes[0]
    if first.version == "1.6":
        pytest.skip("the daemon is the same for every containerd: looked at with 2.x")
    killed = first.vm.share / "killed.test"
    subprocess.run(["go", "test", "-c", "-o", killed, "./killed"], check=True, env=GO,
                   cwd=module.REPOSITORY / "tests" / "containerd")
    programs.install_tool(first.vm, "daxfsctl")
    done = first.vm.run(["/mnt/share/killed.test", "-test.v", "-daemon", "/usr/local/sbin/daxfs-snapshotter", "-pool",
                         POOL, "-backend", "kernel", "-daxfsctl", "/usr/local/bin/daxfsctl"], check=False, timeout=3000)
    kills = re.search(r"^killed (\d+) times$", done.stdout, re.M)
    assert done.rc == 0 and kills and int(kills[1]) >= LEAST_KILLS, done.stdout[-4000:] + done.stderr[-4000:]
    report({"snapshotter_kills_kernel_mounts": int(kills[1])})


def test_containers_run_from_the_pool(nodes, demo_image, daxfs_module):
    first = nodes[0]
    image = import_demo(first, demo_image / "image")
    layers = len(layout.layer_blobs(demo_image / "image"))
    assert len(committed(first)) == layers
    assert run(first, image, "/bin/sh", "-c", "echo hello; echo new > /new; cat /new").split() == ["hello", "new"]
    mounted = [row for row in first.mounts() if row[1] == "daxfs"]
    if first.version == "1.6":
        assert not mounted, "1.6 has no proxy differ: its layers are directories"
        return
    assert len(mounted) == layers, first.mounts()
    for where, _, source in mounted:
        print(f"{where}: {source}")
        daxfs.assert_daxfs(first.vm, daxfs_module, where)


def test_the_second_host_unpacks_nothing(nodes, demo_image, daxfs_module):
    if len(nodes) == 1:
        pytest.skip("1.6 has no proxy differ: ctr places nothing in the pool")
    second = nodes[1]
    image = import_demo(second, demo_image / "image")
    layers = len(layout.layer_blobs(demo_image / "image"))
    assert len(committed(second)) == layers
    assert "Apply" not in second.snapshotter.log(), second.snapshotter.log()
    assert run(second, image, "/bin/sh", "-c", "echo second").split() == ["second"]
    for where, kind, _ in second.mounts():
        assert kind == "daxfs", where
        daxfs.assert_daxfs(second.vm, daxfs_module, where)


def count_of(node, container):
    """How far it is; at the moment it writes that, the file may be empty."""
    for _ in range(20):
        shown = node.ctr("task", "exec", "--exec-id", f"e{time.monotonic_ns()}", container, "cat", "/count").stdout
        if shown.strip():
            return int(shown)
    raise AssertionError(f"{container} does not get on")


def test_a_restart_disturbs_no_container(nodes):
    first = nodes[0]
    if first.version == "1.6":
        pytest.skip("the daemon is the same for every containerd: looked at with 2.x")
    image = first.ctr("images", "ls", "-q").stdout.split()[0]
    script = "i=0; while :; do i=$((i+1)); echo $i > /count; cat /bin/sh > /copy; sleep 1; done"
    first.ctr("run", "-d", "--snapshotter", "daxfs", image, "c-long", "/bin/sh", "-c", script)
    try:
        for signal in ("TERM", "KILL"):
            before = first.mounts()
            first.snapshotter.stop(signal)
            then = count_of(first, "c-long")
            first.snapshotter.start()
            assert first.mounts() == before
            assert count_of(first, "c-long") > then
            assert run(first, image, "/bin/sh", "-c", "echo again").split() == ["again"]
    finally:
        first.ctr("task", "kill", "-s", "KILL", "c-long", check=False)
        time.sleep(1)
        first.ctr("task", "rm", "c-long", check=False)
        first.ctr("container", "rm", "c-long")


@pytest.mark.long
def test_containerds_own_tests_pass(nodes):
    """core/snapshots/testsuite: a daemon of its own for each, over the pool and the kernel module; `make conformance`
    does the same with FUSE."""
    first = nodes[0]
    if first.version == "1.6":
        pytest.skip("the suite is that of 2.x")
    suite = first.vm.share / "suite.test"
    subprocess.run(["go", "test", "-c", "-o", suite, "."], check=True, env=GO,
                   cwd=module.REPOSITORY / "tests" / "containerd")
    for name, options in (("overlayfs", ""), ("daxfs", "redirect_dir=on")):
        done = first.vm.run(["/mnt/share/suite.test", "-test.v", "-daemon", "/usr/local/sbin/daxfs-snapshotter",
                             "-pool", POOL, "-backend", "kernel", "-name", name, "-overlay-options", options,
                             "-test.root"], check=False, timeout=300)
        results = re.findall(r"^    --- (\w+): TestSnapshotter/(\w+)", done.stdout, re.M)
        assert done.rc == 0 and len(results) == 21, done.stdout[-4000:] + done.stderr[-4000:]
        assert {result for result, _ in results} == {"PASS"}, results


@pytest.mark.long
def test_every_kind_of_input_is_what_this_containerd_makes_of_it(nodes):
    """TestMatrix of tests/containerd/oracle, with the containerd that runs here, and that only what is documented
    differs."""
    node = nodes[0]
    oracle = node.vm.share / "oracle.test"
    subprocess.run(["go", "test", "-c", "-o", oracle, "./oracle"], check=True, env=GO,
                   cwd=module.REPOSITORY / "tests" / "containerd")
    programs.install_tool(node.vm, "daxfsctl")
    done = node.vm.run(["/mnt/share/oracle.test", "-test.v", "-test.run", "TestMatrix|TestKnownDifferences", "-daemon",
                        "/usr/local/sbin/daxfs-snapshotter", "-pool", POOL, "-backend", "kernel", "-containerd",
                        "/run/containerd/containerd.sock", "-collect", "daxfsctl", "-names", "2000"],
                       check=False, timeout=900)
    results = re.findall(r"^    --- (\w+): (\S+)", done.stdout, re.M)
    failed = [name for result, name in results if result != "PASS"]
    lines = [line for line in done.stdout.splitlines() if "_test.go" in line]
    assert done.rc == 0 and not failed and len(results) > 150, "\n".join([*failed, *lines, done.stderr[-2000:]])


def test_nothing_is_left_of_what_was_removed(nodes):
    for node in nodes:
        for image in node.ctr("images", "ls", "-q").stdout.split():
            node.ctr("images", "rm", "--sync", image)
        assert node.ctr("snapshots", "--snapshotter", "daxfs", "ls").stdout.splitlines()[1:] == []
        end = time.monotonic() + 30
        while node.mounts() or node.vm.run(["ls", f"{SNAPSHOTTER_ROOT}/snapshots"]).stdout.split():
            assert time.monotonic() < end, (node.mounts(), node.snapshotter.log())
            time.sleep(0.5)
    pool = nodes[0].pool
    shown = json.loads(pool.tool("daxfsctl", "pool", "info", pool.memory.path, "--json").stdout)
    assert shown["holds"]["used"] == 0, shown
    pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    assert pool.ready() == []
    pool.tool("daxfsctl", "pool", "check", pool.memory.path)
