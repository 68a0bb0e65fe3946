# SPDX-License-Identifier: Apache-2.0
"""Kernel modules built outside the tree, and the proof that a guest runs the one just built.

They are made of code under test, so they are never cached: each run compiles them anew in a folder
of its own.
"""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# A source folder may hold these from a build by hand; they must not hide a missing rule.
LEFTOVERS = shutil.ignore_patterns("*.o", "*.ko", "*.mod", "*.mod.c", "*.cmd", "Module.symvers",
                                   "modules.order")


# Runs "$3..." in the root folder $1, where the folder $2 is /mnt; what is mounted goes away with it.
IN_ROOT = """
mount --bind "$2" "$1/mnt"
mount --bind /dev "$1/dev"
mount -t proc proc "$1/proc"
root=$1
shift 2
exec chroot "$root" "$@"
"""


class BuildFailed(Exception):
    """The compiler's last words."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A built module: its name as `lsmod` shows it, the file, the build identity, what the compiler
    warned of."""

    name: str
    path: Path
    build_id: str
    warnings: tuple


def build(source, kernel, folder, name, jobs=1, options=("W=1", )):
    """Builds the module `name` of the folder `source` for `kernel` below `folder`; BuildFailed if
    it does not."""
    source, work = Path(source), Path(folder) / f"{name}-{kernel.release}"
    if not source.is_dir():
        raise BuildFailed(f"{source}: no such folder")
    shutil.copytree(source, work, ignore=LEFTOVERS, symlinks=True)
    argv = ["make", "-C", kernel.headers, f"M={'/mnt' if kernel.builder else work}", f"-j{jobs}", *options, "modules"]
    argv = [*(["unshare", "-m", "sh", "-ec", IN_ROOT, "sh", kernel.builder, work] if kernel.builder else []), *argv]
    argv = list(map(str, argv))
    done = subprocess.run(argv,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          text=True,
                          check=False)
    path = work / f"{name}.ko"
    if done.returncode != 0 or not path.exists():
        tail = "\n".join(done.stdout.splitlines()[-40:])
        raise BuildFailed(f"{' '.join(argv)}: exit status {done.returncode}, {path.name} "
                          f"{'made' if path.exists() else 'not made'}\n{tail}")
    warnings = tuple(re.findall(r"^.*\bwarning: .*$", done.stdout, re.MULTILINE))
    return Module(name, path, build_id_of(path.read_bytes(), path), warnings)


def build_daxfs(kernel, folder):
    """daxfs.ko of this checkout."""
    return build(REPOSITORY / "kernel-module", kernel, folder, "daxfs")


def build_test_module(name, kernel, folder):
    """daxfs_test_NAME.ko of e2e/modules/NAME."""
    return build(REPOSITORY / "e2e" / "modules" / name, kernel, folder, f"daxfs_test_{name}")


def build_id_of(data, path):
    """The 40 hex digits of the GNU build-id note in `data` (an ELF file or its notes)."""
    mark = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"
    at = data.find(mark)
    if at < 0:
        raise BuildFailed(f"{path}: no build-id note")
    return data[at + len(mark):at + len(mark) + 20].hex()


def load(vm, module, parameters=""):
    """Loads `module` into the guest from its share and proves that it is this very file that
    runs."""
    shutil.copy(module.path, vm.share / module.path.name)
    vm.run(f"insmod /mnt/share/{module.path.name} {parameters}")
    assert_loaded(vm, module)


def unload(vm, module):
    """Removes `module` from the guest."""
    vm.run(["rmmod", module.name])


def assert_loaded(vm, module):
    """AssertionError unless the guest's module of that name has the build identity of the file just
    built."""
    path = f"/sys/module/{module.name}/notes/.note.gnu.build-id"
    running = build_id_of(vm.run(["cat", path]).stdout_bytes, path)
    if running != module.build_id:
        raise AssertionError(
            f"{vm.name} runs {module.name} {running}, just built was {module.build_id}")
