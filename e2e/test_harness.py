# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what a test sees when all is well, and what it reads when it is not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from e2e.harness import vm as vm_module
from e2e.harness.module import REPOSITORY
from e2e.harness.vm import CommandFailed, DirtyLog, Vm, VmError

OWNER = """
import sys, time
from pathlib import Path
from e2e.harness.kernel import Kernel
from e2e.harness.vm import Vm
kernel = Kernel(*sys.argv[1:4], Path(sys.argv[4]), Path(sys.argv[5]))
vm = Vm(kernel, sys.argv[6], name="orphan")
vm.start()
print(vm._process.pid, vm.work, flush=True)
time.sleep(600)
"""


def test_result_has_everything(vm):
    done = vm.run("echo out; echo err >&2; cat; exit 3", check=False, stdin="in\n")
    assert (done.rc, done.stdout, done.stderr) == (3, "out\nin\n", "err\n")
    assert vm.run(["echo", "a  b", "$HOME"]).stdout == "a  b $HOME\n"
    assert vm.run("echo $X; pwd", env={"X": "y"}, cwd="/usr").stdout == "y\n/usr\n"


@pytest.mark.parametrize("command, timeout, words", [
    ("echo said; echo why >&2; exit 7", 60,
     ["exit status 7", "said", "why", "console", "/bin/bash"]),
    ("echo before; sleep 100", 1, ["killed after 1 s", "before"]),
    (["/no/such/program"], 60, ["/no/such/program", "No such file"]),
])
def test_failure_says_what_happened(vm, command, timeout, words):
    with pytest.raises(CommandFailed) as failure:
        vm.run(command, timeout=timeout)
    for word in words:
        assert word in str(failure.value)


def test_commands_run_side_by_side(vm):
    background = vm.popen("echo started; read line; echo got $line", stdin=b"")
    assert background.wait_output("started", 30)
    assert vm.run("echo meanwhile").stdout == "meanwhile\n"
    assert not background.ended
    background.write(b"word\n", end=True)
    assert background.wait(30)
    assert (background.rc, background.stdout) == (0, "started\ngot word\n")


def test_signal_reaches_the_whole_group(vm):
    background = vm.popen("sleep 1000 & echo started; wait")
    assert background.wait_output("started", 30)
    background.signal(signal.SIGKILL)
    assert background.wait(30) and background.rc == -signal.SIGKILL
    assert vm.run("pgrep -x sleep", check=False).stdout == ""


def test_a_daemon_does_not_hold_its_command(vm):
    started = time.monotonic()
    assert vm.run("sleep 30 & echo done").stdout == "done\n"
    assert time.monotonic() - started < 15


def test_much_output_arrives_whole(vm):
    done = vm.run("head -c 3000000 /dev/zero | tr '\\0' x; seq 1000 >&2")
    assert done.stdout == "x" * 3000000 and done.stderr.endswith("\n1000\n")


def test_files_go_in_and_out(vm, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    vm.put(tmp_path / "a", "/root/new/folder/a", mode=0o640)
    assert vm.run("stat -c '%a %s' /root/new/folder/a").stdout == f"640 {len(data)}\n"
    vm.get("/root/new/folder/a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == data
    (vm.share / "seen").write_text("at once")
    assert vm.read_text("/mnt/share/seen") == "at once"
    vm.run("echo back > /mnt/out/back")
    assert (vm.out / "back").read_text() == "back\n"
    assert vm.run("touch /mnt/share/no", check=False).rc != 0


def test_guest_is_what_tests_need(vm, stock_kernel):
    assert vm.read_text("/proc/sys/kernel/osrelease").strip() == stock_kernel.release
    assert int(vm.run("nproc").stdout) >= 2
    assert "nd_pmem" not in vm.read_text("/proc/modules")
    for program in ("python3", "busybox", "runc", "gdb", "strace", "getfattr", "getfacl", "setcap",
                    "mkfs.ext4", "findmnt", "ip", "modprobe"):
        vm.run(["which", program])
    vm.run("modprobe overlay && grep -q overlay /proc/filesystems")


def test_runc_runs_a_container(vm):
    """The guest has what a container needs: namespaces, cgroup v2, overlay on its own disk."""
    vm.run("""set -e; mkdir -p /root/c/rootfs/bin; cd /root/c; cp /bin/busybox rootfs/bin/sh
        [ -e config.json ] || runc spec
        sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sh", "-c", "echo inside"/' config.json
        """)
    assert vm.run("runc run one", cwd="/root/c", timeout=120).stdout == "inside\n"


@pytest.fixture(scope="module")
def doomed(start_vms):
    """A machine that does not live to the end of the file."""
    return start_vms("doomed")[0]


def test_complaint_in_the_log_is_found(doomed):
    doomed.assert_clean_log()
    doomed.run("echo '<4>WARNING: CPU: 0 PID: 1 at nowhere' > /dev/kmsg")
    with pytest.raises(DirtyLog, match="at nowhere"):
        doomed.assert_clean_log()


def test_crash_is_told_with_its_console(doomed):
    with pytest.raises(CommandFailed, match="sysrq triggered crash") as failure:
        doomed.run("echo c > /proc/sysrq-trigger", timeout=30)
    assert "Kernel panic" in str(failure.value)
    assert not doomed.alive()
    with pytest.raises(CommandFailed, match="agent"):
        doomed.run("true")


def test_boot_that_never_succeeds_is_tried_three_times(stock_kernel, root_image, monkeypatch):
    monkeypatch.setattr(vm_module, "BOOTS", {"seconds": [], "retries": 0})
    machine = Vm(stock_kernel, root_image, name="broken", append="init=/no rdinit=/no root=/no")
    with pytest.raises(VmError, match="not ready after 3 boots"):
        machine.boot()
    assert vm_module.BOOTS == {"seconds": [], "retries": 2}
    assert not machine.work.exists()


def test_qemu_dies_with_its_owner(stock_kernel, root_image):
    kernel = stock_kernel
    argv = [
        sys.executable, "-c", OWNER, kernel.suite, kernel.version, kernel.release,
        str(kernel.folder),
        str(kernel.initrd),
        str(root_image)
    ]
    owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    pid, work = owner.stdout.readline().split()
    assert os.path.exists(f"/proc/{pid}/exe")
    owner.kill()
    owner.communicate()
    limit = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}/exe") and time.monotonic() < limit:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}/exe")
    subprocess.run(["rm", "-rf", work], check=True)
