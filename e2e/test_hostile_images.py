# SPDX-License-Identifier: Apache-2.0
"""Images that lie, mounted and used by a real kernel: mutated ones by the thousand, and good ones that a misbehaving
host keeps changing. Wrong answers are allowed; an oops, a warning, a hang, a leak and a refusal without a word are not.

DAXFS_HOSTILE_IMAGES and DAXFS_HOSTILE_SECONDS say how many and how long; the numbers are printed.
"""

import collections
import os
import re
import shutil
import subprocess
import time

import pytest

from e2e.harness import module, programs
from e2e.harness.module import REPOSITORY

pytestmark = pytest.mark.every_kernel

COUNT = int(os.environ.get("DAXFS_HOSTILE_IMAGES", "200"))
SECONDS = int(os.environ.get("DAXFS_HOSTILE_SECONDS", "10"))
SEED = os.environ.get("DAXFS_HOSTILE_SEED", "7")
AT_ONCE = 50
WALK_SECONDS = 300  # for AT_ONCE images or one more round; some hundred times what it takes
LEAK_KIB, LEAK_KIB_EACH = 6 << 10, 2  # what the rest of the machine may change by, and an image


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """A folder with the golden images."""
    made = tmp_path_factory.mktemp("golden")
    subprocess.run([programs.tool("golden_test")], env=dict(os.environ, DAXFS_GOLDEN_IMAGES=str(made)), check=True,
                   capture_output=True)
    assert list(made.glob("*.daxfs"))
    return made


@pytest.fixture(scope="module")
def hostile(golden):
    """A function that runs the mutator; the images it begins with are those of tests/must_fail and the golden ones."""

    def start(*arguments):
        argv = [programs.tool("hostile_run"), "--seed", SEED, "--images", REPOSITORY / "tests/must_fail", "--images",
                golden, *arguments]
        return subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    return start


@pytest.fixture(scope="module")
def guest(vm, daxfs_module, tmp_path_factory):
    """A guest with the module and the program that uses images."""
    vm.put(programs.compile_static("imagewalk", tmp_path_factory.mktemp("imagewalk")), "/usr/local/bin/imagewalk")
    module.load(vm, daxfs_module)
    return vm


def lines_for(vm, placed):
    """What imagewalk reads, of lines of hostile_run."""
    wanted = []
    for line in placed:
        number, offset, size, _ = map(int, line.split())
        wanted.append(f"{number} {vm.nvdimm[0] + offset:#x} {size}\n")
    return "".join(wanted)


def place(hostile, vm, first, count, half):
    """Puts that many inputs into one half of the memory; the lines of what is there."""
    size = vm.memory.size_bytes // 2
    placing = hostile("--place", vm.memory.path, "--offset", half * size, "--bytes", size, "--first", first, "--count",
                      count)
    shown = placing.communicate(timeout=WALK_SECONDS)[0].splitlines()
    assert placing.returncode == 0 and shown
    return shown


def unreclaimable_kib(vm):
    """Memory that is in use and cannot be had back; what can be is dropped first."""
    shown = vm.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.5; cat /proc/meminfo").stdout
    found = {name: int(value) for name, value in re.findall(r"^(\w+): +(\d+)", shown, re.M)}
    return found["MemTotal"] - found["MemFree"] - found["Cached"] - found["Buffers"] - found["SReclaimable"]


def judge(vm, shown, tally):
    """Adds what imagewalk said to the figures."""
    for line in shown:
        number, what, *rest = line.split(maxsplit=3)
        tally["images"] += 1
        tally[what] += 1
        if what == "refused":
            assert len(rest) == 2 and "daxfs: " in rest[1], f"input {number} is refused without a word: {line}"
            tally[f"errno {rest[0]}"] += 1
        else:
            entries, numbers = int(rest[0]), rest[1].split()
            refusals, _, sigbuses, corruptions = map(int, numbers)
            assert corruptions >= 0 and (not refusals or corruptions), \
                f"input {number}: EUCLEAN {refusals} times, {corruptions} counted"
            tally["entries"] += entries
            tally["in use"] += refusals > 0
            tally["sigbus"] += sigbuses
    assert vm.alive()


def test_mutated_images(guest, hostile):
    """Seeded, so that a number says which it was: hostile_run --seed S --replay NUMBER."""
    tally = collections.Counter()
    before = None
    first, half, started = 0, 0, time.monotonic()
    placed = place(hostile, guest, first, min(AT_ONCE, COUNT), half)
    while placed:
        walking = guest.popen(["imagewalk", "0"], WALK_SECONDS, stdin=lines_for(guest, placed))
        first, half = first + len(placed), 1 - half
        following = place(hostile, guest, first, min(AT_ONCE, COUNT - first), half) if first < COUNT else []
        assert walking.wait(WALK_SECONDS + 30) and walking.rc == 0, f"from input {first - len(placed)} on: " + \
            walking.stdout[-200:] + walking.stderr
        shown = walking.stdout.splitlines()
        assert shown.pop() == "rounds 1" and len(shown) == len(placed)
        judge(guest, shown, tally)
        before = before or unreclaimable_kib(guest)  # the first batch has filled what is kept
        placed = following
    grown = unreclaimable_kib(guest) - before
    print(f"{guest.read_text('/proc/sys/kernel/osrelease').strip()}: {dict(tally)}, {grown} KiB more in use, "
          f"{time.monotonic() - started:.0f} s")
    assert tally["images"] == COUNT
    assert tally["walked"] * 10 > COUNT and tally["refused"] and tally["in use"]
    assert grown < LEAK_KIB + LEAK_KIB_EACH * COUNT
    settled(guest)


class Process:
    """The mutator as a process of this machine, which has the same memory."""

    def __init__(self, vm, hostile, seconds):
        self.process = hostile("--place", vm.memory.path, "--bytes", vm.memory.size_bytes, "--poke", seconds)
        self.placed = list(iter(self.process.stdout.readline, "placed\n"))

    def alive(self):
        return self.process.poll() is None

    def close(self):
        self.process.kill()
        self.process.wait()


class Peer:
    """The mutator in another guest that has the same memory; what it maps is the memory itself."""

    def __init__(self, vm, start_vms, golden, seconds):
        peer = start_vms("peer", memory=vm.memory)[0]
        programs.install_tool(peer, "hostile_run")
        for images in (REPOSITORY / "tests/must_fail", golden):
            shutil.copytree(images, peer.share / images.name, dirs_exist_ok=True)
        phys, size = peer.nvdimm
        assert phys == vm.nvdimm[0]
        self.vm = peer
        self.program = peer.popen(
            ["hostile_run", "--seed", SEED, "--images", "/mnt/share/must_fail", "--images", f"/mnt/share/{golden.name}",
             "--place", "/dev/mem", "--offset", str(phys), "--bytes", str(size), "--poke", str(seconds)], seconds + 300)
        assert self.program.wait_output("placed\n", 120), self.program.stderr
        lines = self.program.stdout.split("placed\n")[0].splitlines()
        self.placed = [f"{number} {int(at) - phys} {rest}" for number, at, rest in (x.split(maxsplit=2) for x in lines)]

    def alive(self):
        return self.program.rc is None and self.vm.alive()

    def close(self):
        self.vm.close()


@pytest.mark.parametrize("who", ["a process", pytest.param("a guest", marks=pytest.mark.long)])
def test_images_that_change_while_they_are_used(guest, hostile, golden, start_vms, who):
    """Another host changes them all the time; two programs use them here."""
    seconds = SECONDS + WALK_SECONDS
    changing = Process(guest, hostile, seconds) if who == "a process" else Peer(guest, start_vms, golden, seconds)
    placed = changing.placed
    tally = collections.Counter()
    assert len(placed) > 5
    try:
        wanted = lines_for(guest, placed)
        walks = [guest.popen(["imagewalk", str(SECONDS)], SECONDS + WALK_SECONDS, stdin=wanted) for _ in range(2)]
        for walking in walks:
            assert walking.wait(SECONDS + WALK_SECONDS + 30) and walking.rc == 0, walking.stdout[-200:] + walking.stderr
        assert changing.alive(), "nothing changed any more while they were used"
    finally:
        changing.close()
    for walking in walks:
        for line in walking.stdout.splitlines():
            words = line.split()
            tally[words[1] if words[0] != "rounds" else "rounds"] += 1
            tally["in use"] += words[1] == "walked" and int(words[3]) > 0
    print(f"{guest.read_text('/proc/sys/kernel/osrelease').strip()}: {len(placed)} images changed by {who} for "
          f"{SECONDS} s: {dict(tally)}")
    assert tally["walked"] and tally["refused"] and tally["in use"], "untouched all of them are walked whole"
    settled(guest)


def settled(vm):
    """No mount, no range, no user of the module is left, and the kernel has nothing to complain about."""
    vm.run("for i in $(seq 100); do grep -q ': daxfs' /proc/iomem || exit 0; sleep 0.1; done; exit 1")
    assert vm.read_text("/sys/module/daxfs/refcnt").strip() == "0"
    vm.assert_clean_log()


def test_the_module_goes(guest, daxfs_module):
    module.unload(guest, daxfs_module)
    guest.assert_clean_log()
