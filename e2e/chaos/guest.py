# SPDX-License-Identifier: Apache-2.0
"""One kernel's part of the chaos, run inside a guest: mounts images of a pool, reads all of them, lets go, and keeps
pages of unmounted images in pipes.

  guest.py OPTIONS IMAGES.json SECONDS SEED     OPTIONS: phys=…,size=…  IMAGES: {digest: {"hash", "pin": [path, hash]}}

Ends with one line of JSON: counts, and what was wrong. Reads nothing but the mounts and its arguments.
"""

import ctypes
import hashlib
import json
import os
import random
import subprocess
import sys
import time

PIN_BYTES = 16 * 4096
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def hash_tree(root):
    """SHA-256 over every path and byte below `root`, in order."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            total.update(os.path.relpath(path, root).encode() + b"\0")
            with open(path, "rb") as file:
                while data := file.read(1 << 20):
                    total.update(data)
    return total.hexdigest()


class Guest:
    def __init__(self, options, images, seed):
        self.options, self.images = options, images
        self.chance = random.Random(seed)
        self.mounted = {}  # where: digest
        self.pins = []     # (pipe, hash, digest, until)
        self.number = 0
        self.said = {"mounts": 0, "absent": 0, "reads": 0, "pins": 0, "pin_reads": 0, "busy": 0, "wrong": []}

    def mount(self, digest):
        """Where the image is now; None if the pool has none."""
        self.number += 1
        where = f"/chaos/{self.number}"
        os.makedirs(where)
        options = f"ro,{self.options},image=sha256:{digest}"
        done = subprocess.run(["mount", "-i", "-t", "daxfs", "-o", options, "none", where],
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            self.mounted[where] = digest
            self.said["mounts"] += 1
            return where
        os.rmdir(where)
        text = done.stderr
        kind = "absent" if "No such file" in text or "does not exist" in text else \
            "busy" if "temporarily" in text else None
        if kind is None:
            self.said["wrong"].append(f"mount {digest[:12]}: {text.strip()}")
        else:
            self.said[kind] += 1
        return None

    def unmount(self, where):
        subprocess.run(["umount", where], check=True)
        os.rmdir(where)
        del self.mounted[where]

    def verify(self, where):
        digest = self.mounted[where]
        self.said["reads"] += 1
        if hash_tree(where) != self.images[digest]["hash"]:
            self.said["wrong"].append(f"{digest[:12]}: other bytes than were built")

    def pin(self, where):
        """Pages of a file in a pipe, by reference; they stay when the image is unmounted."""
        digest = self.mounted[where]
        path, expected = self.images[digest]["pin"]
        file = os.open(f"{where}/{path}", os.O_RDONLY)
        address = LIBC.mmap(None, PIN_BYTES, 1, 1, file, 0)
        os.close(file)
        reader, writer = os.pipe()
        vector = IoVec(address, PIN_BYTES)
        moved = LIBC.vmsplice(writer, ctypes.byref(vector), ctypes.c_ulong(1), 0)
        os.close(writer)
        LIBC.munmap(address, PIN_BYTES)
        if moved != PIN_BYTES:
            self.said["wrong"].append(f"vmsplice: {moved} of {PIN_BYTES} bytes")
        self.pins.append((reader, expected, digest, time.monotonic() + self.chance.uniform(1, 8)))
        self.said["pins"] += 1

    def look_at_pins(self, everything=False):
        left = []
        for pin in self.pins:
            reader, expected, digest, until = pin
            if not everything and time.monotonic() < until:
                left.append(pin)
                continue
            with os.fdopen(reader, "rb") as pipe:
                data = pipe.read()
            self.said["pin_reads"] += 1
            if hashlib.sha256(data).hexdigest() != expected:
                self.said["wrong"].append(f"{digest[:12]}: a pinned page has other bytes")
        self.pins = left

    def step(self):
        self.look_at_pins()
        if len(self.mounted) < 4 and self.chance.random() < 0.6:
            where = self.mount(self.chance.choice(list(self.images)))
            if where is None:
                time.sleep(0.05)
                return
            self.verify(where)
            if self.chance.random() < 0.3:
                self.pin(where)
                self.unmount(where)
        elif self.mounted:
            where = self.chance.choice(list(self.mounted))
            self.verify(where)
            if self.chance.random() < 0.7:
                self.unmount(where)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.said["wrong"]:
            self.step()
        for where in list(self.mounted):
            self.verify(where)
            self.unmount(where)
        self.look_at_pins(everything=True)


def main():
    options, images, seconds, seed = sys.argv[1:]
    with open(images, encoding="utf-8") as file:
        guest = Guest(options, json.load(file), int(seed))
    guest.run(float(seconds))
    print(json.dumps(guest.said))


if __name__ == "__main__":
    main()
