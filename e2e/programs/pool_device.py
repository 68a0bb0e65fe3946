#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a program may do to /dev/daxfs/NAME, tried in a guest: `pool_device.py COMMAND ARGUMENT...`, numbers in any
base. A line for each answer; a store that the kernel refuses is made by a child, which SIGBUS ends."""

import fcntl
import mmap
import os
import struct
import sys

PAGE = 4096
ATTACH, DETACH, SLOT, SEAL = (1 << 30 | size << 16 | 0xDA << 8 | number
                              for number, size in ((1, 48), (2, 32), (3, 16), (4, 16)))


def ask(fd, request, data):
    """0, or the errno."""
    try:
        fcntl.ioctl(fd, request, data)
    except OSError as error:
        return error.errno
    return 0


def control(request, data):
    with open("/dev/daxfs/control", "rb+", buffering=0) as file:
        return ask(file, request, data)


def attach(name, phys, size):
    print(control(ATTACH, struct.pack("<32sQQ", name.encode(), int(phys, 0), int(size, 0))))


def detach(name):
    print(control(DETACH, struct.pack("<32s", name.encode())))


class Opened:
    """The device, open and mapped as a whole."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)
        self.size = os.lseek(self.fd, 0, os.SEEK_END)
        self.memory = mmap.mmap(self.fd, self.size)

    def close(self):
        self.memory.close()
        os.close(self.fd)

    def word(self, at):
        return struct.unpack_from("<Q", self.memory, at)[0]

    def put(self, at, value):
        struct.pack_into("<Q", self.memory, at, value)

    def live(self, word, slot, tables=None):
        """Takes a life: of this file, or of the open device 0 `tables`."""
        return ask(self.fd, SLOT, struct.pack("<QIi", word, slot, (tables or self).fd))

    def seal(self, generation, row):
        return ask(self.fd, SEAL, struct.pack("<QII", generation, row, 0))

    def store_kills(self, at):
        """How a child ends that writes back a byte it has read: 0, or the signal."""
        child = os.fork()
        if not child:
            self.memory[at] = self.memory[at]
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def stores(path, *places):
    """Of each place: how a store into it ends."""
    opened = Opened(path)
    print(opened.size, *(opened.store_kills(int(at, 0)) for at in places))


def private(path, at):
    """A private mapping may be written; nobody else sees it."""
    at = int(at, 0)
    with open(path, "rb") as file:
        start = at // PAGE * PAGE
        own = mmap.mmap(file.fileno(), PAGE, flags=mmap.MAP_PRIVATE, offset=start)
        other = mmap.mmap(file.fileno(), PAGE, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=start)
        before = other[at - start]
        own[at - start] = before ^ 0xFF
        print(own[at - start] == before ^ 0xFF, other[at - start] == before)


def build(path, slot_at, slot, row_at, row, owner_at, chunk_at, host):
    """Builds a row of one chunk by hand: what is allowed at which moment. Leaves without detaching."""
    slot_at, slot, row_at, row, owner_at, chunk_at, host = (
        int(text, 0) for text in (slot_at, slot, row_at, row, owner_at, chunk_at, host))
    opened, other = Opened(path), Opened(path)
    word = 1 | host << 4 | opened.word(slot_at) >> 24 << 24
    print("not attached", opened.live(word, slot))
    opened.put(slot_at, word)
    print("another host", opened.live(word ^ 1 << 4, slot))
    print("out of range", opened.live(word, 0xFFFFFF))
    print("life", opened.live(word, slot))
    print("taken", other.live(word, slot))
    generation = opened.word(row_at) >> 24
    print("before", opened.store_kills(chunk_at))
    opened.put(row_at, 1 | slot << 4 | generation << 24)
    opened.put(owner_at, row + 1 | generation << 24)
    opened.memory[chunk_at:chunk_at + 8] = b"building"
    print("building", opened.store_kills(chunk_at), opened.store_kills(chunk_at + (1 << 20)))
    print("neighbour", opened.store_kills(chunk_at + (2 << 20)))
    print("another file", other.store_kills(chunk_at))
    print("seal", opened.seal(generation, row))
    print("sealed", opened.store_kills(chunk_at), bytes(opened.memory[chunk_at:chunk_at + 8]).decode())
    print("sealed out of range", opened.seal(generation, 0xFFFFFFFF))


def across(tables_path, path, foreign_path, slot_at, slot, row_at, row, owner_at, chunk_at, host):
    """Builds a row of one chunk on another device than that of the tables; a second slot is the one behind."""
    slot_at, slot, row_at, row, owner_at, chunk_at, host = (
        int(text, 0) for text in (slot_at, slot, row_at, row, owner_at, chunk_at, host))
    tables, second, foreign, opened = (Opened(name) for name in (tables_path, tables_path, foreign_path, path))
    word = 1 | host << 4 | tables.word(slot_at) >> 24 << 24
    other_word = 1 | host << 4 | tables.word(slot_at + 8) >> 24 << 24
    generation = tables.word(row_at) >> 24
    tables.put(slot_at, word)
    tables.put(slot_at + 8, other_word)
    tables.put(row_at, 1 | slot << 4 | generation << 24)
    tables.put(owner_at, row + 1 | generation << 24)
    print("nobody's life", opened.live(word, slot, tables))
    print("lives", tables.live(word, slot), second.live(other_word, slot + 1))
    print("its own file", opened.live(word, slot))
    print("no file", ask(opened.fd, SLOT, struct.pack("<QIi", word, slot, -1)))
    print("another's life", opened.live(word, slot, second))
    print("another pool", opened.live(word, slot, foreign))
    print("no device", ask(opened.fd, SLOT, struct.pack("<QIi", word, slot, 1)))
    print("not shared", opened.store_kills(chunk_at))
    print("shared", opened.live(word, slot, tables), opened.live(word, slot, tables))
    print("two lives", opened.live(other_word, slot + 1, second))
    opened.memory[chunk_at:chunk_at + 8] = b"building"
    print("building", opened.store_kills(chunk_at), opened.store_kills(chunk_at + (1 << 20)))
    print("neighbour", opened.store_kills(chunk_at + (2 << 20)))
    print("superblock", opened.store_kills(64))
    print("other device sealed", tables.seal(generation, row), opened.store_kills(chunk_at))
    print("sealed", opened.seal(generation, row), opened.store_kills(chunk_at))
    tables.close()
    print("tables closed", second.word(slot_at) & 15)
    opened.close()
    print("all closed", second.word(slot_at) & 15, second.word(slot_at + 8) & 15)


def open_it(path):
    """0, or why it cannot be opened."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        print(error.errno)
    else:
        print(0)


def hold(path, *places):
    """Reads bytes through a mapping again and again until a line comes."""
    opened = Opened(path)
    print("held", sum(opened.memory[int(at, 0)] for at in places), flush=True)
    sys.stdin.readline()
    print("let go", sum(opened.memory[int(at, 0)] for at in places), flush=True)


if __name__ == "__main__":
    {"attach": attach, "detach": detach, "open": open_it, "stores": stores, "private": private, "build": build,
     "across": across, "hold": hold}[sys.argv[1]](*sys.argv[2:])
