# SPDX-License-Identifier: Apache-2.0
"""A planted bug is really in the copy, and one that no longer fits its source is an error."""

import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import plant  # noqa: E402

CORE = HERE.parents[2] / "kernel-module/core"


@pytest.mark.parametrize("name", plant.bugs())
def test_every_bug_applies(name, tmp_path):
    bug = plant.bugs()[name]
    plant.plant(bug, CORE, tmp_path / "core")
    before, after = ((folder / bug["file"]).read_text().splitlines() for folder in (CORE, tmp_path / "core"))
    changed = [number for number, line in enumerate(before) if line != after[number]]
    assert len(changed) == 1 and len(before) == len(after)
    others = [path for path in CORE.rglob("*") if path.is_file() and path.name != bug["file"]]
    assert all((tmp_path / "core" / path.relative_to(CORE)).read_bytes() == path.read_bytes() for path in others)


@pytest.mark.parametrize("text", ["nothing of it", "a < b; a < b;"])
def test_what_does_not_apply_is_an_error(text):
    with pytest.raises(plant.DoesNotApply):
        plant.planted(text, {"name": "n", "file": "f", "old": "a < b;", "new": "a <= b;"})


def test_a_bug_that_changes_nothing_is_an_error():
    with pytest.raises(plant.DoesNotApply):
        plant.planted("a < b;", {"name": "n", "file": "f", "old": "a < b;", "new": "a < b;"})


def test_bad_arguments():
    done = subprocess.run([sys.executable, HERE / "plant.py", "address"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "plant.py NAME CORE OUT" in done.stderr
