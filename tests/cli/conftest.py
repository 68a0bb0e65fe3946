# SPDX-License-Identifier: Apache-2.0
"""The programs under test: built ones, named by the environment (CMake sets it); pools, and a tree to place there."""

import contextlib
import os
import random
import subprocess
import tempfile
from pathlib import Path

import pytest

from pools import Pool

SECONDS = 60


class Program:
    """Runs one program; `run` returns the finished process with text output."""

    def __init__(self, variable):
        self.path = Path(os.environ[variable])

    def run(self, *args, **more):
        return subprocess.run([self.path, *map(str, args)], capture_output=True, text=True, timeout=SECONDS,
                              check=False, **more)

    def ok(self, *args, **more):
        result = self.run(*args, **more)
        assert result.returncode == 0, result.stderr
        return result.stdout


@pytest.fixture(scope="session")
def build():
    return Program("DAXFS_BUILD")


@pytest.fixture(scope="session")
def ctl():
    return Program("DAXFSCTL")


@pytest.fixture(scope="session")
def fuse():
    return Program("DAXFS_FUSE")


@pytest.fixture
def own_mount():
    """Mounts a file system where nobody else sees it; the folder it is to be found in."""
    with contextlib.ExitStack() as stack:
        def mount(kind, options):
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
            process = subprocess.Popen(["unshare", *(["-Ur"] if os.getuid() else []), "-m", "sh", "-c",
                                        f"mount -t {kind} -o {options} none {folder} && echo mounted && read end"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(process.communicate, "end\n")
            assert process.stdout.readline() == "mounted\n"
            return Path(f"/proc/{process.pid}/root{folder}")

        yield mount


@pytest.fixture
def small_tmpfs(own_mount):
    return own_mount("tmpfs", "size=16M")


@pytest.fixture
def memory():
    """A folder in memory, as a pool's is."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def pool(memory, build, ctl):
    return Pool(memory, build, ctl)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "below").mkdir(parents=True)
    (root / "small").write_bytes(b"small\n")
    (root / "below/large").write_bytes(random.Random(1).randbytes(5 << 20))
    return root
