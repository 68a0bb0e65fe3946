# SPDX-License-Identifier: Apache-2.0
"""What the demo plays on: the image, what daxfs-build makes of it, memory with that in it, and two
machines on the memory."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e.conftest import DEFAULT_SUITE
from e2e.demo.tell import size
from e2e.harness import daxfs, guest_image, kernel, module, placement, programs
from e2e.harness.vm import ALIGN_BYTES, SharedMemory, Vm
from e2e.oci import control, generate, layout

NAMES = ("vm-a", "vm-b")
DAXFS, CONTROL, FLAT = "/layers", "/control", "/flat"  # mounts in the guests


class DemoFailed(Exception):
    """Something the demo is to show does not hold."""


def demand(condition, text):
    """DemoFailed unless `condition`."""
    if not condition:
        raise DemoFailed(text)


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

    def convert(self):
        """One image a layer, and one of all of them."""
        source = f"oci:{self.layout}"
        rows = []
        for how, out in (("per-layer", "layers"), ("flatten", "flat.daxfs")):
            seconds = self._build(source, how, self.work / out)
            made = sorted(self.work.glob(f"{out}/*.daxfs")) or [self.work / out]
            total = sum(path.stat().st_size for path in made)
            rows.append((f"daxfs-build oci:… --{how}", len(made), size(total), f"{seconds:.2f} s"))
            self.figures[f"demo_convert_{how.replace('-', '_')}_seconds"] = round(seconds, 3)
        self.figures["demo_images_bytes"] = total
        self.tell.table(("", "images", "bytes", "time"), rows)
        self.image = json.loads((self.work / "layers/image.json").read_text(encoding="utf-8"))
        made, wanted = ([layer["diff_id"] for layer in side["layers"]]
                        for side in (self.image, self.expected))
        demand(made == wanted, f"daxfs-build made the layers {made}, the image has {wanted}")

    def _build(self, source, how, out):
        argv = [programs.tool("daxfs-build"), source, f"--{how}", "-o", out]
        started = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        demand(done.returncode == 0,
               f"daxfs-build --{how}: exit status {done.returncode}\n{done.stderr}")
        return time.monotonic() - started

    # The machines

    def boot(self):
        """Starts the machines and builds the module while they come up."""
        files = [self.work / "layers" / layer["path"] for layer in self.image["layers"]]
        files.append(self.work / "flat.daxfs")
        self.names = [layer["diff_id"] for layer in self.image["layers"]] + ["flattened"]
        self.memory = SharedMemory(placement.room_for(files))
        self.vms = [
            Vm(self.kernel, self.root_image, self.memory, name, disks=[self.control_disk])
            for name in NAMES
        ]
        for vm in self.vms:
            vm.start()
        self.placed = placement.place(self.memory, list(zip(self.names, files)))

    def _show_placement(self):
        """The table of what lies where."""
        base = self.vms[0].nvdimm[0]
        rows = [(f"{image.name[:19]}…" if ":" in image.name else image.name, f"{base + image.offset:#x}",
                 f"{image.size_bytes:#x}", size(image.size_bytes)) for image in self.placed]
        self.tell.table(("diffID", "phys", "size", ""), rows)

    def ready(self):
        """Waits for the machines, loads the module just built, says what is there."""
        started = time.monotonic()
        self.built = module.build_daxfs(self.kernel, self.work)
        seconds = time.monotonic() - started
        for vm in self.vms:
            vm.wait_ready()
            module.load(vm, self.built)
        ranges = {vm.nvdimm for vm in self.vms}
        demand(len(ranges) == 1, f"the machines see the memory at {ranges}")
        demand(next(iter(ranges))[0] % ALIGN_BYTES == 0, "the memory is not 2 MiB aligned")
        self._show_placement()
        boots = " and ".join(f"{vm.boot_seconds:.0f} s" for vm in self.vms)
        self.tell.line(f"{' and '.join(NAMES)}: Linux {self.kernel.release}, up in {boots}, on the "
                       f"same {size(self.memory.size_bytes)} at {self.vms[0].nvdimm[0]:#x}")
        self.tell.line(f"daxfs.ko built in {seconds:.0f} s and loaded in both: "
                       f"build {self.built.build_id[:12]}")

    def mount(self):
        """Every image in both machines, and the control disk."""
        base = self.vms[0].nvdimm[0]

        def mount(vm):
            for number, image in enumerate(self.placed):
                where = FLAT if image is self.placed[-1] else f"{DAXFS}/{number}"
                daxfs.mount(vm, self.built, where, base + image.offset, image.size_bytes)
            vm.run(f"mkdir -p {CONTROL} && mount -t ext4 -o ro,noatime /dev/vdb {CONTROL}")

        self.both(mount)
        self.tell.shown(f"{len(self.placed)} images mounted in each; every mount is of type daxfs, "
                        "by f_type too")

    def lowers(self, where):
        """The layers at `where`, topmost first, as OverlayFS wants them."""
        return [f"{where}/{number}" for number in reversed(range(len(self.image["layers"])))]

    # The end

    def leave(self, vm):
        """Unmounts everything in a machine, removes the module, and looks for what is left."""
        mounts = [FLAT, *self.lowers(DAXFS), CONTROL]
        vm.run(["umount", *mounts])
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
