#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Copies core with one bug of bugs.json in it: `plant.py NAME CORE OUT`. A replacement that does not apply exactly once
is an error: the source has changed, and the bug must be planted anew. `plant.py --names` lists the bugs."""

import json
import pathlib
import shutil
import sys

BUGS = pathlib.Path(__file__).resolve().parent / "bugs.json"


class DoesNotApply(Exception):
    """The text to replace is not there exactly once."""


def bugs():
    """{name: bug} of bugs.json."""
    listed = json.loads(BUGS.read_text(encoding="utf-8"))
    found = {bug["name"]: bug for bug in listed}
    if len(found) != len(listed):
        raise ValueError("bugs.json: a name twice")
    return found


def planted(text, bug):
    """`text` with the bug in it; one line is replaced."""
    if text.count(bug["old"]) != 1 or bug["old"] == bug["new"] or "\n" in bug["old"] + bug["new"]:
        raise DoesNotApply(f"{bug['name']}: {bug['file']} has {text.count(bug['old'])} times: {bug['old']}")
    return text.replace(bug["old"], bug["new"])


def plant(bug, core, out):
    """The sources of `core` and its testing/ in `out`, one of them changed."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(core, out)
    changed = out / bug["file"]
    changed.write_text(planted(changed.read_text(encoding="utf-8"), bug), encoding="utf-8")


def main(argv):
    if argv[1:] == ["--names"]:
        print(";".join(bugs()), end="")
        return 0
    if len(argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        plant(bugs()[argv[1]], pathlib.Path(argv[2]), pathlib.Path(argv[3]))
    except DoesNotApply as error:
        print(f"plant: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
