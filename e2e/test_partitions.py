# SPDX-License-Identifier: Apache-2.0
"""A pool without coherence between hosts, each kernel a host with a partition of its own. QEMU's memory is coherent:
this shows that the mode works; that no flush is missing is the simulator's to show (docs/pool.md, "Without
coherence")."""

import json
import os
import shutil
import subprocess

import pytest

from e2e.collect import collect, compare
from e2e.harness import daxfs, module, programs
from e2e.harness.pool import said
from e2e.harness.pool_story import device, put_device_program, wait_until

pytestmark = pytest.mark.every_kernel

IDS = {"vm-a": "a9a27000-0000-4000-8000-00000000000a", "vm-b": "a9a27000-0000-4000-8000-00000000000b"}
BESIDE = "a9a27000-0000-4000-8000-00000000000c"  # a host of programs alone, with no kernel in the pool
STRANGER = "a9a27000-0000-4000-8000-00000000000d"
POOL = "/dev/daxfs/apart"
SIGBUS = -7
ENOENT = 2


class Beside:
    """daxfsctl as the third host runs it."""

    def __init__(self, memory, folder):
        self.path = memory.path
        self._environment = os.environ | {"DAXFS_HOST_ID": BESIDE, "DAXFS_RUN_DIR": str(folder)}

    def pool(self, command, *arguments):
        done = subprocess.run([programs.tool("daxfsctl"), "pool", command, self.path, *arguments], text=True,
                              env=self._environment, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def partition(self, number):
        return json.loads(self.pool("info", "--json"))["partitions"][number]


def begin(vm, built):
    """The kernel takes part in its partition, and programs reach it."""
    for name in ("daxfs-build", "daxfsctl"):
        programs.install_tool(vm, name)
    put_device_program(vm)
    shutil.copy(collect.__file__, vm.share / "collect.py")
    module.load(vm, built, f"host_id={IDS[vm.name]}")
    vm.run("mkdir -p /image /scratch /etc/daxfs")
    vm.run(["sh", "-c", f"echo {IDS[vm.name]} > /etc/daxfs/host-id"])
    phys, size = vm.nvdimm
    assert device(vm, "attach", "apart", phys, size) == "0", said(vm)
    vm.built = built


def guest(vm, *arguments, check=True):
    return vm.run(["env", f"DAXFS_HOST_ID={IDS[vm.name]}", *arguments], check=check, timeout=180)


@pytest.fixture(scope="module")
def story(start_vms, new_memory, daxfs_module, tmp_path_factory):
    """Two guests, the pool's three hosts, and an image that the first guest built in its partition."""
    work = tmp_path_factory.mktemp("partitions")
    memory = new_memory()
    beside = Beside(memory, work / "run")
    hosts = [f"--partition={host}" for host in (*IDS.values(), BESIDE)]
    beside.pool("create", "--force", *hosts)
    vms = start_vms("vm-a", "vm-b", memory=memory)
    mapcheck = programs.compile_static("mapcheck", work)
    tree = work / "tree"
    tree.mkdir()
    subprocess.run([mapcheck, "generate", tree], check=True)
    for vm in vms:
        vm.put(mapcheck, "/usr/local/bin/mapcheck")
        begin(vm, daxfs_module)
    shutil.copytree(tree, vms[0].share / "tree", symlinks=True)
    guest(vms[0], "daxfs-build", "dir:/mnt/share/tree", "--pool", POOL, "--name", "built-by-a")
    yield vms, beside, tree
    assert all(vm.alive() for vm in vms)


@pytest.fixture
def mounted(story):
    """The image, mounted in the second guest; unmounted afterwards."""
    vms, _, _ = story
    vms[1].run("mount -i -t daxfs -o ro,image=built-by-a pool:apart /image")
    daxfs.assert_daxfs(vms[1], vms[1].built, "/image")
    yield vms[1]
    vms[1].run("umount /image", check=False)


def test_each_kernel_is_in_its_hosts_partition(story):
    _, beside, _ = story
    kernels = [[p["name"] for p in beside.partition(n)["participants"] if p["kernel"]] for n in range(3)]
    assert [len(names) for names in kernels] == [1, 1, 0], kernels
    assert beside.partition(0)["objects"]["used"] == 1 and beside.partition(1)["objects"]["used"] == 0


def test_what_one_host_built_another_mounts(story, mounted):
    _, beside, tree = story
    text = mounted.run("python3 /mnt/share/collect.py /image", timeout=180).stdout
    found = [json.loads(line) for line in text.splitlines()]
    assert compare.differences(collect.collect(str(tree)), found, ignore=("inode",)) == []
    programs.check_mappings(mounted, "/image")
    frame = int(mounted.run(["mapcheck", "pfn", "/image/huge", "0"]).stdout.split()[0], 16)
    size = json.loads(beside.pool("info", "--json"))["partitions"][0]["chunks"]["total"] * (2 << 20)
    assert frame * 4096 - mounted.nvdimm[0] < size + (64 << 20), "the page is in the first partition"
    assert [row["uses"] for row in map(json.loads, beside.pool("ls", "--json").splitlines())] == [1]


def test_it_is_not_collected_while_another_host_reads_it(story, mounted):
    vms, beside, tree = story
    guest(vms[0], "daxfsctl", "pool", "rm", POOL, "built-by-a")
    assert "freed 0 objects" in guest(vms[0], "daxfsctl", "pool", "gc", POOL).stdout
    assert mounted.run("wc -c < /image/small").stdout.strip() == str((tree / "small").stat().st_size)
    digest = json.loads(beside.pool("ls", "--json"))["digest"]
    mounted.run("umount /image")
    wait_until(lambda: json.loads(beside.pool("ls", "--json"))["uses"] == 0, "the use is left")
    assert "freed 1 object of" in guest(vms[0], "daxfsctl", "pool", "gc", POOL).stdout
    done = mounted.run(f"mount -i -t daxfs -o ro,image={digest} pool:apart /image", check=False)
    assert done.rc != 0 and "not in pool" in said(mounted)
    guest(vms[0], "daxfs-build", "dir:/mnt/share/tree", "--pool", POOL, "--name", "built-by-a")


def test_programs_write_their_own_partition_alone(story):
    vms, beside, _ = story
    size = 2 << 20
    total = vms[0].nvdimm[1]
    each = total // 3 // size * size
    for number, vm in enumerate(vms):
        ends = device(vm, "stores", POOL, 64 << 10, each + (64 << 10), 2 * each + (64 << 10)).split()[1:]
        assert ends == ["0" if place == number else str(SIGBUS) for place in range(3)]
    assert beside.pool("check") == "clean\n"


def test_a_host_that_lost_its_power_keeps_nothing_once_that_is_said(story, start_vms, daxfs_module):
    vms, beside, tree = story
    vms[1].run("mount -i -t daxfs -o ro,image=built-by-a pool:apart /image")
    memory = vms[1].memory
    vms[1].kill()
    guest(vms[0], "daxfsctl", "pool", "rm", POOL, "built-by-a")
    assert "freed 0 objects" in guest(vms[0], "daxfsctl", "pool", "gc", POOL).stdout, "nobody has said so"
    beside.pool("fence", IDS["vm-b"], "--powered-off")
    assert "freed 1 object of" in guest(vms[0], "daxfsctl", "pool", "gc", POOL).stdout
    # It comes back, in its next life: what it mounts counts again.
    guest(vms[0], "daxfs-build", "dir:/mnt/share/tree", "--pool", POOL, "--name", "built-by-a")
    vms[1] = start_vms("vm-b", memory=memory)[0]
    begin(vms[1], daxfs_module)
    vms[1].run("mount -i -t daxfs -o ro,image=built-by-a pool:apart /image")
    assert vms[1].run("cat /image/small | wc -c").stdout.strip() == str((tree / "small").stat().st_size)
    guest(vms[0], "daxfsctl", "pool", "rm", POOL, "built-by-a")
    assert "freed 0 objects" in guest(vms[0], "daxfsctl", "pool", "gc", POOL).stdout
    vms[1].run("umount /image")


def test_a_stranger_has_no_partition(story, daxfs_module):
    vms, _, _ = story
    assert device(vms[1], "detach", "apart") == "0"
    module.unload(vms[1], daxfs_module)
    module.load(vms[1], daxfs_module, f"host_id={STRANGER}")
    phys, size = vms[1].nvdimm
    assert device(vms[1], "attach", "apart", phys, size) == str(ENOENT)
    assert f"no partition for this host, {STRANGER}" in said(vms[1])
    module.unload(vms[1], daxfs_module)
