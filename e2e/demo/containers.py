# SPDX-License-Identifier: Apache-2.0
"""Containers of one image in a guest, run by its containerd; their roots are the snapshotter's `daxfs`, or those of
containerd's own `overlayfs`."""

import hashlib
import shlex

HOME = "/demo"  # in the guest; a tmpfs
READY_SECONDS = 60
DAXFS, CONTROL = "daxfs", "overlayfs"  # as containerd calls them


def chain_of(diff_ids):
    """The chainID of layers, lowest first: what containerd calls the snapshot of them all."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest()
    return chain


class Containers:
    """Those of one host, of the image that is called `image` and has these layers."""

    def __init__(self, host, image, diff_ids):
        self.host, self.vm, self.node = host, host.vm, host.node
        self.image = image
        self.chain = chain_of(diff_ids)
        self.vm.run(f"mkdir -p {HOME} && mount -t tmpfs -o mode=755 demo {HOME}")

    def run_command(self, name, kind, args=(), options=("--rm", ), image=None):
        """The guest's command that runs one: its image's own command, or `args`."""
        words = ["env", self.node.environment, "ctr", "run", *options, "--hostname", name, "--snapshotter", kind,
                 image or self.image, name, *args]
        return shlex.join(words)

    def run(self, name, kind, args=(), image=None, timeout=300):
        """Runs it to its end, and removes it; what it says."""
        return self.vm.run(self.run_command(name, kind, args, image=image), timeout=timeout).stdout

    def start(self, names, kind, args, image=None):
        """Starts them in the background, each once the one before has said `ready`."""
        script = ["set -e"]
        for name in names:
            log = f"{HOME}/{name}.log"
            options = ("-d", "--log-uri", f"file://{log}")
            script += [self.run_command(name, kind, args, options, image),
                       f"until grep -q ready {log}; do sleep 0.05; done"]
        self.vm.run("\n".join(script), timeout=READY_SECONDS * len(names))

    def pids(self):
        """PIDs of all that run, as the guest sees them."""
        rows = self.node.ctr("task", "ls").stdout.splitlines()[1:]
        return [row.split()[1] for row in rows if row.split()[2] == "RUNNING"]

    def remove(self, names):
        """Ends containers if they still run, and removes them and what they have written."""
        self.node.ctr("task", "rm", "-f", *names, check=False)  # its status is that of the containers
        self.node.ctr("container", "rm", *names)
        self.vm.run(["rm", "-f", *(f"{HOME}/{name}.log" for name in names)])

    def upper(self, name):
        """What a container has written, by path, sorted."""
        options = self.node.ctr("snapshots", "--snapshotter", DAXFS, "mounts", "/", name).stdout
        upper = next(word.removeprefix("upperdir=") for word in options.replace(",", " ").split()
                     if word.startswith("upperdir="))
        found = self.vm.run(["find", upper, "-type", "f", "-o", "-type", "c"]).stdout.split()
        return sorted(path.removeprefix(f"{upper}/") for path in found)

    def layers(self, kind):
        """The folders of the layers, lowest first."""
        view = ("snapshots", "--snapshotter", kind)
        options = self.node.ctr(*view, "view", "--target", "/", "layers", self.chain).stdout
        self.node.ctr(*view, "rm", "layers")
        lower = next(word.removeprefix("lowerdir=") for word in options.replace(",", " ").split()
                     if word.startswith("lowerdir="))
        return lower.split(":")[::-1]

    def root(self, name, kind):
        """A root as containers get it, mounted without one; where."""
        where = f"{HOME}/{name}"
        prepare = ("snapshots", "--snapshotter", kind, "prepare", "--target", where, name, self.chain)
        mounts = self.node.ctr(*prepare).stdout
        self.vm.run(f"mkdir -p {where} && {mounts.strip()}")
        return where

    def remove_root(self, name, kind):
        """What `root` made."""
        self.vm.run(f"umount {HOME}/{name} && rmdir {HOME}/{name}")
        self.node.ctr("snapshots", "--snapshotter", kind, "rm", name)

    def close(self):
        """Takes the folder away; containers still in it are an error."""
        self.vm.run(f"umount {HOME} && rmdir {HOME}")
