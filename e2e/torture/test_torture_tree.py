# SPDX-License-Identifier: Apache-2.0
"""The manifest has what it is for, is the same each time, and says of a made tree what the collector finds in it."""

import base64
import hashlib
import json
import os
import tarfile

import pytest

from e2e.collect import collect, compare
from e2e.torture import dump, maker, manifest, tape

pytestmark = pytest.mark.part("unit")


@pytest.fixture(scope="module")
def items():
    return manifest.manifest(crowd=3000)


def ordinary(items):
    """The part of the tree that needs neither root nor a particular filesystem."""
    for entry in items:
        if entry["type"] in ("char", "block") or entry.get("target", "").startswith("links/dev"):
            continue
        entry = entry | {"uid": os.getuid(), "gid": os.getgid(), "xattrs": {}}
        entry["mode"] |= 0 if entry["type"] == "symlink" else 0o600 | (0o100 if entry["type"] == "dir" else 0)
        yield entry


def test_it_is_the_same_each_time_and_another_for_another_seed(items, tmp_path):
    again = manifest.manifest(crowd=3000)
    assert items == again and items != manifest.manifest(seed=2, crowd=3000)
    tape.write(tmp_path / "one", items)
    tape.write(tmp_path / "two", again)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_it_has_what_it_is_for(items):
    found = {entry["path"]: entry for entry in manifest.expected(items)}
    assert {entry["type"] for entry in found.values()} == set(collect.KINDS.values())
    assert len([path for path in found if path.startswith("crowd/")]) == 3000
    assert manifest.manifest()[-1]["crowd"] == 100_000
    values = [name for entry in found.values() for name in entry["xattrs"]]
    assert {"security.capability", "system.posix_acl_access", "system.posix_acl_default"} <= set(values)
    assert found["xattrs/large"]["xattrs"]["user.large"].startswith("65536 bytes")
    assert len(found["xattrs/many"]["xattrs"]) == 200
    assert max(entry["uid"] for entry in found.values()) == 2**32 - 2
    assert min(entry["mtime_ns"] for entry in found.values()) < -10**18
    assert any(entry["mtime_ns"] % 10**9 for entry in found.values())
    assert {found[path].get("same") for path in ("links/b", "links/s2", "links/equal")} == {"links/a", "links/s1", None}
    assert found["holes/5GiB"]["size"] == 5 << 30 and len(found["holes/5GiB"]["data"]) == 3
    names = {os.fsencode(path).rpartition(b"/")[2] for path in found}
    assert any(len(name) == 255 for name in names)
    assert all(any(byte in name for name in names) for byte in (b"\n", b":", b",", b"\\", b"\xff"))


def test_a_made_tree_is_what_is_expected(items, tmp_path, monkeypatch):
    wanted = list(ordinary(items))
    manifest.write(tmp_path / "manifest", wanted)
    (tmp_path / "tree").mkdir()
    crowd_owners = ("uid", "gid") if os.getuid() else ()
    if crowd_owners:
        monkeypatch.setattr(maker.os, "chown", lambda *_, **__: None)
    assert maker.main(["maker", tmp_path / "manifest", tmp_path / "tree"]) == 0
    found = collect.collect(tmp_path / "tree", with_map=True)
    # Whether holes stay holes is the filesystem's to say, not the maker's.
    lines = compare.differences(manifest.expected(wanted), found, ignore=("data", *crowd_owners))
    assert not lines, "\n".join(lines[:20])
    expected = manifest.expected(wanted, sample=("crowd", 50))
    found = collect.collect(tmp_path / "tree", samples={"crowd": 50})
    assert compare.differences(expected, found, ignore=("data", *crowd_owners)) == []
    assert len(found) < len(wanted) + 3000 / 50 + 1


def test_the_tar_holds_all_but_sockets(items, tmp_path):
    tape.write(tmp_path / "tar", items)
    wanted = list(tape.with_link_attributes(items))
    with tarfile.open(tmp_path / "tar", encoding="utf-8", errors="surrogateescape") as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [entry["path"] for entry in wanted]
    assert {"types/socket"} == {entry["path"] for entry in items} - {entry["path"] for entry in wanted}
    for member, entry in zip(members, wanted):
        # tarfile itself reads uids and times from the records; fractions as floating point only.
        assert (member.mode, member.uid, member.gid) == (entry["mode"], entry["uid"], entry["gid"]), entry["path"]
        assert abs(member.mtime - entry["mtime_ns"] / 1e9) < 1e-3, entry["path"]
        for name, value in entry.get("xattrs", {}).items():
            said = member.pax_headers[f"SCHILY.xattr.{name}"]
            assert said.encode("utf-8", "surrogateescape") == base64.b64decode(value)
        if entry["type"] == "file":
            assert member.size == entry.get("size", 0)


def test_digests_are_of_the_content():
    content = b"ab" + bytes(3 << 20) + b"c" + bytes(5)
    entry = manifest.sparse("f", len(content), [(0, b"ab"), (2 + (3 << 20), b"c")])
    assert manifest.plain_digest(entry) == hashlib.sha256(content).hexdigest()
    assert manifest.content_digest(entry) == {"sha256": hashlib.sha256(content).hexdigest()}
    assert manifest.plain_digest(manifest.file("f") | {"size": 0}) == hashlib.sha256().hexdigest()


DUMP = r"""daxfs-dump 1
option profile archive
image inodes 5
/ directory mode=0755 uid=0 gid=0 mtime=1700000000.000000000
/a\x20b file mode=0644 uid=1000 gid=1000 mtime=-1.500000000 size=20000 sha256=2cf2
  xattr user.n\x3d=caf\xc3\xa9\x00
  extent logical=0 offset=4096 length=4096
  extent logical=4096 offset=12288 length=4096
  extent logical=16384 offset=8192 length=4096
/dev character mode=0600 uid=0 gid=0 mtime=0.000000000 device=1:3
/hard hardlink target=/a\x20b
/link symlink mode=0777 uid=0 gid=0 mtime=0.000000001 target=a\x20\xff\x5cx20
end
"""


def test_a_dump_is_read():
    found = {entry["path"]: entry for entry in dump.parse(DUMP)}
    assert list(found) == [".", "a b", "dev", "hard", "link"]
    assert found["a b"] == {
        "path": "a b", "type": "file", "mode": 0o644, "uid": 1000, "gid": 1000, "mtime_ns": -1_500_000_000, "nlink": 2,
        "xattrs": {"user.n=": base64.b64encode("caf\xe9\0".encode()).decode()}, "size": 20000, "sha256": "2cf2",
        "data": [[0, 8192], [16384, 4096]]}
    assert found["hard"] == found["a b"] | {"path": "hard", "same": "a b"}
    assert found["dev"]["rdev"] == [1, 3] and found["link"]["target"] == "a \udcff\\x20"
    assert found["."]["nlink"] is None and found["link"]["mtime_ns"] == 1
    for text in ("", DUMP.replace("end\n", ""), DUMP.replace("dump 1", "dump 2")):
        with pytest.raises(dump.BadDump):
            dump.parse(text)


def test_what_the_filesystem_refuses_has_its_name(tmp_path, capsys, monkeypatch):
    def refuse(path, name, value, follow_symlinks):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(maker.os, "setxattr", refuse)
    (tmp_path / "manifest").write_text(json.dumps(manifest.file("f", xattrs={"user.large": bytes(65536)})) + "\n")
    (tmp_path / "tree").mkdir()
    monkeypatch.setattr(maker.os, "chown", lambda *_, **__: None)
    assert maker.main(["maker", tmp_path / "manifest", tmp_path / "tree"]) == 1
    assert "'f': xattr user.large of 65536 bytes: [Errno 28]" in capsys.readouterr().err
