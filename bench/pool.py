# SPDX-License-Identifier: Apache-2.0
"""What mounting out of a pool costs. The same bytes of the same memory, for where they are matters too: mounted as an
image alone in a range and out of the pool, in turn; ratios are of the same round. And beside each other out of the
pool, chunks side by side and in opposite order. Alone: `python3 -m bench.pool`."""

import collections
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.intervals import median_of
from e2e.harness import guest_image, kernel, module, programs
from e2e.harness.cache import Cache
from e2e.harness.pool import CHUNK, Pool, mount_options
from e2e.harness.vm import SharedMemory, Vm

FILE_BYTES = 128 << 20
POOL_BYTES = 512 << 20
TOUCHES = 5  # of one mount; their median counts
IN_TURN = [("read:4096:1", 240, "straight"), ("read:65536:1", 240, "straight"), ("touch", 240, "straight"),
           ("touch", 240, "small")]
BESIDE = [("read:4096:1", 120), ("read:65536:1", 120), ("touch", 200)]
# In the guest: rounds of what $1 says, of the image $2 of the pool at $3, $4 bytes, alone at $5, $6 bytes.
LOOP = """
for round in $(seq $7); do
  for how in range pool; do
    if [ $how = range ]; then place=phys=$5,size=$6; else place=phys=$3,size=$4,image=$2; fi
    mount -i -t daxfs -o ro,$place none /image || exit 1
    membench $8 $1 $how=/image/touch || exit 1
    umount /image
  done
done
"""


def make(work):
    """A pool with one tree as an image side by side, with small pages only, and in pieces."""
    mapcheck = programs.compile_static("mapcheck", work)
    memory = SharedMemory(POOL_BYTES)
    pool, rows = Pool(memory, work / "run"), {}
    for name, options in (("straight", ()), ("small", ("--huge-min", "0")), ("pieces", ())):
        tree = work / name
        tree.mkdir()
        subprocess.run([mapcheck, "generate", tree, str(FILE_BYTES)], check=True)
        for unused in ("huge", "small", "sparse"):
            (tree / unused).unlink()
        (tree / "which").write_text(name)  # else the pool would keep one image for all
        row = pool.add(f"dir:{tree}", name, *options)
        chunks = pool.chain(row)
        assert chunks == list(range(chunks[0], chunks[0] + len(chunks)))
        if name == "pieces":
            pool.scatter(row)
        rows[name] = row
    return pool, rows


def in_turn(vm, pool, row, operation, rounds, name):
    """Lines of membench, as if range and pool were its candidates."""
    phys, size = vm.nvdimm
    alone = phys + pool.data + row.first * CHUNK
    touches = TOUCHES if operation == "touch" else 1
    arguments = [operation, name, phys, size, alone, row.chunks * CHUNK, rounds, touches]
    shown = vm.run(["bash", "-c", LOOP, "loop", *map(str, arguments)], timeout=1200).stdout
    values = collections.defaultdict(list)
    for line in shown.splitlines():
        _, label, _, value, _ = line.split()
        values[label].append(float(value))
    return {label: [statistics.median(sample[i:i + touches]) for i in range(0, len(sample), touches)]
            for label, sample in values.items()}


def beside(vm, operation, rounds):
    """The same of what is mounted beside each other."""
    argv = ["membench", str(rounds), operation, "straight=/straight/touch", "pieces=/pieces/touch"]
    values = collections.defaultdict(list)
    for line in vm.run(argv, timeout=1200).stdout.splitlines():
        _, label, _, value, _ = line.split()
        values[label].append(float(value))
    return values


def summarise(operation, base, values):
    """Cost relative to `base`, 1 is the same and more is worse: the median of the rounds' ratios with its 95 % interval
    by rank."""
    base = values[base]
    better_is_more = operation.startswith("read")
    result = {}
    for label, sample in values.items():
        ratio, low, high = median_of(b / s if better_is_more else s / b for s, b in zip(sample, base))
        result[label] = {"median": statistics.median(sample), "ratio": ratio, "low": low, "high": high}
    return result


def measure(vm, pool, rows):
    """[{operation, base, unit, candidates: {label: {median, ratio, low, high}}}]"""
    results = []

    def add(operation, name, base, values):
        results.append({"operation": operation, "name": name, "unit": "1/s" if operation.startswith("read") else "ms",
                        "candidates": summarise(operation, base, values)})
        print("\n".join(lines_of(results[-1])), file=sys.stderr)  # each takes minutes

    for operation, rounds, name in IN_TURN:
        add(operation, name, "range", in_turn(vm, pool, rows[name], operation, rounds, name))
    for name in ("straight", "pieces"):
        vm.run(["mkdir", f"/{name}"])
        vm.run(["mount", "-i", "-t", "daxfs", "-o", mount_options(vm, name), "none", f"/{name}"])
    for operation, rounds in BESIDE:
        add(operation, "pieces", "straight", beside(vm, operation, rounds))
    return results


def lines_of(row):
    """A result, as a person reads it."""
    return [f"  {row['operation']:<14} {row['name']:<9} {label:<9} {c['median']:>10.1f} {row['unit']:<4} "
            f"{c['ratio']:.3f} ({c['low']:.3f} to {c['high']:.3f})" for label, c in row["candidates"].items()]


def table(results):
    """What a person reads."""
    lines = [f"pool: cost relative to the first, 95 % interval of the median; {results['kernel']}"]
    return "\n".join(lines + [line for row in results["results"] for line in lines_of(row)])


def figures(results):
    """The upper ends, for the closing line."""
    named = {f"pool_{row['operation'].replace(':', '_')}_{row['name']}_high": row for row in results["results"]}
    return {name: list(row["candidates"].values())[-1]["high"] for name, row in named.items()}


def run(cache, suite, work):
    """Boots one machine and measures; returns {kernel, results}."""
    used, root = kernel.prepare(cache, suite), guest_image.prepare(cache)
    membench = programs.compile_static("membench", work)
    pool, rows = make(work)
    vm = Vm(used, root, pool.memory, "bench-pool", memory_mib=1024)
    try:
        vm.boot()
        built = module.build_daxfs(used, work)
        module.load(vm, built)
        vm.put(membench, "/usr/local/bin/membench")
        vm.run("mkdir /image")
        results = measure(vm, pool, rows)
        vm.assert_clean_log()
        return {"kernel": used.release, "results": results}
    finally:
        vm.close()
        pool.memory.close()


def main():
    cache = Cache()
    with tempfile.TemporaryDirectory(prefix="daxfs-bench-") as work:
        results = run(cache, kernel.DEFAULT_SUITE, Path(work))
    cache.close()
    print(table(results))
    print(json.dumps(figures(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
