# SPDX-License-Identifier: Apache-2.0
"""A small kernel that watches itself (KASAN, lockdep, KMEMLEAK and others: debug/config), built from Debian's own
source of the kernel the tests run on. Making it takes most of an hour on two processors, once: it lies in the cache.

It needs what the group `debug` of scripts/packages installs.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from e2e.harness import apt, kernel
from e2e.harness.cache import hash_files

CONFIG = Path(__file__).resolve().parent / "debug" / "config"
PATIENCE = 6  # times what a stock kernel takes
MORE_MEMORY_MIB = 1536  # shadow memory, and what leaks are looked for with
RECIPE = 1  # raise when the way it is made changes


class DebugKernelFailed(Exception):
    """The compiler's last words, or settings that this source does not have."""


def prepare(cache):
    """The kernel, from the cache or made now."""
    source = apt.Apt(cache, kernel.DEFAULT_SUITE)
    series = re.search(r"linux-image-(\d+\.\d+)", source.depends("linux-image-amd64")).group(1)
    package = f"linux-source-{series}"

    def make(folder):
        compile_kernel(source.download([package]), folder)

    inputs = {"archives": source.archives([package]), "config": hash_files([CONFIG]), "recipe": RECIPE}
    folder = cache.entry("kernel-debug", inputs, make)
    release = (folder / "release").read_text(encoding="utf-8").strip()
    return kernel.Kernel("debug", source.candidate(package), release, folder,
                         kernel.initrd(cache, folder, release) / "initrd", watches=True,
                         patience=PATIENCE, more_memory_mib=MORE_MEMORY_MIB)


def run(tree, *argv):
    """make in `tree`; returns what it prints, DebugKernelFailed if it fails."""
    done = subprocess.run(["make", "-s", *argv], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise DebugKernelFailed(f"debug kernel: make {' '.join(argv)}: exit status {done.returncode}\n{tail}")
    return done.stdout


def configure(tree):
    """Everything off but what debug/config names."""
    run(tree, f"KCONFIG_ALLCONFIG={CONFIG}", "allnoconfig")
    made = set((tree / ".config").read_text(encoding="utf-8").splitlines())
    wanted = [line for line in CONFIG.read_text(encoding="utf-8").splitlines() if line.startswith("CONFIG_")]
    missing = [line for line in wanted if line not in made]
    if missing:
        raise DebugKernelFailed(f"debug kernel: this source has other conditions for {', '.join(missing)}")


def compile_kernel(archives, folder):
    """Fills `folder` as a stock kernel's packages would: image, modules, headers; and its `release`."""
    unpacked = folder / "unpacked"
    for archive in archives.iterdir():
        apt.run(["dpkg", "-x", archive, unpacked])
    packed = next(unpacked.glob("usr/src/linux-source-*.tar.xz"))
    apt.run(["tar", "-C", unpacked, "-xf", packed])
    tree = next(path for path in unpacked.glob("linux-source-*") if path.is_dir())
    configure(tree)
    compiler = "CC=ccache gcc" if shutil.which("ccache") else "CC=gcc"
    run(tree, compiler, f"-j{os.cpu_count()}", "bzImage", "modules")
    release = run(tree, compiler, "kernelrelease").strip()
    (folder / "boot").mkdir()
    shutil.copy(tree / "arch/x86/boot/bzImage", folder / "boot" / f"vmlinuz-{release}")
    run(tree, compiler, f"INSTALL_MOD_PATH={folder}", "modules_install")
    for link in ("build", "source"):
        (folder / "lib/modules" / release / link).unlink(missing_ok=True)
    headers = folder / "usr/src" / f"linux-headers-{release}"
    run(tree, compiler, "run-command", f"KBUILD_RUN_COMMAND=sh scripts/package/install-extmod-build {headers}")
    (folder / "release").write_text(release + "\n", encoding="utf-8")
    shutil.rmtree(unpacked)
