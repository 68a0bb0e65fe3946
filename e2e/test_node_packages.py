# SPDX-License-Identifier: Apache-2.0
"""A node as its administrator has it: systemd, the Debian packages, containerd's unit. Installed, upgraded under a
container that reads and writes, rebooted, removed."""

import json
import re
import shutil
import subprocess
import time

import pytest

from e2e.harness import guest_image, module, registry
from e2e.harness.containerd import SNAPSHOTTER_ROOT, Client, configuration
from e2e.harness.pool import Pool
from e2e.harness.programs import PRESET
from e2e.harness.vm import CommandFailed
from e2e.oci import layout

pytestmark = [pytest.mark.part("containerd"), pytest.mark.long]

POOL_BYTES = 512 << 20
POOL = "images"
NAMES = ("daxfs-tools", "daxfs-snapshotter")
IMAGE = f"{registry.ADDRESS}/demo:latest"
FIRMWARE = "5eed0000-0000-4000-8000-0000000000aa"
LONG = "c-long"
REFUSED_MOST = 3
READS_AND_WRITES = """
rm -f /bad  # what runs while the machine shuts down is killed
i=0
while :; do
  i=$((i+1))
  cat /bin/sh > /copy && test -s /copy || echo $i >> /bad
  echo $i > /count
  sleep 0.2
done
"""
UNIT = """[Service]
ExecStart=
ExecStart={programs}/containerd
Environment=PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin
"""


def dpkg_deb(*arguments):
    return subprocess.run(["dpkg-deb", *arguments], check=True, capture_output=True, text=True).stdout


def make_packages(folder):
    """{package: its file} of this checkout: those a node installs, but for the module."""
    built = module.REPOSITORY / "build" / PRESET
    subprocess.run(["cpack", "--config", built / "CPackConfig.cmake", "-B", folder], check=True, capture_output=True)
    found = {dpkg_deb("-f", path, "Package").strip(): path for path in folder.glob("*.deb")}
    return {name: found[name] for name in NAMES}


def make_newer(packages, folder):
    """The same as the next version."""
    newer = {}
    for name, package in packages.items():
        tree = folder / name
        dpkg_deb("-R", package, tree)
        control = tree / "DEBIAN/control"
        version = dpkg_deb("-f", package, "Version").strip()
        control.write_text(control.read_text().replace(version, f"{version}+newer"))
        for shipped in tree.glob("etc/daxfs/*.yaml"):
            shipped.write_text(f"{shipped.read_text()}# newer\n")
        newer[name] = folder / f"{name}.deb"
        dpkg_deb("-b", tree, newer[name])
    return newer


def needed(packages):
    """Names of the packages those need."""
    words = [word for package in packages.values() for word in dpkg_deb("-f", package, "Depends").split(",")]
    return {re.match(r"[^ (|]+", word.strip()).group() for word in words} - set(packages)


class Machine:
    """The node, with the packages in its share."""

    def __init__(self, vm, cache, built):
        self.vm, self.module = vm, built
        self.containerd = Client(vm, cache, "2.x")
        vm.put(built.path, "/root/daxfs.ko")
        vm.run("cat > /etc/modprobe.d/daxfs.conf", stdin="install daxfs /sbin/insmod /root/daxfs.ko\n")
        vm.run("mkdir -p /etc/systemd/system/containerd.service.d /etc/containerd"
               " && systemctl mask --now docker-registry ndctl-monitor"
               " && cat > /etc/systemd/system/containerd.service.d/2.conf",
               stdin=UNIT.format(programs=self.containerd.programs))
        vm.run("cat > /etc/containerd/config.toml", stdin=configuration("2.x"))

    def install(self, packages):
        """Starts dpkg, which ends some time."""
        names = []
        for name in NAMES:
            shutil.copy(packages[name], self.vm.share / f"{name}.deb")
            names.append(f"/mnt/share/{name}.deb")
        words = ["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", "-i", *names]
        return self.vm.popen(words, timeout=300)

    def running(self, unit):
        """The process of a unit that runs."""
        shown = self.vm.run(["systemctl", "show", "-p", "ActiveState,MainPID", "--value", unit]).stdout.split()
        assert "active" in shown, self.journal(unit)
        return [word for word in shown if word.isdigit()][0]

    def journal(self, unit):
        """What it has said since the machine booted."""
        return self.vm.run(["journalctl", "-b", "--no-pager", "-u", unit]).stdout

    def await_start(self):
        """All that starts with the machine has."""
        self.vm.run("systemctl is-system-running --wait", check=False, timeout=300)

    def failed(self):
        """Units that have."""
        return self.vm.run("systemctl list-units --failed --plain --no-legend").stdout

    def run(self, name, *command):
        """What a container that ends says."""
        return self.containerd.ctr("run", "--rm", "--snapshotter", "daxfs", IMAGE, name, *command).stdout

    def count(self):
        """How far the long container is; none of what it read or wrote has failed."""
        script = "test -e /bad && cat /bad; cat /count"
        for _ in range(20):
            shown = self.containerd.ctr("task", "exec", "--exec-id", f"e{time.monotonic_ns()}", LONG, "/bin/sh", "-c",
                                        script).stdout.split()
            if shown:
                assert len(shown) == 1, f"failed at {shown}"
                return int(shown[0])
        raise AssertionError("it does not get on")

    def await_progress(self):
        """It gets on."""
        before, end = self.count(), time.monotonic() + 60
        while self.count() <= before:
            assert time.monotonic() < end


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def machine(start_vms, new_memory, daxfs_module, cache, demo_image, packages, tmp_path_factory):
    """Booted, with a registry and an empty pool that is not attached."""
    folder = tmp_path_factory.mktemp("node")
    root = folder / "root.img"
    prepared = guest_image.prepare(cache, ("systemd", "udev", *needed(packages)))
    subprocess.run(["cp", "--sparse=always", prepared, root], check=True)
    memory = new_memory(POOL_BYTES)
    pool = Pool(memory, folder)
    vm = start_vms("node", memory=memory, memory_mib=1536, root_image=root, keeps_root=True, uuid=FIRMWARE,
                   append="daxfs_init=systemd")[0]
    made = Machine(vm, cache, daxfs_module)
    made.pool = pool
    made.await_start()
    registry.store(demo_image / "image", vm.share / "registry", "demo")
    registry.Registry(vm).start()
    return made


def test_installed_it_runs_containers(machine, packages, demo_image):
    """As docs/migration.md has it."""
    vm = machine.vm
    installing = machine.install(packages)
    assert installing.wait(300) and installing.rc == 0, installing.stdout + installing.stderr
    phys, size = vm.nvdimm
    vm.run(f"cat > /etc/daxfs/pools.d/{POOL}.yaml", stdin=f"phys: {phys:#x}\nsize: {size}\n")
    vm.run(f"echo 'pool: {POOL}' >> /etc/daxfs/snapshotter.yaml")
    for units in (f"daxfs-pool@{POOL}", "daxfs-snapshotter.socket daxfs-snapshotter"):
        vm.run(f"systemctl enable --now {units}", timeout=120)
    module.assert_loaded(vm, machine.module)
    vm.run("systemctl restart containerd", timeout=120)
    machine.containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "daxfs", IMAGE)
    assert machine.run("c-first", "/bin/sh", "-c", "echo first").split() == ["first"]
    rows = machine.containerd.mounts()
    assert [kind for _, kind, _ in rows] == ["daxfs"] * len(layout.layer_blobs(demo_image / "image")), rows
    assert vm.run("stat -c '%a %G' /dev/daxfs/images /run/daxfs/snapshotter.sock").stdout.split() == [
        "640", "daxfs", "600", "root"]
    as_member = "setpriv --reuid nobody --regid daxfs --clear-groups daxfsctl pool"
    assert json.loads(vm.run(f"{as_member} info --json {POOL}").stdout)["hosts"]
    refused = vm.run(f"{as_member} put {POOL} /etc/hostname name", check=False)
    assert refused.rc == 1 and "Permission denied" in refused.stderr, refused.stderr
    well = vm.run("daxfsctl doctor", check=False)
    assert well.rc == 0, well.stdout
    assert not machine.failed()


def test_an_upgrade_disturbs_nobody(machine, packages, tmp_path):
    """A container reads and writes all the time, others are made and removed; the daemon is another one behind it. For
    new ones containerd waits a second at the socket; the emulated machine may take longer to start a program."""
    vm, containerd = machine.vm, machine.containerd
    containerd.ctr("run", "-d", "--snapshotter", "daxfs", IMAGE, LONG, "/bin/sh", "-c", READS_AND_WRITES)
    machine.await_progress()
    mounted, pid = containerd.mounts(), machine.running("daxfs-snapshotter")
    begun, installing = machine.count(), machine.install(make_newer(packages, tmp_path))
    others = refused = 0
    while not installing.wait(0.1):
        try:
            assert machine.run(f"c-other-{others}-{refused}", "/bin/sh", "-c", "echo other").split() == ["other"]
            others += 1
        except CommandFailed as error:
            assert "connection error" in str(error), error
            refused += 1
    print(f"others: {others} ran, {refused} came while no daemon was there")
    assert refused <= REFUSED_MOST
    assert installing.rc == 0, installing.stdout + installing.stderr
    assert others and machine.count() > begun
    assert vm.run("dpkg-query -W -f '${Version} ' " + " ".join(NAMES)).stdout.count("+newer") == len(NAMES)
    assert machine.running("daxfs-snapshotter") != pid
    assert containerd.mounts() == mounted
    machine.await_progress()
    assert f"pool: {POOL}" in vm.read_text("/etc/daxfs/snapshotter.yaml"), "the administrator's own"
    assert machine.run("c-behind", "/bin/sh", "-c", "echo behind").split() == ["behind"]


def test_a_daemon_that_cannot_start_is_waited_for(machine):
    """However often systemd tries: the socket stays, and nobody has to start anything."""
    vm = machine.vm
    vm.run("cp /etc/daxfs/snapshotter.yaml /root && echo 'rooot: /x' >> /etc/daxfs/snapshotter.yaml")
    vm.run("dpkg-reconfigure daxfs-snapshotter", timeout=120)
    pid = machine.running("daxfs-snapshotter")
    assert machine.run("c-goes-on", "/bin/sh", "-c", "echo on").split() == ["on"], "an upgrade leaves what works"
    vm.run(f"kill {pid}; sleep 20")
    assert "rooot: no such key" in machine.journal("daxfs-snapshotter")
    assert "active" in vm.run("systemctl is-active daxfs-snapshotter.socket").stdout.split()
    vm.run("mv /root/snapshotter.yaml /etc/daxfs/")
    end = time.monotonic() + 60
    while LONG not in machine.containerd.ctr("snapshots", "--snapshotter", "daxfs", "ls", check=False).stdout:
        assert time.monotonic() < end, machine.journal("daxfs-snapshotter")
        time.sleep(1)
    assert machine.running("daxfs-snapshotter") != pid
    machine.await_progress()


def test_without_its_configuration_all_is_as_without_one(machine):
    vm = machine.vm
    vm.run("mv /etc/daxfs/snapshotter.yaml /root && systemctl restart daxfs-snapshotter", timeout=120)
    machine.running("daxfs-snapshotter")
    assert "is not there: all is as without configuration" in vm.run("daxfsctl doctor", check=False).stdout
    vm.run("mv /root/snapshotter.yaml /etc/daxfs/ && systemctl restart daxfs-snapshotter", timeout=120)
    assert machine.run("c-again", "/bin/sh", "-c", "echo again").split() == ["again"]


def test_all_of_it_comes_back_with_a_reboot(machine, demo_image):
    vm, containerd = machine.vm, machine.containerd
    vm.popen(["systemctl", "reboot"])
    vm.wait_off()
    vm.boot()
    machine.await_start()
    assert not machine.failed()
    module.assert_loaded(vm, machine.module)
    machine.running("daxfs-snapshotter")
    containerd.ctr("task", "rm", LONG, check=False)  # of the boot before
    containerd.ctr("task", "start", "-d", LONG)
    assert len(containerd.mounts()) == len(layout.layer_blobs(demo_image / "image"))
    machine.await_progress()
    assert vm.run("daxfsctl doctor", check=False).rc == 0


def test_removed_it_leaves_containers_that_run(machine):
    vm = machine.vm
    vm.run(["dpkg", "-r", *reversed(NAMES)], timeout=120)
    machine.await_progress()
    units = f"daxfs-snapshotter.socket daxfs-snapshotter daxfs-pool@{POOL}"
    assert "active" not in vm.run(f"systemctl is-active {units}", check=False).stdout.split()
    assert "enabled" not in vm.run(f"systemctl is-enabled {units}", check=False).stdout.split()
    machine.containerd.ctr("task", "kill", "-s", "KILL", LONG)
    assert vm.run(["ls", f"{SNAPSHOTTER_ROOT}/snapshots"]).stdout.split(), "what they wrote is kept"
