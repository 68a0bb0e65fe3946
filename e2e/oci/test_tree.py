# SPDX-License-Identifier: Apache-2.0
"""Merging by the rules of the image specification, and tars that are the same each time."""

import io
import json
import tarfile

import pytest

from e2e.oci import layout, tar, tree
from e2e.oci.tree import Entry, directory, file, opaque, whiteout

D, F = directory, file
LINK = Entry("d/l", "hardlink", target="d/a")
BASE = [D("d", 0o700), F("d/a", b"1"), LINK, D("d/s"), F("d/s/x", b"2"), F("f", b"3")]


@pytest.mark.parametrize("upper, expected", [
    ([], {"d": None, "d/a": b"1", "d/l": b"1", "d/s": None, "d/s/x": b"2", "f": b"3"}),
    ([whiteout("f"), D("d"), whiteout("d/s")], {"d": None, "d/a": b"1", "d/l": b"1"}),
    ([whiteout("d")], {"f": b"3"}),
    ([D("d"), opaque("d"), F("d/n", b"4")], {"d": None, "d/n": b"4", "f": b"3"}),
    ([D("d"), F("d/n", b"4"), opaque("d")], {"d": None, "d/n": b"4", "f": b"3"}),
    ([D("d"), F("d/s", b"5"), whiteout("f")], {"d": None, "d/a": b"1", "d/l": b"1", "d/s": b"5"}),
    ([D("f"), F("f/g", b"6"), whiteout("d")], {"f": None, "f/g": b"6"}),
    ([whiteout("f"), F("f", b"7"), whiteout("d")], {"f": b"7"}),
    ([whiteout("nothing"), whiteout("d")], {"f": b"3"}),
])
def test_merge(upper, expected):
    merged = tree.merge([BASE, upper])
    found = {
        path: None if entry.type == "dir" else entry.content
        for path, (entry, _) in merged.items()
    }
    assert found == expected


def test_upper_directory_gives_its_attributes():
    merged = tree.expected([BASE, [D("d", 0o711, uid=5)]])
    assert [(item["mode"], item["uid"]) for item in merged if item["path"] == "d"] == [(0o711, 5)]


def test_links_are_counted_over_all_layers():
    counts = {item["path"]: item["nlink"] for item in tree.expected([BASE])}
    assert counts == {"d": None, "d/a": 2, "d/l": 2, "d/s": None, "d/s/x": 1, "f": 1}
    counts = {
        item["path"]: item["nlink"]
        for item in tree.expected([BASE, [D("d"), F("d/a", b"new")]])
    }
    assert counts["d/a"] == 1 and counts["d/l"] == 1


def test_names_of_one_file_name_the_first_of_them():
    same = {item["path"]: item.get("same") for item in tree.expected([BASE])}
    assert {path: first for path, first in same.items() if first} == {"d/l": "d/a"}


def test_layer_alone_says_what_it_hides():
    alone = tree.expected_layer([D("d"), opaque("d"), whiteout("f"), F("d/n", b"4")])
    assert [item["path"] for item in alone["entries"]] == ["d", "d/n"]
    assert (alone["whiteouts"], alone["opaque"]) == (["f"], ["d"])


@pytest.mark.parametrize("entries", [
    [F("a/b", b"")],
    [F("a", b""), F("a", b"")],
    [LINK],
    [F("/a", b"")],
    [F("", b"")],
    [D("d"), Entry("d/l", "hardlink", target="d")],
    [Entry("a", "door")],
])
def test_bad_layers_are_refused(entries):
    with pytest.raises(ValueError):
        tree.check(entries)


def test_tar_keeps_everything_and_is_the_same_each_time():
    entries = [
        D("d", 0o1777, uid=7, gid=8),
        F("d/" + "n" * 255, b"x" * 1000, 0o4755),
        F("d/c", b"", xattrs=(("security.capability", bytes.fromhex("0100000200240000")), )),
        F("d/old", b"", mtime_ns=-10**9, uid=4_000_000_000),
        F("d/fine", b"", mtime_ns=10**18 + 123456789),
        Entry("d/z", "symlink", 0o777, target="t" * 3000),
        Entry("d/dev", "block", 0o600, rdev=(259, 70000))
    ]
    data = tar.write(entries)
    assert data == tar.write(entries) and tar.compress(data) == tar.compress(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
    assert [(m.name, m.mode, m.uid, m.gid) for m in members] == [(e.path, e.mode, e.uid, e.gid)
                                                                 for e in entries]
    assert members[2].pax_headers["SCHILY.xattr.security.capability"] == "\1\0\0\2\0$\0\0"
    assert members[3].mtime == -1 and members[4].pax_headers["mtime"] == "1000000000.123456789"
    assert members[5].linkname == "t" * 3000
    assert (members[6].devmajor, members[6].devminor) == (259, 70000)


def test_layout_is_the_same_each_time_and_whole(tmp_path):
    layers = [("base", BASE, True), ("more", [whiteout("f")], False)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        layout.write(tmp_path / name, layers)
    files = sorted(
        p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "two") for p in (tmp_path / "two").rglob("*") if p.is_file())
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    image = tmp_path / "one/image"

    def blob(descriptor):
        data = (image / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        assert len(data) == descriptor["size"]
        return json.loads(data)

    index = blob(json.loads((image / "index.json").read_text())["manifests"][0])
    manifest = blob(next(m for m in index["manifests"] if m["platform"]["architecture"] == "amd64"))
    kinds = [layer["mediaType"].rsplit(".", 1)[1] for layer in manifest["layers"]]
    expected = json.loads((tmp_path / "one/expected.json").read_text())
    assert kinds == ["tar+gzip", "tar"]
    assert blob(manifest["config"])["rootfs"]["diff_ids"] == [
        layer["diff_id"] for layer in expected["layers"]
    ]
