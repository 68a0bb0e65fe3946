# SPDX-License-Identifier: Apache-2.0
"""Programs of this checkout: small C programs for guests, compiled now and static, and the built tools."""

import re
import shutil
import subprocess
from pathlib import Path

from e2e.harness.module import REPOSITORY

PRESET = "release"
MAPPING_CHECKS = 20  # of mapcheck


class ToolMissing(Exception):
    """A tool of this checkout is not built."""


def compile_static(name, folder):
    """Compiles e2e/programs/NAME.c into `folder`; needs nothing of the guest."""
    program = Path(folder) / name
    source = REPOSITORY / "e2e" / "programs" / f"{name}.c"
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread",
                    "-o", program, source], check=True)
    return program


ROOMS = {"daxfs-build": "imagebuilder", "daxfs-snapshotter": "snapshotter", "golden_test": "tests",
         "hostile_run": "tests/hostile", "os_test": "common/os", "snapshotter_test": "snapshotter"}


def tool(name):
    """Path of a built program of this checkout: daxfs-build, daxfs-snapshotter, daxfsctl, mount.daxfs, some tests."""
    room = ROOMS.get(name, "tools")
    path = REPOSITORY / "build" / PRESET / room / name
    if not path.exists():
        raise ToolMissing(f"{path}: not built; run: make build PRESET={PRESET}")
    return path


def build_image(source, image, *options):
    """Runs daxfs-build; what it says is in the error if it fails. Returns the image's size in bytes."""
    done = subprocess.run([tool("daxfs-build"), source, "-o", image, *options], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise ToolMissing(f"daxfs-build {source}: exit status {done.returncode}\n{done.stderr}")
    return Path(image).stat().st_size


def install_tool(vm, name, where="/usr/local/bin"):
    """Puts a tool of this checkout into the guest."""
    install_program(vm, tool(name), where)


def check_mappings(vm, where):
    """Runs all checks of mapcheck, which the guest has, on its files in `where`; returns what it says."""
    done = vm.run(["mapcheck", "run", where, "/scratch"], check=False, timeout=180)
    passed = re.findall(r"^ok ", done.stdout, re.M)
    assert done.rc == 0 and "FAIL" not in done.stdout and len(passed) == MAPPING_CHECKS, done.stdout + done.stderr
    return done.stdout


def install_program(vm, source, where="/usr/local/bin"):
    """Puts a program of this machine into the guest with the libraries it was linked with; the machine's own may be
    newer than the guest's."""
    name = source.name
    libraries = vm.share / "lib"
    libraries.mkdir(exist_ok=True)
    shown = subprocess.run(["ldd", source], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"=> (/\S+)", shown):
        if not (libraries / Path(path).name).exists():
            shutil.copy(path, libraries)
    loader = re.search(r"^\s*(/\S*ld-linux\S*)", shown, re.M).group(1)
    shutil.copy(loader, libraries)
    shutil.copy(source, vm.share / f".{name}")
    run = f"/mnt/share/lib/{Path(loader).name} --library-path /mnt/share/lib /mnt/share/.{name}"
    vm.run(f"mkdir -p {where} && printf '#!/bin/sh\\nexec {run} \"$@\"\\n' > {where}/{name}")
    vm.run(["chmod", "755", f"{where}/{name}"])
