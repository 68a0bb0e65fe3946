# SPDX-License-Identifier: Apache-2.0
"""Images one after the other in shared memory, each at its own 2 MiB-aligned range."""

import dataclasses
from pathlib import Path

from e2e.harness.vm import ALIGN_BYTES

MAGIC_BYTES = 8  # at the very start of an image; whoever sees them sees a whole image
BLOCK_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True)
class Placed:
    """An image in the memory: where it starts there, and the bytes its range has."""

    name: str
    offset: int
    size_bytes: int


def round_up(size_bytes):
    """The next multiple of 2 MiB."""
    return -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES


def room_for(paths):
    """Bytes of shared memory these image files need."""
    return sum(round_up(Path(path).stat().st_size) for path in paths)


def place(memory, images):
    """Writes image files [(name, path)] into `memory` from its start; returns a `Placed` for
    each."""
    placed, offset = [], 0
    for name, path in images:
        size_bytes = round_up(Path(path).stat().st_size)
        if offset + size_bytes > memory.size_bytes:
            raise ValueError(f"{path}: no room in {memory.size_bytes} bytes of shared memory")
        write_image(memory, offset, path)
        placed.append(Placed(name, offset, size_bytes))
        offset += size_bytes
    return placed


def write_image(memory, offset, path):
    """All of the image but its magic, then the magic."""
    with open(path, "rb") as image:
        magic, at = image.read(MAGIC_BYTES), offset + MAGIC_BYTES
        while data := image.read(BLOCK_BYTES):
            memory.write(at, data)
            at += len(data)
    memory.write(offset, magic)
