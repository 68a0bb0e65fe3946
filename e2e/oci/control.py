# SPDX-License-Identifier: Apache-2.0
"""The control of every measurement: the demonstration image's layers unpacked into directories
0, 1, … of an ext4 disk, as a snapshotter does it, by GNU tar. Nothing of daxfs takes part."""

import json
import os
import shutil
import stat
import subprocess

from e2e.harness import apt
from e2e.harness.cache import hash_files
from e2e.oci import layout

SIZE_MIB = 256


def prepare(cache, made):
    """The path of the disk (ext4, raw) for the image in `made`, a folder of the cache."""
    inputs = {"image": made.name, "size_mib": SIZE_MIB, "program": hash_files([__file__])}
    return cache.entry("oci-control", inputs, lambda folder: make(folder, made)) / "control.img"


def make(folder, made):
    """Fills `folder` with control.img. Needs root: for owners, device nodes, trusted attributes."""
    if os.geteuid() != 0:
        raise apt.AptError("the control disk can only be made by root")
    tree = folder / "tree"
    layers = json.loads((made / "expected.json").read_text(encoding="utf-8"))["layers"]
    for number, blob in enumerate(layout.layer_blobs(made / "image")):
        unpack(tree / str(number), blob, layers[number])
    image = folder / "control.img"
    with image.open("wb") as out:
        out.truncate(SIZE_MIB << 20)
    apt.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-d", tree,
             image])
    shutil.rmtree(tree)


def unpack(root, blob, layer):
    """One layer by itself, its whiteouts and opaque marks in the form OverlayFS reads."""
    root.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", root, "-f", blob, "--xattrs", "--xattrs-include=*", "-p",
                    "--numeric-owner", "--warning=no-timestamp", "--exclude=.wh.*"], check=True)
    for path in layer["whiteouts"]:
        os.mknod(root / path, stat.S_IFCHR | 0o600, os.makedev(0, 0))
    for path in layer["opaque"]:
        os.setxattr(root / path, "trusted.overlay.opaque", b"y")
