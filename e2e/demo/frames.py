#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Page frames behind a file that processes have mapped: `frames.py SUFFIX PID...` prints as JSON
{PID: {offset in the file: page frame}} of the pages present. Needs root; stands alone, so that a
guest runs it."""

import json
import os
import re
import struct
import sys

PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT, FRAME = 1 << 63, (1 << 55) - 1
FILE_PAGE = 1 << 61  # or shared memory; a private copy has it not
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \S+ +(.*)")


def frames(pid, suffix):
    """{offset: frame} of the pages of the file whose path ends in `suffix`; copies left out."""
    found = {}
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        mappings = [MAPPING.match(line).groups() for line in maps if line.rstrip().endswith(suffix)]
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for start, end, offset, _ in mappings:
            first, count = int(start, 16) // PAGE, (int(end, 16) - int(start, 16)) // PAGE
            words = os.pread(pagemap.fileno(), count * 8, first * 8)
            for number, (word, ) in enumerate(struct.iter_unpack("<Q", words)):
                if word & PRESENT and word & FILE_PAGE:
                    found[int(offset, 16) + number * PAGE] = word & FRAME
    return found


if __name__ == "__main__":
    json.dump({pid: frames(pid, sys.argv[1]) for pid in sys.argv[2:]}, sys.stdout)
