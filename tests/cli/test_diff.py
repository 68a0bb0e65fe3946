# SPDX-License-Identifier: Apache-2.0
"""daxfsctl image diff: every kind of difference, and none where there is none."""

import hashlib
import json

import pytest

COMMON = "mode=0644 uid=0 gid=0 mtime=5.000000000"
CONTENT = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("one", "two", "three")}

BASE = f"""daxfs-dump 1
option profile archive
option huge_min_bytes 8388608
option data_align_bytes 4096
option flattened no
option user_xattr no
option source none
/ directory {COMMON}
/block block {COMMON} device=8:1
/d directory {COMMON} implicit
/d/one file {COMMON} size=3 sha256={CONTENT["one"]}
/d/sub directory {COMMON}
/d/sub/fifo fifo {COMMON}
/link symlink {COMMON} target=d/one
/one file {COMMON} size=3 sha256={CONTENT["one"]}
  xattr user.b=1
  xattr user.d=\\x00
/same hardlink target=/one
end
"""

# What is changed in the dump of the second image, and the lines that have to come of it.
CHANGES = {
    "nothing": ("", "", []),
    "mode": ("/d/sub/fifo fifo mode=0644", "/d/sub/fifo fifo mode=4600", ["/d/sub/fifo: mode: 0644 -> 4600"]),
    "owner": ("/ directory mode=0644 uid=0 gid=0", "/ directory mode=0644 uid=1 gid=2",
              ["/: uid: 0 -> 1", "/: gid: 0 -> 2"]),
    "time": ("/link symlink mode=0644 uid=0 gid=0 mtime=5.000000000",
             "/link symlink mode=0644 uid=0 gid=0 mtime=-0.000000001", ["/link: mtime: 5.000000000 -> -0.000000001"]),
    "target": ("target=d/one", "target=d/\\x20", ["/link: target: d/one -> d/\\x20"]),
    "device": ("device=8:1", "device=8:2", ["/block: device: 8:1 -> 8:2"]),
    "type": (f"/d/sub/fifo fifo {COMMON}", f"/d/sub/fifo socket {COMMON}", ["/d/sub/fifo: type: fifo -> socket"]),
    "implicit": (" implicit", "", ["/d: implicit: yes -> no"]),
    "xattrs": ("  xattr user.b=1\n  xattr user.d=\\x00\n", "  xattr user.a=\n  xattr user.b=2\n",
               ['/one: xattr user.a: - -> ""', '/one: xattr user.b: "1" -> "2"', '/one: xattr user.d: "\\x00" -> -']),
    "content": (f"/d/one file {COMMON} size=3 sha256={CONTENT['one']}",
                f"/d/one file {COMMON} size=3 sha256={CONTENT['two']}",
                [f"/d/one: content: sha256:{CONTENT['one']} -> sha256:{CONTENT['two']}"]),
    "size": (f"/d/one file {COMMON} size=3 sha256={CONTENT['one']}",
             f"/d/one file {COMMON} size=5 sha256={CONTENT['three']}",
             ["/d/one: size: 3 -> 5", f"/d/one: content: sha256:{CONTENT['one']} -> sha256:{CONTENT['three']}"]),
    "hard link": ("/same hardlink target=/one", "/same hardlink target=/d/one",
                  ["/same: hardlink: /one -> /d/one", '/same: xattr user.b: "1" -> -',
                   '/same: xattr user.d: "\\x00" -> -']),
    "only in a": (f"/d/sub directory {COMMON}\n/d/sub/fifo fifo {COMMON}\n", "",
                  ["/d/sub: only-in-a", "/d/sub/fifo: only-in-a"]),
    "only in b": (f"/link symlink", f"/e\\x0a fifo {COMMON}\n/link symlink", ["/e\\x0a: only-in-b"]),
    "source": ("option source none", "option source sha256:" + "1" * 64 + " 5", []),
    "last": ("end\n", f"/z fifo {COMMON}\nend\n", ["/z: only-in-b"]),
}


def image_of(build, folder, name, text):
    """The image of a dump; every file has the content the dump's digest is of."""
    data = folder / f"{name}.data"
    (data / "d").mkdir(parents=True)
    for line in text.splitlines():
        for content, digest in CONTENT.items():
            if line.endswith(digest):
                (data / line.split(" ")[0][1:]).write_text(content)
    (folder / f"{name}.dump").write_text(text)
    build.ok(f"dump:{folder / name}.dump", "--data", data, "-o", folder / name)
    return folder / name


@pytest.mark.parametrize("case", CHANGES)
def test_differences(build, ctl, tmp_path, case):
    old, new, lines = CHANGES[case]
    assert old in BASE
    a = image_of(build, tmp_path, "a", BASE)
    b = image_of(build, tmp_path, "b", BASE.replace(old, new, 1))
    result = ctl.run("image", "diff", a, b)
    assert result.stdout.splitlines() == lines and result.returncode == (1 if lines else 0)
    assert ("the images differ" in result.stderr) == bool(lines)
    *found, last = [json.loads(line) for line in ctl.run("image", "diff", "--json", a, b).stdout.splitlines()]
    assert last == {"same": not lines, "differences": len(lines)}
    assert [f"{row['path']}: {row['field']}" + (f": {row['a']} -> {row['b']}" if "a" in row else "")
            for row in found] == lines


def test_layout_is_told_when_asked(build, ctl, tmp_path):
    a = image_of(build, tmp_path, "a", BASE)
    b = image_of(build, tmp_path, "b", BASE.replace("profile archive", "profile layer").replace("8388608", "3")
                 .replace("source none", f"source sha256:{CONTENT['one']} 5"))
    assert ctl.run("image", "diff", a, b).returncode == 0
    result = ctl.run("image", "diff", "--layout", a, b)
    lines = result.stdout.splitlines()
    assert result.returncode == 1 and "image: profile: archive -> layer" in lines
    assert "image: huge_min_bytes: 8388608 -> 3" in lines and "/one: huge: no -> yes" in lines
    assert f"image: source: none -> sha256:{CONTENT['one']} 5" in lines
    assert any(line.startswith("image: root: sha256:") for line in lines)
    assert any(line.startswith("/one: extents: 0@4096+4096 -> 0@") for line in lines)
    assert ctl.run("image", "diff", "--layout", a, a).stdout == ""


def test_a_damaged_image_is_no_difference(build, ctl, tmp_path):
    a = image_of(build, tmp_path, "a", BASE)
    damaged = bytearray(a.read_bytes())
    damaged[damaged.rindex(b"fifo")] ^= 1
    (tmp_path / "b").write_bytes(damaged)
    result = ctl.run("image", "diff", a, tmp_path / "b")
    assert result.returncode == 1 and result.stderr.startswith("daxfsctl: ")
