# SPDX-License-Identifier: Apache-2.0
"""The module of this checkout: builds without a warning, loads on each stock kernel, mounts, goes away again."""

import subprocess

import pytest

from e2e.harness import daxfs, module, programs

pytestmark = pytest.mark.every_kernel(quick=True)


def test_builds_without_warnings(daxfs_module):
    assert daxfs_module.warnings == ()


def test_loads_mounts_and_goes(vm, daxfs_module, tmp_path):
    """Every kind of mapping once; what else is asked of a kernel: test_mapping.py."""
    module.load(vm, daxfs_module)
    assert "\tdaxfs\n" in vm.read_text("/proc/filesystems")
    mapcheck = programs.compile_static("mapcheck", tmp_path)
    tree = tmp_path / "tree"
    tree.mkdir()
    subprocess.run([mapcheck, "generate", tree], check=True)
    size = programs.build_image(f"dir:{tree}", tmp_path / "tree.daxfs")
    vm.memory.write(0, (tmp_path / "tree.daxfs").read_bytes())
    vm.put(mapcheck, "/usr/local/bin/mapcheck")
    daxfs.mount(vm, daxfs_module, "/image", vm.nvdimm[0], size)
    vm.run("mkdir /scratch")
    programs.check_mappings(vm, "/image")
    vm.run("umount /image")
    module.unload(vm, daxfs_module)
    assert "\tdaxfs\n" not in vm.read_text("/proc/filesystems")
    vm.assert_clean_log()
