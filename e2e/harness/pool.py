# SPDX-License-Identifier: Apache-2.0
"""A pool in shared memory, made and filled on the host by the built tools, looked at and spoiled by tests.

Where things lie is worked out here a second time, from docs/pool.md: a test that asked the code would believe it.
"""

import contextlib
import dataclasses
import os
import re
import struct
import subprocess
import uuid

from e2e.harness import programs
from e2e.harness.programs import ToolMissing

CHUNK = 2 << 20
GRANULE = 64 << 10
NO_CHUNK = 0xFFFFFFFF
SPLIT = 1 << 24  # an owner word: the chunk is in granules
FREE, ATTACHED, DEAD = 0, 1, 2
READY = 2
HOST_ID = "5eed0000-0000-4000-8000-0000000000ff"  # of the machine the tests run on


@dataclasses.dataclass(frozen=True)
class Row:
    """An object that is ready: its row, generation, where it begins, how much it has."""

    number: int
    generation: int
    size: int
    first: int
    chunks: int
    granules: int
    digest: str

    @property
    def owner(self):
        """What its chunks' owner words say."""
        return self.number + 1 | self.generation << 24


@dataclasses.dataclass(frozen=True)
class Device:
    """A device of a pool: where it begins in the memory, its bytes, and as the pool's superblock has it."""

    start: int
    size: int
    uuid: str
    data: int
    first: int
    chunks: int


def make_devices(memory, places, folder):
    """A pool over ranges [(start, size)] of the memory. The host's tools know files only: it is made there, and copied.
    Returns its devices."""
    files = []
    for number, (_, size) in enumerate(places):
        files.append(folder / f"device{number}")
        with open(files[-1], "wb") as file:
            file.truncate(size)
    subprocess.run([programs.tool("daxfsctl"), "pool", "create", ",".join(map(str, files))], check=True,
                   capture_output=True)
    devices = []
    for number, (file, (start, size)) in enumerate(zip(files, places)):
        block = file.read_bytes()[:16 << 20]
        at, empty = 3072 + 64 * number, 4096
        data, first, chunks = struct.unpack("<QII", block[at + 24:at + 40])
        devices.append(Device(start, size, str(uuid.UUID(bytes=block[at:at + 16])), data, first, chunks))
        memory.write(start, block[:data if number == 0 else empty])
        file.unlink()
    return devices


class Pool:
    """A pool over all of a `SharedMemory`, or over ranges [(start, size)] of it, of which the first begins at 0."""

    def __init__(self, memory, run_dir, places=()):
        self.memory = memory
        self._environment = os.environ | {"DAXFS_HOST_ID": HOST_ID, "DAXFS_RUN_DIR": str(run_dir)}
        if places:
            self.devices = make_devices(memory, places, run_dir)
        else:
            self.tool("daxfsctl", "pool", "create", memory.path, "--force")
        counts = struct.unpack("<11I", memory.read(80, 44))
        _, _, hosts, slots, rows, chunks, buckets, overflow, name_buckets, name_overflow, holds = counts
        uses, aliases, names = (rows + 63) // 64, 8 * buckets + overflow, 8 * name_buckets + name_overflow
        self.uuid = str(uuid.UUID(bytes=memory.read(40, 16)))
        self.rows, self.slots, self.hosts, self.chunks = rows, slots, hosts, chunks
        self.data = struct.unpack("<Q", memory.read(3072 + 24, 8))[0]
        at, self.table = 4096, {}
        for name, size in (("live", 4096), ("host keys", 8 * hosts), ("hosts", 128 * hosts), ("slot words", 8 * slots),
                           ("slots", 128 * slots), ("row words", 8 * rows), ("rows", 128 * rows),
                           ("uses", 8 * slots * uses), ("owners", 8 * chunks), ("links", 4 * chunks),
                           ("granules", 8 * chunks * 32), ("alias words", 8 * aliases), ("aliases", 64 * aliases),
                           ("name words", 8 * names), ("names", 256 * names), ("hold words", 8 * holds)):
            self.table[name] = at
            at = -(-(at + size) // 4096) * 4096

    # The tools of the host

    def tool(self, program, *arguments, check=True):
        """Runs a built tool; what it says is in the error if it fails."""
        done = subprocess.run([programs.tool(program), *map(str, arguments)], capture_output=True, text=True,
                              env=self._environment, check=False)
        if check and done.returncode:
            raise ToolMissing(f"{program} {arguments}: exit status {done.returncode}\n{done.stderr}")
        return done

    def add(self, source, name, *options):
        """Places `source` as an image named `name`; returns its row."""
        before = {row.number for row in self.ready()}
        self.tool("daxfs-build", source, "--pool", self.memory.path, "--name", name, *options)
        new = [row for row in self.ready() if row.number not in before]
        assert len(new) == 1, f"{name}: {len(new)} new objects"
        return new[0]

    # The words

    def word(self, table, index, size=8):
        """A number of a table."""
        return int.from_bytes(self.memory.read(self.table[table] + index * size, size), "little")

    def put(self, table, index, value, size=8):
        """Stores a number into a table."""
        self.memory.write(self.table[table] + index * size, value.to_bytes(size, "little"))

    def ready(self):
        """All objects that are ready."""
        words = struct.unpack(f"<{self.rows}Q", self.memory.read(self.table["row words"], 8 * self.rows))
        return [self._row(number, word) for number, word in enumerate(words) if word & 15 == READY]

    def _row(self, number, word):
        record = self.memory.read(self.table["rows"] + 128 * number, 128)
        size, _, _, first, chunks, granules = struct.unpack("<QQIIII", record[16:48])
        return Row(number, word >> 24, size, first, chunks, granules, record[48:80].hex())

    def put_row(self, row, **fields):
        """Overwrites fields of a row's record."""
        places = {"size": (16, 8), "kind": (32, 4), "first": (36, 4), "chunks": (40, 4), "granules": (44, 4),
                  "digest": (48, 32)}
        for name, value in fields.items():
            at, size = places[name]
            data = value if isinstance(value, bytes) else value.to_bytes(size, "little")
            self.memory.write(self.table["rows"] + 128 * row.number + at, data)

    def at(self, chunk):
        """Where in the memory a chunk of a pool of several devices is."""
        device = next(device for device in self.devices if device.first <= chunk < device.first + device.chunks)
        return device.start + device.data + (chunk - device.first) * CHUNK

    def chain(self, row):
        """The chunks of an object, in order."""
        chunks = [row.first]
        while len(chunks) < row.chunks:
            chunks.append(self.word("links", chunks[-1], 4))
        return chunks

    def attached(self):
        """{slot: host} of all participants."""
        words = [self.word("slot words", slot) for slot in range(self.slots)]
        return {slot: word >> 4 & 0xFFFF for slot, word in enumerate(words) if word & 15 == ATTACHED}

    def users(self, row):
        """The slots that have a use of a row."""
        words = (self.rows + 63) // 64
        return [slot for slot in range(self.slots)
                if self.word("uses", slot * words + row.number // 64) >> row.number % 64 & 1]

    # What tests do to it

    def scatter(self, row):
        """The object's chunks change places: the same bytes, in the opposite order. Nobody may be using it."""
        chunks = self.chain(row)
        bytes_of = [self.memory.read(self.data + chunk * CHUNK, CHUNK) for chunk in chunks]
        chunks.reverse()
        for chunk, data, following in zip(chunks, bytes_of, chunks[1:] + [NO_CHUNK]):
            self.memory.write(self.data + chunk * CHUNK, data)
            self.put("links", chunk, following, 4)
        self.put_row(row, first=chunks[0])
        return dataclasses.replace(row, first=chunks[0])

    def move(self, wanted):
        """Objects lie in other chunks now, [(row, chunks)]; one in granules at the start of its chunk. Of a pool of
        several devices; returns the rows."""
        bytes_of = [[self.memory.read(self.at(chunk), CHUNK) for chunk in self.chunks_of(row)] for row, _ in wanted]
        for row, _ in wanted:
            for chunk in self.chunks_of(row):
                self.put("owners", chunk, 0)
            for granule in range(row.first, row.first + row.granules):
                self.put("granules", granule, 0)
        moved = []
        for (row, chunks), data in zip(wanted, bytes_of):
            assert not any(self.word("owners", chunk) for chunk in chunks), f"not all of {chunks} are free"
            if row.granules:
                at = row.first % 32 * GRANULE
                data = [data[0][at:at + row.granules * GRANULE]]
            for chunk, content, following in zip(chunks, data, chunks[1:] + [NO_CHUNK], strict=True):
                self.memory.write(self.at(chunk), content)
                self.put("owners", chunk, SPLIT if row.granules else row.owner)
                self.put("links", chunk, following, 4)
            first = chunks[0] * 32 if row.granules else chunks[0]
            for granule in range(first, first + row.granules):
                self.put("granules", granule, row.owner)
            self.put_row(row, first=first)
            moved.append(dataclasses.replace(row, first=first))
        return moved

    def chunks_of(self, row):
        """The chunks that an object is in, its own or not."""
        return self.chain(row) if row.chunks else [row.first // 32]

    def seal(self, start=0):
        """The checksum of the superblock there, made anew."""
        block = bytearray(self.memory.read(start, 4096))
        block[0:8], block[12:16] = bytes(8), bytes(4)
        self.memory.write(start + 12, crc32c(block).to_bytes(4, "little"))

    @contextlib.contextmanager
    def restored(self):
        """Superblock and tables are afterwards what they were before."""
        kept = self.memory.read(0, self.data)
        try:
            yield
        finally:
            self.memory.write(0, kept)


def crc32c(data):
    """RFC 3720's checksum."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def mount_options(vm, image, more=""):
    """Options of a mount out of the pool that is all of the shared memory."""
    phys, size = vm.nvdimm
    return f"ro,phys={phys:#x},size={size}" + (f",image={image}" if image is not None else "") + more


def said(vm):
    """The last thing daxfs told this guest."""
    lines = re.findall(r"daxfs: .*", vm.kernel_log())
    return lines[-1] if lines else ""
