# SPDX-License-Identifier: Apache-2.0
"""The module of this checkout: builds without a warning, loads on each stock kernel, goes away
again."""

import pytest

from e2e.harness import module

pytestmark = pytest.mark.every_kernel(quick=True)


def test_builds_without_warnings(daxfs_module):
    assert daxfs_module.warnings == ()


def test_loads_and_goes(vm, daxfs_module):
    module.load(vm, daxfs_module)
    assert "\tdaxfs\n" in vm.read_text("/proc/filesystems")
    module.unload(vm, daxfs_module)
    assert "\tdaxfs\n" not in vm.read_text("/proc/filesystems")
    vm.assert_clean_log()
