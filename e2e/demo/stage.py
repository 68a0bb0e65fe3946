# SPDX-License-Identifier: Apache-2.0
"""What the demo plays on: the image, two hosts on one memory with a pool in it, and what they pull."""

import dataclasses
import json
import os
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e.demo.containers import CONTROL, DAXFS, Containers
from e2e.demo.tell import size
from e2e.harness import daxfs, guest_image, kernel, module, programs, registry
from e2e.harness.containerd import SNAPSHOTTER_ROOT
from e2e.harness.host import Host
from e2e.harness.pool import CHUNK, GRANULE, Pool
from e2e.harness.vm import ALIGN_BYTES, SharedMemory, Vm
from e2e.oci import generate, layout, tree

NAMES = ("vm-a", "vm-b")
HOST_IDS = ("de300000-0000-4000-8000-00000000000a", "de300000-0000-4000-8000-00000000000b")
POOL, MEMORY_BYTES, GUEST_MIB = "demo", 192 << 20, 1536
IMAGE, SHELL_IMAGE = f"{registry.ADDRESS}/demo:latest", f"{registry.ADDRESS}/shell:latest"
SETTLE_SECONDS = 60


class DemoFailed(Exception):
    """Something the demo is to show does not hold."""


def shell_image(folder):
    """An OCI layout of an image of nothing but a shell, which says `ready`."""
    busybox = Path("/bin/busybox").read_bytes()
    entries = [tree.directory("bin"), *(tree.file(f"bin/{name}", busybox, 0o755) for name in ("sh", "sleep"))]
    layout.write(folder, [("a shell", entries, True)], command=("/bin/sh", "-c", "echo ready"))
    return folder / "image"


def demand(condition, text):
    """DemoFailed unless `condition`."""
    if not condition:
        raise DemoFailed(text)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A layer in the pool: its digest there, its size, and the parts of the memory it lies in."""

    digest: str
    size_bytes: int
    pool_bytes: int
    parts: list

    def holds(self, at):
        """Whether byte `at` of the memory is its."""
        return any(at in part for part in self.parts)


class Stage:
    """Everything made for the demo; `close` takes it away, whatever has happened."""

    def __init__(self, cache, tell):
        self.cache = cache
        self.tell = tell
        self.figures = {}
        self.work = Path(tempfile.mkdtemp(prefix="daxfs-demo-"))
        self.memory = None
        self.vms = []
        self.hosts = []
        self.placed = []
        self.built = None

    def close(self):
        """Ends the machines, gives the memory back, removes files. Harmless when repeated."""
        for vm in self.vms:
            vm.close()
        if self.memory is not None:
            self.memory.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def both(self, function):
        """`function(host)` for all hosts at the same time; the results in their order."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            try:
                return list(pool.map(function, self.hosts))
            except KeyboardInterrupt:
                for vm in self.vms:
                    vm.kill()  # or the pool would wait for what they do
                raise

    # The image

    def make_image(self):
        """The OCI image, and one of a shell alone that goes before anything is measured."""
        made = generate.prepare(self.cache)
        self.kernel = kernel.prepare(self.cache, kernel.DEFAULT_SUITE)
        self.root_image = guest_image.prepare(self.cache)
        self.layout = made / "image"
        self.expected = json.loads((made / "expected.json").read_text(encoding="utf-8"))
        self.shell = shell_image(self.work)
        self.diff_ids = [layer["diff_id"] for layer in self.expected["layers"]]
        self.blobs = layout.layer_blobs(self.layout)
        rows = []
        for layer, blob in zip(self.expected["layers"], self.blobs):
            hides = len(layer["whiteouts"])
            more = f", {hides} deletions, {len(layer['opaque'])} opaque" if hides else ""
            rows.append((layer["diff_id"][7:19], f"{layer['comment']}{more}",
                         len(layer["entries"]), size(blob.stat().st_size)))
        self.tell.table(("diffID", "layer", "entries", "in the registry"), rows, left=2)

    # The machines

    def boot(self):
        """Starts the machines on memory with an empty pool in it."""
        self.memory = SharedMemory(MEMORY_BYTES)
        self.pool = Pool(self.memory, self.work / "run")
        self.hosts = [Host(name, host_id, self.work) for name, host_id in zip(NAMES, HOST_IDS)]
        self.vms = [Vm(self.kernel, self.root_image, self.memory, host.name, memory_mib=GUEST_MIB, state=host.disk)
                    for host in self.hosts]
        for vm in self.vms:
            vm.start()

    def ready(self):
        """Waits for the machines; module, snapshotter, containerd and registry run then."""
        started = time.monotonic()
        self.built = module.build_daxfs(self.kernel, self.work)
        seconds = time.monotonic() - started
        for vm in self.vms:
            vm.wait_ready()
            programs.install_tool(vm, "daxfsctl")
        ranges = {vm.nvdimm for vm in self.vms}
        demand(len(ranges) == 1, f"the machines see the memory at {ranges}")
        demand(next(iter(ranges))[0] % ALIGN_BYTES == 0, "the memory is not 2 MiB aligned")
        boots = " and ".join(f"{vm.boot_seconds:.0f} s" for vm in self.vms)
        self.tell.line(f"{' and '.join(NAMES)}: Linux {self.kernel.release}, up in {boots}, on the "
                       f"same {size(self.memory.size_bytes)} at {self.vms[0].nvdimm[0]:#x}")
        images = {"demo": self.layout, "shell": self.shell}
        for host, vm in zip(self.hosts, self.vms):
            host.serve(vm, self.built, self.cache, POOL, images)
            host.containers = Containers(host, IMAGE, self.diff_ids)
        version = self.hosts[0].node.client("containerd", "--version").stdout.split()[2].split("+")[0]
        self.tell.line(f"daxfs.ko built in {seconds:.0f} s and loaded in both: "
                       f"build {self.built.build_id[:12]}; /dev/daxfs/{POOL} is the pool")
        self.tell.line(f"in both: containerd {version}, daxfs-snapshotter over the pool, a registry of its own")

    # The image in the pool

    def pull(self, host, kind):
        """`ctr image pull`; seconds, and the bytes of layers the registry has sent."""
        started = time.monotonic()
        sent = host.registry.sent_while(self.blobs, lambda: host.pull(IMAGE, kind))
        return time.monotonic() - started, sent

    def place(self):
        """The first host pulls: its layers go into the pool. The second asks for the same."""
        rows = []
        total = sum(blob.stat().st_size for blob in self.blobs)
        for host, wanted in zip(self.hosts, (total, 0)):
            seconds, sent = self.pull(host, DAXFS)
            unpacked = host.node.snapshotter.log().count("how=built")
            rows.append((f"{host.name}: ctr image pull --snapshotter daxfs", size(sent), unpacked, f"{seconds:.1f} s"))
            demand(sent == wanted, f"{host.name}: the registry sent {sent} bytes of layers, not {wanted}")
            demand(unpacked == (len(self.blobs) if wanted else 0), f"{host.name}: {unpacked} layers were unpacked")
            self.figures[f"demo_pull_{host.name.replace('-', '_')}_seconds"] = round(seconds, 3)
        self.tell.table(("", "layers sent by the registry", "layers unpacked", "time"), rows)
        self.tell.shown(f"{NAMES[1]} has the image without a byte of its layers having been sent, or unpacked")

    def look(self):
        """What the layers are in both kernels, and where in the memory."""
        digests = self.both(self._mounted)
        demand(digests[0] == digests[1], f"the hosts mount different images: {digests}")
        self.placed = [self._look_up(digest) for digest in digests[0]]
        base = self.vms[0].nvdimm[0]
        rows = [(f"{SNAPSHOTTER_ROOT}/snapshots/{number}/fs", f"sha256:{placed.digest[:12]}…",
                 f"{base + placed.parts[0].start:#x}", len(placed.parts), size(placed.size_bytes))
                for number, placed in enumerate(self.placed, 1)]
        self.tell.table(("mounted in both", "image", "begins at", "parts", ""), rows, left=2)
        self.figures["demo_images_bytes"] = sum(placed.size_bytes for placed in self.placed)
        self.tell.shown(f"{len(rows)} layers mounted in each; every mount is of type daxfs, by f_type too")

    def _mounted(self, host):
        """The digests of the layers' images, lowest first, as this host's kernel has them mounted."""
        digests = []
        layers = host.containers.layers(DAXFS)  # mounted now, if not before
        mounts = host.vm.read_text("/proc/self/mounts")
        for layer in layers:
            daxfs.assert_daxfs(host.vm, self.built, layer)
            digests.append(re.search(rf" {layer} daxfs \S*image=sha256:([0-9a-f]+)", mounts).group(1))
        return digests

    def _look_up(self, digest):
        """Where the pool has it, by the pool's own tables."""
        row = next(row for row in self.pool.ready() if row.digest == digest)
        if row.granules:
            start = self.pool.data + row.first * GRANULE
            parts = [range(start, start + row.granules * GRANULE)]
        else:
            starts = [self.pool.data + chunk * CHUNK for chunk in self.pool.chain(row)]
            parts = []
            for start in starts:
                if parts and parts[-1].stop == start:
                    parts[-1] = range(parts[-1].start, start + CHUNK)
                else:
                    parts.append(range(start, start + CHUNK))
        return Placed(digest, row.size, sum(len(part) for part in parts), parts)

    def pull_control(self):
        """The same image by containerd's own overlayfs, in both; a row beside those of `place`."""
        pulled = [self.pull(host, CONTROL) for host in self.hosts]
        seconds, sent = pulled[1]  # who has not a layer's bytes yet
        self.figures["demo_pull_control_seconds"] = round(seconds, 3)
        self.tell.line(f"{NAMES[1]}: ctr image pull --snapshotter overlayfs: {size(sent)} of layers sent, "
                       f"{seconds:.1f} s")

    # The end

    def leave(self, host):
        """Removes the images, ends the daemons, removes the module, and looks for what is left."""
        host.containers.close()
        for image in host.node.ctr("images", "ls", "-q").stdout.split():
            host.node.ctr("images", "rm", "--sync", image)
        end = time.monotonic() + SETTLE_SECONDS
        while host.node.mounts():
            demand(time.monotonic() < end, f"{host.name}: still mounted: {host.node.mounts()}")
            time.sleep(0.2)
        host.node.stop()
        host.registry.stop()
        host.vm.run(["daxfsctl", "pool", "detach", POOL])
        module.unload(host.vm, self.built)
        left = host.vm.run("grep -h daxfs /proc/mounts /proc/modules /proc/iomem | grep -v ' /var/lib/daxfs '",
                           check=False).stdout
        demand(not left, f"{host.name}: left behind: {left}")
        host.vm.assert_clean_log()

    def pool_is_free(self):
        """After both have left nothing in the pool is held; it can all be collected."""
        shown = json.loads(self.pool.tool("daxfsctl", "pool", "info", self.memory.path, "--json").stdout)
        demand(shown["holds"]["used"] == 0, f"holds are left: {shown['holds']}")
        self.pool.tool("daxfsctl", "pool", "gc", self.memory.path)
        demand(not self.pool.ready(), "objects are left in the pool")

    def nothing_left(self):
        """After `close`: no process and no memory of the demo is there any more."""
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8")
        demand(not children.strip(), f"still running: {children}")
        # The memory has no name: it is gone with the last process that has it open.
        opened = [str(path.resolve()) for path in Path("/proc/self/fd").iterdir()]
        demand(not any("/dev/shm" in path for path in opened), f"still open: {opened}")
        folders = [self.work, *(vm.work for vm in self.vms)]
        left = [str(path) for path in folders if path.exists() and not os.environ.get("DAXFS_KEEP")]
        demand(not left, f"still there: {' '.join(left)}")
