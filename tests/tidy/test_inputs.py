# SPDX-License-Identifier: Apache-2.0
"""The tests that docs/tar-inputs.md names are there."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def named_tests():
    rows = (ROOT / "docs/tar-inputs.md").read_text(encoding="utf-8").splitlines()
    cells = [row.strip("|").split(" | ")[1] for row in rows if row.startswith("| ") and not row.startswith("| input")]
    return {name.strip() for cell in cells for name in cell.split(",")}


def written_tests():
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*_test.cpp", "*test_*.py"], cwd=ROOT,
                           stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    text = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in files if (ROOT / file).exists())
    return set(re.findall(r"TEST(?:_F)?\(\w+, (\w+)\)", text)) | set(re.findall(r"^def (test_\w+)", text, re.M))


def test_every_named_test_is_written():
    named = named_tests()
    assert len(named) > 50
    assert named - written_tests() == set()
