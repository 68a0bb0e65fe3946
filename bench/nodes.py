# SPDX-License-Identifier: Apache-2.0
"""What a node's containerd costs with daxfs-snapshotter, beside its own snapshotters overlayfs and erofs: two virtual
machines on one pool. How long a pull and the first container take, on the first host and on the second; what a thousand
roots with a process in each, and fifty containers, take of the memory; how long a snapshotter's calls take. Alone:
`python3 -m bench.nodes [PART...]`, all PARTS without one."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import latency
from e2e.demo.containers import CONTROL, DAXFS, HOME, Containers
from e2e.demo.measure import SERVICE, fresh, page_cache, used
from e2e.demo.stage import SHELL_IMAGE, shell_image
from e2e.harness import guest_image, kernel, module, programs, registry
from e2e.harness.cache import Cache
from e2e.harness.host import Host
from e2e.harness.pool import Pool
from e2e.harness.pool_story import HOST_IDS
from e2e.harness.vm import SharedMemory, Vm
from e2e.oci import generate, layout

ROOT = Path(__file__).resolve().parents[1]
POOL, POOL_BYTES, GUEST_MIB = "bench", 256 << 20, 3072
IMAGE = f"{registry.ADDRESS}/bench:latest"
HARD_CASES = 2  # the layer of odd files is left out: mkfs.erofs 1.5 stops at one of them
EROFS = "erofs"
UNPACK_EROFS = """
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/amd64"
  snapshotter = "erofs"
  differ = "walking"
"""
PARTS = ("pulls", "roots", "containers", "calls")
ROUNDS, ROOTS, CONTAINERS, WARM = 3, 1000, 50, 3
COMMAND = ["python3", "-c", "pass"]
SETTLE_SECONDS = 60


def without(image, left_out, folder):
    """The image of an OCI layout without its layer of that number, as a layout in `folder`."""
    blobs = layout.Blobs(folder)
    config = layout.configuration_of(image)
    layers = [layer for number, layer in enumerate(layout.layer_blobs(image)) if number != left_out]
    for part in (config["rootfs"]["diff_ids"], config["history"]):
        del part[left_out]
    kinds = {b"\x1f\x8b": f"{layout.OCI}.layer.v1.tar+gzip"}
    descriptors = [blobs.add(data, kinds.get(data[:2], f"{layout.OCI}.layer.v1.tar"))
                   for data in (layer.read_bytes() for layer in layers)]
    manifest = {"schemaVersion": 2, "mediaType": f"{layout.OCI}.manifest.v1+json",
                "config": blobs.add_json(config, f"{layout.OCI}.config.v1+json"), "layers": descriptors}
    top = blobs.add_json(manifest, manifest["mediaType"])
    (folder / "index.json").write_bytes(layout.json_bytes({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_bytes(layout.json_bytes({"imageLayoutVersion": "1.0.0"}))
    return [folder / "blobs/sha256" / layer["digest"][7:] for layer in descriptors], config["rootfs"]["diff_ids"]


def boot(cache, suite, work):
    """Two hosts on one pool, and the pool."""
    memory = SharedMemory(POOL_BYTES)
    pool = Pool(memory, work / "run")
    kernel_used, root_image = kernel.prepare(cache, suite), guest_image.prepare(cache)
    built = module.build_daxfs(kernel_used, work)
    hosts = [Host(f"bench-{name}", host_id, work) for name, host_id in zip("ab", HOST_IDS)]
    vms = [Vm(kernel_used, root_image, memory, host.name, memory_mib=GUEST_MIB, state=host.disk) for host in hosts]
    for vm in vms:
        vm.start()
    blobs, diff_ids = without(generate.prepare(cache) / "image", HARD_CASES, work / "bench")
    (work / "shell").mkdir()
    images = {"bench": work / "bench", "shell": shell_image(work / "shell")}
    for host, vm in zip(hosts, vms):
        vm.wait_ready()
        vm.run("modprobe -a erofs loop")
        programs.install_program(vm, Path(shutil.which("mkfs.erofs")), "/usr/sbin")
        host.serve(vm, built, cache, POOL, images, UNPACK_EROFS)
        host.containers = Containers(host, IMAGE, diff_ids)
        host.blobs = blobs
        host.pull(SHELL_IMAGE, CONTROL)
    return memory, pool, hosts


def once(host, kind):
    """A pull and the first container of a host that has nothing of the image, and all of it away again."""
    vm = host.vm
    fresh(host)
    before = page_cache(vm)
    started = time.monotonic()
    sent = host.registry.sent_while(host.blobs, lambda: host.pull(IMAGE, kind))
    pulled = time.monotonic()
    host.containers.run("first", kind, COMMAND)
    return {"sent_bytes": sent, "pull_s": round(pulled - started, 3), "run_s": round(time.monotonic() - pulled, 3),
            "page_cache_bytes": page_cache(vm) - before}


def forget(host):
    """Removes the image, its snapshots and its blobs."""
    host.node.ctr("images", "rm", "--sync", IMAGE)
    end = time.monotonic() + SETTLE_SECONDS
    while host.node.mounts():
        if time.monotonic() > end:
            raise RuntimeError(f"still mounted: {host.node.mounts()}")
        time.sleep(0.2)


def first_and_second(pool, hosts):
    """{candidate: [what `once` says, of each round]}"""
    first, second = hosts
    found = {}
    for _ in range(ROUNDS):
        for label, host, kind in (("daxfs, first host", first, DAXFS), ("daxfs, second host", second, DAXFS),
                                  (CONTROL, second, CONTROL), (EROFS, second, EROFS)):
            found.setdefault(label, []).append(once(host, kind))
            if host is second:
                forget(host)
        forget(first)
        pool.tool("daxfsctl", "pool", "gc", pool.memory.path)
    return found


def in_turn(measure):
    """{snapshotter: [what `measure` says of it, of each round]}; who begins changes."""
    result = {DAXFS: [], CONTROL: []}
    for order in ((DAXFS, CONTROL), (CONTROL, DAXFS)):
        for kind in order:
            result[kind].append(measure(kind))
    return result


def thousand_roots(host, work):
    """{snapshotter: [what tests/containerd/roots says]}"""
    program = work / "roots"
    subprocess.run(["go", "build", "-o", program, "./roots"], check=True, cwd=ROOT / "tests" / "containerd",
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"})
    shutil.copy(program, host.vm.share / "roots")

    def measure(kind):
        fresh(host)
        shown = host.vm.run(["/mnt/share/roots", "-snapshotter", kind, "-parent", host.containers.chain, "-folder",
                             HOME, "-count", str(ROOTS), "/usr/bin/sleep", "100000"], timeout=1200).stdout
        return json.loads(shown)

    measure(CONTROL)  # what the first of so many leaves in a kernel is left before
    return in_turn(measure)


def fifty_containers(host):
    """{snapshotter: [{count, bytes that all of them took, page cache among them}]}; once each, `ctr run` takes long."""

    def measure(kind, count=CONTAINERS):
        names = [f"many-{number}" for number in range(count)]
        fresh(host)
        before, cache = used(host.vm), page_cache(host.vm)
        host.containers.start(names, kind, SERVICE)
        host.vm.run("sleep 1")
        found = {"count": count, "total_bytes": used(host.vm) - before,
                 "page_cache_bytes": page_cache(host.vm) - cache}
        host.containers.remove(names)
        return found

    measure(CONTROL, WARM)
    return {kind: [measure(kind)] for kind in (DAXFS, CONTROL)}


def run(cache, suite, work, parts=PARTS):
    """{part: its results}, of those asked for."""
    memory, pool, hosts = boot(cache, suite, work)
    results = {}

    def take(part, measure, *arguments):
        if part in parts:
            results[part] = measure(*arguments)
            print(table({part: results[part]}), file=sys.stderr)  # each takes minutes

    try:
        take("pulls", first_and_second, pool, hosts)
        for host, kind in ((hosts[0], DAXFS), (hosts[1], DAXFS), (hosts[1], CONTROL)):
            host.pull(IMAGE, kind)
        take("roots", thousand_roots, hosts[1], work)
        take("containers", fifty_containers, hosts[1])
        take("calls", latency.run_in, hosts[1].vm, POOL, ["/demo", "/state"])
    finally:
        for host in hosts:
            if host.vm is not None:
                host.vm.close()
        memory.close()
    return results


def mib(size_bytes):
    """For a person."""
    return f"{size_bytes / (1 << 20):.1f} MiB"


def mean(rows, *keys):
    """Of the rounds; of two keys, of the first less the second."""
    first, *others = keys
    return statistics.mean(row[first] - sum(row[key] for key in others) for row in rows)


def table(results):
    """What a person reads; of pulls the medians, of memory the means."""
    lines = [f"nodes: containerd 2.x in two machines on one pool; medians of {ROUNDS} rounds"]
    for label, rounds in results.get("pulls", {}).items():
        middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}
        lines.append(f"  {label:<20} layers sent {mib(middle['sent_bytes']):>9}, pull {middle['pull_s']:6.2f} s, first "
                     f"container {middle['run_s']:5.2f} s, page cache grown {mib(middle['page_cache_bytes'])}")
    for kind, rows in results.get("roots", {}).items():
        count = rows[0]["count"]
        lines.append(f"  {count} roots, {kind:<10} {mean(rows, 'mounted', 'before') / count / 1024:7.1f} KiB each "
                     f"mounted, {mean(rows, 'running', 'before') / count / 1024:7.1f} KiB with a process; all "
                     f"{mib(mean(rows, 'running', 'before'))}, of it page cache {mib(mean(rows, 'page_cache'))}")
    for kind, rows in results.get("containers", {}).items():
        count, total = rows[0]["count"], mean(rows, "total_bytes")
        lines.append(f"  {count} containers, {kind:<10} {mib(total / count)} each; all {mib(total)}, of it page cache "
                     f"{mib(mean(rows, 'page_cache_bytes'))}")
    return "\n".join(lines + (latency.table(results["calls"]) if "calls" in results else []))


if __name__ == "__main__":
    with contextlib.closing(Cache()) as opened, tempfile.TemporaryDirectory(prefix="daxfs-bench-") as folder:
        print(table(run(opened, kernel.DEFAULT_SUITE, Path(folder), sys.argv[1:] or PARTS)))
