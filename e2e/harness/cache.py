# SPDX-License-Identifier: Apache-2.0
"""The cache of everything slow to make: package archives, kernels, headers, guest images.

An entry is a directory named by the SHA-256 of all its inputs. It is made in a temporary place and
renamed, so a reader never sees half an entry; a lock per entry lets several runs share one cache.
The whole cache is safe to delete, is never needed to pass, and never holds results of tests or
anything built by the code under test.

Layout below the root: `entries/NAME-KEY/` the contents, `meta/NAME-KEY.json` what it was made from
(its modification time is the last use), `locks/`, `tmp/`.
"""

import atexit
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

LIMIT_BYTES = 12 << 30


def default_root():
    """Where the cache lives: $DAXFS_CACHE, else below $XDG_CACHE_HOME, else ~/.cache/daxfs."""
    if os.environ.get("DAXFS_CACHE"):
        return Path(os.environ["DAXFS_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "daxfs"


def key_of(inputs):
    """The 32 hex digits that name an entry made from `inputs` (anything JSON can hold)."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def hash_files(paths):
    """SHA-256 over names and contents of `paths`, for programs and configurations that are
    inputs."""
    total = hashlib.sha256()
    for path in sorted(Path(p) for p in paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.name} {content}\n".encode())
    return total.hexdigest()


def tree_bytes(path):
    """Disk space below `path` in bytes; files that vanish meanwhile count nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Cache:
    """One cache directory, as one process sees it. Entries handed out stay locked until `close`."""

    def __init__(self, root=None, limit_bytes=LIMIT_BYTES, say=None):
        self.root = Path(root) if root else default_root()
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0
        self.seconds = 0.0
        self._say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self._held = {}
        for name in ("entries", "meta", "locks", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        atexit.register(self.close)

    def close(self):
        """Lets other processes prune the entries this one used."""
        for handle in self._held.values():
            os.close(handle)
        self._held = {}

    def lock(self, name, shared=False, wait=True):
        """Takes the lock called `name`; returns a file descriptor to close, or None if `wait` is
        false and someone else has it."""
        handle = os.open(self.root / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def entry(self, name, inputs, make):
        """The directory called `name` made from `inputs`; `make(folder)` fills it if it is not
        there yet.

        `inputs` must say everything the result depends on. Whatever `make` raises leaves no entry
        behind. The contents are shared with other runs: nobody writes to them.
        """
        full = f"{name}-{key_of(inputs)}"
        path = self.root / "entries" / full
        if full in self._held:
            return path
        started = time.monotonic()
        made = False
        while True:
            # Users share the lock, so that a pruner, which wants it alone, leaves the entry be.
            handle = self.lock(full, shared=True)
            if path.is_dir():
                break
            os.close(handle)
            made = self._make_alone(full, inputs, make)
        self._held[full] = handle
        self._count(full, inputs, made)
        self.seconds += time.monotonic() - started
        return path

    def _count(self, full, inputs, made):
        if made:
            self.misses += 1
            return
        self.hits += 1
        if self._meta(full).exists():
            os.utime(self._meta(full))
        else:
            self._record(full, inputs)

    def _make_alone(self, full, inputs, make):
        """Makes the entry unless another process did while this one waited; true if it was made
        here."""
        handle = self.lock(full)
        try:
            if (self.root / "entries" / full).is_dir():
                return False
            self._say(f"cache: making {full}")
            self._make(full, inputs, make)
            return True
        finally:
            os.close(handle)

    def _meta(self, full):
        return self.root / "meta" / f"{full}.json"

    def _record(self, full, inputs):
        made = {"inputs": inputs, "size_bytes": tree_bytes(self.root / "entries" / full)}
        self._meta(full).write_text(json.dumps(made, indent=1, sort_keys=True) + "\n",
                                    encoding="utf-8")

    def _make(self, full, inputs, make):
        # The name is the entry's own, and its lock is held: anything there is a dead run's.
        temporary = self.root / "tmp" / full
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            make(temporary)
            os.rename(temporary, self.root / "entries" / full)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._record(full, inputs)
        self.prune(keep=full)

    def prune(self, keep=None):
        """Removes entries nobody uses, least recently used first, until the cache is below its
        limit."""
        known = {path.name for path in (self.root / "entries").iterdir()}
        by_use = sorted(known, key=self._last_use)
        total = tree_bytes(self.root)
        for full in by_use:
            if total <= self.limit_bytes:
                return
            if full not in self._held and full != keep:
                total -= self._remove(full)

    def _last_use(self, full):
        try:
            return self._meta(full).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _remove(self, full):
        handle = self.lock(full, wait=False)
        if handle is None:
            return 0
        try:
            path = self.root / "entries" / full
            size_bytes = tree_bytes(path)
            # Renamed first, so that a crash half-way leaves no half entry under the name.
            doomed = self.root / "tmp" / full
            shutil.rmtree(doomed, ignore_errors=True)
            os.rename(path, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            self._meta(full).unlink(missing_ok=True)
            self._say(f"cache: pruned {full} ({size_bytes >> 20} MiB)")
            return size_bytes
        finally:
            os.close(handle)

    def figures(self):
        """What this process asked of the cache, for the closing JSON line."""
        return {
            "cache_hits": self.hits, "cache_misses": self.misses,
            "cache_seconds": round(self.seconds, 1)
        }


def report(figures):
    """Appends one JSON object to the file named by $DAXFS_FIGURES, if there is one."""
    path = os.environ.get("DAXFS_FIGURES")
    if path:
        with open(path, "a", encoding="utf-8") as out:
            out.write(json.dumps(figures) + "\n")
