# SPDX-License-Identifier: Apache-2.0
"""Every file of the demonstration image is the same in three views: what was packed, by the generator's own account
(no code of ours), what the user-space reader finds in the images, and what the kernel shows where they are mounted:
each layer alone, all of them under OverlayFS, and the flattened image."""

import base64
import copy
import datetime
import hashlib
import json
import posixpath
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.collect import collect, compare
from e2e.harness import daxfs, module, placement, programs
from e2e.oci import content

# What containerd's unpacking, which profile `layer` follows, makes of a time that is not a 63-bit number of
# nanoseconds since 1970: the epoch.
LAST_MTIME_NS = (1 << 63) - 1
# A whiteout is a mark, a character device 0:0. Its owner, mode and time are nowhere in the image specification, and
# OverlayFS never shows them; that it is exactly this device, under this name, is compared.
WHITEOUT = {"type": "char", "rdev": [0, 0], "xattrs": {}, "nlink": 1}
UNSAID = {"mode", "uid", "gid", "mtime_ns"}
# Of a directory only OverlayFS's own mark is added.
OPAQUE = {"trusted.overlay.opaque": base64.b64encode(b"y").decode()}
LAYERS = (0, 1, 2, 3)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
READER_TYPES = {"directory": "dir", "character device": "char", "block device": "block"}


def as_unpacked(entries):
    """`entries` with the times containerd would give them."""
    entries = copy.deepcopy(entries)
    for entry in entries:
        if not 0 <= entry["mtime_ns"] <= LAST_MTIME_NS:
            entry["mtime_ns"] = 0
    return entries


def as_lower(layer):
    """What one layer must look like to OverlayFS: its entries, its marks."""
    entries = as_unpacked(layer["entries"])
    for entry in entries:
        if entry["path"] in layer["opaque"]:
            entry["xattrs"] = OPAQUE | entry["xattrs"]
    return entries + [{"path": path, **WHITEOUT} for path in layer["whiteouts"]]


def differences(expected, found):
    """As `compare.differences`, without what nobody says about whiteouts."""
    marks = {entry["path"] for entry in expected if entry["type"] == "char" and entry["rdev"] == [0, 0]}
    found = [{name: value for name, value in entry.items() if entry["path"] not in marks or name not in UNSAID}
             for entry in found]
    return compare.differences(expected, found)


def assert_same(expected, found):
    lines = differences(expected, found)
    assert not lines, f"{len(lines)} differences\n" + "\n".join(lines[:30])
    assert len(found) == len(expected) > 50


def assert_crowds(found, only=None):
    """Crowded directories have exactly the names that were made for them, long and whole."""
    names = {}
    for entry in found:
        names.setdefault(posixpath.dirname(entry["path"]), []).append(posixpath.basename(entry["path"]))
    assert content.CROWDS == (1, 136, 272, 5000)
    for count in only or content.CROWDS:
        made = {content.crowd_name(count, number) for number in range(count)}
        assert len(made) == count and all(len(name) == 134 for name in made)
        assert sorted(names[f"crowd/{count}"]) == sorted(made)
    assert any(len(name) == 255 for folder in names.values() for name in folder) or only


@pytest.fixture(scope="module")
def expected(demo_image):
    """{view: entries}: 0 to 3 the layers alone, "merged" all of them."""
    said = json.loads((demo_image / "expected.json").read_text(encoding="utf-8"))
    views = {number: as_lower(layer) for number, layer in enumerate(said["layers"])}
    return views | {"merged": as_unpacked(said["merged"])}


@pytest.fixture(scope="module")
def images(demo_image, tmp_path_factory):
    """{view: image file} made by daxfs-build; "merged" is the flattened one."""
    work = tmp_path_factory.mktemp("images")
    subprocess.run([programs.tool("daxfs-build"), f"oci:{demo_image}/image", "--per-layer", "-o", work / "layers"],
                   check=True)
    programs.build_image(f"oci:{demo_image}/image", work / "flat.daxfs", "--flatten")
    listed = json.loads((work / "layers/image.json").read_text(encoding="utf-8"))["layers"]
    assert len(listed) == len(LAYERS)
    layers = {number: work / "layers" / layer["path"] for number, layer in enumerate(listed)}
    return layers | {"merged": work / "flat.daxfs"}


# The user-space reader


def reader(*argv):
    """What daxfsctl image says."""
    return subprocess.run([programs.tool("daxfsctl"), "image", *argv], check=True, stdout=subprocess.PIPE,
                          close_fds=False).stdout


def mtime_ns(text):
    """Nanoseconds since 1970 of a time as daxfsctl prints it, which is more than Python's own parser takes."""
    seconds, fraction = text.removesuffix("Z").split(".")
    since = datetime.datetime.fromisoformat(seconds + "+00:00") - EPOCH
    return (since.days * 86400 + since.seconds) * 10**9 + int(fraction)


def stat_all(image, paths):
    """{path: what `stat` says}. One process a path, but started by xargs, which is much faster at that."""
    argv = ["xargs", "-0", "-n", "1", programs.tool("daxfsctl"), "image", "stat", "--json", image]
    said = subprocess.run(argv, input=b"".join(path.encode() + b"\0" for path in paths), check=True,
                          capture_output=True).stdout
    found = {item["path"]: item for item in map(json.loads, said.splitlines())}
    assert list(found) == paths
    return found


def read_entry(image, said):
    """An entry in the form of expected.json, from what `stat` says and the content by `cat` (an empty file has
    none)."""
    kind = READER_TYPES.get(said["type"], said["type"])
    xattrs = {name: base64.b64encode(bytes.fromhex(value)).decode() for name, value in said["xattrs"].items()}
    found = {"path": said["path"].removeprefix("/"), "type": kind, "mode": int(said["mode"], 8), "uid": said["uid"],
             "gid": said["gid"], "mtime_ns": mtime_ns(said["mtime"]), "xattrs": xattrs,
             # Not compared for directories: filesystems count subdirectories or, as OverlayFS does, nothing.
             "nlink": None if kind == "dir" else said["links"]}
    if kind == "file":
        data = reader("cat", image, said["path"]) if said["size_bytes"] else b""
        found |= {"size": said["size_bytes"], "sha256": hashlib.sha256(data).hexdigest()}
    elif kind == "symlink":
        found["target"] = said["target"]
    elif kind in ("char", "block"):
        found["rdev"] = said["device"]
    return found


def read_all(image, without_stat="none"):
    """All entries of an image by the user-space reader, whose `ls` and `stat` must agree. Below the folder
    `without_stat` only `ls` and `cat` are asked, and extended attributes taken to be none: each
    `stat` is a process of its own."""
    listed = [json.loads(line) for line in reader("ls", "-R", "--json", image).splitlines()]
    said = stat_all(image, [item["path"] for item in listed if not item["path"].startswith(f"/{without_stat}/")])
    for item in listed:
        assert item.items() <= said.setdefault(item["path"], item | {"xattrs": {}}).items()
    with ThreadPoolExecutor(2) as pool:
        entries = pool.map(lambda item: read_entry(image, item), said.values())
        return collect.in_order(zip(entries, [item["inode"] for item in said.values()]))


# The same 5 400 small files are in layer 3 and in all of it: there `stat` is asked for none of them.
@pytest.mark.parametrize("view", [*LAYERS[:3], pytest.param(3, marks=pytest.mark.long), "merged"])
def test_user_space_reader(images, expected, view):
    reader("verify", images[view])
    found = read_all(images[view], without_stat="crowd" if view == "merged" else "none")
    assert_same(expected[view], found)
    if view in (3, "merged"):
        assert_crowds(found, only=content.CROWDS if view == 3 else None)


# The kernel


@pytest.fixture(scope="module")
def mounted(start_vms, new_memory, images, daxfs_module):
    """A guest with the layers at /layers/N, all of them under OverlayFS at /overlay, the flattened one at /flat."""
    memory = new_memory(placement.room_for(images.values()))
    vm = start_vms("vm", memory=memory)[0]
    placed = placement.place(memory, list(images.items()))
    module.load(vm, daxfs_module)
    for image in placed:
        where = "/flat" if image.name == "merged" else f"/layers/{image.name}"
        daxfs.mount(vm, daxfs_module, where, vm.nvdimm[0] + image.offset, image.size_bytes)
    lowers = ":".join(f"/layers/{number}" for number in reversed(LAYERS))
    vm.run(f"mkdir /overlay && mount -t overlay -o lowerdir={lowers} none /overlay")
    shutil.copy(collect.__file__, vm.share)
    return vm


def walked(vm, where):
    """All entries below a folder of the guest, by its kernel."""
    vm.run(f"python3 /mnt/share/collect.py --no-root {where} > /mnt/out/walked", timeout=300)
    return compare.load(vm.out / "walked")


@pytest.mark.parametrize("number", LAYERS)
def test_kernel_each_layer_alone(mounted, expected, number):
    found = walked(mounted, f"/layers/{number}")
    assert_same(expected[number], found)
    if number == 3:
        assert_crowds(found, only=content.CROWDS)


@pytest.mark.parametrize("where", ["/overlay", "/flat"])
def test_kernel_all_layers(mounted, expected, where):
    """No mark shows in either: OverlayFS keeps them to itself, the flattened image has none."""
    found = walked(mounted, where)
    assert_same(expected["merged"], found)
    assert_crowds(found)
    assert not any(name.startswith("trusted.overlay.") for entry in found for name in entry["xattrs"])


def test_the_comparison_is_not_blind(expected):
    """Each field of each kind of entry is compared: one changed value is one difference."""
    entries = expected[2]
    for kind in ("file", "dir", "symlink", "char", "block", "fifo"):
        where = next(at for at, entry in enumerate(entries) if entry["type"] == kind and entry.get("rdev") != [0, 0])
        for field in entries[where].keys() - {"path"}:
            changed = [*entries]
            changed[where] = entries[where] | {field: "something else"}
            assert len(differences(entries, changed)) == 1, f"{kind}: {field} is not compared"
        assert len(differences(entries, entries[:where] + entries[where + 1:])) == 1
