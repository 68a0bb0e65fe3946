# SPDX-License-Identifier: Apache-2.0
"""Who else asks containerd, and other versions of it: two guests on one pool, one with containerd 1.7, one with 2.x,
each asked by ctr, by nerdctl, and over CRI by crictl. Images come from a registry; layers are mounts of daxfs."""

import functools
import json
import time
from pathlib import Path

import pytest

from e2e.harness import daxfs, module, programs, registry
from e2e.harness.containerd import SNAPSHOTTER_ROOT, Node, configuration
from e2e.harness.pool import Pool
from e2e.harness.pool_story import HOST_IDS
from e2e.harness.vm import CommandFailed
from e2e.oci import layout, tree

pytestmark = [pytest.mark.part("containerd"), pytest.mark.long]

POOL_BYTES = 512 << 20
POOL = "images"
IMAGE = f"{registry.ADDRESS}/demo:latest"
SANDBOX = f"{registry.ADDRESS}/pause:latest"
HOSTS = f'server = "http://{registry.ADDRESS}"\n'
ENDPOINT = "unix:///run/containerd/containerd.sock"
LOGS = "/var/log/pods"
SEVERAL = """
[plugins."io.containerd.transfer.v1.local"]
  max_concurrent_unpacks = 3
"""


class Asked:
    """A guest with a containerd of `version`, all clients and a registry."""

    def __init__(self, vm, version, cache, daxfs_module):
        self.vm, self.version, self.module = vm, version, daxfs_module
        programs.install_tool(vm, "daxfsctl", "/usr/sbin")
        self.registry = registry.Registry(vm)
        self.registry.start()
        certificates = f"/etc/containerd/certs.d/{registry.ADDRESS}"
        vm.run(f"mkdir -p {certificates} && cat > {certificates}/hosts.toml", stdin=HOSTS)
        self.node = Node(vm, cache, version, POOL, clients=("nerdctl", "crictl"), sandbox=SANDBOX)
        vm.run("echo 127.0.0.1 localhost > /etc/hosts")  # pods get a copy
        self.node.start()
        self.await_pods()

    def configure(self, text):
        """Another configuration of containerd, which starts again."""
        self.node.containerd.stop()
        self.vm.run("cat > /etc/containerd/config.toml", stdin=text)
        self.node.containerd.start()
        self.await_pods()

    def await_pods(self):
        """CRI answers a while after containerd does: it looks through pods and images first."""
        end = time.monotonic() + 60
        while self.node.client("crictl", "--runtime-endpoint", ENDPOINT, "info", check=False).rc != 0:
            assert time.monotonic() < end, self.node.containerd.log()[-4000:]
            time.sleep(0.5)

    def nerdctl(self, *arguments):
        """What nerdctl says; its images are in a namespace of their own."""
        return self.node.client("nerdctl", "--namespace", "nerdctl", "--snapshotter", "daxfs", *arguments).stdout

    def crictl(self, *arguments, check=True):
        """What crictl says."""
        return self.node.client("crictl", "--runtime-endpoint", ENDPOINT, "--image-endpoint", ENDPOINT, "--timeout",
                                "120s", *arguments, check=check).stdout

    def assert_layers(self):
        """There are mounts of layers, and each is one of the module."""
        rows = [row for row in self.node.mounts() if row[1] != "overlay"]
        assert rows
        for where, kind, source in rows:
            print(f"{where}: {source}")
            assert kind == "daxfs", where
            daxfs.assert_daxfs(self.vm, self.module, where)


    def assert_well(self):
        """`daxfsctl doctor` has looked at all there is, and finds nothing wrong."""
        said = self.node.client("daxfsctl", "doctor", "--json", check=False).stdout
        print(said)
        *found, end = [json.loads(line) for line in said.splitlines()]
        well = {row["check"] for row in found if row["verdict"] == "ok"}
        assert end["ok"] and end["failed"] == 0, said
        assert well >= {"module", "host-id", "daemon-pool", "root", "containerd", "plugin", "differ", "diff-service",
                        "pods", "sandbox", *(["unpack"] if self.version == "2.x" else [])}, said


class Pod:
    """A pod of one container of the image; it writes /new and sleeps. Its network is the node's: no CNI is needed."""

    def __init__(self, host, name):
        self.host = host
        pod = {"metadata": {"name": name, "namespace": "default", "uid": name}, "log_directory": f"{LOGS}/{name}",
               "linux": {"security_context": {"namespace_options": {"network": 2}}}}
        container = {"metadata": {"name": "work"}, "image": {"image": IMAGE}, "log_path": "work.log", "linux": {},
                     "command": ["/bin/sh", "-c", "echo started; echo new > /new; exec sleep 10000"]}
        for path, value in ((f"/tmp/{name}.json", pod), ("/tmp/container.json", container)):
            host.vm.run(f"cat > {path}", stdin=json.dumps(value))
        self.sandbox = host.crictl("runp", f"/tmp/{name}.json").strip()
        self.container = host.crictl("create", self.sandbox, "/tmp/container.json", f"/tmp/{name}.json").strip()
        host.crictl("start", self.container)

    def run(self, *command):
        """What a command in it says."""
        return self.host.crictl("exec", self.container, *command)

    def snapshotters(self):
        """Whose the roots of its sandbox and its container are."""
        return [json.loads(self.host.node.ctr("-n", "k8s.io", "container", "info", identity).stdout)["Snapshotter"]
                for identity in (self.sandbox, self.container)]

    def remove(self):
        """All of it."""
        self.host.crictl("stop", "--timeout", "0", self.container)
        self.host.crictl("rm", self.container)
        self.host.crictl("stopp", self.sandbox)
        self.host.crictl("rmp", self.sandbox)


def pause_image(folder):
    """What keeps a pod's sandbox: a program that sleeps."""
    busybox = Path("/bin/busybox").read_bytes()
    layout.write(folder, [("pause", [tree.directory("bin"), tree.file("bin/sleep", busybox, 0o755)], True)],
                 command=("/bin/sleep", "1000000"))
    return folder / "image"


@pytest.fixture(scope="module")
def hosts(start_vms, new_memory, daxfs_module, cache, demo_image, tmp_path_factory):
    """{"1.7": Asked, "2.x": Asked}, on one pool."""
    memory = new_memory(POOL_BYTES)
    pool = Pool(memory, tmp_path_factory.mktemp("pool"))
    pause = pause_image(tmp_path_factory.mktemp("pause"))
    made = {}
    for version, host_id in zip(("1.7", "2.x"), HOST_IDS):
        vm = start_vms(f"clients-{version}", memory=memory, memory_mib=1536)[0]
        phys, size = vm.nvdimm
        module.load(vm, daxfs_module, f"host_id={host_id} attach={POOL},{phys:#x},{size}")
        vm.run(f"mkdir -p /etc/daxfs && echo {host_id} > /etc/daxfs/host-id")
        for name, image in (("demo", demo_image / "image"), ("pause", pause)):
            registry.store(image, vm.share / "registry", name)
        made[version] = Asked(vm, version, cache, daxfs_module)
        made[version].pool = pool
    return made


def test_one_version_places_for_the_other(hosts, demo_image):
    layers = layout.layer_blobs(demo_image / "image")
    total = sum(layer.stat().st_size for layer in layers)
    for version, expected in (("1.7", total), ("2.x", 0)):
        host = hosts[version]
        words = ("images", "pull", "--plain-http", "--snapshotter", "daxfs", IMAGE)
        assert host.registry.sent_while(layers, functools.partial(host.node.ctr, *words)) == expected, version
        shown = host.node.ctr("run", "--rm", "--snapshotter", "daxfs", IMAGE, "c-ctr", "/bin/sh", "-c",
                              "echo hello > /new; cat /new").stdout
        assert shown.split() == ["hello"]
        host.assert_layers()
    assert "Apply" not in hosts["2.x"].node.snapshotter.log()


def test_layers_that_are_unpacked_side_by_side_are_staged(hosts, demo_image):
    """containerd 2.4 with several unpackers asks for each layer but the lowest by itself; its parent it says when it
    commits it."""
    host = hosts["2.x"]
    layers = layout.layer_blobs(demo_image / "image")
    shipped = configuration("2.x", SANDBOX)
    several = shipped.replace('["remap-ids"]', '["remap-ids", "rebase"]') + SEVERAL
    assert '"rebase"' in several
    host.node.ctr("images", "rm", "--sync", IMAGE)
    host.configure(several)
    committed = host.node.snapshotter.log().count("Commit")
    words = ("images", "pull", "--plain-http", "--snapshotter", "daxfs", IMAGE)
    assert host.registry.sent_while(layers, functools.partial(host.node.ctr, *words)) == 0
    staged = host.node.snapshotter.log().count("Commit") - committed
    assert staged == len(layers) - 1, "the lowest needs no parent"
    assert "Apply" not in host.node.snapshotter.log()
    words = ("run", "--rm", "--snapshotter", "daxfs", IMAGE, "c-staged", "python3", "-c", "print(6*7)")
    assert host.node.ctr(*words).stdout == "42\n"
    host.configure(shipped)


@pytest.mark.parametrize("version", ["1.7", "2.x"])
def test_nerdctl_pulls_runs_commits_and_removes(hosts, demo_image, version):
    host = hosts[version]
    layers = layout.layer_blobs(demo_image / "image")
    assert host.registry.sent_while(layers, lambda: host.nerdctl("pull", IMAGE)) == 0, "the pool has its layers"
    host.nerdctl("run", "-d", "--net", "none", "--name", "work", IMAGE, "sleep", "1000")
    host.nerdctl("exec", "work", "/bin/sh", "-c", "echo kept > /kept; rm /usr/share/doc -rf")
    assert host.nerdctl("exec", "work", "cat", "/kept") == "kept\n"
    host.nerdctl("commit", "work", "kept:1")
    host.nerdctl("rm", "-f", "work")
    shown = host.nerdctl("run", "--rm", "--net", "none", "kept:1", "/bin/sh", "-c",
                         "cat /kept; test -e /usr/share/doc || echo gone; python3 -c 'print(6*7)'")
    assert shown.split() == ["kept", "gone", "42"]
    host.assert_layers()
    host.nerdctl("rmi", "kept:1", IMAGE)


@pytest.mark.parametrize("version", ["1.7", "2.x"])
def test_a_pod_runs_over_cri(hosts, demo_image, version):
    host = hosts[version]
    layers = layout.layer_blobs(demo_image / "image")
    assert host.registry.sent_while(layers, lambda: host.crictl("pull", IMAGE)) == 0, "the pool has its layers"
    pod = Pod(host, "pod-1")
    assert pod.snapshotters() == ["daxfs", "daxfs"]
    assert pod.run("/bin/sh", "-c", "cat /new; python3 -c 'print(6*7)'").split() == ["new", "42"]
    assert "started" in host.crictl("logs", pod.container)
    stats = json.loads(host.crictl("stats", "-a", "-o", "json", pod.container))["stats"][0]
    assert int(stats["writableLayer"]["usedBytes"]["value"]) >= 0, stats
    info = json.loads(host.crictl("imagefsinfo", "-o", "json"))
    assert SNAPSHOTTER_ROOT in json.dumps(info), info
    mounted = [row[0] for row in host.node.mounts()]
    host.node.snapshotter.stop("KILL")
    host.node.snapshotter.start()
    assert [row[0] for row in host.node.mounts()] == mounted
    assert pod.run("cat", "/new") == "new\n", "the daemon's end disturbs no pod"
    host.assert_layers()
    host.assert_well()
    pod.remove()
    host.crictl("rmi", IMAGE, SANDBOX)
    assert host.crictl("images", "-q").split() == []


def on_overlayfs(configured):
    """The same with pods' roots by containerd's own snapshotter."""
    head, tail = configured.rsplit('snapshotter = "daxfs"', 1)
    return f'{head}snapshotter = "overlayfs"{tail}'


def test_a_node_moves_to_daxfs_and_back(hosts, demo_image):
    """docs/migration.md, step by step, on the host that has no layer's blob yet."""
    host = hosts["2.x"]
    layers = layout.layer_blobs(demo_image / "image")
    moved = configuration("2.x", SANDBOX)
    before = on_overlayfs(moved)
    host.configure(before)
    host.crictl("pull", IMAGE)
    pods = [Pod(host, "pod-before")]
    host.configure(moved)
    sent = host.registry.sent_while(layers, lambda: pods.append(Pod(host, "pod-moved")))
    assert sent == 0, "what was pulled before is there"
    host.configure(before)
    pods.append(Pod(host, "pod-back"))
    assert [pod.snapshotters() for pod in pods] == [["overlayfs"] * 2, ["daxfs"] * 2, ["overlayfs"] * 2]
    assert [pod.run("cat", "/new") for pod in pods] == ["new\n"] * 3, "none was disturbed"
    for pod in pods:
        pod.remove()
    host.crictl("rmi", IMAGE, SANDBOX)


def test_what_came_out_of_the_pool_is_fetched_before_a_node_moves_back(hosts, demo_image):
    host = hosts["2.x"]
    layers = layout.layer_blobs(demo_image / "image")
    moved = configuration("2.x", SANDBOX)
    host.configure(moved)
    assert host.registry.sent_while(layers, lambda: host.crictl("pull", IMAGE)) == 0
    pod = Pod(host, "pod-moved")
    host.configure(on_overlayfs(moved))
    with pytest.raises(CommandFailed, match="content digest .*not found"):
        Pod(host, "pod-too-early")
    for left in host.crictl("pods", "-q", "--name", "pod-too-early").split():
        host.crictl("rmp", "-f", left)
    for image in (IMAGE, SANDBOX):
        host.node.ctr("-n", "k8s.io", "content", "fetch", "--plain-http", image)
    back = Pod(host, "pod-back")
    assert back.snapshotters() == ["overlayfs"] * 2
    assert pod.run("cat", "/new") == "new\n"
    pod.remove()
    back.remove()
    host.crictl("rmi", IMAGE, SANDBOX)


def test_nothing_is_left(hosts):
    for version, host in hosts.items():
        host.node.ctr("images", "rm", "--sync", IMAGE)
        end = time.monotonic() + 60
        while host.node.mounts() or host.vm.run(["ls", f"{SNAPSHOTTER_ROOT}/snapshots"]).stdout.split():
            assert time.monotonic() < end, (version, host.node.mounts(), host.node.snapshotter.log()[-4000:])
            time.sleep(0.5)
    pool = hosts["1.7"].pool
    shown = json.loads(pool.tool("daxfsctl", "pool", "info", pool.memory.path, "--json").stdout)
    assert shown["holds"]["used"] == 0, shown
    pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    assert pool.ready() == []
    assert pool.tool("daxfsctl", "pool", "check", pool.memory.path).stdout == "clean\n"
