# SPDX-License-Identifier: Apache-2.0
"""The programs under test: built ones, named by the environment (CMake sets it)."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

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
