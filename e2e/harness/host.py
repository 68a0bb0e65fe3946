# SPDX-License-Identifier: Apache-2.0
"""A machine as a node of a cluster: containerd 2.x and the snapshotter over a pool, what both keep on a disk that
outlives the power, and a registry on the loopback."""

import subprocess

from e2e.harness import module, registry
from e2e.harness.containerd import Node

DISK_BYTES = 1 << 30
VERSION = "2.x"


class Host:
    """One, by name and id. `vm`, `node` and `registry` are those of the last `serve`."""

    def __init__(self, name, host_id, folder):
        self.name, self.host_id = name, host_id
        self.disk = folder / f"disk-{name}"
        with self.disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", self.disk], check=True)
        self.vm = self.node = self.registry = None

    def serve(self, vm, built, cache, pool, images, more=""):
        """Makes `vm` this host: one that has booted with its disk as `state`. The memory is the pool that is called
        `pool`, for the module just `built`; the registry has `images`: {name: OCI layout}; `more` goes to the
        end of containerd's configuration."""
        self.vm = vm
        vm.run(f"mkdir -p /state && mount -o prjquota /dev/vd{'bcdef'[len(vm.disks)]} /state"
               " && mkdir -p /state/containerd /state/daxfs /var/lib/containerd /var/lib/daxfs"
               " && mount --bind /state/containerd /var/lib/containerd && mount --bind /state/daxfs /var/lib/daxfs")
        phys, size = vm.nvdimm
        module.load(vm, built, f"host_id={self.host_id} attach={pool},{phys:#x},{size}")
        vm.run(f"mkdir -p /etc/daxfs && echo {self.host_id} > /etc/daxfs/host-id")
        for name, image in images.items():
            registry.store(image, vm.share / "registry", name)
        self.registry = registry.Registry(vm)
        self.registry.start()
        self.node = Node(vm, cache, VERSION, pool, more=more)
        self.node.start()

    def pull(self, image, snapshotter="daxfs"):
        """`ctr image pull` of what the registry has under that reference."""
        self.node.ctr("images", "pull", "--plain-http", "--snapshotter", snapshotter, image)
