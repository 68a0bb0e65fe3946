# SPDX-License-Identifier: Apache-2.0
"""One pool, much in it and many at it: look-ups in a large table beside one dependent load, two builders beside one,
hundreds of participants at once. No virtual machine."""

import json
import subprocess
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "build" / "release" / "bench"
ALIASES, LOOKUPS = 1_000_000, 300_000
HOSTS, OPERATIONS = 256, 5000


def program(name, *arguments):
    """What a program of this folder prints."""
    done = subprocess.run([BENCH / name, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: exit status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def run():
    """{"lookup": {...}, "many": {...}}: units are in the names."""
    with tempfile.TemporaryDirectory(prefix="daxfs-bench-", dir="/dev/shm") as folder:
        many = program("pool_bench", folder, HOSTS, OPERATIONS)
    return {"lookup": program("index_bench", ALIASES, LOOKUPS) | program("index_lines", ALIASES, LOOKUPS), "many": many}


def table(results):
    """Lines for a person."""
    found, many = results["lookup"], results["many"]
    return [
        f"look-up among {found['aliases']} aliases, 80 % full: {found['lookup_ns']:.0f} ns, {found['ratio']:.2f} x one "
        f"dependent load ({found['dependent_load_ns']:.0f} ns); lines touched: half {found['lines_p50']}, "
        f"99 of 100 {found['lines_p99']}, most {found['lines_max']}",
        f"builders of 4 MiB objects: one {many['one_builder_mb_per_s']} MB/s, two {many['two_builders_mb_per_s']} MB/s",
        f"{many['hosts']} hosts at once: {many['built']} built, {many['found']} found, {many['collected']} collected, "
        f"full {many['full']} times in {many['churn_seconds']:.1f} s; {many['swaps_lost']} of {many['swaps']} swaps "
        f"lost; sweep {many['sweep_ms']:.2f} ms; {many['runs_per_object']:.2f} runs an object, largest free run "
        f"{many['largest_free_run']} of {many['free_chunks']} free chunks"]
