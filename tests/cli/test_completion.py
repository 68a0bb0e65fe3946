# SPDX-License-Identifier: Apache-2.0
"""What Tab shows: bash with Debian's bash-completion, and the built programs for what they say of themselves."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "manifests/completions/daxfs"
SCRIPT = """
source /usr/share/bash-completion/bash_completion
source {file}
compopt() {{ :; }}
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_LINE={line} COMP_POINT=${{#COMP_LINE}}
COMP_TYPE=9 COMP_KEY=9
_daxfs 2>&1
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(name="tab")
def make_tab(build, ctl, tmp_path):
    """Completes a line, word by word as bash splits it: at colons and = too."""
    pools = tmp_path / "pools.d"
    pools.mkdir()
    for name in ("rack", "spare"):
        (pools / f"{name}.yaml").write_text("devices: []\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree.tar").write_text("")

    def tab(*words):
        split = []
        for word in words:
            head, colon, tail = word.partition(":")
            split += [head, ":", tail] if colon and tail else [head, ":"] if colon else [word]
        text = SCRIPT.format(file=FILE, words=" ".join(map(shlex.quote, split)), line=shlex.quote(" ".join(words)))
        path = f"{build.path.parent}:{ctl.path.parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "DAXFS_POOLS_DIR": str(pools)}
        done = subprocess.run(["bash", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True,
                              timeout=30, env=environment)
        assert done.stderr == "", done.stderr
        return {line.strip() for line in done.stdout.splitlines() if line.strip()}

    return tab


def test_commands_and_those_below_them(tab):
    assert tab("daxfsctl", "") == {"image", "pool", "snapshot", "kernel", "doctor"}
    assert tab("daxfsctl", "pool", "re") == {"resize"}
    assert {"create", "gc", "check"} <= tab("daxfsctl", "pool", "")


def test_options_are_those_of_the_help(tab, build, ctl):
    assert {"--pool", "--json", "-j", "--list", "--dry-run"} <= tab("daxfs-build", "-")
    assert tab("daxfs-build", "--per") == {"--per-layer"}
    assert tab("daxfsctl", "pool", "create", "--max") == {"--max-size"}
    for said in tab("daxfs-build", "--"):
        assert said in build.ok("--help")
    assert "--size" not in tab("daxfsctl", "--") and "--size" in ctl.ok("pool", "create", "--help")


def test_values(tab):
    assert tab("daxfs-build", "--profile", "") == {"layer", "archive"}
    assert {"rack", "spare"} <= tab("daxfs-build", "dir:x", "--pool", "")
    assert "rack" in tab("daxfsctl", "pool", "ls", "r")


def test_sources(tab):
    assert {"dir:", "oci:", "docker://", "containerd:"} <= tab("daxfs-build", "")
    assert tab("daxfs-build", "dir:tr") == {"tree"}
    assert tab("daxfs-build", "tar:tr") == {"tree", "tree.tar"}
