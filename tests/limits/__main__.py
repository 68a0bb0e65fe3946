# SPDX-License-Identifier: Apache-2.0
"""How large it may be: a file of 10 GiB, a million files, a directory of a million entries, a path of 4096 bytes, 2 GiB
of layers side by side.

Each is streamed into daxfs-build, verified and read; time and peak memory of every program are printed. Wants about
12 GiB of disk in $TMPDIR (or /var/tmp). Usage: python3 -m tests.limits BUILD_DIR
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from e2e.oci import stored

from . import streams

GIB = 1 << 30
MILLION = 1_000_000
# What a program may need at its peak: bounded by metadata, not by data. Promised are 512 bytes for each entry.
PEAK_MIB = 64
BYTES_AN_ENTRY = 464
ENTRIES = {"files": MILLION + 1000, "directory": MILLION}


class Failed(Exception):
    """A program did what it should not."""


def feed(stream, pipe):
    try:
        with pipe:
            for chunk in stream:
                pipe.write(chunk)
    except BrokenPipeError:
        pass  # the program's exit status says why


class Counter:
    """Counts a text in a stream, also where it lies across two parts of it."""

    def __init__(self, text):
        self.text, self.count, self.rest = text, 0, b""

    def take(self, chunk):
        chunk = self.rest + chunk
        self.count += chunk.count(self.text)
        self.rest = chunk[len(chunk) - len(self.text) + 1:] if len(self.text) > 1 else b""


class Limits:
    """Runs the programs and remembers what they cost."""

    def __init__(self, build_dir, work):
        self.build = f"{build_dir}/imagebuilder/daxfs-build"
        self.ctl = f"{build_dir}/tools/daxfsctl"
        self.work = work
        self.figures = {}

    def run(self, case, step, args, stream=None, take=None):
        """One program to its end. Its output is handed to `take` by the MiB, or returned if there is none."""
        started = time.monotonic()
        output = []
        with subprocess.Popen(args, stdin=subprocess.PIPE if stream else subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as child:
            feeder = threading.Thread(target=feed, args=(stream, child.stdin)) if stream else None
            errors = []
            collector = threading.Thread(target=lambda: errors.append(child.stderr.read()))
            for thread in filter(None, (feeder, collector)):
                thread.start()
            while chunk := child.stdout.read(1 << 20):
                (take or output.append)(chunk)
            for thread in filter(None, (feeder, collector)):
                thread.join()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        seconds, peak_mib = time.monotonic() - started, usage.ru_maxrss / 1024
        if child.returncode != 0:
            raise Failed(errors[0].decode(errors="replace").strip()[-500:])
        print(f"  {case:<10} {step:<8} {seconds:8.1f} s  peak {peak_mib:8.1f} MiB", flush=True)
        self.figures[f"{case}_{step}_seconds"] = round(seconds, 1)
        self.figures[f"{case}_{step}_peak_mib"] = round(peak_mib, 1)
        return b"".join(output)

    def lines(self, case, step, args, ending):
        """How many lines of the output hold `ending`, none of them kept."""
        counter = Counter(ending)
        self.run(case, step, args, take=counter.take)
        return counter.count

    def convert(self, case, stream):
        """Build and verify: the image's path and the build's report."""
        image = self.work / case
        args = [self.build, "tar:-", "-o", image, "--json", "--log-level", "error"]
        report = json.loads(self.run(case, "build", args, stream))
        self.run(case, "verify", [self.ctl, "image", "verify", image])
        return image, report

    def check_peak(self, case):
        # A mapped image counts as memory while it is read, though all of it can be given back: the build counts.
        most = PEAK_MIB + ENTRIES.get(case, 0) * BYTES_AN_ENTRY / (1 << 20)
        if self.figures[f"{case}_build_peak_mib"] > most:
            raise Failed(f"{case}: more than {most:.0f} MiB")


def huge(limits):
    size = 10 * GIB
    image, report = limits.convert("huge", streams.one_file(size))
    want, got = hashlib.sha256(), hashlib.sha256()
    limits.run("huge", "read", [limits.ctl, "image", "cat", image, "/huge"], take=got.update)
    chunks = streams.one_file(size)
    next(chunks)  # the header
    for _, chunk in zip(range(size // streams.MIB), chunks):
        want.update(chunk)
    if got.digest() != want.digest():
        raise Failed("huge: other bytes than went in")
    if report["images"][0]["data_bytes"] < size:
        raise Failed("huge: the data is not there")
    image.unlink()


def layers(limits):
    """Four at once if there are as many processors."""
    packed = []
    for number in range(4):
        tar, blob = limits.work / "tar", limits.work / f"layer{number}"
        with tar.open("wb") as out:
            out.writelines(streams.one_file(512 << 20, b"%d" % number))
        with blob.open("wb") as out:
            subprocess.run(["gzip", "-1", "-c", tar], stdout=out, check=True)
        packed.append((blob, stored.TAR + "+gzip", stored.digest_of(tar)))
        tar.unlink()
    stored.write(limits.work / "layout", packed)
    out = limits.work / "layers"
    limits.run("layers", "build", [limits.build, f"oci:{limits.work}/layout", "--per-layer", "-o", out, "-j", "4",
                                   "--log-level", "error"])
    for image in sorted(out.glob("*.daxfs")):
        limits.run("layers", "verify", [limits.ctl, "image", "verify", image])
    shutil.rmtree(out)


def files(limits):
    image, report = limits.convert("files", streams.many_files(MILLION, 1000))
    if report["images"][0]["inodes"] != MILLION + 1000 + 1:
        raise Failed(f"files: {report['images'][0]['inodes']} inodes")
    listed = limits.lines("files", "read", [limits.ctl, "image", "dump", image], b" file ")
    if listed != MILLION:
        raise Failed(f"files: {listed} were listed")
    if limits.run("files", "cat", [limits.ctl, "image", "cat", image, "/d000777/f00777123"]) != \
            b"content of file 00777123\n":
        raise Failed("files: wrong content")
    image.unlink()


def directory(limits):
    image, _ = limits.convert("directory", streams.many_files(MILLION, 1))
    listed = limits.lines("directory", "read", [limits.ctl, "image", "ls", image, "/d000000"], b"\n")
    if listed != MILLION:
        raise Failed(f"directory: {listed} were listed")
    for number in (0, 1, 499_999, MILLION - 1):
        limits.run("directory", "stat", [limits.ctl, "image", "stat", image, f"/d000000/f{number:08}"])
    image.unlink()


def path(limits):
    """PATH_MAX is 4096 with the NUL at its end: 4095 bytes fit, 4096 are refused with a reason."""
    image, _ = limits.convert("path", streams.long_path(4095))
    stream = b"".join(streams.long_path(4095))
    deep = stream[stream.index(b"path=") + 5:].split(b"\n")[0].decode()
    if limits.run("path", "read", [limits.ctl, "image", "cat", image, "/" + deep]) != b"deep":
        raise Failed("path: wrong content")
    try:
        limits.convert("path", streams.long_path(4096))
    except Failed as refusal:
        if "4095" not in str(refusal):
            raise
        print(f"  path       4096 bytes are refused: ...{str(refusal)[-60:]}")
    else:
        raise Failed("path: 4096 bytes went in")


def main():
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="daxfs-limits-", dir=os.environ.get("TMPDIR", "/var/tmp")) as work:
        limits = Limits(sys.argv[1], Path(work))
        for case in (path, layers, files, directory, huge):
            case(limits)
            limits.check_peak(case.__name__)
    print(f"limits: all there in {time.monotonic() - started:.0f} s")
    if "DAXFS_FIGURES" in os.environ:
        with open(os.environ["DAXFS_FIGURES"], "a", encoding="utf-8") as out:
            out.write(json.dumps(limits.figures) + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"limits: {failure}")
