# SPDX-License-Identifier: Apache-2.0
"""Every program with every system call failing in turn, and killed at every one: nothing is left, nothing is wrong.

strace makes the Nth call fail or the process die there (strace(1), "inject"); N grows until the program gets to its
end untouched. After a failure there is no output; after a kill there may be parts, which the next run removes.
"""

import gzip
import hashlib
import os
import subprocess

import pytest
from layouts import Layout, docker_archive, tar_of
from test_registry import serving

FAULTS = {
    "read": "read,pread64:error=EIO",
    "write": "write,pwrite64:error=ENOSPC",
    "open": "open,openat,openat2:error=EMFILE",
    "file": "fallocate,ftruncate,lseek,fstat,newfstatat,statx,poll,getdents64,flock:error=EIO",
    "name": "link,linkat,rename,renameat,renameat2,mkdir,mkdirat,chmod,fchmod:error=EIO",
    "thread": "clone,clone3:error=EAGAIN",
    "kill": "read,pread64,write,pwrite64,openat,fallocate,ftruncate,link,linkat,rename,renameat2,mkdir,chmod,close,"
            "flock,unlink,unlinkat:signal=KILL",
}
NETWORK = {"network": "socket,connect,sendto,recvfrom,getsockopt:error=ECONNRESET", "kill": FAULTS["kill"]}
LOWER = tar_of([("etc/passwd", "root"), ("big", "x" * 200_000)])
UPPER = tar_of([("etc/.wh.passwd", ""), ("etc/group", "y" * 5000)])

BUILD = {
    "dir": ["dir:{world}/tree"],
    "tar": ["tar:{world}/lower.tar.gz"],
    "per-layer": ["oci:{world}/oci", "--per-layer"],
    "flatten": ["oci:{world}/oci", "--flatten"],
    "docker-archive": ["docker-archive:{world}/saved.tar.gz", "--flatten"],
    "dump": ["dump:{world}/dump", "--data", "{world}/tree"],
}
CTL = {
    "dump": ["image", "dump", "{world}/image", "-o", "{out}"],
    "extract-tar": ["image", "extract", "{world}/image", "-o", "tar:{out}"],
    "extract-dir": ["image", "extract", "{world}/image", "-o", "dir:{out}"],
}
REGISTRY = {"registry": ["docker://{registry}/team/image:1", "--per-layer", "-j", "1"]}
# daxfsctl starts no thread for these.
CASES = [("build", name, fault) for name in BUILD for fault in FAULTS] + \
        [("build", "registry", fault) for fault in NETWORK] + \
        [("ctl", name, fault) for name in CTL for fault in FAULTS if fault != "thread"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, build, ctl):
    """One source of each kind."""
    path = tmp_path_factory.mktemp("world")
    tree = path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_text("f" * 70_000)
    os.link(tree / "sub" / "file", tree / "hard")
    os.symlink("sub", tree / "link")
    (path / "lower.tar.gz").write_bytes(gzip.compress(LOWER))
    (path / "saved.tar.gz").write_bytes(gzip.compress(docker_archive([LOWER, UPPER], "name:tag")))
    layout = Layout(path / "oci")
    layout.index(layout.image([LOWER, UPPER], compress=True))
    build.ok(f"dir:{tree}", "-o", path / "image")
    ctl.ok("image", "dump", path / "image", "-o", path / "dump")
    return path


@pytest.fixture(scope="module")
def registry(world):
    """One that has the layout."""
    with serving(world / "oci") as server:
        yield server.host


def content(path):
    """Every file below `path`, or the file itself, by digest."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files if file.is_file()]


def run(program, args, fault=None, number=0, log=None):
    strace = []
    if fault:
        calls, action = fault.split(":")
        strace = ["strace", "-f", "-q", "-o", log, "-e", f"trace={calls}",
                  "-e", f"inject={calls}:{action}:when={number}"]
    return subprocess.run([*strace, program.path, *args], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("which, command, fault", CASES)
def test_every_call_fails_once(build, ctl, world, registry, tmp_path, which, command, fault):
    made = tmp_path / "made"
    made.mkdir()
    program = {"build": build, "ctl": ctl}[which]
    line = [*{**BUILD, **REGISTRY}[command], "-o", "{out}"] if which == "build" else CTL[command]
    args = [arg.format(world=world, registry=registry, out=made / "out") for arg in line]
    assert run(program, args).returncode == 0
    want = content(made / "out")
    calls, action = {**FAULTS, **NETWORK}[fault].split(":")
    failed = injected = 0
    for call in calls.split(","):
        for number in range(1, 1000):
            subprocess.run(["rm", "-rf", made / "out"], check=True)
            result = run(program, args, f"{call}:{action}", number, tmp_path / "strace")
            text = (tmp_path / "strace").read_text(errors="replace")
            if "(INJECTED)" not in text and "killed by SIGKILL" not in text:
                break
            check(made, want, result, fault == "kill", f"{call} {number}: {text[-300:]}{result.stderr}")
            failed += result.returncode != 0
            injected += 1
        else:
            pytest.fail("no end of system calls")
        assert result.returncode == 0 and content(made / "out") == want
        assert [file.name for file in made.iterdir()] == ["out"], "something was left behind"
    # What breaks once on the way to a registry is tried again.
    assert failed > 0 or command == "registry", "no call ever failed: nothing was tested"
    assert injected > (5 if command == "registry" else 0), "no call ever failed: nothing was tested"


def check(made, want, result, killed, where):
    """After one fault: the whole output and success, or failure and nothing."""
    names = [file.name for file in made.iterdir() if not (killed and file.name.startswith("out.part.daxfs."))]
    if names == ["out"]:
        assert content(made / "out") == want, where
        assert killed or result.returncode in (0, 1), where  # 1: the report could not be written
    else:
        assert names == [], where
        assert killed or result.returncode in (1, 127), (where, result)  # 127: the dynamic linker's
        assert killed or result.stderr != "" or "write" in where, where
