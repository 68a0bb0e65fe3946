# SPDX-License-Identifier: Apache-2.0
"""The package daxfs-dkms, installed and removed by dpkg in a root folder of a release: dkms builds the module for the
kernel whose headers are there."""

import subprocess

import pytest

from e2e.harness import kernel, module
from e2e.harness.apt import Apt
from e2e.harness.programs import PRESET

# Backports are no release of their own: its compiler and dkms are bookworm's.
pytestmark = [pytest.mark.long, pytest.mark.parametrize("stock_kernel", ["bookworm", "sid"], indirect=True)]

# $1 the root folder, $2 a folder for what is written to it, $3 the package, $4 the kernel.
INSTALL = """
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
root=$2/root
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
cp "$3" "$root/package.deb"
chroot "$root" dpkg -i /package.deb
chroot "$root" dkms status -m daxfs
file=$(cd "$root" && find "lib/modules/$4" -name 'daxfs.ko*')
chroot "$root" modinfo -F tested "/$file" | sed 's/^/tested: /'
chroot "$root" modinfo -F vermagic "/$file" | sed 's/^/vermagic: /'
chroot "$root" dpkg -r daxfs-dkms
echo "left: $(find "$root/lib/modules/$4" -name 'daxfs.ko*')"
"""


def test_installed_and_removed(cache, stock_kernel, tmp_path):
    built = module.REPOSITORY / "build" / PRESET
    subprocess.run(["cpack", "--config", built / "CPackConfig.cmake", "-B", tmp_path / "packages"], check=True,
                   capture_output=True)
    package = next((tmp_path / "packages").glob("daxfs-dkms_*.deb"))
    root = kernel.build_root(cache, Apt(cache, stock_kernel.suite), stock_kernel.release, ("dkms", ))
    (tmp_path / "state").mkdir()
    done = subprocess.run(["unshare", "-m", "sh", "-ec", INSTALL, "sh", root, tmp_path / "state", package,
                           stock_kernel.release], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f", {stock_kernel.release}, x86_64: installed" in done.stdout, done.stdout
    assert "tested: Debian's 6.1, 6.12 and 7.2" in done.stdout
    assert f"vermagic: {stock_kernel.release} " in done.stdout
    assert done.stdout.endswith("left: \n"), done.stdout
