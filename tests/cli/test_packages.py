# SPDX-License-Identifier: Apache-2.0
"""What `make packages` makes: every file a host needs, where it belongs."""

import os
import re
import subprocess
from pathlib import Path

import pytest

MANIFESTS = Path(__file__).parents[2] / "manifests"
BUILD = Path(os.environ["DAXFS_BUILD"]).parents[1]
PAGES = {"daxfs-tools": ["daxfs-build.1", "daxfs-fuse.1", "daxfsctl.8", "mount.daxfs.8"],
         "daxfs-snapshotter": ["daxfs-snapshotter.8"]}
LICENSES = ("LICENSES/Apache-2.0.txt", "LICENSES/GPL-2.0-only.txt")
FILES = {
    "daxfs-tools": [
        "etc/daxfs/pools.d", "usr/bin/daxfs-build", "usr/bin/daxfs-fuse", "usr/bin/daxfsctl", "usr/sbin/mount.daxfs",
        "usr/lib/systemd/system/daxfs-pool@.service", "usr/lib/sysusers.d/daxfs.conf", "usr/lib/tmpfiles.d/daxfs.conf",
        "usr/lib/udev/rules.d/60-daxfs.rules",
        *(f"usr/share/doc/daxfs-tools/{name}" for name in ("daxfsctl.md", "daxfs-build.md", "daxfs-fuse.md", *LICENSES))
    ],
    "daxfs-snapshotter": [
        "etc/daxfs/snapshotter.yaml", "usr/sbin/daxfs-snapshotter", "usr/lib/systemd/system/daxfs-snapshotter.service",
        "usr/lib/systemd/system/daxfs-snapshotter.socket", "usr/share/daxfs/containerd/1.6.toml",
        "usr/share/daxfs/containerd/1.7.toml", "usr/share/daxfs/containerd/2.x.toml",
        *(f"usr/share/doc/daxfs-snapshotter/{name}" for name in ("snapshotter.md", "migration.md", *LICENSES))
    ],
}
for package, pages in PAGES.items():
    for page in pages:
        program, section = page.rsplit(".", 1)
        FILES[package] += [f"usr/share/man/man{section}/{page}.gz",
                           f"usr/share/bash-completion/completions/{program}"]


def dpkg_deb(*arguments):
    return subprocess.run(["dpkg-deb", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """{package: its file}, made now."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run(["cpack", "--config", BUILD / "CPackConfig.cmake", "-B", folder], check=True, capture_output=True)
    return {re.match("[a-z-]+[a-z]", path.name).group(): path for path in folder.glob("*.deb")}


@pytest.mark.parametrize("name", FILES)
def test_everything_is_in_its_package(packages, name):
    rows = [line.split() for line in dpkg_deb("-c", packages[name]).splitlines()]
    assert all(row[1] == "root/root" for row in rows)
    there = {row[5].removeprefix("./").rstrip("/"): row[0] for row in rows}
    assert set(FILES[name]) <= set(there)
    # Nothing else but directories on the way, and no place a package may not have.
    assert {path for path, mode in there.items() if mode[0] == "-"} <= set(FILES[name])
    assert not any(path.startswith("usr/local") for path in there)


@pytest.mark.parametrize("name", FILES)
def test_manual_pages_can_be_found_and_read(packages, tmp_path, name):
    subprocess.run(["dpkg-deb", "-x", packages[name], tmp_path], check=True)
    for page in PAGES[name]:
        program, section = page.rsplit(".", 1)
        path = tmp_path / f"usr/share/man/man{section}/{page}.gz"
        found = subprocess.run(["lexgrog", path], capture_output=True, text=True, check=True).stdout
        assert f'"{program} - ' in found, "apropos finds it"
        shown = subprocess.run(["man", "-l", path], capture_output=True, text=True, check=True,
                               env={**os.environ, "MANWIDTH": "120", "LC_ALL": "C.UTF-8"}).stdout
        assert f"{program.upper()}({section})" in shown and "EXIT STATUS" in shown or program == "daxfs-snapshotter"


@pytest.mark.parametrize("variable, doc", [("DAXFS_BUILD", "daxfs-build"), ("DAXFS_SNAPSHOTTER", "snapshotter"),
                                           ("DAXFSCTL", "daxfsctl")])
def test_no_option_is_missing_in_its_manual(variable, doc):
    program = os.environ[variable]
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    text = (MANIFESTS.parent / "docs" / f"{doc}.md").read_text()
    options = set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", said, re.M)) - {"--help", "--version"}
    assert options and not {option for option in options if option not in text}


def test_the_source_of_the_module_is_whole(packages, tmp_path):
    """Every file that Kbuild names, every header, and nothing for tests."""
    subprocess.run(["dpkg-deb", "-x", packages["daxfs-dkms"], tmp_path], check=True)
    folder = next(tmp_path.glob("usr/src/daxfs-*"))
    kernel = MANIFESTS.parent / "kernel-module"
    shipped = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {str(path.relative_to(kernel)) for path in kernel.rglob("*.[ch]") if "testing" not in path.parts}
    assert shipped == wanted | {"Kbuild", "Makefile", "dkms.conf"}
    assert f'PACKAGE_VERSION="{folder.name.removeprefix("daxfs-")}"' in (folder / "dkms.conf").read_text()
    dpkg_deb("-e", packages["daxfs-dkms"], tmp_path / "control")
    for name in ("postinst", "prerm"):
        subprocess.run(["sh", "-n", tmp_path / "control" / name], check=True)
        assert os.access(tmp_path / "control" / name, os.X_OK)
        assert "@" not in (tmp_path / "control" / name).read_text().replace('"$@"', "")


def test_make_install_keeps_what_an_administrator_has_written(tmp_path):
    def install():
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": str(tmp_path)})
        return tmp_path / "etc/daxfs/snapshotter.yaml"

    written = install()
    assert "pool" in written.read_text()
    written.write_text("pool: mine\n")
    assert install().read_text() == "pool: mine\n"
    assert (tmp_path / "usr/sbin/daxfs-snapshotter").exists()
    assert not (tmp_path / "usr/src").exists(), "the module's source is for its package"


def test_what_an_administrator_changes_is_kept(packages, tmp_path):
    dpkg_deb("-e", packages["daxfs-snapshotter"], tmp_path)
    assert (tmp_path / "conffiles").read_text() == "/etc/daxfs/snapshotter.yaml\n"
    for name in ("postinst", "prerm"):
        subprocess.run(["sh", "-n", tmp_path / name], check=True)
        assert os.access(tmp_path / name, os.X_OK)


def test_the_units_are_right(packages, tmp_path):
    if not Path("/usr/bin/systemd-analyze").exists():
        pytest.skip("no systemd-analyze here")
    subprocess.run(["dpkg-deb", "-x", packages["daxfs-snapshotter"], tmp_path], check=True)
    folder = tmp_path / "usr/lib/systemd/system"
    service = folder / "daxfs-snapshotter.service"
    service.write_text(service.read_text().replace("/usr/sbin", str(tmp_path / "usr/sbin")))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", service], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0 and "daxfs" not in done.stderr, done.stderr


def test_the_configuration_shipped_is_right(packages, tmp_path):
    for package in packages.values():
        subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    done = subprocess.run([tmp_path / "usr/sbin/daxfs-snapshotter", "--check-config", "--config",
                           tmp_path / "etc/daxfs/snapshotter.yaml"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is right\n", "")
