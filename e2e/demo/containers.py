# SPDX-License-Identifier: Apache-2.0
"""Containers in a guest: runc, and OverlayFS with image layers below and a tmpfs above."""

import json

from e2e.harness.vm import CommandFailed

HOME = "/demo"  # in the guest; a tmpfs
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
                "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"]
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=64k"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs",
     "options": ["nosuid", "noexec", "nodev", "ro"]},
]
READY_SECONDS = 60


def configuration(image, hostname, root, args=None, readonly=False):
    """runc's config.json for an image configuration: its environment, working directory and
    command (or `args`), the guest's folder `root` as its root."""
    settings = image["config"]
    sets = ("bounding", "effective", "permitted")
    return {
        "ociVersion": "1.0.2", "hostname": hostname, "mounts": MOUNTS,
        "root": {"path": root, "readonly": readonly},
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True,
            "args": args or [*settings.get("Entrypoint", []), *settings["Cmd"]],
            "env": settings["Env"], "cwd": settings["WorkingDir"] or "/",
            "capabilities": {name: CAPABILITIES for name in sets}
        },
        "linux": {"namespaces": [{"type": name} for name in
                                 ("pid", "mount", "ipc", "uts", "network", "cgroup")]}
    }


class Containers:
    """Those of one guest. The root of one named X is HOME/X/rootfs, its upper HOME/X/upper."""

    def __init__(self, vm, image):
        self.vm = vm
        self.image = image
        vm.run(f"mkdir -p {HOME} && mount -t tmpfs -o mode=755 demo {HOME}")

    def configure(self, name, args=None, root=None, readonly=False):
        """Gives the container its configuration and host name; its root is for the caller to make."""
        folder = self.vm.share / name
        folder.mkdir(exist_ok=True)
        wanted = configuration(self.image, name, root or f"{HOME}/{name}/rootfs", args,
                               readonly)
        (folder / "config.json").write_text(json.dumps(wanted), encoding="utf-8")

    def over(self, names, lowers, args=None):
        """Containers with `lowers` (topmost first) each under an upper of its own."""
        script = ["set -e"]
        for name in names:
            self.configure(name, args)
            home = f"{HOME}/{name}"
            options = f"lowerdir={':'.join(lowers)},upperdir={home}/upper,workdir={home}/work"
            script += [f"mkdir -p {home}/rootfs {home}/upper {home}/work",
                       f"mount -t overlay -o {options} none {home}/rootfs"]
        self.vm.run("\n".join(script))
        return [f"{HOME}/{name}/rootfs" for name in names]

    def read_only(self, name, where):
        """A container whose root is the mount `where` itself."""
        self.configure(name, readonly=True)
        self.vm.run(f"mkdir -p {HOME}/{name}/rootfs && mount --bind {where} {HOME}/{name}/rootfs")

    def run(self, name, timeout=300):
        """Runs it to its end; returns the ended command."""
        return self.vm.run(run_command(name), timeout=timeout)

    def start(self, names):
        """Starts them in the background, each once the one before has said `ready`."""
        script = ["set -e"]
        for name in names:
            log = f"{HOME}/{name}/log"
            script += [f"{run_command(name, '-d')} > {log} 2>&1 < /dev/null || {{ cat {log}; exit 1; }}",
                       f"until read -r word < {log}; do sleep 0.05; done; test $word = ready"]
        self.vm.run("\n".join(script), timeout=READY_SECONDS * len(names))

    def pids(self):
        """PIDs of all that run, as the guest sees them."""
        listed = json.loads(self.vm.run("runc list --format json").stdout) or []
        return [str(state["pid"]) for state in listed if state["status"] == "running"]

    def stop(self, names):
        """Ends containers that were started, and forgets them."""
        self.vm.run(f"for name in {' '.join(names)}; do runc delete --force $name || exit 1; done")

    def remove(self, names):
        """Unmounts and deletes what `over` and `read_only` made."""
        homes = " ".join(f"{HOME}/{name}" for name in names)
        self.vm.run(f"for home in {homes}; do umount $home/rootfs && rm -r $home || exit 1; done")

    def close(self):
        """Takes everything away; CommandFailed if something still runs."""
        left = self.vm.run(["runc", "list", "-q"]).stdout.split()
        if left:
            raise CommandFailed(f"{self.vm.name}: containers left: {' '.join(left)}")
        self.vm.run(f"umount -R {HOME} && rmdir {HOME}")


def run_command(name, *options):
    """The guest's command that runs a container."""
    return f"runc run {' '.join(options)} --bundle /mnt/share/{name} {name}"
