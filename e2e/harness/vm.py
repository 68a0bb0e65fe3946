# SPDX-License-Identifier: Apache-2.0
"""A virtual machine: QEMU without hardware help, memory it may share with others, an agent that
runs commands.

`-accel tcg,thread=multi` with two or more processors is pinned: with one, TCG's atomics on shared
memory are not atomic; `-cx16` because this QEMU's emulation of it crashes newer kernels; `-erms` because
a kernel that clears pages byte by byte stands still for minutes where QEMU had translated code of theirs. A boot is
retried at most twice and only before the guest said READY (TCG loses about one in 45 early);
nothing after that is ever retried.
"""

import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from e2e.harness import kernel_log
from e2e.harness.channel import Channel, ChannelClosed

BOOT_TIMEOUT_SECONDS = 120
BOOT_ATTEMPTS = 3
GRACE_SECONDS = 30
ALIGN_BYTES = 2 << 20
# What the run's closing figures say about boots: seconds of each, and how many were tried again.
BOOTS = {"seconds": [], "retries": 0}
PR_SET_PDEATHSIG = 1
NO_PMEM = "modprobe.blacklist=nd_pmem"  # it would take the range before daxfs can
# The first cpuset or memory group made and the last one gone rewrite code that every allocation runs
# (static keys), as each container does it; with two processors TCG may run the breakpoint put there
# for a moment after its handler has forgotten it: "int3", a dead guest. Without cpusets, and without
# what memory groups count of the kernel's own memory, there are no such keys.
NO_KEYS = "cgroup_disable=cpuset cgroup.memory=nosocket,nokmem,nobpf"
LEAKS = "/sys/kernel/debug/kmemleak"
NINE_P = "local,security_model=none,multidevs=remap"
LIBC = ctypes.CDLL(None, use_errno=True)


class VmError(Exception):
    """The machine did not boot or does not answer."""


class CommandFailed(Exception):
    """A command in the guest failed; the message has all there is to know."""


class DirtyLog(AssertionError):
    """The guest's kernel complained."""


class SharedMemory:
    """A piece of the host's memory that machines see as an nvdimm. Sizes in bytes, a multiple of
    2 MiB.

    `path` is a file anybody may open while this process lives. It has no name in its folder, so that
    the memory is gone with its last user, whatever way they end.
    """

    def __init__(self, size_bytes, folder="/dev/shm"):
        if size_bytes % ALIGN_BYTES:
            raise ValueError(f"shared memory of {size_bytes} bytes: not a multiple of 2 MiB")
        self._handle = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._handle, size_bytes)
        self.path = Path(f"/proc/{os.getpid()}/fd/{self._handle}")
        self.size_bytes = size_bytes

    def write(self, offset, data):
        """Writes bytes from outside every guest."""
        if os.pwrite(self._handle, data, offset) != len(data):
            raise OSError(f"short write of {len(data)} bytes to the shared memory")

    def read(self, offset, size):
        """Reads bytes from outside every guest."""
        return os.pread(self._handle, size, offset)

    def clear(self):
        """All bytes zero again; guests that map it see that too."""
        os.ftruncate(self._handle, 0)
        os.ftruncate(self._handle, self.size_bytes)

    def close(self):
        """Gives the memory back once the last machine has ended. Harmless when repeated."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def die_with_parent():
    """In a new child: SIGKILL when the thread that started it ends, so that no QEMU outlives its
    test run."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Vm:
    """One guest. `share` is a folder of the host it reads at /mnt/share, `out` one it writes at
    /mnt/out; `disks` are image files it sees as /dev/vdb and on, read-only; `state` is one
    it sees behind them and may write: what is there another machine finds, after this one. With
    `keeps_root` it writes to the root image itself, and finds that when it starts again. `uuid` is
    what its firmware says it is.

    Start machines from the main thread only: QEMU ends with the thread that started it.
    """

    def __init__(self, kernel, root_image, memory=None, name="vm", memory_mib=1024, cpus=2,
                 append="", disks=(), state=None, keeps_root=False, uuid=None):
        if cpus < 2:
            raise ValueError("with one processor TCG's atomics on shared memory are not atomic")
        self.kernel = kernel
        self.root_image = root_image
        self.memory = memory
        self.name = name
        self.memory_mib = memory_mib + kernel.more_memory_mib
        self.cpus = cpus
        self.append = append
        self.disks = disks
        self.state = state
        self.keeps_root = keeps_root
        self.uuid = uuid
        self.retries = 0
        self.boot_seconds = None
        self.work = Path(tempfile.mkdtemp(prefix=f"daxfs-{name}-"))
        self.share = self.work / "share"
        self.out = self.work / "out"
        self.share.mkdir()
        self.out.mkdir()
        self._process = None
        self._channel = None
        self._console_paths = []
        self._nvdimm = None
        self._started = 0.0

    # Life

    def start(self):
        """Starts QEMU and returns at once; `wait_ready` waits. Two machines boot side by side that
        way."""
        attempt = len(self._console_paths)
        self._console_paths.append(self.work / f"console-{attempt}.log")
        socket_path = self.work / f"agent-{attempt}.sock"
        self._channel = Channel(socket_path, self.kernel.patience)
        self._started = time.monotonic()
        argv = self.command_line(socket_path, self._console_paths[-1])
        environment = dict(os.environ, TMPDIR=str(self.work))  # where the disk's changes go
        with (self.work / f"qemu-{attempt}.log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, env=environment,
                                             preexec_fn=die_with_parent)

    def wait_ready(self):
        """Waits until the guest takes commands; starts it again, at most twice, if it never
        does."""
        if self._process is None:
            self.start()
        while not self._ready_or_dead():
            if len(self._console_paths) >= BOOT_ATTEMPTS:
                text = f"{self.name}: not ready after {BOOT_ATTEMPTS} boots\n{self._autopsy()}"
                self.close()
                raise VmError(text)
            self.retries += 1
            BOOTS["retries"] += 1
            self._stop()
            self.start()
        self.boot_seconds = time.monotonic() - self._started
        BOOTS["seconds"].append(round(self.boot_seconds, 1))
        return self

    def boot(self):
        """`start` and `wait_ready`."""
        self.start()
        return self.wait_ready()

    def close(self):
        """Ends QEMU and removes the work folder (kept if $DAXFS_KEEP is set). Harmless when
        repeated."""
        self._stop()
        if not os.environ.get("DAXFS_KEEP"):
            shutil.rmtree(self.work, ignore_errors=True)

    def alive(self):
        """True while QEMU runs and the agent is connected."""
        if self._process is None or self._process.poll() is not None:
            return False
        return not self._channel.closed.is_set()

    def kill(self):
        """Pulls the plug: the guest gets no chance to say anything to the shared memory."""
        self._stop()

    def wait_off(self, timeout=120):
        """Waits until the guest has shut itself down; it can be booted again then."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise VmError(f"{self.name}: still on after {timeout} s\n{self._autopsy()}") from error
        self._stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ready_or_dead(self):
        limit = time.monotonic() + BOOT_TIMEOUT_SECONDS * self.kernel.patience
        while time.monotonic() < limit:
            if self._channel.wait_ready(0.1):
                return True
            if self._process.poll() is not None:
                return False
        return False

    def _stop(self):
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None
        if self._channel is not None:
            self._channel.close()

    def command_line(self, socket_path, console_path):
        """The argument vector of QEMU."""
        options = [
            ("accel", "tcg,thread=multi"),
            ("cpu", "max,-cx16,-erms"),
            ("smp", self.cpus),
            ("display", "none"),
            ("monitor", "none"),
            ("serial", f"file:{console_path}"),
            *self._memory_options(),
            ("kernel", self.kernel.image),
            ("initrd", self.kernel.initrd),
            ("append", f"console=ttyS0 loglevel=4 panic=-1 {NO_PMEM} {NO_KEYS} "
                       f"{self.append}".strip()),
            ("device", "virtio-serial-pci"),
            ("chardev", f"socket,id=agent,path={socket_path}"),
            ("device", "virtserialport,chardev=agent,name=daxfs.agent"),
            ("device", "virtio-rng-pci"),
            ("drive", f"file={self.root_image},if=virtio,format=raw,cache=unsafe,"
                      f"snapshot={'off' if self.keeps_root else 'on'}"),
            *((("uuid", self.uuid),) if self.uuid else ()),
            *(("drive", f"file={disk},if=virtio,format=raw,readonly=on") for disk in self.disks),
            *((("drive", f"file={self.state},if=virtio,format=raw"),) if self.state else ()),
            ("virtfs", f"{NINE_P},mount_tag=modules,path={self.kernel.modules},readonly=on"),
            ("virtfs", f"{NINE_P},mount_tag=share,path={self.share},readonly=on"),
            ("virtfs", f"{NINE_P},mount_tag=out,path={self.out}"),
        ]
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot"]
        for option, value in options:
            argv += [f"-{option}", str(value)]
        return argv

    def _memory_options(self):
        if self.memory is None:
            return [("machine", "q35"), ("m", f"{self.memory_mib}M")]
        # Room to spare: the range must fit at its alignment.
        most = self.memory_mib + (self.memory.size_bytes >> 20) + 2048
        backend = (f"memory-backend-file,id=shared,share=on,mem-path={self.memory.path},"
                   f"size={self.memory.size_bytes},align=2M,pmem=off")
        return [
            ("machine", "q35,nvdimm=on"),
            ("m", f"{self.memory_mib}M,slots=2,maxmem={most}M"),
            ("object", backend),
            ("device", "nvdimm,id=nvdimm0,memdev=shared"),
        ]

    # Commands

    def popen(self, command, timeout=600, cwd=None, env=None, stdin=None):
        """Starts a command in the guest: text for a shell, or a list of arguments. Returns a
        `Command`."""
        if isinstance(command, str):
            argv = ["/bin/bash", "-c", command]
        else:
            argv = [str(part) for part in command]
        if isinstance(stdin, str):
            stdin = stdin.encode()
        try:
            return self._channel.start(argv, timeout, cwd, env, stdin)
        except ChannelClosed as error:
            raise CommandFailed(
                f"{self.name}: $ {shlex.join(argv)}\n{error}\n{self._autopsy()}") from error

    def run(self, command, check=True, timeout=60, cwd=None, env=None, stdin=None):
        """Runs a command to its end; CommandFailed if it fails (unless `check` is false) or takes
        longer than `timeout` seconds. Returns the ended `Command` with rc, stdout, stderr."""
        running = self.popen(command, timeout, cwd, env, stdin)
        if not running.wait(timeout + GRACE_SECONDS):
            raise CommandFailed(self._describe(running, "the guest does not answer"))
        if running.error is not None:
            raise CommandFailed(self._describe(running, running.error))
        if running.timed_out:
            raise CommandFailed(self._describe(running, f"killed after {timeout} s"))
        if check and running.rc != 0:
            raise CommandFailed(self._describe(running, f"exit status {running.rc}"))
        return running

    def put(self, local, remote, mode=None):
        """Copies a file of the host to the guest's own disk."""
        with tempfile.NamedTemporaryFile(dir=self.share, prefix=".put-") as there:
            shutil.copy(local, there.name)
            mode = mode if mode is not None else os.stat(local).st_mode & 0o7777
            self.run(
                ["install", "-D", "-m", f"{mode:o}", f"/mnt/share/{Path(there.name).name}", remote])

    def get(self, remote, local):
        """Copies a file of the guest to the host."""
        name = f".get-{len(os.listdir(self.out))}-{time.monotonic_ns()}"
        self.run(["cp", "--sparse=never", remote, f"/mnt/out/{name}"])
        shutil.move(self.out / name, local)

    def read_text(self, path):
        """The contents of a small file of the guest (proc and sys included)."""
        return self.run(["cat", path]).stdout

    # What it knows

    @property
    def nvdimm(self):
        """(physical address, size) in bytes of the shared memory as this guest sees it."""
        if self._nvdimm is None:
            found = re.search(r"^ *([0-9a-f]+)-([0-9a-f]+) : Persistent Memory$",
                              self.read_text("/proc/iomem"), re.MULTILINE)
            if not found:
                raise VmError(f"{self.name}: no persistent memory in /proc/iomem")
            first, last = (int(text, 16) for text in found.groups())
            self._nvdimm = (first, last - first + 1)
        return self._nvdimm

    def console(self):
        """Everything the last boot wrote to its serial console."""
        return self._console_paths[-1].read_text(errors="replace") if self._console_paths else ""

    def kernel_log(self):
        """The kernel's log; from the console if the guest is dead."""
        try:
            return self.run(["dmesg"]).stdout
        except CommandFailed:
            return self.console()

    def assert_clean_log(self):
        """DirtyLog if the kernel complained about anything since it started, or knows of memory that nobody refers to
        any more."""
        if self.kernel.watches:
            # Younger than five seconds it counts as in use: who made it may not have stored the address yet.
            leaks = self.run(f"sleep 6; echo scan > {LEAKS}; cat {LEAKS}", timeout=300).stdout
            if leaks:
                raise DirtyLog(f"{self.name}: KMEMLEAK\n{leaks[:8000]}")
        log = self.kernel_log()
        bad = kernel_log.complaints(log)
        if bad:
            lines = log.splitlines()
            first = lines.index(bad[0])
            shown = "\n".join(lines[max(0, first - 10):first + 60])
            raise DirtyLog(f"{self.name}: {len(bad)} complaints in the kernel log\n{shown}")

    def _describe(self, command, what):
        return (
            f"{self.name}: $ {shlex.join(command.argv)}\n{what}\n"
            f"--- stdout (end)\n{tail(command.stdout)}\n--- stderr (end)\n{tail(command.stderr)}\n"
            f"{self._autopsy()}")

    def _autopsy(self):
        parts = [f"--- {self.name}: console (end)", tail(self.console(), 100)]
        for path in sorted(self.work.glob("qemu-*.log"))[-1:]:
            text = path.read_text(errors="replace").strip()
            parts += [f"--- {path.name}", tail(text)] if text else []
        return "\n".join(parts)


def tail(text, lines=25):
    """The last `lines` lines of `text`."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
