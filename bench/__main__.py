# SPDX-License-Identifier: Apache-2.0
"""The benchmarks beside their peers: `python3 -m bench [PART...]`, all of them without one. Each part measures us and
its peers in one run. Writes docs/bench/results.{json,txt,svg}; what was not asked for stays there as it was."""

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

from bench import chart, convert, images, kernels, latency, many, nodes, pool
from e2e.harness import kernel
from e2e.harness.cache import Cache, report

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "bench"


class Part(NamedTuple):
    """What is measured, how (by cache, suite and a folder), its lines for a person, its main figures, its bars."""
    title: str
    run: Callable
    lines: Callable
    figures: Callable = lambda results: {}
    groups: Callable = lambda results: []


def ours(label):
    """Whether a candidate is DAXFS."""
    return "daxfs" in label


def kernel_run(suite, cache, _, work):
    """In a machine with that kernel, not with the one most tests run on."""
    return kernels.run(cache, suite, work)


def kernel_groups(found):
    """Bars of how many times as fast as tmpfs, an operation each, of the kernel most tests run on."""
    if found["suite"] != kernel.DEFAULT_SUITE:
        return
    for row in found["results"]:
        values = {label: round(c["speed"]["tmpfs"][0], 2) for label, c in row["candidates"].items()}
        yield chart.bars(f"{row['operation']}, {found['kernel']}", "x tmpfs", values, ours)


def convert_lines(results):
    """A line for each program."""
    yield f"convert: a tar of {results['tar_bytes'] / 1e6:.0f} MB, {results['entries']} entries, one processor, tmpfs"
    for label, c in results["results"].items():
        spread = f"({c['min_s']:.3f} to {c['max_s']:.3f})"
        yield f"  {label:<24} {c['median_s']:.3f} s {spread}  {c['mb_per_s']} MB/s"


def convert_groups(results):
    """One group of bars."""
    values = {label: c["mb_per_s"] for label, c in results["results"].items()}
    return [chart.bars("convert", "MB/s", values, ours)]


PARTS = {
    **{f"kernel-{suite}": Part(f"what an image holds, in one machine with {suite}'s kernel",
                               partial(kernel_run, suite), kernels.lines, kernels.figures, kernel_groups)
       for suite in kernel.SUITES},
    "pool": Part("mounting out of a pool, in one machine", pool.run, lambda results: [pool.table(results)],
                 pool.figures),
    "many": Part("much in a pool, and many at it", lambda *_: many.run(), many.table),
    "latency": Part("calls of the snapshotter", lambda *_: latency.run(), latency.table, latency.figures),
    **{part: Part(f"containerd in two machines: {part}", partial(nodes.run, parts=(part,)),
                  lambda results: [nodes.table(results)]) for part in nodes.PARTS},
    "images": Part("container images", lambda cache, *_: images.run(cache), images.lines, images.figures),
    "convert": Part("conversion", lambda cache, *_: convert.run(cache), convert_lines,
                    lambda results: {"convert_oci_mb_per_s": results["results"]["daxfs-build oci: (tar)"]["mb_per_s"]},
                    convert_groups),
}


def git(*arguments):
    """What it prints."""
    return subprocess.run(["git", *arguments], check=True, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def commit():
    """What is measured, for who reads the figures later; results of other parts make no difference."""
    changed = git("status", "--porcelain", "--", ".", ":!docs/bench")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def text(results):
    """What a person reads: medians, spread, ratio."""
    return "\n".join("\n".join([f"{name} ({found['commit']})", *PARTS[name].lines(found["results"]), ""])
                     for name, found in results.items())


def write(results):
    """All of it, behind each part: the next may take long."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (OUT / "results.svg").write_text(chart.page([group for name, found in results.items()
                                                 for group in PARTS[name].groups(found["results"])]))
    (OUT / "results.txt").write_text(text(results))


def main(wanted):
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"bench: there is no part {unknown[0]!r}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    known = json.loads((OUT / "results.json").read_text()) if (OUT / "results.json").exists() else {}
    cache = Cache()
    for name in wanted or PARTS:
        print(f"bench: {PARTS[name].title}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="daxfs-bench-") as work:
            known[name] = {"commit": commit(), "results": PARTS[name].run(cache, kernel.DEFAULT_SUITE, Path(work))}
        print(text({name: known[name]}), file=sys.stderr)
        write({part: known[part] for part in PARTS if part in known})
        report(PARTS[name].figures(known[name]["results"]))
    cache.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
