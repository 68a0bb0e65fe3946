# SPDX-License-Identifier: Apache-2.0
"""Processes that build, read, name, collect and die, all on one pool, as two hosts of their own."""

import hashlib
import os
import random
import signal
import subprocess
import threading
import time

from e2e.chaos.guest import PIN_BYTES, hash_tree
from e2e.harness import programs

MIB = 1 << 20
HOSTS = ("c4a05000-0000-4000-8000-000000000001", "c4a05000-0000-4000-8000-000000000002")
SIZES = (3000, 70_000, 1_000_000, 5 * MIB, 9 * MIB, 18 * MIB)
TREES = 18
NAMES = 4
# What a program may say that is nobody's fault here.
EXCUSED = ("pool is full", "no object", "no name", "others keep changing", "holds nothing", "somebody uses or holds")


def make_trees(folder):
    """Trees of all sizes; some share files."""
    chance = random.Random(11)
    trees = []
    for number in range(TREES):
        tree = folder / f"tree{number}"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "number").write_text(str(number))
        (tree / "pinned").write_bytes(chance.randbytes(PIN_BYTES))
        (tree / "data").write_bytes(chance.randbytes(SIZES[number % len(SIZES)]))
        trees.append(tree)
    return trees


class Host:
    """Threads that run the built programs against a pool until told to stop."""

    def __init__(self, path, folder, trees):
        self.path, self.folder, self.trees = path, folder, trees
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.said = {"built": 0, "found": 0, "killed": 0, "verified": 0, "absent": 0, "collected": 0, "full": 0,
                     "named": 0}
        self.wrong = []
        self.images = {}

    def prepare(self):
        """{digest: what a reader must find} of all trees, by images in files."""
        for tree in self.trees:
            image = self.folder / "image"
            done = subprocess.run([programs.tool("daxfs-build"), f"dir:{tree}", "-o", image],
                                  capture_output=True, text=True, check=True)
            digest = done.stdout.split("sha256:")[1].strip()
            self.images[digest] = {"hash": hash_tree(tree), "tree": str(tree),
                                   "pin": ["pinned", hashlib.sha256((tree / "pinned").read_bytes()).hexdigest()]}

    def environment(self, host):
        return os.environ | {"DAXFS_HOST_ID": HOSTS[host], "DAXFS_RUN_DIR": str(self.folder / f"run{host}")}

    def count(self, what):
        with self.lock:
            self.said[what] += 1

    def start(self, host, program, *arguments):
        return subprocess.Popen([programs.tool(program), *map(str, arguments)], env=self.environment(host),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, chance, host, program, *arguments, deadly=0.0):
        """A process that may be killed at some time. Its output; None if it was, or was refused for a good reason."""
        process = self.start(host, program, *arguments)
        if chance.random() < deadly:
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=120)
        if process.returncode == -signal.SIGKILL:
            self.count("killed")
            return None
        if process.returncode != 0:
            if "pool is full" in err:
                self.count("full")
            if not any(text in err for text in EXCUSED):
                with self.lock:
                    self.wrong.append(f"{program} {arguments}: exit status {process.returncode}: {err}")
            return None
        return out

    def build(self, chance, host):
        more = ["--name", f"name{chance.randrange(NAMES)}"] if chance.random() < 0.2 else []
        out = self.run(chance, host, "daxfs-build", f"dir:{chance.choice(self.trees)}", "--pool", self.path, *more,
                       deadly=0.3)
        if out is not None:
            self.count("found" if "was there" in out else "built")
        if out is not None and more:
            self.count("named")

    def read(self, chance, host):
        digest = chance.choice(list(self.images))
        out = self.run(chance, host, "daxfsctl", "image", "verify", f"pool:{self.path}:sha256:{digest}", deadly=0.2)
        self.count("absent" if out is None else "verified")

    def collect(self, chance, host):
        out = self.run(chance, host, "daxfsctl", "pool", "gc", self.path, "--bytes", f"{chance.choice([1, 20, 60])}M",
                       deadly=0.2)
        if out is not None:
            with self.lock:
                self.said["collected"] += int(out.split("freed ")[1].split()[0])

    def remove(self, chance, host):
        self.run(chance, host, "daxfsctl", "pool", "rm", self.path, f"name{chance.randrange(NAMES)}", deadly=0.1)

    def work(self, number):
        chance = random.Random(number)
        while not self.stop.is_set() and not self.wrong:
            action = chance.choices([self.build, self.read, self.collect, self.remove], [5, 3, 2, 1])[0]
            action(chance, number % len(HOSTS))

    def begin(self, workers):
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(workers)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
