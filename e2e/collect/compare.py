#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How two trees differ: `compare.py [--ignore FIELD]... A B`, two files as collect.py writes them. Prints a line for
every field that differs and exits 1 if there is any."""

import argparse
import json
import os
import sys


def load(path):
    """The objects of a file with one a line."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def field_differences(path, wanted, found, ignore):
    """Lines for one path. Extended attributes are fields of their own."""
    for field in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(field), found.get(field)
        if field in ignore or want == have:
            continue
        if field == "xattrs" and isinstance(want, dict) and isinstance(have, dict):
            for name in sorted(want.keys() | have.keys()):
                if want.get(name) != have.get(name):
                    yield f"{path!r}: xattr {name!r} is {have.get(name)!r:.100}, not {want.get(name)!r:.100}"
        else:
            yield f"{path!r}: {field} is {have!r:.200}, not {want!r:.200}"


def differences(expected, found, ignore=()):
    """Sorted lines that say how `found` differs from `expected`, without the fields in `ignore`."""
    wanted = {item["path"]: item for item in expected}
    present = {item["path"]: item for item in found}
    lines = [f"{path!r}: missing" for path in wanted if path not in present]
    lines += [f"{path!r}: should not be there" for path in present if path not in wanted]
    for path in wanted.keys() & present.keys():
        lines += field_differences(path, wanted[path], present[path], ignore)
    for name, items, paths in (("expected", expected, wanted), ("found", found, present)):
        if len(items) != len(paths):
            lines.append(f"{len(items) - len(paths)} paths {name} more than once")
    return sorted(lines, key=os.fsencode)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="compare", description=__doc__)
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("expected")
    parser.add_argument("found")
    options = parser.parse_args(argv)
    lines = differences(load(options.expected), load(options.found), options.ignore)
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
