# SPDX-License-Identifier: Apache-2.0
"""Converting one tree, beside other image builders and plain extraction; everything on tmpfs, one processor each.

The tree is the demonstration image's layers side by side. Peers: mkfs.erofs from the directory (it writes
uncompressed by default), tar2sqfs from the tar (it cannot leave data uncompressed, so lz4, its quickest), tar to a
directory. Ours hashes every byte (SHA-256 of 64 KiB pieces); none of the peers does.
"""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from e2e.harness import programs
from e2e.oci import generate, stored

ROUNDS = 5
PROCESSOR = "0"
HARD_CASES = 2  # the layer of odd files is left out: mkfs.erofs 1.5 stops at one of them


def flat_tree(cache, work):
    """The demonstration image's layers as a directory, a tar, and an OCI layout of that one tar, uncompressed."""
    image = generate.prepare(cache) / "image"
    tree, tar = work / "tree", work / "tree.tar"
    tree.mkdir()
    for number, blob in enumerate(layer_blobs(image)):
        if number == HARD_CASES:
            continue
        part = tree / str(number)  # side by side: deletions of one layer do not concern the other candidates
        part.mkdir()
        subprocess.run(["bsdtar", "-xpf", blob, "-C", part, "--no-xattrs", "--exclude", ".wh.*", "--exclude",
                        "*/.wh.*"], check=True)
    subprocess.run(["tar", "--sort=name", "--format=pax", "-C", tree, "-cf", tar, "."], check=True)
    stored.write(work / "oci", [(tar, stored.TAR, stored.digest_of(tar))])
    return tree, tar, work / "oci"


def layer_blobs(image):
    """Paths of the layers of the linux/amd64 image in an OCI layout, in order."""
    def blob(descriptor):
        algorithm, digest = descriptor["digest"].split(":")
        return image / "blobs" / algorithm / digest

    entry = json.loads((image / "index.json").read_text())["manifests"][0]
    while "index" in entry["mediaType"]:
        listed = json.loads(blob(entry).read_text())["manifests"]
        entry = next(m for m in listed if m.get("platform", {}).get("architecture", "amd64") == "amd64")
    return [blob(layer) for layer in json.loads(blob(entry).read_text())["layers"]]


def candidates(tree, tar, layout, out):
    """{label: command}; each writes below `out`, which is new for each run."""
    build = str(programs.tool("daxfs-build"))
    return {
        "daxfs-build dir:": [build, f"dir:{tree}", "-o", f"{out}/image", "--log-level", "error"],
        "daxfs-build oci: (tar)": [build, f"oci:{layout}", "--per-layer", "-o", f"{out}/layers",
                                   "--log-level", "error"],
        "mkfs.erofs": ["mkfs.erofs", "--quiet", f"{out}/image", str(tree)],
        "tar2sqfs (lz4)": ["sh", "-c", f"exec tar2sqfs -q -j 1 -c lz4 {out}/image < {tar}"],
        "tar -x": ["tar", "-xf", str(tar), "-C", out],
    }


def run(cache):
    """Five rounds, the candidates in turn; {bytes, entries, results: {label: {median_s, ...}}}."""
    work = Path(tempfile.mkdtemp(prefix="daxfs-bench-", dir="/dev/shm"))
    try:
        tree, tar, layout = flat_tree(cache, work)
        samples = {}
        for turn in range(ROUNDS + 1):
            for label in candidates(tree, tar, layout, "x"):
                seconds = once(work, label, tree, tar, layout)
                if turn:  # the first round warms everybody up
                    samples.setdefault(label, []).append(seconds)
        size = tar.stat().st_size
        return {"tar_bytes": size, "entries": sum(len(d) + len(f) for _, d, f in os.walk(tree)), "rounds": ROUNDS,
                "results": {label: {"median_s": round(statistics.median(s), 4), "min_s": round(min(s), 4),
                                    "max_s": round(max(s), 4),
                                    "mb_per_s": round(size / 1e6 / statistics.median(s), 1)}
                            for label, s in samples.items()}}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def once(work, label, tree, tar, layout):
    """Seconds of one run on one processor; its output is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        command = candidates(tree, tar, layout, out)[label]
        started = time.monotonic()
        subprocess.run(["taskset", "-c", PROCESSOR, *command], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - started
