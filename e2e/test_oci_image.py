# SPDX-License-Identifier: Apache-2.0
"""The demonstration image is what it says: GNU tar unpacks it to the expected tree and it runs.

This is about the generator alone: nothing of daxfs takes part, so that later tests may rest on it.
"""

import json
import os
import posixpath
import shutil
import subprocess

import pytest

from e2e.collect import collect, compare
from e2e.oci import content, layout

pytestmark = pytest.mark.part("set-up")


@pytest.fixture(scope="module")
def image(demo_image):
    """The generated image and its expected.json."""
    text = (demo_image / "expected.json").read_text(encoding="utf-8")
    return demo_image / "image", json.loads(text)


@pytest.fixture(scope="module")
def unpacked(image, tmp_path_factory):
    """The layers unpacked on top of each other by GNU tar, marks applied by the list in
    expected."""
    folder, expected = image
    root = tmp_path_factory.mktemp("root")
    for layer, blob in zip(expected["layers"], layout.layer_blobs(folder)):
        for path in layer["opaque"]:
            empty(root / path)
        for path in layer["whiteouts"]:
            remove(root / path)
        for entry in layer["entries"]:
            make_way(root / entry["path"], entry["type"])
        subprocess.run([
            "tar", "-x", "-C", root, "-f", blob, "--xattrs", "--xattrs-include=*", "-p",
            "--numeric-owner", "--exclude=.wh.*"
        ],
                       check=True)
    yield root
    shutil.rmtree(root)


def remove(path):
    """Deletes whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def make_way(path, kind):
    """Deletes what tar would not replace: a directory by something else or the other way round."""
    there = path.is_dir() and not path.is_symlink()
    if os.path.lexists(path) and there != (kind == "dir"):
        remove(path)


def empty(path):
    """Deletes what is in a directory."""
    for child in path.iterdir():
        remove(child)


def test_unpacked_is_as_expected(image, unpacked):
    lines = compare.differences(image[1]["merged"], collect.collect(unpacked, with_root=False))
    assert not lines, "\n".join(lines[:30])


def test_image_has_the_cases_it_is_for(image):
    layers, merged = image[1]["layers"], {item["path"]: item for item in image[1]["merged"]}
    assert len(layers) == 4 and len(layers[2]["whiteouts"]) > 20 and len(layers[2]["opaque"]) == 1
    assert all(path not in merged for path in layers[2]["whiteouts"])
    assert "security.capability" in merged[f"{content.SITE}/bind"]["xattrs"]
    assert merged[f"{content.SITE}/link-1"]["nlink"] == 3
    assert merged["data/large"]["size"] >= 8 << 20
    for count in content.CROWDS:
        inside = [p for p in merged if posixpath.dirname(p) == f"crowd/{count}"]
        assert len(inside) == count and all(len(posixpath.basename(p)) > 100 for p in inside)


def test_its_program_runs(image, unpacked):
    done = subprocess.run(["chroot", unpacked, "/usr/bin/python3", f"/{content.SITE}/report.py"],
                          capture_output=True,
                          text=True,
                          check=True,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                               "PYTHONDONTWRITEBYTECODE": "1"})
    assert json.loads(done.stdout).items() >= content.report_of(image[1]["merged"]).items()
    done = subprocess.run(
        ["chroot", unpacked, "/bin/sh", "-c", "ls / | sort | head -1; busybox true"],
        capture_output=True,
        text=True,
        check=True)
    assert done.stdout == "bin\n"
