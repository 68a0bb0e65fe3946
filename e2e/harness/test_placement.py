# SPDX-License-Identifier: Apache-2.0
"""Placing images: aligned, in order, the magic last, nothing beside the memory."""

import pytest

from e2e.harness import placement

MIB2 = 2 << 20


class Recorder:
    """Memory that remembers in which order it was written."""

    def __init__(self, size_bytes):
        self.size_bytes = size_bytes
        self.bytes = bytearray(size_bytes)
        self.writes = []

    def write(self, offset, data):
        self.bytes[offset:offset + len(data)] = data
        self.writes.append((offset, len(data)))


def images(folder, *sizes):
    for number, size_bytes in enumerate(sizes):
        (folder / str(number)).write_bytes(bytes([number + 1]) * size_bytes)
    return [(f"image {number}", folder / str(number)) for number in range(len(sizes))]


def test_each_image_has_its_own_aligned_range(tmp_path):
    wanted = images(tmp_path, 4096, MIB2, MIB2 + 4096)
    memory = Recorder(placement.room_for(path for _, path in wanted))
    placed = placement.place(memory, wanted)
    assert [(p.offset, p.size_bytes) for p in placed] == [(0, MIB2), (MIB2, MIB2), (2 * MIB2, 2 * MIB2)]
    for image, (name, path) in zip(placed, wanted):
        data = path.read_bytes()
        assert image.name == name and memory.bytes[image.offset:image.offset + len(data)] == data


def test_the_magic_is_written_last_and_alone(tmp_path):
    memory = Recorder(2 * MIB2)
    placement.place(memory, images(tmp_path, 4096, 4096))
    magics = [write for write in memory.writes if write[0] % MIB2 == 0]
    assert magics == [(0, 8), (MIB2, 8)]
    assert memory.writes.index(magics[0]) == 1 and memory.writes[-1] == magics[1]


def test_too_little_memory_is_an_error_before_the_image_is_touched(tmp_path):
    memory = Recorder(MIB2)
    with pytest.raises(ValueError, match="no room"):
        placement.place(memory, images(tmp_path, MIB2 + 1))
    assert not memory.writes
