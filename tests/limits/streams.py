# SPDX-License-Identifier: Apache-2.0
"""Large tars as streams of bytes, header by header; nothing of them is ever whole in memory or on disk."""

BLOCK = 512
MIB = 1 << 20


def header(name, size, kind=b"0", mode=0o644):
    """One ustar header; a size beyond octal is written in base 256."""
    number = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    block = bytearray(BLOCK)
    block[0:len(name)] = name
    block[100:156] = b"%07o\0" % mode + b"0000000\0" * 2 + number + b"14000000000\0" + b" " * 8
    block[156:157] = kind
    block[257:265] = b"ustar\00000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records):
    """An extended header for the next entry."""
    data = b""
    for key, value in records.items():
        rest = b" %s=%s\n" % (key, value)
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        data += str(length).encode() + rest
    return header(b"pax", len(data), b"x") + data + bytes(-len(data) % BLOCK)


def one_file(size, name=b"huge"):
    """A file of `size` bytes, a multiple of 1 MiB, no two MiB of it alike and none of them zero."""
    yield header(name, size)
    body = bytearray(b"0123456789abcdef" * (MIB // 16))
    for number in range(size // MIB):
        body[:16] = b"%016d" % number
        yield bytes(body)
    yield bytes(2 * BLOCK)


def many_files(count, directories):
    """`count` small files with contents of their own, spread over so many directories."""
    chunk = []
    for number in range(count):
        if number % (count // directories) == 0:
            folder = b"d%06d" % (number // (count // directories))
            chunk.append(header(folder, 0, b"5", 0o755))
        content = b"content of file %08d\n" % number
        chunk.append(header(b"%s/f%08d" % (folder, number), len(content)))
        chunk.append(content + bytes(-len(content) % BLOCK))
        if len(chunk) > 1000:
            yield b"".join(chunk)
            chunk.clear()
    yield b"".join(chunk) + bytes(2 * BLOCK)


def long_path(length):
    """A file whose path has `length` bytes."""
    path = b"n" * 200
    while len(path) + 201 < length:
        path += b"/" + b"n" * 200
    path += b"/" + b"f" * (length - len(path) - 1)
    assert len(path) == length
    yield pax({b"path": path}) + header(b"short", 4) + b"deep" + bytes(BLOCK - 4) + bytes(2 * BLOCK)
