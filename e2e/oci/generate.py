# SPDX-License-Identifier: Apache-2.0
"""Puts the demonstration image together from the machine's Debian archive, through the cache."""

from pathlib import Path

from e2e.harness import apt
from e2e.harness.cache import hash_files
from e2e.oci import content, layout

SUITE = "bookworm"


def prepare(cache):
    """A folder of the cache with image/ (an OCI layout) and expected.json; nobody writes to it."""
    source = apt.Apt(cache, SUITE)
    base = source.archives(content.BASE, closure=True)
    everything = source.archives((*content.BASE, *content.PYTHON), closure=True)
    programs = [path for path in Path(__file__).parent.glob("*.py") if "test" not in path.name]
    inputs = {"base": base, "everything": everything, "programs": hash_files(programs)}

    def make(folder):
        more = [exact(name) for name in everything if name not in base]
        write(folder, source.download([exact(name) for name in base]), source.download(more))

    return cache.entry("oci-demo", inputs, make)


def exact(file_name):
    """The argument that makes apt download just this archive."""
    name, version, _ = apt.name_and_version(file_name)
    return f"{name}={version}"


def write(folder, base_archives, python_archives):
    """Writes image/ and expected.json to `folder` from two folders of packages."""
    base = content.base_layer(base_archives)
    python = content.python_layer(python_archives, base)
    changes = content.changes_layer(base, python)
    data = content.data_layer(base, python, changes)
    layout.write(folder, [("a small Debian", base, True), ("Python", python, True),
                          ("deletions and hard cases", changes, True),
                          ("data, not compressed", data, False)])
