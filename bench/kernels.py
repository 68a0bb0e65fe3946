# SPDX-License-Identifier: Apache-2.0
"""Reading, mapping, running and listing what an image holds, on each kernel the module is for: directly and as the
lower layer of OverlayFS, beside tmpfs, EROFS (page cache and DAX) and ext4 with DAX; candidates in turn within each
round."""

import collections
import shutil
import statistics
import subprocess
import sys
from typing import NamedTuple

from bench.intervals import median_of
from e2e.harness import daxfs, guest_image, kernel, module, programs
from e2e.harness.placement import round_up, write_image
from e2e.harness.vm import SharedMemory, Vm

FILE_BYTES = 256 << 20
SHARED_BYTES = 1 << 30
PROGRAMS = ("mapcheck", "largeprog", "largetree")
# Ranges of the guest's own memory that its kernel takes for persistent memory: the peers with DAX live there.
PMEM = "memmap=1G!5G memmap=512M!7G"
EXT4_MIB = 1000
MEMORY_MIB = 10 << 10

MAPPED = ("tmpfs", "tmpfs-huge", "daxfs", "daxfs-small", "overlay-daxfs", "overlay-daxfs-small", "erofs", "erofs-dax",
          "ext4-dax")
COLD = ("tmpfs", "daxfs", "erofs")  # tens of seconds each
WHOLE = ("tmpfs", "daxfs", "overlay-daxfs", "erofs", "erofs-dax", "ext4-dax")


class Operation(NamedTuple):
    """What membench does, with what of the tree, on which candidates, how often."""
    name: str
    path: str
    labels: tuple
    rounds: int


# What fills caches comes last: dropping a million names takes long.
OPERATIONS = (
    Operation("read:4096:1", "touch", WHOLE, 15), Operation("read:4096:2", "touch", WHOLE, 15),
    Operation("read:65536:1", "touch", WHOLE, 15), Operation("read:65536:2", "touch", WHOLE, 15),
    Operation("touch", "touch", MAPPED, 21), Operation("fork", "touch", MAPPED, 21),
    Operation("exec", "program", WHOLE, 11), Operation("exec:cold", "program", WHOLE, 11),
    Operation("walk", "tree", WHOLE, 15), Operation("list", "large", WHOLE, 15),
    Operation("lookup", "large", WHOLE, 21), Operation("walk:cold", "tree", COLD, 6),
    Operation("lookup:cold", "large", COLD, 6),
)


class Goal(NamedTuple):
    """At least so many times as fast as a peer. `kernels`: the first words of releases it is for, all without."""
    operation: str
    labels: tuple
    peer: str
    least: float
    kernels: tuple = ("", )


BOTH, SMALL = ("daxfs", "overlay-daxfs"), ("daxfs-small", "overlay-daxfs-small")
GOALS = (
    *(Goal(f"read:4096:{threads}", ("daxfs", ), "tmpfs", 1.1) for threads in (1, 2)),
    *(Goal(f"read:65536:{threads}", ("daxfs", ), "tmpfs", 1.05) for threads in (1, 2)),
    Goal("touch", BOTH, "tmpfs", 6), Goal("fork", BOTH, "tmpfs", 0.5),
    Goal("touch", SMALL, "tmpfs", 1.1, ("6.1.", "6.12.")),
    Goal("walk", ("daxfs", ), "tmpfs", 1), Goal("walk", ("daxfs", ), "erofs", 1),
    Goal("walk:cold", ("daxfs", ), "erofs", 1),
    Goal("lookup", ("daxfs", ), "tmpfs", 1), Goal("lookup", ("daxfs", ), "erofs", 1),
    Goal("lookup:cold", ("daxfs", ), "erofs", 1),
)


def make_images(work):
    """The tree, as an image with huge pages and as one of EROFS; the large file in an image with small pages; ext4 with
    large file and program, for `mkfs.ext4 -d` takes minutes for large directories."""
    mapcheck, program, largetree = (programs.compile_static(name, work) for name in PROGRAMS)
    small, whole, files = work / "small", work / "whole", work / "files"
    small.mkdir()
    files.mkdir()
    subprocess.run([mapcheck, "generate", small, str(FILE_BYTES)], check=True)
    for name in ("huge", "small", "sparse"):
        (small / name).unlink()
    whole.mkdir()
    subprocess.run([largetree, whole], check=True)
    (whole / "touch").hardlink_to(small / "touch")
    shutil.copy(program, whole / "program")
    for name in ("touch", "program"):
        (files / name).hardlink_to(whole / name)
    programs.build_image(f"dir:{whole}", work / "daxfs.image")
    programs.build_image(f"dir:{small}", work / "daxfs-small.image", "--huge-min", "0")
    subprocess.run(["mkfs.erofs", "--quiet", work / "erofs.image", whole], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-b", "4096", "-N", "220000", "-E",
                    "stride=512,stripe_width=512", "-d", files, work / "ext4.image", f"{EXT4_MIB}M"], check=True)


def place(vm, built, images):
    """Mounts all candidates, at / and their names."""
    at = 0
    for name in ("daxfs", "daxfs-small"):
        size = images[name].stat().st_size
        write_image(vm.memory, at, images[name])
        daxfs.mount(vm, built, f"/{name}", vm.nvdimm[0] + at, size)
        at += round_up(size)
    vm.run(r"""set -e
        mkdir -p /overlay-daxfs /overlay-daxfs-small /up /tmpfs /tmpfs-huge /erofs /erofs-dax /ext4-dax
        mount -t tmpfs none /up && mkdir /up/{a,b,c,d}
        mount -t overlay -o lowerdir=/daxfs,upperdir=/up/a,workdir=/up/b none /overlay-daxfs
        mount -t overlay -o lowerdir=/daxfs-small,upperdir=/up/c,workdir=/up/d none /overlay-daxfs-small
        mount -t tmpfs -o size=4G,nr_inodes=0 none /tmpfs
        mount -t tmpfs -o size=1G,huge=always none /tmpfs-huge
        mount -t erofs -o ro /dev/vdb /erofs
        modprobe -a nd_e820 nd_pmem
        sleep 1
        set -- $(ls /dev/pmem*)  # the first is the larger
        dd if=/dev/vdc of=$1 bs=4M conv=fsync status=none
        mount -o dax=always $1 /ext4-dax && largetree /ext4-dax && umount /ext4-dax
        mount -o ro,dax=always $1 /ext4-dax
        dd if=/dev/vdb of=$2 bs=4M conv=fsync status=none
        mount -t erofs -o ro,dax=always $2 /erofs-dax
        cp /daxfs/touch /tmpfs-huge/touch
        cp /daxfs/touch /daxfs/program /tmpfs && largetree /tmpfs
        # The host's own memory behind each copy is touched once before anything is measured.
        cat /daxfs/touch /daxfs-small/touch /{tmpfs,tmpfs-huge,erofs,erofs-dax,ext4-dax}/touch > /dev/null
        dmesg -n 4""", timeout=1800)
    shown = vm.run(["findmnt", "-n", "-o", "TARGET,FSTYPE,OPTIONS", "-t", "erofs,ext4"]).stdout
    for line in shown.splitlines():
        if line.split()[0] in ("/erofs-dax", "/ext4-dax"):
            assert "dax=always" in line, f"not by DAX: {line}"


def measure(vm):
    """[{operation, unit, rounds, candidates: {label: {median, ratio: {peer: [median, low, high]}, faults}}}]"""
    results = []
    for operation in OPERATIONS:
        argv = ["membench", str(operation.rounds), operation.name,
                *(f"{label}=/{label}/{operation.path}" for label in operation.labels)]
        values, faults = collections.defaultdict(dict), {}
        for line in vm.run(argv, timeout=3600).stdout.splitlines():
            _, label, number, value, fault = line.split()
            values[label][int(number)] = float(value)
            faults[label] = int(fault)
        results.append({"operation": operation.name, "unit": "1/s" if operation.name.startswith("read") else "ms",
                        "rounds": operation.rounds, "candidates": summarise(operation.name, values, faults)})
        print("\n".join(lines_of(results[-1])), file=sys.stderr)  # each takes minutes
    return results


def summarise(operation, values, faults):
    """Medians, and how many times as fast as tmpfs and EROFS: of the rounds' ratios the median with its 95 % interval
    by rank."""
    found = {}
    for label, sample in values.items():
        speeds = {}
        for peer in ("tmpfs", "erofs"):
            pairs = [(sample[number], values[peer][number]) for number in sample if peer in values]
            speeds[peer] = median_of(s / p if operation.startswith("read") else p / s for s, p in pairs)
        found[label] = {"median": statistics.median(sample.values()), "min": min(sample.values()),
                        "max": max(sample.values()), "speed": speeds, "faults": faults[label]}
    return found


def lines_of(row):
    """A result, as a person reads it."""
    for label, c in row["candidates"].items():
        middle, low, high = c["speed"]["tmpfs"]
        faults = f"  {c['faults']} faults" if c["faults"] else ""
        yield (f"  {row['operation']:<13} {label:<20} {c['median']:>10.1f} {row['unit']:<4} ({c['min']:.1f} to "
               f"{c['max']:.1f})  {middle:.2f} x tmpfs ({low:.2f} to {high:.2f}){faults}")


def goals_of(found):
    """(what, met, [median, low, high]) of each goal that is for this kernel."""
    rows = {row["operation"]: row["candidates"] for row in found["results"]}
    for goal in GOALS:
        if not found["kernel"].startswith(goal.kernels):
            continue
        for label in goal.labels:
            speed = rows[goal.operation][label]["speed"][goal.peer]
            yield f"{goal.operation} {label} >= {goal.least} x {goal.peer}", speed[0] >= goal.least, speed


def lines(found):
    """What a person reads."""
    yield f"{found['kernel']}, QEMU without hardware help; how many times as fast as tmpfs, 95 % interval"
    for row in found["results"]:
        yield from lines_of(row)
    for what, met, (middle, low, high) in goals_of(found):
        yield f"  goal {'met   ' if met else 'MISSED'} {what}: {middle:.2f} ({low:.2f} to {high:.2f})"


def figures(found):
    """Goals, for the closing line."""
    met = [met for _, met, _ in goals_of(found)]
    return {"kernel_goals": len(met), "kernel_goals_met": sum(met)}


def run(cache, suite, work):
    """Boots one machine and measures; returns {suite, kernel, results}."""
    used, root = kernel.prepare(cache, suite), guest_image.prepare(cache)
    membench = programs.compile_static("membench", work)
    images = {name: work / f"{name}.image" for name in ("daxfs", "daxfs-small", "erofs", "ext4")}
    make_images(work)
    memory = SharedMemory(SHARED_BYTES)
    vm = Vm(used, root, memory, "bench", memory_mib=MEMORY_MIB, append=PMEM, disks=[images["erofs"], images["ext4"]])
    try:
        vm.boot()
        built = module.build_daxfs(used, work)
        module.load(vm, built)
        vm.put(membench, "/usr/local/bin/membench")
        vm.put(work / "largetree", "/usr/local/bin/largetree")
        place(vm, built, images)
        found = {"suite": suite, "kernel": used.release, "results": measure(vm)}
        vm.assert_clean_log()
        return found
    finally:
        vm.close()
        memory.close()
