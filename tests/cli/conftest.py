# SPDX-License-Identifier: Apache-2.0
"""The programs under test: built ones, named by the environment (CMake sets it)."""

import os
import subprocess
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
