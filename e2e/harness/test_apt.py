# SPDX-License-Identifier: Apache-2.0
"""Sources for another suite are derived from the machine's, and versions compared with the lock."""

import json

import pytest

from e2e.harness import apt

DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb deb-src
URIs: http://mirror.invalid/security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://elsewhere.invalid/
Suites: nodistro
Components: main
"""
ONE_LINE = """\
# deb http://old.invalid buster main
deb [arch=amd64,i386 signed-by=/k.gpg] http://mirror.invalid/debian bookworm main  # end
deb-src http://mirror.invalid/debian bookworm main
deb http://mirror.invalid/debian bookworm-updates main contrib
"""
URIS = """\
Reading package lists...
'http://m.invalid/a_1%3a2_amd64.deb' a_1%3a2_amd64.deb 123 SHA256:00ff
'http://m.invalid/b%2bc_3_all.deb' b+c_3_all.deb 9 MD5Sum:11ee
'http://m.invalid/d_4_all.deb' d_4_all.deb 10 
"""


def test_deb822():
    first, second, third = apt.parse_deb822(DEB822)
    assert first["suites"] == "bookworm bookworm-updates"
    assert first["signed-by"].splitlines()[1:3] == [" -----BEGIN PGP PUBLIC KEY BLOCK-----", " ."]
    assert second["signed-by"] == "/usr/share/keyrings/k.gpg" and third["suites"] == "nodistro"
    assert apt.parse_deb822(apt.format_deb822([first, second, third])) == [first, second, third]


def test_one_line():
    first, second = apt.parse_one_line(ONE_LINE)
    assert first == {
        "types": "deb", "uris": "http://mirror.invalid/debian", "suites": "bookworm",
        "components": "main", "arch": "amd64 i386", "signed-by": "/k.gpg"
    }
    assert second["components"] == "main contrib"


@pytest.mark.parametrize("text, file", [(DEB822, "sources.list.d/debian.sources"),
                                        (ONE_LINE, "sources.list")])
def test_machine_sources_for_other_suites(tmp_path, text, file):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    stanzas = apt.machine_stanzas(tmp_path)
    own = apt.stanzas_for("bookworm", stanzas, "bookworm")
    assert len(own) == 2 and all("nodistro" not in s["suites"] for s in own)
    other = apt.stanzas_for("trixie", stanzas, "bookworm")
    assert [(s["suites"], s["uris"], s["components"])
            for s in other] == [("trixie", "http://mirror.invalid/debian", "main")]
    with pytest.raises(apt.AptError, match="sid"):
        apt.stanzas_for("trixie", stanzas, "sid")


def test_disabled_sources_do_not_count(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/x.sources").write_text("Enabled: no\n" + DEB822)
    assert len(apt.machine_stanzas(tmp_path)) == 2


def test_uris_and_names():
    assert apt.parse_uris(URIS) == {"a_1%3a2_amd64.deb": 123, "b+c_3_all.deb": 9, "d_4_all.deb": 10}
    with pytest.raises(apt.AptError, match="not understood"):
        apt.parse_uris("'http://m.invalid/x' x")
    assert apt.name_and_version("a_1%3a2_amd64.deb") == ("a", "1:2", "amd64")


@pytest.mark.parametrize("suite, package, version, drifts", [
    ("s", "p", "1", False),
    ("s", "p", "2", True),
    ("s", "other", "2", False),
    ("t", "p", "2", False),
])
def test_drift(tmp_path, suite, package, version, drifts):
    lock, said = tmp_path / "lock", []
    lock.write_text(json.dumps({"packages": {"s": {"p": "1"}}}))
    assert apt.warn_drift(suite, package, version, said.append, lock) == drifts
    assert [line.split(":")[0] for line in said] == (["drift"] if drifts else [])


def test_the_lock_itself_is_sound():
    for suite, packages in apt.locked_versions().items():
        assert suite and all(version for version in packages.values())
