#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every fence, flush and look again in core's pool is in docs/pool.md, with what sees that it is missing.

Reads kernel-module/core/pool_*.c, the table "Every fence, flush and look again" and removals.cpp; prints what does not
agree. What the table says is caught in a world is left out there by pool_sim_test, which fails where nothing is seen.
"""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADING = "## Every fence, flush and look again"
LAYERS = {"sc": "interleaving", "tso": "store buffer", "weak": "store buffer", "apart": "incoherent cache"}
FUNCTION = re.compile(r"^(?!\s|#|/|\*|\})[^;=]*?\b(\w+)\([^;]*$")
SITE = re.compile(r"\bdaxfs_(fence|publish|write_back|refresh|bytes_written|bytes_anew)\(|\bDAXFS_RULE\((\w+)\)")
REMOVAL = re.compile(r'\{"([a-z-]+)",\s*(?:RULE\((\w+)\)|Rules\(([^)]*)\)),\s*"([\w-]+)",\s*k(Sc|Tso|Weak)\b')
APART = re.compile(r'apart\("([a-z-]+)",\s*DAXFS_RULE_(\w+),\s*"([\w-]+)"')
LITMUS = re.compile(r"litmus: `sim_test` (\w+)$")


def code_sites(text):
    """(function, site) for each in a file; a site is a primitive or a rule's name.

    A rule is one site of its function, however often a test build asks for it there.
    """
    found, function = [], None
    for line in text.splitlines():
        start = FUNCTION.match(line)
        if start:
            function = start.group(1)
        for primitive, rule in SITE.findall(line):
            site = (function, primitive or rule.lower().replace("_", "-"))
            if primitive or site not in found:
                found.append(site)
    return found


def listed_sites(page):
    """(function, site, what sees it) for each row of the table."""
    rows = []
    for line in page.split(HEADING, 1)[-1].split("\n## ", 1)[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            rows.append((cells[0].strip("`"), cells[1].strip("`"), cells[2]))
    return rows


def removals(text):
    """(rule, world, memory) of each rule left out, alone or with others."""
    found = set()
    for name, alone, together, world, memory in REMOVAL.findall(text):
        rules = [alone] if alone else [rule.strip().removeprefix("DAXFS_RULE_") for rule in together.split(",")]
        if name.upper().replace("-", "_") in rules:
            found.add((name, world, memory.lower()))
    for name, rule, world in APART.findall(text):
        if name.upper().replace("-", "_") == rule:
            found.add((name, world, "apart"))
    return found


def caught(cell, site, left_out, litmus):
    """By which layers, if what sees it is there: worlds and memories of a rule, or a litmus test."""
    if "; " in cell:
        parts = [caught(part, site, left_out, litmus) for part in cell.split("; ")]
        return set().union(*parts) if all(parts) else set()
    test = LITMUS.match(cell)
    if test:
        return {"litmus model"} if re.search(rf"TEST\(Litmus, {test.group(1)}\)", litmus) else set()
    rule = site
    named = re.match(r"`([a-z-]+)`: ", cell)
    if named:
        rule, cell = named.group(1), cell[named.end():]
    places = [place.split() for place in cell.split(", ")]
    there = all(len(p) == 2 and (rule, p[0], p[1]) in left_out for p in places)
    return {LAYERS[place[1]] for place in places} if there else set()


def faults(sources, page, removals_text, litmus):
    """What is wrong, one line each, and how many sites each layer sees. `sources`: texts by name."""
    wrong, seen = [], collections.Counter()
    left_out = removals(removals_text)
    in_code = sorted(site for text in sources.values() for site in code_sites(text))
    rows = listed_sites(page)
    in_page = sorted((function, site) for function, site, _ in rows)
    for site in sorted(set(in_code) | set(in_page)):
        if in_code.count(site) != in_page.count(site):
            wrong.append(f"{site[0]}: {site[1]}: {in_code.count(site)} in the code, {in_page.count(site)} in the page")
    for function, site, cell in rows:
        layers = caught(cell, site, left_out, litmus)
        seen.update(layers)
        if not layers:
            wrong.append(f"{function}: {site}: '{cell}' is no world or litmus test that misses it")
    return wrong, seen


def main():
    files = [*(ROOT / "kernel-module/core").glob("pool_*.c"), *(ROOT / "common/pool").glob("*.cpp")]
    sources = {path.name: path.read_text() for path in files}
    tests = ROOT / "tests/sim"
    wrong, seen = faults(sources, (ROOT / "docs/pool.md").read_text(), (tests / "removals.cpp").read_text(),
                         (tests / "sim_test.cpp").read_text())
    for line in wrong:
        print(line)
    layers = ", ".join(f"{count} by {layer}" for layer, count in sorted(seen.items()))
    print(f"{sum(len(code_sites(text)) for text in sources.values())} sites, {len(wrong)} not seen ({layers})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
