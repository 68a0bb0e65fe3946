# SPDX-License-Identifier: Apache-2.0
"""Two kernels and two hosts' processes on one pool, all at once: build, mount, read, unmount, collect, be killed, lose
power and be fenced, keep pages of what is unmounted. Every read has the bytes that were built; at the end everything
is there again, and the pool is clean.

$DAXFS_CHAOS_SECONDS says how long (default: 120)."""

import json
import os
import shutil
import time

import pytest

from e2e.chaos import guest
from e2e.chaos.host import Host, make_trees
from e2e.harness import daxfs, module
from e2e.harness.pool import Pool

SECONDS = float(os.environ.get("DAXFS_CHAOS_SECONDS", "120"))
POWER_OFF_AT = 0.4  # of the time
MEMORY = 128 << 20
WORKERS = 3
HOST_IDS = {"vm-a": "c4a05000-0000-4000-8000-00000000000a", "vm-b": "c4a05000-0000-4000-8000-00000000000b"}

pytestmark = pytest.mark.part("chaos")


class Kernel:
    """A machine that runs guest.py."""

    def __init__(self, vm, built, images):
        self.vm = vm
        module.load(vm, built, f"host_id={HOST_IDS[vm.name]}")
        shutil.copy(guest.__file__, vm.share / "guest.py")
        (vm.share / "images.json").write_text(json.dumps(images))
        phys, size = vm.nvdimm
        self.options = f"phys={phys:#x},size={size}"
        vm.run("mkdir -p /chaos /look")

    def begin(self, seconds, seed):
        self.command = self.vm.popen(["python3", "/mnt/share/guest.py", self.options, "/mnt/share/images.json",
                                      str(seconds), str(seed)], timeout=seconds + 120)

    def end(self, seconds):
        assert self.command.wait(seconds + 130), f"{self.vm.name} does not answer"
        assert self.command.rc == 0, self.command.stderr
        return json.loads(self.command.stdout)


def mount_one(kernel, built, digest):
    """What runs is daxfs, by the module just built."""
    kernel.vm.run(["mount", "-i", "-t", "daxfs", "-o", f"ro,{kernel.options},image=sha256:{digest}", "none", "/look"])
    daxfs.assert_daxfs(kernel.vm, built, "/look")
    kernel.vm.run("umount /look")


def test_chaos(start_vms, new_memory, daxfs_module, tmp_path):
    memory = new_memory(MEMORY)
    pool = Pool(memory, tmp_path / "run")
    total = pool.chunks
    host = Host(memory.path, tmp_path, make_trees(tmp_path))
    host.prepare()
    vms = start_vms("vm-a", "vm-b", memory=memory)
    first, second = (Kernel(vm, daxfs_module, host.images) for vm in vms)
    one = next(iter(host.images))
    pool.tool("daxfs-build", f"dir:{host.images[one]['tree']}", "--pool", memory.path)
    for kernel in (first, second):
        mount_one(kernel, daxfs_module, one)

    host.begin(WORKERS)
    first.begin(SECONDS, 1)
    second.begin(SECONDS, 2)
    try:
        time.sleep(SECONDS * POWER_OFF_AT)
        vms[1].kill()
        pool.tool("daxfsctl", "pool", "fence", memory.path, HOST_IDS["vm-b"], "--powered-off")
        again = Kernel(start_vms("vm-b", memory=memory)[0], daxfs_module, host.images)  # the same host, back
        again.begin(SECONDS * (1 - POWER_OFF_AT) - again.vm.boot_seconds, 3)
        said = [kernel.end(SECONDS) for kernel in (first, again)]
    finally:
        host.end()
    print(json.dumps({"seconds": SECONDS, "kernels": said, "processes": host.said, "boot": again.vm.boot_seconds}))
    assert [kernel["wrong"] for kernel in said] == [[], []] and host.wrong == []
    for figure in ("mounts", "reads", "pins", "pin_reads"):
        assert all(kernel[figure] > 0 for kernel in said), f"{figure}: none; the test shows nothing"
    for figure in ("built", "found", "killed", "verified", "collected"):
        assert host.said[figure] > 0, f"{figure}: none; the test shows nothing"
    come_to_rest(pool, host, total)
    for kernel in (first, again):
        module.unload(kernel.vm, daxfs_module)


def information(pool):
    """What `daxfsctl pool info` says."""
    return json.loads(pool.tool("daxfsctl", "pool", "info", "--json", pool.memory.path).stdout)


def repaired(pool, host):
    """Both hosts look after what their dead processes left."""
    for number in range(2):
        done = host.run(_never(), number, "daxfsctl", "pool", "check", pool.memory.path, "--repair")
        assert done is not None, host.wrong
    return False


def wait_until(true, what, seconds=20):
    """Kernels let go of what was pinned a moment after the pin has gone."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def come_to_rest(pool, host, total):
    """Nobody is at it any more: what the dead left goes at once, what is ready is whole, and all memory comes back."""
    wait_until(lambda: information(pool)["participants"] == [] or repaired(pool, host), "somebody still takes part")
    repaired(pool, host)
    clean = pool.tool("daxfsctl", "pool", "check", pool.memory.path)
    assert clean.stdout == "clean\n"
    objects = [json.loads(line) for line in pool.tool("daxfsctl", "pool", "ls", "--json",
                                                      pool.memory.path).stdout.splitlines()]
    assert objects and all(o["state"] == "ready" for o in objects)
    for o in objects:
        pool.tool("daxfsctl", "image", "verify", f"pool:{pool.memory.path}:{o['digest']}")
        assert o["uses"] == 0, f"a use is left of {o}"
    info = information(pool)
    assert info["participants"] == []
    assert all(hold["name"].startswith("name") for hold in info["held"])
    names = {name for o in objects for name in o["names"]}
    for name in names:
        for number in range(2):
            host.run(_never(), number, "daxfsctl", "pool", "rm", pool.memory.path, name)
    for left in information(pool)["hosts"]:
        if left["holds"]:  # of names that another host has moved: they go with their host
            pool.tool("daxfsctl", "pool", "fence", pool.memory.path, left["id"], "--powered-off")
    pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    chunks = information(pool)["chunks"]
    assert (chunks["total"], chunks["free"], chunks["orphan"]) == (total, total, 0), f"chunks are lost: {chunks}"


class _never:
    """A chance that kills nobody."""

    @staticmethod
    def random():
        return 1.0
