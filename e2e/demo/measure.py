# SPDX-License-Identifier: Apache-2.0
"""Figures of the demo, all measured now, daxfs beside its control: the same layers on ext4."""

import re
import statistics

from e2e.demo.containers import HOME, run_command
from e2e.demo.proof import make_python, remove_python, run_python
from e2e.demo.stage import CONTROL, DAXFS, demand
from e2e.demo.tell import size

# Its heap is never trimmed: how much that frees is luck, and many times what is measured here.
SERVICE = ["env", "MALLOC_TRIM_THRESHOLD_=1000000000", "python3", "-c",
           "import hashlib, time; print('ready', flush=True); time.sleep(1e6)"]
SERVICES = 5
ROUNDS = 3
WARM = [f"warm-{number}" for number in range(SERVICES)]
LARGE = "3/data/large"  # in the topmost layer
KINDS = (("daxfs", DAXFS), ("ext4", CONTROL))


def meminfo(vm):
    """/proc/meminfo in bytes."""
    text = vm.read_text("/proc/meminfo")
    return {name: int(value) << 10 for name, value in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def page_cache(vm):
    """Bytes of files and filesystem metadata this kernel keeps; tmpfs is not among them."""
    memory = meminfo(vm)
    return memory["Cached"] + memory["Buffers"] - memory["Shmem"]


def used(vm):
    """Bytes of this kernel's own memory in use: page cache, processes' own pages, page tables,
    stacks, the kernel's objects. (MemFree says the same, within what each processor hoards.)"""
    memory = meminfo(vm)
    return page_cache(vm) + sum(memory[name] for name in (
        "AnonPages", "Shmem", "PageTables", "Slab", "KernelStack", "Percpu"))


def make_warm(stage):
    """In each kernel containers of nothing but busybox on tmpfs, so that runc can be run without any
    image; and run, so that the kernel's own memory for so many is there before any is counted."""
    root = f"{HOME}/{WARM[0]}/rootfs"

    def make(vm):
        for name in WARM:
            vm.containers.configure(name, ["/busybox", "sh", "-c", "echo ready; sleep 1000"], root)
        vm.containers.configure("true", ["/busybox", "true"], root)
        homes = " ".join(f"{HOME}/{name}" for name in WARM)
        vm.run(f"mkdir -p {root}/proc {root}/dev {root}/sys {homes} && cp /usr/bin/busybox {root}/")
        vm.containers.start(WARM)
        vm.containers.stop(WARM)

    stage.both(make)


def fresh(vm):
    """Empties the guest's caches, then fills them with what runs containers; images are not in it."""
    vm.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    vm.containers.run("true")
    used(vm)
    vm.run("sleep 0.5")


def page_cache_growth(stage, kind, where):
    """Runs the image's command in both kernels from `where`. Returns what it says, and keeps what
    that has added to the page caches."""
    make_python(stage, where)
    stage.both(fresh)
    before = sum(page_cache(vm) for vm in stage.vms)
    reports = run_python(stage)
    grown = sum(page_cache(vm) for vm in stage.vms) - before
    stage.figures[f"demo_page_cache_growth_{kind}_bytes"] = grown
    remove_python(stage)
    stage.figures["demo_read_bytes"] = sum(report["read_bytes"] for report in reports)
    return reports


def page_cache_rows(stage):
    """Rows about `page_cache_growth` with daxfs and with its control."""
    read = stage.figures["demo_read_bytes"]
    image, disk = (stage.figures[f"demo_page_cache_growth_{kind}_bytes"] for kind, _ in KINDS)
    demand(disk > 0.8 * read, f"the control's page cache grew by {disk} bytes only for {read} read: "
                              "the measurement is blind")
    demand(image < disk / 16, f"the page cache grew by {image} bytes with daxfs")
    once = sum(placed.pool_bytes for placed in stage.placed[:-1])
    return [(f"page cache grows, both kernels reading {size(read)}", size(image), size(disk), ""),
            ("memory that holds the image then", f"{size(once + image)}, once", f"{size(disk)}", "")]


def service_names(kind):
    """The containers of `start_services`."""
    return [f"{kind}-{number}" for number in range(SERVICES)]


def start_services(stage, kind, where):
    """Starts SERVICES long-running Python containers in each kernel. Returns for each kernel the
    memory used before the first, after it, and after the last."""
    first, *others = service_names(kind)

    def run(vm):
        vm.containers.over([first, *others], stage.lowers(where), SERVICE)
        fresh(vm)
        points = [used(vm)]
        for names in ([first], others):
            vm.containers.start(names)
            vm.run("sleep 0.5")
            points.append(used(vm))
        return points

    return stage.both(run)


def stop_services(stage, kind):
    """Ends what `start_services` started."""

    def run(vm):
        vm.containers.stop(service_names(kind))
        vm.containers.remove(service_names(kind))

    stage.both(run)


def memory_rows(stage, points):
    """Rows about the first container of a kernel and each further: means over the kernels of
    {kind: [the points of each]}."""
    rows = []
    for what, key, count, at in (("the first container", "first", 1, 0),
                                 ("each further container", "further", SERVICES - 1, 1)):
        cells = []
        for kind, _ in KINDS:
            mean = int(statistics.mean((own[at + 1] - own[at]) / count for own in points[kind]))
            stage.figures[f"demo_memory_{key}_container_{kind}_bytes"] = mean
            cells.append(size(mean))
        rows.append((f"memory {what} takes in a kernel", *cells, ""))
    return rows


def start_times(stage, vm):
    """Seconds from `runc run` to the end of a Python that does nothing, caches empty and warm; the
    best of a few, since this machine may have other things to do."""
    for kind, where in KINDS:
        vm.containers.over([f"start-{kind}"], stage.lowers(where), ["python3", "-c", "pass"])
    rows = []
    for what, before in (("first, caches empty", fresh), ("again", used)):
        seconds = {kind: [] for kind, _ in KINDS}
        for _ in range(ROUNDS):
            for kind, _ in KINDS:
                before(vm)
                command = run_command(f"start-{kind}")
                said = vm.run(f"echo $EPOCHREALTIME; {command} || exit 1; echo $EPOCHREALTIME").stdout
                start, end = said.split()
                seconds[kind].append(float(end) - float(start))
        cells = [min(seconds[kind]) for kind, _ in KINDS]
        key = "first" if what.startswith("first") else "again"
        for (kind, _), cell in zip(KINDS, cells):
            stage.figures[f"demo_container_start_{key}_{kind}_ms"] = round(cell * 1e3)
        rows.append((f"container, start to end, {what}", *(f"{cell * 1e3:.0f} ms" for cell in cells),
                     ""))
    vm.containers.remove([f"start-{kind}" for kind, _ in KINDS])
    return rows


def bench(vm, operation, paths, rounds=ROUNDS):
    """{label: (median value, faults)} of membench over files {label: path}, everything warm."""
    files = [f"{label}={path}" for label, path in paths.items()]
    shown = vm.run(["/mnt/share/membench", rounds, operation, *files]).stdout
    found = {}
    for line in shown.splitlines():
        _, label, _, value, faults = line.split()
        found.setdefault(label, []).append((float(value), int(faults)))
    demand(set(found) == set(paths), f"membench {operation} said {shown}")
    return {label: (statistics.median(value for value, _ in values), values[-1][1])
            for label, values in found.items()}


def file_rows(stage, vm):
    """Reading and mapping a large file, with tmpfs as a second control; then below OverlayFS."""
    direct = {"daxfs": f"{DAXFS}/{LARGE}", "ext4": f"{CONTROL}/{LARGE}", "tmpfs": "/demo/large"}
    vm.run(f"cp {direct['ext4']} {direct['tmpfs']} && cmp {direct['daxfs']} {direct['tmpfs']} && "
           f"cat {direct['ext4']} > /dev/null")
    names = {kind: f"large-{kind}" for kind, _ in KINDS}
    roots = {kind: vm.containers.over([names[kind]], stage.lowers(where))[0]
             for kind, where in KINDS}
    over = {kind: f"{root}/data/large" for kind, root in roots.items()}
    rows = [read_row(stage, vm, 4 << 10, direct), read_row(stage, vm, 64 << 10, direct)]
    length = int(vm.run(["stat", "-c", "%s", direct["tmpfs"]]).stdout)
    rows.append(touch_row(stage, vm, f"map {size(length)}, touch every page", "touch", direct))
    rows.append(touch_row(stage, vm, "the same through OverlayFS", "touch_overlay", over))
    vm.containers.remove(names.values())
    return rows


def read_row(stage, vm, block, paths):
    """Random reads of `block` bytes by one thread."""
    found = bench(vm, f"read:{block}:1", paths)
    rates = {label: value * block / 1e6 for label, (value, _) in found.items()}
    for label, rate in rates.items():
        stage.figures[f"demo_read_{block >> 10}k_{label}_mb_per_s"] = round(rate)
    return (f"random reads of {block >> 10} KiB", *(f"{rate:.0f} MB/s" for rate in rates.values()))


def touch_row(stage, vm, what, key, paths):
    """First touch of each page of a mapped file: time and faults."""
    found = bench(vm, "touch", paths, rounds=9)
    cells = []
    for label, (value, faults) in found.items():
        stage.figures[f"demo_{key}_{label}_ms"] = round(value, 3)
        stage.figures[f"demo_{key}_{label}_faults"] = faults
        cells.append(f"{value:.2f} ms, {faults} faults")
    return (what, *cells, *[""] * (3 - len(cells)))
