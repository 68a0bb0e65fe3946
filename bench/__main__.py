# SPDX-License-Identifier: Apache-2.0
"""All benchmarks beside their peers, one run: `python3 -m bench`. Writes docs/bench/{results.json,results.svg}."""

import json
import os
import sys
import tempfile
from pathlib import Path

from bench import chart, convert, latency, many, memory, nodes, pool
from e2e.conftest import DEFAULT_SUITE
from e2e.harness.cache import Cache

OUT = Path(__file__).resolve().parents[1] / "docs" / "bench"


def table(results):
    """What a person reads: medians, spread, ratio."""
    lines = [f"memory: {results['memory']['kernel']}, QEMU without hardware help"]
    for row in results["memory"]["results"]:
        for label, c in row["candidates"].items():
            spread = f"({c['min']:.1f} to {c['max']:.1f})"
            lines.append(f"  {row['operation']:<14} {label:<20} {c['median']:>10.1f} {row['unit']:<4} {spread}  "
                         f"{c['ratio_to_tmpfs']:.2f} x tmpfs  faults {c['faults']}")
    lines.append(pool.table(results["pool"]))
    lines += many.table(results["many"])
    lines += latency.table(results["latency"])
    lines.append(nodes.table(results["nodes"]))
    made = results["convert"]
    lines.append(f"convert: a tar of {made['tar_bytes'] / 1e6:.0f} MB, {made['entries']} entries, one processor, tmpfs")
    for label, c in made["results"].items():
        spread = f"({c['min_s']:.3f} to {c['max_s']:.3f})"
        lines.append(f"  {label:<24} {c['median_s']:.3f} s {spread}  {c['mb_per_s']} MB/s")
    return "\n".join(lines)


def picture(results):
    """The same as bars."""
    groups = []
    for row in results["memory"]["results"]:
        values = {label: round(c["median"], 1) for label, c in row["candidates"].items()}
        groups.append(chart.bars(row["operation"], row["unit"], values, lambda label: "daxfs" in label))
    values = {label: c["mb_per_s"] for label, c in results["convert"]["results"].items()}
    groups.append(chart.bars("convert", "MB/s", values, lambda label: label.startswith("daxfs")))
    return chart.page(groups)


def figures(results):
    """The main ones, for the closing line."""
    rows = {row["operation"]: row["candidates"] for row in results["memory"]["results"]}
    return {"read_4k_1_thread_x_tmpfs": rows["read:4096:1"]["daxfs"]["ratio_to_tmpfs"],
            "read_64k_1_thread_x_tmpfs": rows["read:65536:1"]["daxfs"]["ratio_to_tmpfs"],
            "touch_256m_huge_ms": rows["touch"]["daxfs"]["median"],
            "touch_256m_small_ms": rows["touch"]["daxfs-small"]["median"],
            "touch_256m_tmpfs_ms": rows["touch"]["tmpfs"]["median"],
            **pool.figures(results["pool"]), **latency.figures(results["latency"]),
            "convert_oci_mb_per_s": results["convert"]["results"]["daxfs-build oci: (tar)"]["mb_per_s"]}


def main():
    cache = Cache()
    with tempfile.TemporaryDirectory(prefix="daxfs-bench-") as work:
        print("bench: reading and mapping, in one machine", file=sys.stderr)
        results = {"memory": memory.run(cache, DEFAULT_SUITE, Path(work))}
    with tempfile.TemporaryDirectory(prefix="daxfs-bench-") as work:
        print("bench: mounting out of a pool, in one machine", file=sys.stderr)
        results["pool"] = pool.run(cache, DEFAULT_SUITE, Path(work))
    print("bench: much in a pool, and many at it", file=sys.stderr)
    results["many"] = many.run()
    print("bench: calls of the snapshotter", file=sys.stderr)
    results["latency"] = latency.run()
    with tempfile.TemporaryDirectory(prefix="daxfs-bench-") as work:
        print("bench: containerd in two machines", file=sys.stderr)
        results["nodes"] = nodes.run(cache, DEFAULT_SUITE, Path(work))
    print("bench: conversion", file=sys.stderr)
    results["convert"] = convert.run(cache)
    cache.close()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (OUT / "results.svg").write_text(picture(results))
    (OUT / "results.txt").write_text(table(results) + "\n")
    print(table(results), file=sys.stderr)
    if os.environ.get("DAXFS_FIGURES"):
        with open(os.environ["DAXFS_FIGURES"], "a", encoding="utf-8") as out:
            out.write(json.dumps(figures(results)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
