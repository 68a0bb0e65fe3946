# SPDX-License-Identifier: Apache-2.0
"""daxfs-fuse from outside: usage, refusals, and a mount that stays behind when the program has gone."""

import os
import subprocess

import pytest

CAN_MOUNT = os.getuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)

USAGE = [
    ([], "wanted: IMAGE and MOUNTPOINT"),
    (["{image}"], "wanted: IMAGE and MOUNTPOINT"),
    (["{image}", "{mnt}", "more"], "wanted: IMAGE and MOUNTPOINT"),
    (["{image}", "{mnt}", "-x"], "unknown option -x"),
    (["{image}", "{mnt}", "-o"], "-o wants an argument"),
    (["{image}", "{mnt}", "-o", "phys=0"], "-o phys=0: unknown option"),
]

NOT_THERE = [
    (["{image}.none", "{mnt}"], "No such file or directory"),
    (["-f", "{image}.none", "{mnt}"], "No such file or directory"),
    (["pool:no-such-pool:web", "{mnt}"], 'no pool "no-such-pool"'),
]

FAILED = [
    (["/dev/null", "{mnt}"], "not a regular file"),
    (["/etc/debian_version", "{mnt}"], "shorter than a superblock"),
    (["{image}", "{mnt}/none"], "No such file or directory"),
    (["-f", "{image}", "{mnt}/none"], "No such file or directory"),
]


@pytest.fixture
def world(build, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content")
    build.ok(f"dir:{tmp_path / 'tree'}", "-o", tmp_path / "image")
    (tmp_path / "mnt").mkdir()
    return {"image": tmp_path / "image", "mnt": tmp_path / "mnt"}


@pytest.mark.parametrize("status, args, message", [(1, *row) for row in FAILED] + [(2, *row) for row in USAGE] +
                         [(3, *row) for row in NOT_THERE],
                         ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_bad_input(fuse, world, status, args, message):
    result = fuse.run(*[arg.format(**world) for arg in args])
    assert result.returncode == status and message in result.stderr, result.stderr
    assert result.stdout == "" and not os.path.ismount(world["mnt"])


def test_help_and_version(fuse):
    assert "not the kernel module" in fuse.ok("--help")
    assert fuse.ok("--version").startswith("daxfs-fuse 0.")


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs root and /dev/fuse")
def test_a_mount_that_stays(fuse, world):
    """Without -f the program leaves when the mount is there; umount ends what stays behind."""
    script = f"""set -e
        '{fuse.path}' '{world["image"]}' '{world["mnt"]}' 2>'{world["mnt"]}.log'
        cat '{world["mnt"]}/file'
        findmnt -no FSTYPE,SOURCE '{world["mnt"]}'
        umount '{world["mnt"]}'"""
    result = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], check=True,
                            capture_output=True, text=True, timeout=60)
    assert result.stdout.startswith("content")
    assert result.stdout.removeprefix("content").split() == ["fuse.daxfs", f"daxfs-fuse#{world['image']}"]
    assert "this is not the kernel module" in (world["mnt"].parent / "mnt.log").read_text()


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs root and /dev/fuse")
@pytest.mark.parametrize("foreground", ["", "-f"])
@pytest.mark.parametrize("number", ["TERM", "HUP"])
def test_signals_unmount_a_relative_mountpoint(fuse, world, foreground, number):
    script = f"""cd '{world["mnt"]}/..' || exit 9
        '{fuse.path}' {foreground} '{world["image"]}' mnt 2>mnt.log &
        for i in $(seq 100); do findmnt mnt/ >/dev/null && break; sleep 0.1; done
        cat mnt/file
        for pid in $(pgrep -x daxfs-fuse); do
          [ "$(readlink /proc/$pid/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ] && kill -{number} $pid
        done
        for i in $(seq 100); do findmnt mnt/ >/dev/null || break; sleep 0.1; done
        findmnt mnt/ && exit 8
        exit 0"""
    result = subprocess.run(["unshare", "--mount", "--propagation", "private", "bash", "-c", script], check=False,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and result.stdout == "content", result


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs root and /dev/fuse")
def test_only_directories_are_mounted_on(fuse, world):
    result = fuse.run(world["image"], world["image"])
    assert result.returncode == 1 and "Not a directory" in result.stderr
