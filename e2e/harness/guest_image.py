# SPDX-License-Identifier: Apache-2.0
"""The guest's root disk: a minimal Debian made by mmdebstrap, as an ext4 image in the cache.

It is independent of the kernel (modules come from the kernel's own tree) and of the harness's
programs (they come with the initial memory disk), so it is made again only when the package list
changes.
"""

import shutil

from e2e.harness import apt

SUITE = "bookworm"
PACKAGES = ("acl", "attr", "bash", "busybox-static", "containerd", "daxctl", "docker-registry", "e2fsprogs",
            "gdb-minimal", "iproute2", "kmod", "libcap2-bin", "ndctl", "procps", "python3",
            "python3-minimal", "runc", "strace", "util-linux", "xfsprogs")
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
SIZE_MIB = 1024
MACHINE_ID = "5eed0000000040008000000000000001"
RECIPE = 2  # raise when the way the image is made changes


def prepare(cache, more=()):
    """The path of the root image (ext4, raw, read-only for everybody), from the cache or made
    now. `more`: further packages, for an image of its own."""
    source = apt.Apt(cache, SUITE)
    versions = {name: source.candidate(name) for name in ("containerd", "runc")}
    packages = (*PACKAGES, *sorted(more))
    inputs = {
        "suite": SUITE, "packages": packages, "excluded": EXCLUDED, "size_mib": SIZE_MIB,
        "versions": versions, "recipe": RECIPE
    }

    def make(folder):
        make_image(source, folder, packages)

    return cache.entry(f"guest-{SUITE}", inputs, make) / "root.img"


def make_image(source, folder, packages):
    """Fills `folder` with root.img."""
    tree = folder / "tree"
    apt.bootstrap(source, tree, packages, EXCLUDED)
    # An image with systemd has booted before: it would enable everything on its first boot.
    (tree / "etc/machine-id").write_text(f"{MACHINE_ID}\n", encoding="ascii")
    image = folder / "root.img"
    with image.open("wb") as out:
        out.truncate(SIZE_MIB << 20)
    apt.run([
        "mkfs.ext4", "-q", "-F", "-L", "root", "-O", "^has_journal", "-E", "lazy_itable_init=0",
        "-d", tree, image
    ])
    shutil.rmtree(tree)
