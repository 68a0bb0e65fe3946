# SPDX-License-Identifier: Apache-2.0
"""What the demo plays on: the image, two machines on one memory with a pool in it, and what one of
them places there."""

import dataclasses
import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e.conftest import DEFAULT_SUITE
from e2e.demo.tell import size
from e2e.harness import daxfs, guest_image, kernel, module, programs
from e2e.harness.pool import CHUNK, GRANULE, Pool
from e2e.harness.vm import ALIGN_BYTES, SharedMemory, Vm
from e2e.oci import control, generate, layout

NAMES = ("vm-a", "vm-b")
HOST_IDS = ("de300000-0000-4000-8000-00000000000a", "de300000-0000-4000-8000-00000000000b")
DAXFS, CONTROL, FLAT = "/layers", "/control", "/flat"  # mounts in the guests
POOL, MEMORY_BYTES = "demo", 320 << 20


class DemoFailed(Exception):
    """Something the demo is to show does not hold."""


def demand(condition, text):
    """DemoFailed unless `condition`."""
    if not condition:
        raise DemoFailed(text)


@dataclasses.dataclass(frozen=True)
class Placed:
    """An image in the pool: how it is asked for, its size, and the parts of the memory it lies in."""

    name: str
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
        """`function(vm)` in all machines at the same time; the results in their order."""
        with ThreadPoolExecutor(len(self.vms)) as pool:
            try:
                return list(pool.map(function, self.vms))
            except KeyboardInterrupt:
                for vm in self.vms:
                    vm.kill()  # or the pool would wait for what they do
                raise

    # The image

    def make_image(self):
        """The OCI image and, as control, its layers unpacked on an ext4 disk."""
        made = generate.prepare(self.cache)
        self.control_disk = control.prepare(self.cache, made)
        self.kernel = kernel.prepare(self.cache, DEFAULT_SUITE)
        self.root_image = guest_image.prepare(self.cache)
        self.layout = made / "image"
        self.expected = json.loads((made / "expected.json").read_text(encoding="utf-8"))
        rows = []
        for layer, blob in zip(self.expected["layers"], layout.layer_blobs(self.layout)):
            hides = len(layer["whiteouts"])
            more = f", {hides} deletions, {len(layer['opaque'])} opaque" if hides else ""
            rows.append((layer["diff_id"][7:19], f"{layer['comment']}{more}",
                         len(layer["entries"]), size(blob.stat().st_size)))
        self.tell.table(("diffID", "layer", "entries", "in the layout"), rows, left=2)

    # The machines

    def boot(self):
        """Starts the machines on memory with an empty pool in it."""
        self.memory = SharedMemory(MEMORY_BYTES)
        self.pool = Pool(self.memory, self.work / "run")
        self.vms = [
            Vm(self.kernel, self.root_image, self.memory, name, disks=[self.control_disk])
            for name in NAMES
        ]
        for vm in self.vms:
            vm.start()
            shutil.copytree(self.layout, vm.share / "image")

    def ready(self):
        """Waits for the machines, loads the module just built, has it show the pool."""
        started = time.monotonic()
        self.built = module.build_daxfs(self.kernel, self.work)
        seconds = time.monotonic() - started
        for vm, host_id in zip(self.vms, HOST_IDS):
            vm.wait_ready()
            module.load(vm, self.built, f"host_id={host_id}")
            for name in ("daxfs-build", "daxfsctl"):
                programs.install_tool(vm, name)
            phys, bytes_there = vm.nvdimm
            vm.environment = {"DAXFS_HOST_ID": host_id}
            vm.run(["daxfsctl", "pool", "attach", POOL, "--phys", f"{phys:#x}", "--size", str(bytes_there)])
        ranges = {vm.nvdimm for vm in self.vms}
        demand(len(ranges) == 1, f"the machines see the memory at {ranges}")
        demand(next(iter(ranges))[0] % ALIGN_BYTES == 0, "the memory is not 2 MiB aligned")
        boots = " and ".join(f"{vm.boot_seconds:.0f} s" for vm in self.vms)
        self.tell.line(f"{' and '.join(NAMES)}: Linux {self.kernel.release}, up in {boots}, on the "
                       f"same {size(self.memory.size_bytes)} at {self.vms[0].nvdimm[0]:#x}")
        self.tell.line(f"daxfs.ko built in {seconds:.0f} s and loaded in both: "
                       f"build {self.built.build_id[:12]}; /dev/daxfs/{POOL} is the pool")

    # The pool

    def place(self):
        """The first machine converts the image into the pool; the second asks for the same layers."""
        rows = []
        for how, vm, name in (("per-layer", self.vms[0], "layers"), ("flatten", self.vms[0], "flat"),
                              ("per-layer", self.vms[1], None)):
            seconds, images = self._build(vm, how, name)
            found = sum(image["how"] == "found" for image in images)
            total = sum(image["size_bytes"] for image in images)
            rows.append((f"{vm.name}: daxfs-build oci:… --{how} --pool {POOL}", len(images), found, size(total),
                         f"{seconds:.2f} s"))
            demand(found == (len(images) if name is None else 0), f"{vm.name}: {found} of {len(images)} were there")
            key = f"demo_{'find' if name is None else 'convert'}_{how.replace('-', '_')}_seconds"
            self.figures[key] = round(seconds, 3)
            if name is not None:
                self.placed += [self._look_up(image) for image in images]
        self.figures["demo_images_bytes"] = sum(image.size_bytes for image in self.placed[:-1])
        self.tell.table(("", "images", "were there", "bytes", "time"), rows)
        made, wanted = ([*names] for names in ((image.name for image in self.placed[:-1]),
                                               (layer["diff_id"] for layer in self.expected["layers"])))
        demand(made == wanted, f"daxfs-build made the layers {made}, the image has {wanted}")
        self.image = {"layers": self.expected["layers"], "config": layout.configuration_of(self.layout)}
        base = self.vms[0].nvdimm[0]
        rows = [(f"{image.name[:19]}…", f"{base + image.parts[0].start:#x}", len(image.parts), size(image.size_bytes))
                for image in self.placed]
        self.tell.table(("found by", "begins at", "parts", ""), rows)
        self.tell.shown(f"{self.vms[1].name} found every layer by its digest; nothing was built, nothing copied")

    def _build(self, vm, how, name):
        """Runs daxfs-build in a machine. How long it took, and the images."""
        named = ["--name", name] if name else []
        started = time.monotonic()
        done = vm.run(["daxfs-build", "oci:/mnt/share/image", f"--{how}", "--pool", POOL, "--json", *named],
                      env=vm.environment, timeout=300)
        return time.monotonic() - started, json.loads(done.stdout.splitlines()[-1])["images"]

    def _look_up(self, image):
        """Where the pool has it, by the pool's own tables."""
        digest = image["root"].removeprefix("sha256:")
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
        return Placed(image.get("diff_id", image["root"]), digest, image["size_bytes"],
                      sum(len(part) for part in parts), parts)

    def mount(self):
        """Every image in both machines, by its digest, and the control disk."""

        def mount(vm):
            for number, image in enumerate(self.placed):
                where = FLAT if image is self.placed[-1] else f"{DAXFS}/{number}"
                vm.run(["mkdir", "-p", where])
                vm.run(["mount", "-i", "-t", "daxfs", "-o", f"ro,image={image.name}", f"pool:{POOL}", where])
                daxfs.assert_daxfs(vm, self.built, where)
            vm.run(f"mkdir -p {CONTROL} && mount -t ext4 -o ro,noatime /dev/vdb {CONTROL}")

        self.both(mount)
        self.tell.shown(f"{len(self.placed)} images mounted in each, by digest: mount -t daxfs -o image=sha256:… "
                        f"pool:{POOL} DIR; every mount is of type daxfs, by f_type too")

    def lowers(self, where):
        """The layers at `where`, topmost first, as OverlayFS wants them."""
        return [f"{where}/{number}" for number in reversed(range(len(self.image["layers"])))]

    # The end

    def leave(self, vm):
        """Unmounts everything in a machine, removes the module, and looks for what is left."""
        mounts = [FLAT, *self.lowers(DAXFS), CONTROL]
        vm.run(["umount", *mounts])
        vm.run(["daxfsctl", "pool", "detach", POOL])
        module.unload(vm, self.built)
        left = vm.run("grep -h daxfs /proc/mounts /proc/modules /proc/iomem", check=False).stdout
        demand(not left, f"{vm.name}: left behind: {left}")
        vm.assert_clean_log()

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
