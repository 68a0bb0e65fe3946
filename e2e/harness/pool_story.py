# SPDX-License-Identifier: Apache-2.0
"""What tests of pools in guests share: two guests and a pool in their memory, mounts out of it, and what is refused."""

import re
import shutil
import subprocess
import time

from e2e.collect import collect
from e2e.harness import daxfs, module, programs
from e2e.harness.pool import Pool, mount_options, said

HOST_IDS = ["00112233-4455-6677-8899-aabbccddeef0", "00112233445566778899aabbccddeef1"]
SMALL_TREES = 2


def begin(vms, built, work):
    """A pool with `pieces` (its chunks in opposite order), `straight`, and two small images in one chunk's granules;
    the module in both guests."""
    mapcheck = programs.compile_static("mapcheck", work)
    pool = Pool(vms[0].memory, work / "run")
    trees = {"straight": work / "straight", "pieces": work / "pieces"}
    for number, tree in enumerate(trees.values()):
        tree.mkdir()
        subprocess.run([mapcheck, "generate", tree], check=True)
        (tree / "which").write_text(str(number))
        make_crowd(tree / "crowd")
    for number in range(SMALL_TREES):
        trees[f"small{number}"] = work / f"small{number}"
        (trees[f"small{number}"] / "deep" / "er").mkdir(parents=True)
        (trees[f"small{number}"] / "deep" / "er" / "file").write_text(f"content {number}\n")
    pool.trees = trees
    pool.images = {name: pool.add(f"dir:{tree}", name) for name, tree in trees.items()}
    pool.images["pieces"] = pool.scatter(pool.images["pieces"])
    for vm, host_id in zip(vms, HOST_IDS):
        vm.put(mapcheck, "/usr/local/bin/mapcheck")
        shutil.copy(collect.__file__, vm.share / "collect.py")
        module.load(vm, built, f"host_id={host_id}")
        vm.run("mkdir -p /image /again /scratch " + " ".join(f"/{name}" for name in trees))
        vm.built = built
    return pool


def make_crowd(folder):
    """Enough names that the metadata of an image in pieces does not fit a chunk."""
    folder.mkdir()
    for number in range(12000):
        (folder / f"{number:0>100}").symlink_to("x" * 100)


def mount(vm, image, where=None):
    """Mounts an image of the pool at /NAME unless told otherwise, and asserts that it is daxfs."""
    where = where or f"/{image}"
    vm.run(["mount", "-i", "-t", "daxfs", "-o", mount_options(vm, image), "none", where])
    daxfs.assert_daxfs(vm, vm.built, where)
    return where


def refused(vm, image, text, more=""):
    """Asserts that a mount fails and that the log says why."""
    options = mount_options(vm, image, more)
    done = vm.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", "/image"], check=False)
    assert done.rc != 0, f"image={image} was mounted"
    assert re.search(text, said(vm)), f"{said(vm)}\n{done.stderr}"


def wait_until(true, what, seconds=10):
    """Polls; AssertionError if it does not become so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def put_device_program(vm):
    """What device() runs is in the guest."""
    shutil.copy(module.REPOSITORY / "e2e" / "programs" / "pool_device.py", vm.share / "pool_device.py")


def device(vm, *arguments):
    """What pool_device.py answers in the guest."""
    return vm.run(["python3", "/mnt/share/pool_device.py", *map(str, arguments)], timeout=60).stdout.strip()
