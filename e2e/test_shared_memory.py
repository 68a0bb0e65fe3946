# SPDX-License-Identifier: Apache-2.0
"""Two kernels and the host really share the memory: bytes and atomics, before any filesystem is
involved."""

import struct
import time

from e2e.harness import module

COUNTER_OFFSET = 64 << 20
MARK_OFFSET = 16 << 20
INCREMENTS = 2_000_000
# Offsets in the page of e2e/modules/counter.
READY, START = 64, 128

# What a guest reads or writes there, by /dev/mem: no driver holds the range yet.
PHYSICAL = """
import mmap, os, sys
address, text = int(sys.argv[1]), sys.argv[2].encode()
memory = mmap.mmap(os.open("/dev/mem", os.O_RDWR), 4096, offset=address)
if text:
    memory[:len(text)] = text
sys.stdout.write(memory[:32].rstrip(bytes(1)).decode())
"""


def physical(vm, offset, text=""):
    """Writes `text` at `offset` of the shared memory by guest `vm`, and reads there."""
    return vm.run(["python3", "-c", PHYSICAL, vm.nvdimm[0] + offset, text]).stdout


def word(memory, offset):
    """A 64-bit little-endian word as the host sees it."""
    return struct.unpack("<Q", memory.read(offset, 8))[0]


def wait_until(what, condition, timeout):
    """Waits for `condition()`; AssertionError naming `what` if it does not come true."""
    limit = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < limit, f"{what}: not within {timeout} s"
        time.sleep(0.05)


def parameter(vm, name):
    """What the counter module says."""
    return vm.read_text(f"/sys/module/daxfs_test_counter/parameters/{name}").strip()


def test_both_see_the_same_size(two_vms, shared_memory):
    for vm in two_vms:
        phys, size_bytes = vm.nvdimm
        assert phys % (2 << 20) == 0 and size_bytes == shared_memory.size_bytes


def test_bytes_travel_both_ways(two_vms, shared_memory):
    """What the host writes both guests see; what one guest writes the other and the host see."""
    first, second = two_vms
    shared_memory.write(MARK_OFFSET, b"from the host" + bytes(19))
    assert [physical(vm, MARK_OFFSET) for vm in two_vms] == ["from the host"] * 2
    physical(first, MARK_OFFSET, "from the first")
    assert physical(second, MARK_OFFSET) == "from the first"
    physical(second, MARK_OFFSET, "by second")
    assert physical(first, MARK_OFFSET) == "by secondfirst"
    assert shared_memory.read(MARK_OFFSET, 14) == b"by secondfirst"


def test_counter_is_exact(two_vms, shared_memory, counter_module):
    """Both kernels increment one word by compare and exchange, at the same time, and none is
    lost."""
    shared_memory.write(COUNTER_OFFSET, bytes(4096))
    for vm in two_vms:
        module.load(vm, counter_module,
                    f"phys={vm.nvdimm[0] + COUNTER_OFFSET:#x} count={INCREMENTS}")
    wait_until("both ready", lambda: word(shared_memory, COUNTER_OFFSET + READY) == 2, 30)
    shared_memory.write(COUNTER_OFFSET + START, struct.pack("<Q", 1))
    for vm in two_vms:
        wait_until(f"{vm.name} done", lambda vm=vm: parameter(vm, "ended") == "Y", 120)
    done = [int(parameter(vm, "done")) for vm in two_vms]
    failed = [int(parameter(vm, "failed")) for vm in two_vms]
    assert done == [INCREMENTS, INCREMENTS]
    assert word(shared_memory, COUNTER_OFFSET) == 2 * INCREMENTS
    assert max(failed) > 0, "never at the same time: the test has shown nothing"
    for vm in two_vms:
        module.unload(vm, counter_module)
