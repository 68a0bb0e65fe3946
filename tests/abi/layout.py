#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The layout of every structure in format.h, as the compiler sees it.

  layout.py --check    compare with layout.golden and the tables in docs/format.md; 1 if they differ
  layout.py --update   rewrite both

A line of the dump is: STRUCT FIELD OFFSET SIZE, in hexadecimal; a structure's own line has FIELD ".".
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "kernel-module/include/daxfs/format.h"
GOLDEN = ROOT / "tests/abi/layout.golden"
DOC = ROOT / "docs/format.md"
FIELD = re.compile(r"^\t(?:struct )?\w+ (\w+)(?:\[[^\]]*\])?;\s*(?:/\* 0x[0-9a-f]+(?:: (.*?))? ?\*/)?$")
STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\};", re.M | re.S)


def parse(text):
    """Structures of the header: {name: [(field, comment), ...]}. An unreadable field line is an error."""
    structs = {}
    for name, body in STRUCT.findall(text):
        fields = []
        for line in body.splitlines():
            match = FIELD.match(line)
            if not match:
                raise ValueError(f"format.h: struct {name}: cannot read field line: {line!r}")
            fields.append((match.group(1), match.group(2) or ""))
        structs[name] = fields
    return structs


def measure(structs):
    """[(struct, field, offset, size)] from the compiler."""
    lines = ['#include <stdio.h>', '#include "daxfs/format.h"', "int main(void) {"]
    for name, fields in structs.items():
        lines.append(f'printf("{name} . 0x0 0x%zx\\n", sizeof(struct {name}));')
        for field, _ in fields:
            member = f"((struct {name} *)0)->{field}"
            place = f"offsetof(struct {name}, {field}), sizeof({member})"
            lines.append(f'printf("{name} {field} 0x%zx 0x%zx\\n", {place});')
    lines.append("return 0; }")
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "layout.c"), pathlib.Path(folder, "layout")
        source.write_text("\n".join(lines))
        subprocess.run(["gcc", "-std=gnu11", f"-I{ROOT}/kernel-module/include", "-o", program, source], check=True)
        return subprocess.run([program], check=True, capture_output=True, text=True).stdout


def tables(structs, dump):
    """{struct: its Markdown table}."""
    place = {}
    for line in dump.splitlines():
        name, field, offset, size = line.split()
        place[name, field] = (int(offset, 16), int(size, 16))
    result = {}
    for name, fields in structs.items():
        rows = [f"`struct {name}`, {place[name, '.'][1]} bytes", "",
                "| offset | bytes | field | meaning |", "|---|---|---|---|"]
        for field, comment in fields:
            offset, size = place[name, field]
            rows.append(f"| 0x{offset:03x} | {size} | `{field}` | {comment.replace('|', chr(92) + '|')} |")
        result[name] = "\n".join(rows)
    return result


def render(doc, all_tables):
    """The document with each table between its two markers replaced."""
    for name, table in all_tables.items():
        begin, end = f"<!-- layout {name} -->", "<!-- end -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
        if not pattern.search(doc):
            raise ValueError(f"docs/format.md has no place for {name}: add {begin} {end}")
        doc = pattern.sub(lambda _, t=table: f"{begin}\n{t}\n{end}", doc, count=1)
    return doc


def main(argv):
    if argv[1:] not in (["--check"], ["--update"]):
        print(__doc__, file=sys.stderr)
        return 2
    structs = parse(HEADER.read_text())
    dump = measure(structs)
    doc = render(DOC.read_text(), tables(structs, dump))
    if argv[1] == "--update":
        GOLDEN.write_text(dump)
        DOC.write_text(doc)
        return 0
    stale = [str(path.relative_to(ROOT)) for path, want in ((GOLDEN, dump), (DOC, doc)) if path.read_text() != want]
    if stale:
        print(f"the layout of format.h is not what these say: {', '.join(stale)}\n"
              "If the change of format is meant: raise the version or a feature bit, then tests/abi/layout.py --update",
              file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
