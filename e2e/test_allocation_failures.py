# SPDX-License-Identifier: Apache-2.0
"""A kernel without memory: each allocation of a mount and of a use refused in turn. What fails says so and leaves
nothing; what does not fail shows what is there. On the debug kernel alone: others cannot be told to refuse."""

import pytest

from e2e.harness import module, programs
from e2e.harness.pool import Pool, mount_options
from e2e.harness.pool_story import HOST_IDS, wait_until

pytestmark = pytest.mark.every_kernel(debug=True)

STEP_SECONDS = 600


@pytest.fixture(scope="module")
def guest(vm, daxfs_module, tmp_path_factory):
    """A guest that is to refuse what failnth asks for; a pool with a small and a varied image, the small one mounted: a
    range of its own would have memory hotplug refused, which warns of it."""
    work = tmp_path_factory.mktemp("refusals")
    vm.put(programs.compile_static("failnth", work), "/usr/local/bin/failnth")
    vm.run("""for settings in failslab fail_page_alloc; do
        echo N > /sys/kernel/debug/$settings/ignore-gfp-wait; echo 0 > /sys/kernel/debug/$settings/verbose; done
        echo N > /sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
        echo 0 > /sys/kernel/debug/fail_page_alloc/min-order
        mkdir -p /kept /image""")
    for name in ("kept", "varied"):
        (work / name).mkdir()
        (work / name / "which").write_text(name)
    (work / "varied" / "large").write_bytes(bytes(range(1, 251)) * 12000)  # 3 MB: huge and small pages
    (work / "varied" / "link").symlink_to("which")
    for number in range(6):
        (work / "varied" / f"some-more-{number}").write_text(str(number))
    pool = Pool(vm.memory, work / "run")
    for name in ("kept", "varied"):
        pool.add(f"dir:{work / name}", name)
    module.load(vm, daxfs_module, f"host_id={HOST_IDS[0]}")
    vm.run(["mount", "-i", "-t", "daxfs", "-o", mount_options(vm, "kept"), "none", "/kept"])
    yield vm
    assert vm.alive()


def refusals(vm, *arguments):
    """Runs failnth; (refusals, failures seen)."""
    done = vm.run(["failnth", *arguments], check=False, timeout=STEP_SECONDS)
    assert done.rc == 0, f"{done.stderr}\n{vm.kernel_log()[-2000:]}"
    return tuple(map(int, done.stdout.split()))


def test_mount(guest):
    number, seen = refusals(guest, "mount", "none", "daxfs", mount_options(guest, "varied"), "/image")
    print(f"mount: {number} refusals, {seen} seen")
    assert number >= seen > 10
    assert guest.run("findmnt -n -t daxfs -o TARGET").stdout == "/kept\n"
    guest.assert_clean_log()


def test_mount_that_compares(guest):
    options = mount_options(guest, "varied") + ",verify=full"
    number, seen = refusals(guest, "mount", "none", "daxfs", options, "/image")
    print(f"verify=full: {number} refusals, {seen} seen")
    assert number >= seen > 10
    guest.assert_clean_log()


@pytest.mark.parametrize("verify", ["none", "lazy"])
def test_use(guest, verify):
    options = f"{mount_options(guest, 'varied')},verify={verify}"
    guest.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", "/image"])
    number, seen = refusals(guest, "use", "/image")
    print(f"use with verify={verify}: {number} refusals, {seen} seen")
    assert number >= seen > 10
    guest.run("umount /image")
    guest.assert_clean_log()


def test_the_module_goes(guest, daxfs_module):
    guest.run("umount /kept")
    wait_until(lambda: guest.read_text("/sys/module/daxfs/refcnt").strip() == "0", "the module is held")
    module.unload(guest, daxfs_module)
    guest.assert_clean_log()
