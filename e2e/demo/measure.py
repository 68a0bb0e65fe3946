# SPDX-License-Identifier: Apache-2.0
"""Figures of the demo, all measured now, daxfs beside its control: the same image by containerd's overlayfs on ext4."""

import re
import statistics

from e2e.demo.containers import CONTROL, DAXFS, HOME
from e2e.demo.proof import run_python
from e2e.demo.stage import SHELL_IMAGE, demand
from e2e.demo.tell import size

# Its heap is never trimmed: how much that frees is luck, and many times what is measured here.
SERVICE = ["env", "MALLOC_TRIM_THRESHOLD_=1000000000", "python3", "-c",
           "import hashlib, time; print('ready', flush=True); time.sleep(1e6)"]
SERVICES = 3
ROUNDS, STARTS = 3, 2
WARM = [f"warm-{number}" for number in range(SERVICES)]
LARGE = "data/large"  # in the topmost layer
KINDS = (DAXFS, CONTROL)


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
    """In each kernel containers of nothing but a shell, so that all that runs containers can be run without the image;
    and run, so that the kernel's own memory for so many is there before any is counted."""

    def make(host):
        host.pull(SHELL_IMAGE, CONTROL)
        host.containers.start(WARM, CONTROL, ["/bin/sh", "-c", "echo ready; exec /bin/sleep 1000"],
                              SHELL_IMAGE)
        host.containers.remove(WARM)

    stage.both(make)


def fresh(host):
    """Empties the guest's caches, then fills them with what runs containers; the image is not in it."""
    host.vm.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    host.containers.run("warm", CONTROL, image=SHELL_IMAGE)
    used(host.vm)
    host.vm.run("sleep 0.5")


def page_cache_growth(stage, kind):
    """Runs the image's command in both kernels. Returns what it says, and keeps what that has added to the page
    caches."""
    stage.both(fresh)
    before = sum(page_cache(vm) for vm in stage.vms)
    reports = run_python(stage, kind)
    grown = sum(page_cache(vm) for vm in stage.vms) - before
    stage.figures[f"demo_page_cache_growth_{kind}_bytes"] = grown
    stage.figures["demo_read_bytes"] = sum(report["read_bytes"] for report in reports)
    return reports


def pull_row(stage):
    """How long the second host's pull took."""
    seconds = [stage.figures["demo_pull_vm_b_seconds"], stage.figures["demo_pull_control_seconds"]]
    return ("ctr image pull on the second host", *(f"{value:.1f} s" for value in seconds), "")


def page_cache_rows(stage):
    """Rows about `page_cache_growth` with daxfs and with its control."""
    read = stage.figures["demo_read_bytes"]
    image, disk = (stage.figures[f"demo_page_cache_growth_{kind}_bytes"] for kind in KINDS)
    demand(disk > 0.8 * read, f"the control's page cache grew by {disk} bytes only for {read} read: "
                              "the measurement is blind")
    demand(image < disk / 16, f"the page cache grew by {image} bytes with daxfs")
    once = sum(placed.pool_bytes for placed in stage.placed)
    return [(f"page cache grows, both kernels reading {size(read)}", size(image), size(disk), ""),
            ("memory that holds the image then", f"{size(once + image)}, once", f"{size(disk)}", "")]


def service_names(kind):
    """The containers of `start_services`."""
    return [f"{kind}-{number}" for number in range(SERVICES)]


def start_services(stage, kind):
    """Starts SERVICES long-running Python containers in each kernel. Returns for each kernel the
    memory used before the first, after it, and after the last."""
    first, *others = service_names(kind)

    def run(host):
        fresh(host)
        points = [used(host.vm)]
        for names in ([first], others):
            host.containers.start(names, kind, SERVICE)
            host.vm.run("sleep 0.5")
            points.append(used(host.vm))
        return points

    return stage.both(run)


def stop_services(stage, kind):
    """Ends what `start_services` started."""
    stage.both(lambda host: host.containers.remove(service_names(kind)))


def memory_rows(stage, points):
    """Rows about the first container of a kernel and each further: means over the kernels of
    {kind: [the points of each]}."""
    rows = []
    for what, key, count, at in (("the first container", "first", 1, 0),
                                 ("each further container", "further", SERVICES - 1, 1)):
        cells = []
        for kind in KINDS:
            mean = int(statistics.mean((own[at + 1] - own[at]) / count for own in points[kind]))
            stage.figures[f"demo_memory_{key}_container_{kind}_bytes"] = mean
            cells.append(size(mean))
        rows.append((f"memory {what} takes in a kernel", *cells, ""))
    return rows


def start_times(stage, host):
    """Seconds from `ctr run` to the end of a Python that does nothing, caches empty and warm; the
    best of a few, since this machine may have other things to do."""
    rows = []
    for what, before in (("first, caches empty", fresh), ("again", lambda host: used(host.vm))):
        seconds = {kind: [] for kind in KINDS}
        for _ in range(STARTS):
            for kind in KINDS:
                before(host)
                command = host.containers.run_command(f"start-{kind}", kind, ["python3", "-c", "pass"])
                said = host.vm.run(f"echo $EPOCHREALTIME; {command} || exit 1; echo $EPOCHREALTIME").stdout
                start, end = said.split()
                seconds[kind].append(float(end) - float(start))
        cells = [min(seconds[kind]) for kind in KINDS]
        key = "first" if what.startswith("first") else "again"
        for kind, cell in zip(KINDS, cells):
            stage.figures[f"demo_container_start_{key}_{kind}_ms"] = round(cell * 1e3)
        rows.append((f"container, start to end, {what}", *(f"{cell * 1e3:.0f} ms" for cell in cells),
                     ""))
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


def file_rows(stage, host):
    """Reading and mapping a large file, with tmpfs as a second control; then below OverlayFS."""
    vm, containers = host.vm, host.containers
    direct = {kind: f"{containers.layers(kind)[-1]}/{LARGE}" for kind in KINDS} | {"tmpfs": f"{HOME}/large"}
    vm.run(f"cp {direct[CONTROL]} {direct['tmpfs']} && cmp {direct[DAXFS]} {direct['tmpfs']} && "
           f"cat {direct[CONTROL]} > /dev/null")
    over = {kind: f"{containers.root(f'large-{kind}', kind)}/{LARGE}" for kind in KINDS}
    rows = [read_row(stage, vm, 4 << 10, direct), read_row(stage, vm, 64 << 10, direct)]
    length = int(vm.run(["stat", "-c", "%s", direct["tmpfs"]]).stdout)
    rows.append(touch_row(stage, vm, f"map {size(length)}, touch every page", "touch", direct))
    rows.append(touch_row(stage, vm, "the same through OverlayFS", "touch_overlay", over))
    for kind in KINDS:
        containers.remove_root(f"large-{kind}", kind)
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
