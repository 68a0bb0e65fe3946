# SPDX-License-Identifier: Apache-2.0
"""Each call of daxfs-snapshotter beside containerd's overlayfs snapshotter behind its own proxy service. On this host,
no virtual machine: with images that FUSE mounts, where every question to a mount goes to another process, and with
layers that are directories, which is the snapshotter alone. Alone: `python3 -m bench.latency`."""

import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "release"
ROUNDS, ROUNDS_IN_GUEST = 300, 100
RESAMPLES = 1000
US, THEM = "daxfs", "overlayfs"
HOST = "5eed0000-0000-4000-8000-0000000000fe"


def build():
    """The program that asks both; its path."""
    out = BUILD / "bench" / "latency"
    subprocess.run(["go", "build", "-o", out, "./latency"], check=True, cwd=ROOT / "tests" / "containerd",
                   env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"})
    return out


def measure(program, rounds):
    """Samples with images and with directories, the state of both on tmpfs and on the filesystem of the build."""
    with tempfile.TemporaryDirectory(prefix="daxfs-bench-", dir="/dev/shm") as memory, \
            tempfile.TemporaryDirectory(prefix="latency-", dir=BUILD) as disk:
        pool = Path(memory) / "pool"
        env = {**os.environ, "DAXFS_HOST_ID": HOST, "DAXFS_RUN_DIR": f"{memory}/run", "TMPDIR": memory}
        subprocess.run([BUILD / "tools" / "daxfsctl", "pool", "create", pool, "--size", "256M"], check=True, env=env,
                       stdout=subprocess.DEVNULL)
        places = []
        for images in (["-pool", pool, "-backend", "fuse", "-fuse-program", BUILD / "tools" / "daxfs-fuse"], []):
            argv = ["unshare", "-m", program, "-daemon", BUILD / "snapshotter" / "daxfs-snapshotter", *images,
                    "-rounds", str(rounds), memory, disk]
            done = subprocess.run(argv, check=False, env=env, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"latency: exit status {done.returncode}: {done.stderr[-2000:]}")
            places += json.loads(done.stdout)
        return places


def percentile(values, of_100):
    """The smallest value that so many of 100 do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * of_100 / 100) - 1)]


def interval(pairs, statistic):
    """The 95 % interval of the ratio of both sides' `statistic`, by drawing pairs again and again."""
    drawing = random.Random(1)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = drawing.choices(pairs, k=len(pairs))
        ratios.append(statistic([ours for ours, _ in drawn]) / statistic([theirs for _, theirs in drawn]))
    return percentile(ratios, 2.5), percentile(ratios, 97.5)


def summarise(samples):
    """{p50: {daxfs, overlayfs, ratio, low, high}, p99: the same}, in microseconds."""
    pairs = list(zip(samples[US], samples[THEM], strict=True))
    result = {}
    for name, statistic in (("p50", statistics.median), ("p99", lambda values: percentile(values, 99))):
        ours, theirs = statistic(samples[US]), statistic(samples[THEM])
        low, high = interval(pairs, statistic)
        result[name] = {US: round(ours, 1), THEM: round(theirs, 1), "ratio": round(ours / theirs, 3),
                        "low": round(low, 3), "high": round(high, 3)}
    return result


def summary(places, rounds):
    """[{filesystem, mounted, rounds, operations: [{operation, p50, p99}]}]"""
    return [{"filesystem": place["filesystem"], "mounted": place["mounted"], "rounds": rounds,
             "operations": [{"operation": row["operation"], **summarise(row["us"])} for row in place["operations"]]}
            for place in places]


def run():
    """The summary of this host."""
    return summary(measure(build(), ROUNDS), ROUNDS)


def run_in(vm, pool, folders):
    """The summary of a guest that has daxfs-snapshotter and the module, over a pool its kernel has attached; the state
    of both in `folders`, one after the other."""
    shutil.copy(build(), vm.share / "latency")
    done = vm.run(["/mnt/share/latency", "-daemon", "/usr/local/sbin/daxfs-snapshotter", "-pool", pool, "-backend",
                   "kernel", "-rounds", str(ROUNDS_IN_GUEST), *folders], timeout=2400)
    return summary(json.loads(done.stdout), ROUNDS_IN_GUEST)


def table(results):
    """Lines for a person."""
    lines = ["calls of a snapshotter beside containerd's overlayfs, in turn, in microseconds; ratios: 95 % interval"]
    for place in results:
        lines.append(f"  state of both on {place['filesystem']}; {US}: {place['mounted'][US]}; "
                     f"{THEM}: {place['mounted'][THEM]}")
        for row in place["operations"]:
            parts = [f"{name} {row[name][US]:>8.0f} {row[name][THEM]:>8.0f}  {row[name]['ratio']:.2f} "
                     f"({row[name]['low']:.2f} to {row[name]['high']:.2f})" for name in ("p50", "p99")]
            lines.append(f"    {row['operation']:<24} {'   '.join(parts)}")
    return lines


def figures(results):
    """Ratios of medians with images and the state on a disk, for the closing line."""
    rows = {row["operation"]: row["p50"]["ratio"] for row in results[1]["operations"]}
    wanted = {"Prepare": "prepare", "Commit of a layer": "commit", "Remove": "remove",
              "container of 32 layers": "container_32_layers"}
    return {f"snapshotter_{name}_x_overlayfs": rows[operation] for operation, name in wanted.items()}


def main():
    results = run()
    print("\n".join(table(results)))
    print(json.dumps(figures(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
