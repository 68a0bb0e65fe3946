# SPDX-License-Identifier: Apache-2.0
"""A stock Debian kernel, unpacked: image, modules, headers that build modules outside the tree,
initial memory disk.

Flavour linux-image-amd64, not the cloud one: the latter has no 9p and no nvdimm. Nothing is
installed; all of it lies in the cache. Headers of another release than this machine's come with a
compiler and tools that need that release's libraries: they lie in a root folder of it.
"""

import dataclasses
import lzma
import re
import shutil
from pathlib import Path

from e2e.harness import apt
from e2e.harness.cache import hash_files

# The kernels the module is tested on: of this machine's release, its backports, and Debian's newest.
SUITES = ("bookworm", "bookworm-backports", "sid")
DEFAULT_SUITE = "bookworm-backports"  # of tests that do not ask for each
GUEST_FILES = Path(__file__).resolve().parent / "guest"
# What the guest needs before it has a root; the rest it loads from the modules tree.
BOOT_MODULES = ("virtio_blk", "ext4", "9p", "9pnet_virtio", "nfit", "virtio_rng", "virtio_pci", "virtio_console")
RECIPE = 1  # raise when the way an entry is made changes


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel in the cache. `version` is the package's, `release` what `uname -r` says; `builder` is
    the root folder in which its modules are built, if this machine's tools cannot build them. `watches`:
    it has KASAN, KMEMLEAK and lockdep; `patience` is how many times as long things may take on it, `more_memory_mib`
    what it needs for itself."""

    suite: str
    version: str
    release: str
    folder: Path
    initrd: Path
    builder: Path = None
    watches: bool = False
    patience: int = 1
    more_memory_mib: int = 0

    @property
    def image(self):
        """The bootable image; newer packages have it with the modules."""
        places = (self.folder / "boot" / f"vmlinuz-{self.release}", self.modules / self.release / "vmlinuz")
        return next(path for path in places if path.exists())

    @property
    def modules(self):
        """What the guest sees as /lib/modules."""
        return self.folder / "lib" / "modules"

    @property
    def headers(self):
        """The folder for `make -C`; in the builder if there is one."""
        return (Path("/") if self.builder else self.folder) / "usr" / "src" / f"linux-headers-{self.release}"


def prepare(cache, suite):
    """The kernel that linux-image-amd64 of `suite` stands for, from the cache or made now."""
    source = apt.Apt(cache, suite)
    version = source.candidate("linux-image-amd64")
    found = re.search(r"linux-image-(\d\S*-amd64)", source.depends("linux-image-amd64"))
    if not found:
        raise apt.AptError(f"linux-image-amd64 {version} in {suite} depends on no image")
    release = found.group(1)
    packages = [f"linux-image-{release}", *parts_of(source, release)]
    native = suite.split("-")[0] == apt.machine_codename()
    if native:
        base = release.removesuffix("-amd64")
        packages += [f"linux-headers-{release}", f"linux-headers-{base}-common",
                     f"linux-kbuild-{kbuild_of(source, release)}"]

    def make(folder):
        unpack(source.download(packages), folder, release)

    inputs = {"archives": source.archives(packages), "release": release, "recipe": RECIPE}
    folder = cache.entry(f"kernel-{release}", inputs, make)
    builder = None if native else build_root(cache, source, release)
    return Kernel(suite, version, release, folder, initrd(cache, folder, release) / "initrd", builder)


def parts_of(source, release):
    """Packages of that release that its image depends on: newer ones keep modules in one of their own."""
    named = re.findall(r"linux-(?:modules|binary|base)-\d\S*?(?=[,\s]|$)", source.depends(f"linux-image-{release}"))
    return sorted({name for name in named if name.endswith(release)})


def build_root(cache, source, release, more=()):
    """A minimal root folder of that suite with the headers and the compiler they want, and `more` packages."""
    packages = (f"linux-headers-{release}", "make", *more)

    def make(folder):
        apt.bootstrap(source, folder, packages)

    inputs = {"archives": source.archives(packages, closure=True), "recipe": RECIPE}
    return cache.entry(f"build-root-{release}", inputs, make)


def kbuild_of(source, release):
    """The version in the name of the linux-kbuild package the headers of `release` depend on."""
    found = re.search(r"linux-kbuild-(\S+?)(?:,|\s|$)", source.depends(f"linux-headers-{release}"))
    if not found:
        raise apt.AptError(f"linux-headers-{release} depends on no linux-kbuild")
    return found.group(1)


def unpack(archives, folder, release):
    """Unpacks the archives and makes the headers independent of where they lie."""
    for archive in sorted(archives.iterdir()):
        apt.run(["dpkg", "-x", archive, folder])
    if (folder / "usr/lib/modules").is_dir() and not (folder / "lib").exists():
        (folder / "lib").symlink_to("usr/lib")
    apt.run(["depmod", "-b", folder, release])
    for link in ("build", "source"):
        (folder / "lib/modules" / release / link).unlink(missing_ok=True)
    shutil.rmtree(folder / "usr/share", ignore_errors=True)
    headers = folder / "usr/src" / f"linux-headers-{release}"
    if not headers.is_dir():
        return
    makefile = headers / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    here = "$(dir $(realpath $(lastword $(MAKEFILE_LIST)))).."
    makefile.write_text(text.replace("include /usr/src", f"include {here}"), encoding="utf-8")
    # Present, it would ask for pahole to give our modules type data that nothing here reads.
    (headers / "vmlinux").unlink(missing_ok=True)


def initrd(cache, folder, release):
    """The initial memory disk: busybox, the boot modules uncompressed, the guest's own programs."""
    busybox = Path("/bin/busybox")
    inputs = {
        "kernel": folder.name, "programs": hash_files([busybox, *GUEST_FILES.iterdir()]),
        "modules": BOOT_MODULES, "recipe": RECIPE
    }

    def make(out):
        tree = out / "tree"
        for name in ("bin", "dev", "proc", "sys", "root", "modules", "daxfs"):
            (tree / name).mkdir(parents=True)
        shutil.copy(busybox, tree / "bin/busybox")
        for path in GUEST_FILES.iterdir():
            if path.is_file():
                shutil.copy(path, tree / "daxfs" / path.name)
                (tree / "daxfs" / path.name).chmod(0o755)
        (tree / "init").symlink_to("daxfs/init")
        (tree / "modules/list").write_text("".join(f"{name}\n" for name in copy_modules(folder, release, tree)))
        names = "\n".join(sorted(str(p.relative_to(tree)) for p in tree.rglob("*"))) + "\n"
        apt.run(["cpio", "--quiet", "-o", "-H", "newc", "-F", out / "initrd"],
                cwd=tree,
                input=names)
        shutil.rmtree(tree)

    return cache.entry(f"initrd-{release}", inputs, make)


def copy_modules(folder, release, tree):
    """Copies the boot modules and what they depend on; returns their names in loading order."""
    order = []
    for module in BOOT_MODULES:
        shown = apt.run(["modprobe", "-d", folder, "-S", release, "--show-depends", module])
        for path in re.findall(r"^insmod (\S+)", shown, re.MULTILINE):
            name = Path(path).name.removesuffix(".xz")
            if name in order:
                continue
            content = Path(path).read_bytes()
            if path.endswith(".xz"):
                content = lzma.decompress(content)
            (tree / "modules" / name).write_bytes(content)
            order.append(name)
    return order
