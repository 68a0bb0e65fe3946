# SPDX-License-Identifier: Apache-2.0
"""daxfs-build on a node: out of a real registry behind TLS and a login, and out of containerd's content store. What it
has placed containerd neither downloads nor unpacks."""

import json
import subprocess

import pytest

from e2e.harness import module, programs, registry
from e2e.harness.containerd import Node
from e2e.harness.pool import Pool
from e2e.harness.pool_story import HOST_IDS
from e2e.oci import layout

pytestmark = pytest.mark.part("containerd")

POOL, POOL_BYTES = "images", 512 << 20
NAME = "team/demo"
REFERENCE = f"{registry.ADDRESS}/{NAME}:latest"
SOURCE = f"docker://{REFERENCE}"


class Guest:
    """A node with containerd, a snapshotter over an empty pool, and a registry that has the demonstration image."""

    def __init__(self, vm, cache, image):
        self.vm, self.image = vm, image
        self.node = Node(vm, cache, "2.x", POOL)
        for tool in ("daxfs-build", "daxfsctl"):
            programs.install_tool(vm, tool)
        registry.store(image, vm.share / "registry", NAME)
        self.authority, self.login = registry.guard(vm)
        self.registry = registry.Registry(vm, guarded="guard")
        self.registry.start()
        self.trusted = ["--ca-file", self.authority, "--authfile", self.login]

    def build(self, source, *arguments):
        """daxfs-build's report, and its exit status."""
        done = self.vm.run(["daxfs-build", source, "--json", *arguments], check=False, timeout=300)
        return done.rc, json.loads(done.stdout.splitlines()[-1])

    def rooms(self):
        """What has to be the same where nothing was placed."""
        shown = self.vm.run(["daxfsctl", "pool", "info", POOL, "--json"]).stdout
        info = json.loads(shown)
        rooms = {key: info[key] for key in ("chunks", "granules", "objects", "holds")}
        return {**rooms, "participants": [(who["slot"], who["kernel"]) for who in info["participants"]]}

    def sent(self, function):
        """Bytes of layers in the registry's answers while that runs."""
        return self.registry.sent_while(layout.layer_blobs(self.image), function)


@pytest.fixture(scope="module")
def guest(start_vms, new_memory, daxfs_module, cache, demo_image, tmp_path_factory):
    memory = new_memory(POOL_BYTES)
    Pool(memory, tmp_path_factory.mktemp("pool"))
    vm = start_vms("builder", memory=memory, memory_mib=1536)[0]
    phys, size = vm.nvdimm
    module.load(vm, daxfs_module, f"host_id={HOST_IDS[0]} attach={POOL},{phys:#x},{size}")
    vm.run(f"mkdir -p /etc/daxfs && echo {HOST_IDS[0]} > /etc/daxfs/host-id")
    return Guest(vm, cache, demo_image / "image")


@pytest.fixture(scope="module")
def wanted(demo_image, tmp_path_factory):
    """The layers' images by their digests, as this host makes them of the OCI layout."""
    out = tmp_path_factory.mktemp("wanted") / "layers"
    subprocess.run([programs.tool("daxfs-build"), f"oci:{demo_image / 'image'}", "--per-layer", "-o", out], check=True)
    return [layer["root"] for layer in json.loads((out / "image.json").read_text())["layers"]]


# (what daxfs-build is given, what it says); the certificate's authority is the test's own.
REFUSED = {
    "an authority nobody knows": (lambda guest: ["--authfile", guest.login], "certificate"),
    "nobody has logged in": (lambda guest: ["--ca-file", guest.authority], "log in"),
    "another password": (lambda guest: ["--ca-file", guest.authority, "--authfile", "/tmp/wrong.json"], "log in"),
    "another tag": (lambda guest: [*guest.trusted, "--dry-run"], "MANIFEST_UNKNOWN"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_not_let_in_places_nothing(guest, case):
    arguments, message = REFUSED[case]
    wrong = {"auths": {registry.ADDRESS: {"username": registry.USER, "password": "wrong"}}}
    guest.vm.run("cat > /tmp/wrong.json", stdin=json.dumps(wrong))
    source = SOURCE.replace("latest", "none") if case == "another tag" else SOURCE
    before = guest.rooms()
    status, report = guest.build(source, "--pool", POOL, *arguments(guest))
    assert status == 1 and message in report["error"], report
    assert guest.rooms() == before
    print(f"registry: {case}: {report['code']}: {report['error']}")


def test_a_dry_run_reads_no_layer(guest, demo_image):
    reports = []
    sent = guest.sent(lambda: reports.append(guest.build(SOURCE, "--pool", POOL, "--dry-run", *guest.trusted)))
    status, report = reports[0]
    assert status == 0 and sent == 0, report
    sizes = [blob.stat().st_size for blob in layout.layer_blobs(demo_image / "image")]
    assert [image["stored_bytes"] for image in report["images"]] == sizes
    assert {image["how"] for image in report["images"]} == {"missing"}


def test_what_is_placed_is_not_downloaded_again(guest, wanted):
    hosts = f"/etc/containerd/certs.d/{registry.ADDRESS}"
    guest.vm.run(f"mkdir -p {hosts} && cat > {hosts}/hosts.toml",
                 stdin=f'[host."https://{registry.ADDRESS}"]\nca = "{guest.authority}"\n')
    reports = []

    def build():
        reports.append(guest.build(SOURCE, "--pool", POOL, "--authfile", guest.login, "--name", "demo", "--verify"))

    layers = sum(blob.stat().st_size for blob in layout.layer_blobs(guest.image))
    assert guest.sent(build) == layers, "each once"
    assert guest.sent(build) == 0, "all of it is there"
    for (status, report), how in zip(reports, ("built", "found")):
        assert status == 0, report
        assert [image["root"] for image in report["images"]] == wanted
        assert {image["how"] for image in report["images"]} == {how}


def test_containerd_runs_what_was_placed(guest):
    """By the layers' chains: the snapshotter is asked for them before anything is downloaded."""
    guest.node.start()

    def pull():
        guest.node.ctr("images", "pull", "--hosts-dir", "/etc/containerd/certs.d", "--user",
                       f"{registry.USER}:{registry.PASSWORD}", "--snapshotter", "daxfs", REFERENCE)

    assert guest.sent(pull) == 0
    assert "Apply" not in guest.node.snapshotter.log()
    said = guest.node.ctr("run", "--rm", "--snapshotter", "daxfs", REFERENCE, "c", "/bin/sh", "-c", "echo hello").stdout
    assert said.split() == ["hello"]


def test_out_of_containerds_content_store(guest, wanted):
    """That of the pull has no layers: it has to be said. Those that are imported come out as they went in."""
    status, report = guest.build(f"containerd:default/{REFERENCE}", "-o", "/tmp/none", "--per-layer")
    assert status == 1 and f"content fetch {REFERENCE}" in report["error"], report
    archive = guest.node.put_image(guest.image)
    guest.node.ctr("images", "import", "--no-unpack", "--base-name", "imported", archive)
    name = [row for row in guest.node.ctr("images", "ls", "-q").stdout.split() if row.startswith("imported")][0]
    status, report = guest.build(f"containerd:default/{name}", "-o", "/tmp/layers", "--per-layer")
    assert status == 0, report
    assert [image["root"] for image in report["images"]] == wanted
