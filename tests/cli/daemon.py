# SPDX-License-Identifier: Apache-2.0
"""daxfs-snapshotter as a process of a test's own, and what containerd would ask it."""

import hashlib
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

from layouts import LAYER

SECONDS = 60
SNAPSHOTS = "/containerd.services.snapshots.v1.Snapshots/"


class Daemon:
    """Runs until `stop`; its log goes to a file."""

    def __init__(self, folder, **config):
        self.folder, self.socket = Path(folder), Path(folder) / "s.sock"
        self.config_file, self.log_file = self.folder / "snapshotter.yaml", self.folder / "log"
        self.process, self.config = None, {"root": self.folder / "root", "address": self.socket, **config}
        self.environment = {**os.environ, "DAXFS_HOST_ID": "00000000-0000-4000-8000-000000000001",
                            "DAXFS_RUN_DIR": str(self.folder / "run")}
        self.write_config()

    def write_config(self, **changes):
        """None takes a key away."""
        self.config.update(changes)
        self.config_file.write_text("".join(f"{key}: {value}\n" for key, value in self.config.items()
                                            if value is not None))

    def start(self, *args):
        with self.log_file.open("a+", encoding="utf-8") as log:
            served = self.log().count(" serving")
            self.process = subprocess.Popen([os.environ["DAXFS_SNAPSHOTTER"], "--config", self.config_file, *args],
                                            stderr=log, stdout=log, env=self.environment)
        self.wait_for_log(" serving", served + 1)
        return self

    def log(self):
        return self.log_file.read_text(encoding="utf-8")

    def wait_for_log(self, text, times=1):
        end = time.monotonic() + SECONDS
        while self.log().count(text) < times:
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.01)

    def reload(self, until):
        """Until the log says that once more."""
        said = self.log().count(until)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_log(until, said + 1)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            code, self.process = self.process.wait(SECONDS), None
            assert code == 0, self.log()

    def prepare(self, key, parent=""):
        call(self.socket, SNAPSHOTS + "Prepare", field(2, key) + field(3, parent))

    def commit(self, name, key):
        call(self.socket, SNAPSHOTS + "Commit", field(2, name) + field(3, key))

    def pull(self, tar, number):
        """A lowest layer as containerd pulls one, as snapshot `number`; its digest. Wants `content` configured."""
        digest = hashlib.sha256(tar).hexdigest()
        blobs = Path(self.config["content"]) / "blobs/sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        (blobs / digest).write_bytes(tar)
        self.prepare("extract")
        blob = field(1, LAYER) + field(2, f"sha256:{digest}") + field(3, len(tar))
        mount = field(1, "bind") + field(2, f"{self.config['root']}/snapshots/{number}/fs") + field(4, "rw")
        call(self.socket, "/containerd.services.diff.v1.Diff/Apply", field(1, blob) + field(2, mount))
        self.commit(f"sha256:{digest}", "extract")
        return f"sha256:{digest}"


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number, value):
    """A field of a protobuf message; of none there is nothing."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data if data else b""


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header that goes into no table (RFC 7541, 6.2.2), less than 127 bytes each."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call(address, method, message):
    """One unary call of gRPC (HTTP/2 by hand); waits until it has ended, however it did."""
    headers = b"".join(literal(*pair) for pair in [
        (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "localhost"),
        ("content-type", "application/grpc"), ("te", "trailers")])
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(address))
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, headers)
                       + frame(0, 1, 1, b"\0" + struct.pack(">I", len(message)) + message))
        with client.makefile("rb") as stream:
            while True:
                head = stream.read(9)
                assert len(head) == 9, "the connection has ended"
                length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
                stream.read(length)
                if kind == 4 and not flags & 1:
                    client.sendall(frame(4, 1, 0, b""))
                if kind in (0, 1) and flags & 1 and head[8] == 1:  # the end of stream 1
                    return
