# SPDX-License-Identifier: Apache-2.0
"""Mounts of daxfs in a guest, each checked to be one: a test on some other filesystem would prove
nothing."""

import re

from e2e.harness import module

MAGIC_HEADER = module.REPOSITORY / "kernel-module" / "include" / "daxfs" / "magic.h"


def mount(vm, built, where, phys, size_bytes, options=""):
    """Mounts an image at `where` (made if missing) and asserts that it is daxfs by the module just
    built."""
    more = f",{options}" if options else ""
    vm.run(["mkdir", "-p", where])
    vm.run([
        "mount", "-i", "-t", "daxfs", "-o", f"ro,phys={phys:#x},size={size_bytes}{more}", "none",
        where
    ])
    assert_daxfs(vm, built, where)


def assert_daxfs(vm, built, where):
    """AssertionError unless `where` is a mount of type daxfs, by f_type too, and `built` is what
    runs."""
    module.assert_loaded(vm, built)
    fstype = vm.run(["findmnt", "-n", "-o", "FSTYPE", "-M", where], check=False).stdout.strip()
    assert fstype == "daxfs", f"{vm.name}: {where} is {fstype or 'no mount'}, not daxfs"
    magic = vm.run(["stat", "-f", "-c", "%t", where]).stdout.strip()
    assert int(magic, 16) == magic_number(), f"{vm.name}: {where}: f_type {magic}, not daxfs's"


def magic_number():
    """The filesystem's f_type as the contract names it."""
    text = MAGIC_HEADER.read_text(encoding="utf-8")
    return int(re.search(r"#define\s+DAXFS_SUPER_MAGIC\s+(0x[0-9a-fA-F]+)", text).group(1), 16)
