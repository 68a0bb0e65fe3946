# SPDX-License-Identifier: Apache-2.0
"""Reading and mapping an image in one virtual machine, beside tmpfs there: candidates in turn within each round."""

import collections
import statistics
import subprocess

from e2e.harness import daxfs, guest_image, kernel, module, programs
from e2e.harness.vm import SharedMemory, Vm

SIZE = 256 << 20
READ_ROUNDS, MAP_ROUNDS = 5, 7
OPERATIONS = [("read:4096:1", READ_ROUNDS), ("read:4096:2", READ_ROUNDS), ("read:65536:1", READ_ROUNDS),
              ("read:65536:2", READ_ROUNDS), ("touch", MAP_ROUNDS), ("fork", MAP_ROUNDS)]
PLACES = {"tmpfs": "/tmpfs", "tmpfs-huge": "/tmpfs-huge", "daxfs": "/daxfs", "daxfs-small": "/daxfs-small",
          "overlay-daxfs": "/overlay", "overlay-daxfs-small": "/overlay-small"}
READ_LABELS = ("tmpfs", "daxfs", "overlay-daxfs")


def make_images(work):
    """A file of SIZE in two images: huge pages wanted, and none. Returns their paths and the program."""
    mapcheck = programs.compile_static("mapcheck", work)
    tree = work / "tree"
    tree.mkdir()
    subprocess.run([mapcheck, "generate", tree, str(SIZE)], check=True)
    for name in ("huge", "small", "sparse"):
        (tree / name).unlink()
    programs.build_image(f"dir:{tree}", work / "huge.daxfs")
    programs.build_image(f"dir:{tree}", work / "small.daxfs", "--huge-min", "0")
    return work / "huge.daxfs", work / "small.daxfs"


def place(vm, built, images):
    """Puts the images into shared memory, mounts them directly and under OverlayFS, and the control on tmpfs."""
    at = 0
    for image, name in zip(images, ("daxfs", "daxfs-small")):
        data = image.read_bytes()
        vm.memory.write(at, data)
        daxfs.mount(vm, built, f"/{name}", vm.nvdimm[0] + at, len(data))
        at += -(-len(data) // (2 << 20)) * (2 << 20)
    vm.run("mkdir -p /overlay /overlay-small /up /tmpfs /tmpfs-huge && mount -t tmpfs none /up && mkdir /up/{a,b,c,d}\n"
           "mount -t overlay -o lowerdir=/daxfs,upperdir=/up/a,workdir=/up/b none /overlay\n"
           "mount -t overlay -o lowerdir=/daxfs-small,upperdir=/up/c,workdir=/up/d none /overlay-small\n"
           "mount -t tmpfs none /tmpfs && mount -t tmpfs -o huge=always none /tmpfs-huge\n"
           "cp /daxfs/touch /tmpfs/touch && cp /daxfs/touch /tmpfs-huge/touch\n"
           # The host's own memory behind each copy is touched once before anything is measured.
           "cat /daxfs/touch /daxfs-small/touch /tmpfs/touch /tmpfs-huge/touch > /dev/null", timeout=120)


def measure(vm):
    """[{operation, unit, candidates: {label: {median, min, max, ratio_to_tmpfs, faults}}}]"""
    results = []
    for operation, rounds in OPERATIONS:
        labels = READ_LABELS if operation.startswith("read") else tuple(PLACES)
        argv = ["membench", str(rounds), operation, *(f"{label}={PLACES[label]}/touch" for label in labels)]
        values, faults = collections.defaultdict(list), {}
        for line in vm.run(argv, timeout=600).stdout.splitlines():
            _, label, _, value, fault = line.split()
            values[label].append(float(value))
            faults[label] = int(fault)
        results.append({"operation": operation, "unit": "1/s" if operation.startswith("read") else "ms",
                        "rounds": rounds, "candidates": summarise(values, faults)})
    return results


def summarise(values, faults):
    """Medians with spread; the ratio is the median of the ratios within each round."""
    control = values["tmpfs"]
    return {label: {"median": statistics.median(sample), "min": min(sample), "max": max(sample),
                    "ratio_to_tmpfs": round(statistics.median(s / c for s, c in zip(sample, control)), 3),
                    "faults": faults[label]}
            for label, sample in values.items()}


def run(cache, suite, work):
    """Boots one machine with 1 GiB of shared memory and measures; returns {kernel, results}."""
    used, root = kernel.prepare(cache, suite), guest_image.prepare(cache)
    membench = programs.compile_static("membench", work)
    images = make_images(work)
    memory = SharedMemory(1 << 30)
    vm = Vm(used, root, memory, "bench", memory_mib=2048)
    try:
        vm.boot()
        built = module.build_daxfs(used, work)
        module.load(vm, built)
        vm.put(membench, "/usr/local/bin/membench")
        place(vm, built, images)
        results = measure(vm)
        vm.assert_clean_log()
        return {"kernel": used.release, "results": results}
    finally:
        vm.close()
        memory.close()
