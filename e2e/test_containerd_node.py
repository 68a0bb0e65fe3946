# SPDX-License-Identifier: Apache-2.0
"""What happens to nodes: two guests pull one image from a registry, the second transfers no layer; containers are
executed in, written to, committed; the power goes and takes the pool along, and they run again."""

import hashlib
import json
import random
import time
from pathlib import Path

import pytest

from e2e.harness import daxfs, programs, registry
from e2e.harness.containerd import CONTENT
from e2e.harness.host import Host
from e2e.harness.pool import Pool
from e2e.harness.pool_story import HOST_IDS
from e2e.oci import layout, tree

pytestmark = pytest.mark.part("containerd")

POOL_BYTES = 512 << 20
POOL = "images"
NOISE_BYTES = 64 << 20
IMAGE = f"{registry.ADDRESS}/demo:latest"


class Member(Host):
    """A host of the cluster."""

    def __init__(self, cluster, name, host_id):
        super().__init__(name, host_id, cluster.folder)
        self.cluster = cluster

    def boot(self):
        """From no power to serving daemons."""
        cluster = self.cluster
        vm = cluster.start_vms(self.name, memory=cluster.memory, memory_mib=1536, state=self.disk)[0]
        self.serve(vm, cluster.module, cluster.cache, POOL, {"demo": cluster.image})

    def transferred(self):
        """Pulls the image; bytes of its layers that came out of the registry."""
        return self.registry.sent_while(layout.layer_blobs(self.cluster.image), lambda: self.pull(IMAGE))

    def run(self, name, *command):
        """What a container that ends says."""
        return self.node.ctr("run", "--rm", "--snapshotter", "daxfs", IMAGE, name, *command).stdout


class Cluster:
    """Two hosts on one pool."""

    def __init__(self, start_vms, memory, suite_module, cache, image, folder):
        self.start_vms, self.memory, self.module, self.cache = start_vms, memory, suite_module, cache
        self.image, self.folder = image, folder
        self.pool = Pool(memory, folder)
        self.hosts = [Member(self, name, host_id) for name, host_id in zip("ab", HOST_IDS)]


@pytest.fixture(scope="module")
def cluster(start_vms, new_memory, daxfs_module, cache, demo_image, tmp_path_factory):
    made = Cluster(start_vms, new_memory(POOL_BYTES), daxfs_module, cache, demo_image / "image",
                   tmp_path_factory.mktemp("cluster"))
    for host in made.hosts:
        host.boot()
    return made


def layer_mounts(host):
    """Mounts of layers, each of which is really one of the module."""
    rows = [row for row in host.node.mounts() if row[1] == "daxfs"]
    for where, _, source in rows:
        print(f"{where}: {source}")
        daxfs.assert_daxfs(host.vm, host.cluster.module, where)
    return rows


def test_the_first_host_pulls_and_places(cluster):
    first = cluster.hosts[0]
    layers = layout.layer_blobs(cluster.image)
    assert first.transferred() == sum(layer.stat().st_size for layer in layers)
    assert first.run("c-first", "/bin/sh", "-c", "echo first").split() == ["first"]
    assert len(layer_mounts(first)) == len(layers)


def test_the_second_host_transfers_no_layer(cluster):
    second = cluster.hosts[1]
    assert second.transferred() == 0, "bytes of layers that the registry sent"
    assert second.run("c-second", "/bin/sh", "-c", "echo second").split() == ["second"]
    assert len(layer_mounts(second)) == len(layout.layer_blobs(cluster.image))
    assert "Apply" not in second.node.snapshotter.log()


def test_exec_write_commit_remove(cluster):
    node = cluster.hosts[0].node
    node.ctr("run", "-d", "--snapshotter", "daxfs", IMAGE, "c-work", "/bin/sleep", "1000")
    node.ctr("task", "exec", "--exec-id", "e1", "c-work", "/bin/sh", "-c", "echo kept > /kept; rm /bin/sleep")
    shown = node.ctr("task", "exec", "--exec-id", "e2", "c-work", "/bin/sh", "-c", "cat /kept; ls /bin/sleep || true")
    assert shown.stdout.split() == ["kept"]
    node.ctr("task", "kill", "-s", "KILL", "c-work")
    node.vm.run("for i in $(seq 50); do env " + node.environment + " ctr task ls | grep -q 'c-work.*STOPPED' && break; "
                "sleep 0.2; done")
    node.ctr("task", "rm", "c-work")
    node.ctr("snapshots", "--snapshotter", "daxfs", "commit", "worked", "c-work")
    node.ctr("container", "rm", "c-work")
    node.ctr("snapshots", "--snapshotter", "daxfs", "prepare", "from-worked", "worked")
    mounts = node.ctr("snapshots", "--snapshotter", "daxfs", "mounts", "/mnt/worked", "from-worked").stdout
    node.vm.run(f"mkdir -p /mnt/worked && {mounts.strip()}")
    shown = node.vm.run("cat /mnt/worked/kept; ls /mnt/worked/bin/sleep; umount /mnt/worked", check=False)
    assert shown.stdout == "kept\n"
    for key in ("from-worked", "worked"):
        node.ctr("snapshots", "--snapshotter", "daxfs", "rm", key)


@pytest.mark.long
def test_a_container_writes_no_more_than_its_label_says(cluster):
    """A project quota of the disk below, which the image's own bytes are no part of."""
    first = cluster.hosts[0]
    first.pull(IMAGE)
    writing = "head -c {} /dev/zero > /written || true; wc -c < /written"
    limit = 4 << 20
    for written, labels in ((2 << 20, [f"containerd.io/snapshot/max-size={limit}"]), (8 << 20, []),
                            (8 << 20, [f"containerd.io/snapshot/max-size={limit}"])):
        options = [word for label in labels for word in ("--snapshotter-label", label)]
        done = first.node.ctr("run", "--rm", "--snapshotter", "daxfs", *options, IMAGE, "c-limited",
                              "/bin/sh", "-c", writing.format(written))
        there = int(done.stdout.split()[-1])
        if labels and written > limit:
            assert limit // 2 < there <= limit and "quota" in done.stdout + done.stderr, (there, done.stderr)
        else:
            assert there == written, (labels, done.stderr)
    assert "not enforced" not in first.node.snapshotter.log()


@pytest.mark.long
@pytest.mark.parametrize("program, tests", [("os_test", "ProjectQuotas*"), ("snapshotter_test", "LimitsTest*")])
def test_unit_tests_of_limits_have_quotas_here(cluster, program, tests):
    """Where they run else the kernel may have none, and they are skipped."""
    vm = cluster.hosts[0].vm
    programs.install_tool(vm, program)
    done = vm.run(f"modprobe -a loop fuse && {program} --gtest_filter='{tests}'", check=False)
    assert done.rc == 0 and "SKIPPED" not in done.stdout, done.stdout + done.stderr


def many_layers(folder, count):
    """An image of so many layers: a shell, a file of each layer's own, and one that each replaces."""
    shell = Path("/bin/busybox").read_bytes()
    layers = [("shell", [tree.directory("bin"), tree.file("bin/sh", shell, 0o755), tree.file("which", b"0"),
                         tree.file("f0", b"0")], True)]
    for number in range(1, count):
        text = str(number).encode()
        layers.append((f"layer {number}", [tree.file("which", text), tree.file(f"f{number}", text)], True))
    layout.write(folder, layers)
    return folder / "image"


@pytest.mark.parametrize("count", [1, 32, 127])
def test_images_of_many_layers(cluster, tmp_path, count):
    host = cluster.hosts[0]
    image = f"many:{count}"
    archive = host.node.put_image(many_layers(tmp_path, count))
    host.node.ctr("images", "import", "--snapshotter", "daxfs", "--index-name", image, archive)
    shown = host.node.ctr("run", "--rm", "--snapshotter", "daxfs", image, f"c-many-{count}", "/bin/sh", "-c",
                          "read a < /which; echo $a; set -- /f*; echo $#").stdout
    assert shown.split() == [str(count - 1), str(count)]
    assert len(host.node.mounts()) == len(layout.layer_blobs(cluster.image)) + count
    host.node.ctr("images", "rm", "--sync", image)


def test_an_image_that_has_a_layer_again(cluster, tmp_path):
    """As those have that were made by commands that changed no file."""
    host = cluster.hosts[0]
    shell = [tree.directory("bin"), tree.file("bin/sh", Path("/bin/busybox").read_bytes(), 0o755), tree.file("a", b"1")]
    nothing, more = ("nothing", [], True), ("more", [tree.file("b", b"2")], True)
    layers = [("shell", shell, True), nothing, more, nothing, ("less", [tree.whiteout("b")], True), more, nothing]
    layout.write(tmp_path, layers)
    archive = host.node.put_image(tmp_path / "image")
    host.node.ctr("images", "import", "--snapshotter", "daxfs", "--index-name", "again:1", archive)
    shown = host.node.ctr("run", "--rm", "--snapshotter", "daxfs", "again:1", "c-again", "/bin/sh", "-c",
                          "echo new > /c; read a < /a; read b < /b; read c < /c; echo $a $b $c").stdout
    assert shown.split() == ["1", "2", "new"]
    host.node.ctr("images", "rm", "--sync", "again:1")


def test_a_container_in_a_user_namespace(cluster):
    """Files of the layers are root's inside, by an idmapped mount; nothing is copied for that."""
    host = cluster.hosts[0]
    script = "id -u; stat -c %u /bin/sh; echo new > /new; stat -c %u /new; cat /proc/self/uid_map"
    shown = host.node.ctr("run", "--rm", "--snapshotter", "daxfs", "--uidmap", "0:100000:65536", "--gidmap",
                          "0:100000:65536", "--remap-labels", IMAGE, "c-user", "/bin/sh", "-c", script).stdout.split()
    assert shown == ["0", "0", "0", "0", "100000", "65536"]


def test_the_pool_goes_with_the_power_and_containers_run_again(cluster):
    first, second = cluster.hosts
    first.node.ctr("container", "create", "--snapshotter", "daxfs", IMAGE, "c-old", "/bin/sh", "-c",
                   "cat /mark 2>/dev/null; echo marked > /mark; python3 -c 'print(6*7)'")
    assert start(first, "c-old").split() == ["42"]
    first.vm.run("sync")
    for host in cluster.hosts:
        host.vm.kill()
    cluster.memory.clear()
    cluster.pool = Pool(cluster.memory, cluster.folder)
    first.boot()
    assert start(first, "c-old").split() == ["marked", "42"], "what it had written is on its own disk"
    assert len(layer_mounts(first)) == len(layout.layer_blobs(cluster.image))
    assert "a layer is placed again" in first.node.snapshotter.log()
    # The second has none of the layers' blobs, and needs none: the first has placed them.
    second.boot()
    blobs = set(second.vm.run(["ls", f"{CONTENT}/blobs/sha256"]).stdout.split())
    assert not blobs & {layer.name for layer in layout.layer_blobs(cluster.image)}
    assert second.run("c-second", "/bin/sh", "-c", "echo again").split() == ["again"]
    shown = json.loads(cluster.pool.tool("daxfsctl", "pool", "info", cluster.memory.path, "--json").stdout)
    assert shown["holds"]["used"] == 2 * len(layout.layer_blobs(cluster.image)), shown["holds"]


def being_built(cluster):
    """How many objects of the pool are."""
    rows = cluster.pool.tool("daxfsctl", "pool", "ls", cluster.memory.path, "--json").stdout.splitlines()
    return sum(json.loads(row).get("state") == "building" for row in rows)


@pytest.mark.long
def test_a_host_dies_while_it_places_a_layer(cluster, tmp_path):
    """The next one waits for it until somebody states that it is off, then places the layer itself."""
    first, second = cluster.hosts
    layers = [("noise", [tree.directory("bin"), tree.file("bin/sh", Path("/bin/busybox").read_bytes(), 0o755),
                         tree.file("noise", random.Random(7).randbytes(NOISE_BYTES))], True)]
    layout.write(tmp_path, layers)
    archives = [host.node.put_image(tmp_path / "image") for host in cluster.hosts]
    words = ["images", "import", "--snapshotter", "daxfs", "--index-name", "noise:1"]
    first.vm.popen(["env", first.node.environment, "ctr", *words, archives[0]])
    end = time.monotonic() + 120
    while not being_built(cluster):
        assert time.monotonic() < end, first.node.snapshotter.log()
    first.vm.kill()
    assert being_built(cluster) == 1, "it died in the middle"
    importing = second.vm.popen(["env", second.node.environment, "ctr", *words, archives[1]])
    assert not importing.wait(15), "it waits for who is placing the layer"
    cluster.pool.tool("daxfsctl", "pool", "fence", cluster.memory.path, HOST_IDS[0], "--powered-off")
    assert importing.wait(300) and importing.rc == 0, importing.stderr + second.node.snapshotter.log()
    noise = second.node.ctr("run", "--rm", "--snapshotter", "daxfs", "noise:1", "c-noise", "/bin/sh", "-c",
                            "sha256sum < /noise").stdout.split()[0]
    assert noise == hashlib.sha256(layers[0][1][2].content).hexdigest()
    checked = cluster.pool.tool("daxfsctl", "pool", "check", cluster.memory.path)
    assert checked.stdout == "clean\n", checked.stdout
    first.boot()
    first.node.ctr(*words, first.node.put_image(tmp_path / "image"))
    assert "Apply" not in first.node.snapshotter.log(), "the other has placed it"


def start(host, container):
    """Starts a container that is there, and removes its task; what it said."""
    said = host.node.ctr("task", "start", container).stdout
    host.node.ctr("task", "rm", container, check=False)
    return said
