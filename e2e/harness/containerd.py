# SPDX-License-Identifier: Apache-2.0
"""containerd and daxfs-snapshotter in a guest, with the configuration the project ships for that version."""

import json
import shutil
import time

from e2e.harness import go_programs, programs
from e2e.harness.module import REPOSITORY

VERSIONS = {"1.6": None, "1.7": "containerd-1.7", "2.x": "containerd-2"}  # None: the guest's own, Debian's
SNAPSHOTTER_ROOT = "/var/lib/daxfs/snapshotter"
CONTENT = "/var/lib/containerd/io.containerd.content.v1.content"
LOGS = "/var/log/daxfs"
FOREVER = 3600  # seconds; a test never takes as long
START_SECONDS = 60


class Daemon:
    """A program that runs in the guest until it is stopped; what it says is in LOGS/NAME. `socket`: a path or a port
    on loopback."""

    def __init__(self, vm, name, command, socket):
        self.vm, self.name, self.command, self.socket = vm, name, command, socket
        self.pid_file = f"/run/daxfs/{name}.pid"
        self.running = None

    def start(self):
        """Returns when it answers at its socket."""
        self.vm.run(f"mkdir -p {LOGS} /run/daxfs")
        self.running = self.vm.popen(f"echo $$ > {self.pid_file}; exec {self.command} >> {LOGS}/{self.name} 2>&1",
                                     timeout=FOREVER)
        end = time.monotonic() + START_SECONDS
        connect = (f"create_connection(('127.0.0.1', {self.socket}))" if isinstance(self.socket, int) else
                   f"socket(socket.AF_UNIX).connect('{self.socket}')")
        probe = f"import socket; socket.{connect}"
        while self.vm.run(["python3", "-c", probe], check=False).rc != 0:
            assert time.monotonic() < end, f"{self.name} does not serve:\n{self.log()}"
            assert not self.running.wait(0.2), f"{self.name} has ended:\n{self.log()}"

    def log(self):
        """What it has said so far."""
        return self.vm.run(f"cat {LOGS}/{self.name}", check=False).stdout

    def stop(self, signal="TERM"):
        """Ends it and waits."""
        self.vm.run(f"kill -{signal} $(cat {self.pid_file})")
        assert self.running.wait(30), f"{self.name} does not end on SIG{signal}:\n{self.log()}"


# For pods: the image of their sandboxes, where registries are described.
PODS = {"1.7": """
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox}"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
""", "2.x": """
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{sandbox}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
"""}


def configuration(version, sandbox=None):
    """What the project ships for that version. With the image of sandboxes: what it has for pods in comments too."""
    text = (REPOSITORY / "manifests" / "containerd" / f"{version}.toml").read_text()
    if sandbox is None:
        return text
    head, pods = text.split("# Pods' images too")
    lines = pods.splitlines()[1:]
    wanted = lines[next(i for i, line in enumerate(lines) if line.startswith("# [plugins.")):]
    return head + PODS[version].format(sandbox=sandbox) + "\n".join(line.removeprefix("# ") for line in wanted) + "\n"


class Client:
    """Programs of containerd `version` in a guest, and `clients`: further ones, by their names in e2e/versions.lock."""

    def __init__(self, vm, cache, version, clients=()):
        self.vm = vm
        self.programs = self._put_programs(cache, version, clients)
        self.environment = f"PATH={self.programs}:/usr/sbin:/usr/bin:/sbin:/bin"

    def _put_programs(self, cache, version, clients):
        """Where they are in the guest."""
        folder = self.vm.share / f"containerd-{version}"
        if not folder.exists():
            folder.mkdir()
            for name in [name for name in (VERSIONS[version], *clients) if name]:
                shutil.copytree(go_programs.prepare(cache, name), folder, dirs_exist_ok=True)
        return f"/mnt/share/{folder.name}"

    def client(self, *command, check=True, timeout=300):
        """Runs a client of containerd."""
        return self.vm.run(["env", self.environment, *command], check=check, timeout=timeout)

    def ctr(self, *arguments, check=True, timeout=300):
        """Runs ctr."""
        return self.client("ctr", *arguments, check=check, timeout=timeout)

    def put_image(self, layout):
        """An OCI layout as an archive in the guest; its path there."""
        shutil.make_archive(str(self.vm.share / "image"), "tar", layout)
        return "/mnt/share/image.tar"

    def mounts(self):
        """[(mount point, type, source)] below the snapshotter's root, as its guest's kernel has them."""
        lines = self.vm.read_text("/proc/self/mounts").splitlines()
        rows = [line.split() for line in lines]
        return [(where, kind, source) for source, where, kind, *_ in rows if where.startswith(SNAPSHOTTER_ROOT)]


class Node(Client):
    """A guest with a containerd of `version`, and the snapshotter over a pool the guest knows as `pool`. `clients`: as
    Client has them; `more`: the end of containerd's configuration."""

    def __init__(self, vm, cache, version, pool, *, backend="kernel", clients=(), sandbox=None, more=""):
        super().__init__(vm, cache, version, clients)
        programs.install_tool(vm, "daxfs-snapshotter", "/usr/local/sbin")
        vm.run("mkdir -p /etc/daxfs /etc/containerd && cat > /etc/containerd/config.toml",
               stdin=configuration(version, sandbox) + more)
        settings = {"pool": pool, "backend": backend}
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items() if value)
        vm.run("cat > /etc/daxfs/snapshotter.yaml", stdin=text)
        self.snapshotter = Daemon(vm, "snapshotter", "daxfs-snapshotter --log-level debug",
                                  "/run/daxfs/snapshotter.sock")
        self.containerd = Daemon(vm, "containerd", f"env {self.environment} containerd",
                                 "/run/containerd/containerd.sock")

    def start(self):
        """Both daemons."""
        self.snapshotter.start()
        self.containerd.start()

    def stop(self):
        """Both."""
        self.containerd.stop()
        self.snapshotter.stop()
