# SPDX-License-Identifier: Apache-2.0
"""Container images to what containers can be started of, beside other programs that do that.

Three images are made of Debian packages, a layer for each group, stored plain, by gzip and by zstd. In turn, on all
processors, everything on tmpfs: daxfs-build into a pool and into files (SHA-256 of stored bytes, of the tars and of
every piece of content), with as many layers at once as it wants and with one; containerd's unpack to overlayfs (the
tars' digests), inflating itself and by igzip, which it takes where it finds one; umoci (both; zstd is unknown to it);
of the plain ones mkfs.erofs, from directories and from the tars, tar2sqfs and tar (none hashes anything); of the
others the bare inflation, by igzip or zstd, to nowhere: these a layer after the other, and two at once. Then the whole
way out of a registry, daxfs-build and containerd; and a layer the pool has. The pool's memory was written to before, as
a device's is that has served a while; files are new ones.

Where the time goes: the CPU time of daxfs-build's threads by their names, looked at while it runs.
"""

import functools
import json
import mmap
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from e2e.harness import apt, go_programs, programs
from e2e.harness.registry import store
from e2e.oci import stored

SUITE = "bookworm"
BASE = ["coreutils", "bash", "grep", "sed", "findutils", "tar", "gzip"]
IMAGES = {
    "small": [BASE, ["ca-certificates", "python3-minimal"]],
    "medium": [BASE, ["python3", "python3-requests"], ["perl"], ["git"], ["gcc"]],
    "large": [BASE, ["gcc", "g++"], ["golang-1.19-go"], ["openjdk-17-jdk-headless"], ["ghc"],
              ["clang-14", "llvm-14-dev"]],
}
ROUNDS = {"small": 5, "medium": 3, "large": 3}
WATCHED = {"pool": "daxfs-build, pool", "pool, -j 1": "daxfs-build -j 1, pool", "files": "daxfs-build, files"}
TWO = ", two at once"
POPULATE_WRITE = 23  # MADV_POPULATE_WRITE
KINDS = {"plain": ("", None), "gzip": ("+gzip", ["gzip", "-6", "-n", "-c"]),
         "zstd": ("+zstd", ["zstd", "-3", "-q", "-c"])}
NEWEST = ("sid", "trixie", "bookworm")  # of mkfs.erofs, the first that runs
HOST_ID = "5eed0000-0000-4000-8000-0000000000fc"
START_SECONDS = 60
LOOK_SECONDS = 0.1
FOUND_ROUNDS = 20


class Peers:
    """Programs of Debian packages that are not installed here: what is in them, below a folder."""

    def __init__(self, cache, folder):
        self.folder = folder
        for package in ("umoci", "isal", "docker-registry"):
            extract(apt.Apt(cache, SUITE).download([package]), folder / "peers")
        self.containerd = go_programs.prepare(cache, "containerd-2")
        self.erofs, self.erofs_version = self._newest_erofs(cache)

    def program(self, name):
        """Its path."""
        return str(self.folder / "peers/usr/bin" / name)

    def _newest_erofs(self, cache):
        """mkfs.erofs with the libraries of its own suite, as a command, and its version."""
        for suite in NEWEST:
            root = self.folder / suite
            try:
                extract(apt.Apt(cache, suite).download(["erofs-utils"], closure=True), root)
            except apt.AptError as error:
                print(f"bench: erofs-utils of {suite}: {error}")
                continue
            loader = next(root.glob("**/ld-linux-x86-64.so.2"))
            libraries = ":".join(f"{root}/{folder}/x86_64-linux-gnu" for folder in ("usr/lib", "lib"))
            command = [str(loader), "--library-path", libraries, str(root / "usr/bin/mkfs.erofs")]
            done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return command, (done.stdout + done.stderr).split("\n")[0]
        raise apt.AptError("no mkfs.erofs runs here")


def extract(archives, folder):
    """Unpacks every package."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)


class Image:
    """One of Debian packages: `trees` and `tars` of its layers, an OCI layout of each kind."""

    def __init__(self, cache, name, work):
        self.name = name
        self.trees, self.tars, known = [], [], set()
        source = apt.Apt(cache, SUITE)
        for number, group in enumerate(IMAGES[name]):
            archives = source.download(group, closure=True)
            tree = work / f"{name}-{number}"
            tree.mkdir()
            for archive in sorted(archives.glob("*.deb")):
                if archive.name not in known:
                    subprocess.run(["dpkg-deb", "-x", archive, tree], check=True)
                known.add(archive.name)
            tar = work / f"{name}-{number}.tar"
            subprocess.run(["tar", "--sort=name", "--format=pax", "-C", tree, "-cf", tar, "."], check=True)
            self.trees.append(tree)
            self.tars.append(tar)
        self.bytes = sum(tar.stat().st_size for tar in self.tars)
        self.layouts, self.stored = {}, {}
        for kind in KINDS:
            self._store(work, kind)

    def _store(self, work, kind):
        suffix, command = KINDS[kind]
        blobs = []
        running = []
        for tar in self.tars:
            blob = tar if command is None else tar.with_suffix(f".tar.{kind}")
            blobs.append(blob)
            if command is not None:
                with blob.open("wb") as out:
                    running.append(subprocess.Popen([*command, tar], stdout=out))
        for process in running:
            assert process.wait() == 0
        self.layouts[kind] = work / f"{self.name}.{kind}"
        stored.write(self.layouts[kind], [(blob, stored.TAR + suffix, stored.digest_of(tar))
                                          for blob, tar in zip(blobs, self.tars)])
        named = [stored.digest_of(blob).removeprefix("sha256:") for blob in blobs]
        self.stored[kind] = [self.layouts[kind] / "blobs/sha256" / name for name in named]
        if command is not None:
            for blob in blobs:
                blob.unlink()

    def blobs(self, kind):
        """The layers as they are stored."""
        return self.stored[kind]


class Watch(threading.Thread):
    """Looks at a process while it runs: CPU seconds of its threads by name, the most private memory."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.ended = pid, threading.Event()
        self.threads, self.private_kib = {}, 0

    def run(self):
        ticks = os.sysconf("SC_CLK_TCK")
        while not self.ended.wait(LOOK_SECONDS):
            try:
                status = Path(f"/proc/{self.pid}/status").read_text()
                self.private_kib = max(self.private_kib, int(status.split("RssAnon:")[1].split()[0]))
                for task in Path(f"/proc/{self.pid}/task").iterdir():
                    name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
                    self.threads[task.name] = (name, sum(map(int, fields.split()[11:13])) / ticks)
            except (FileNotFoundError, IndexError, ProcessLookupError):
                continue  # it ends

    def by_name(self):
        """{name: CPU seconds}, the largest first."""
        total = {}
        for name, seconds in self.threads.values():
            total[name] = total.get(name, 0) + seconds
        return dict(sorted(total.items(), key=lambda item: -item[1]))


class Bench:
    """Runs one program after another, each with an output of its own that goes away."""

    def __init__(self, cache, work):
        self.work = work
        self.peers = Peers(cache, work)
        self.env = dict(os.environ, DAXFS_HOST_ID=HOST_ID, DAXFS_RUN_DIR=str(work / "run"))
        self.watched = {}

    def timed(self, command, watch=None, **more):
        """Seconds it takes; under `watch` it is looked at meanwhile."""
        started = time.monotonic()
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, env=self.env, **more) as process:
            look = Watch(process.pid)
            if watch:
                look.start()
            status = process.wait()
            seconds = time.monotonic() - started
            if watch:
                look.ended.set()
                look.join()
                self.watched[watch] = look
        assert status == 0, command
        return seconds

    def new_pool(self, size_bytes):
        """A pool with room for that much."""
        pool = self.work / "pool"
        size = size_bytes * 5 // 4 + (128 << 20)
        subprocess.run([programs.tool("daxfsctl"), "pool", "create", pool, "--size", str(size)], check=True,
                       stdout=subprocess.DEVNULL, env=self.env)
        with pool.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory.madvise(POPULATE_WRITE)
        return pool

    def pool_build(self, image, source, watch=None, more=()):
        """Into a pool made for it."""
        pool = self.new_pool(image.bytes)
        try:
            command = [programs.tool("daxfs-build"), source, "--pool", pool, "--log-level", "error", *more]
            return self.timed(command, watch)
        finally:
            pool.unlink()

    def files_build(self, image, kind):
        """Into files."""
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            return self.timed([programs.tool("daxfs-build"), f"oci:{image.layouts[kind]}", "--per-layer", "-o",
                               f"{out}/layers", "--log-level", "error"], "files")

    def umoci(self, image, kind):
        """To a directory."""
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            return self.timed([self.peers.program("umoci"), "raw", "unpack", "--image",
                               f"{image.layouts[kind]}:latest", f"{out}/root"], stderr=subprocess.DEVNULL)

    def each(self, command, inputs, at_once=1):
        """A command for each input, {} in it; so many at a time."""
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            text = command.replace("OUT", out)
            with self._lines(inputs).open() as listed:
                return self.timed(["xargs", "-P", at_once, "-I{}", "sh", "-c", text], stdin=listed)

    def _lines(self, inputs):
        listed = self.work / "inputs"
        listed.write_text("".join(f"{path}\n" for path in inputs))
        return listed

    def containerd_unpack(self, image, kind, path=""):
        """What is in the content store, to overlayfs, by a containerd of its own that finds programs in `path` too."""
        with Containerd(self, path) as containerd:
            with subprocess.Popen(["tar", "-C", image.layouts[kind], "-cf", "-", "."],
                                  stdout=subprocess.PIPE) as archive:
                subprocess.run(containerd.ctr("images", "import", "--no-unpack", "--index-name", "bench", "-"),
                               stdin=archive.stdout, check=True, stdout=subprocess.DEVNULL)
            listed = subprocess.run(containerd.ctr("images", "ls"), check=True, capture_output=True, text=True).stdout
            target = listed.splitlines()[1].split()[2]
            return self.timed(containerd.ctr("snapshots", "--snapshotter", "overlayfs", "unpack", target))

    def candidates(self, image, kind):
        """{label: function that gives seconds}."""
        erofs = " ".join(self.peers.erofs)
        made = {
            "daxfs-build, pool": lambda: self.pool_build(image, f"oci:{image.layouts[kind]}", "pool"),
            "daxfs-build -j 1, pool": lambda: self.pool_build(image, f"oci:{image.layouts[kind]}",
                                                              "pool, -j 1", ["-j", 1]),
            "daxfs-build, files": lambda: self.files_build(image, kind),
            "containerd unpack": lambda: self.containerd_unpack(image, kind),
        }
        if kind == "gzip":
            path = self.peers.program("igzip").rpartition("/")[0]
            made["containerd unpack, igzip"] = lambda: self.containerd_unpack(image, kind, path)
        if kind != "zstd":  # Debian's umoci does not read it
            made["umoci unpack"] = lambda: self.umoci(image, kind)
        if kind == "plain":
            out = "OUT/$(basename {})"
            return made | self.both_ways({
                "mkfs.erofs, directory": (f"exec {erofs} --quiet {out} {{}}", image.trees),
                "mkfs.erofs, tar": (f"exec {erofs} --quiet --tar=f {out} {{}}", image.tars),
                "tar2sqfs (lz4)": (f"exec tar2sqfs -q -j 1 -c lz4 {out} < {{}}", image.tars),
                "tar -x": (f"mkdir {out} && exec tar -xf {{}} -C {out}", image.tars),
            })
        bare = f"{self.peers.program('igzip')} -d -c -q" if kind == "gzip" else "zstd -d -c -q"
        name = bare.split()[0].rsplit("/", 1)[-1]
        command = f"exec {bare} < {{}} > /dev/null"
        return made | self.both_ways({f"bare {name}": (command, image.blobs(kind))})

    def both_ways(self, commands):
        """A layer after the other, and two at once."""
        return {f"{label}{more}": functools.partial(self.each, command, inputs, at_once)
                for label, (command, inputs) in commands.items() for more, at_once in (("", 1), (TWO, 2))}


class Served:
    """A program that serves until the end of the block."""

    def __init__(self, command, probe, **more):
        self.command, self.probe, self.more = command, probe, more
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(list(map(str, self.command)), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **self.more)
        end = time.monotonic() + START_SECONDS
        while subprocess.run(self.probe, capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < end and self.process.poll() is None, self.command
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Containerd(Served):
    """containerd 2 with all of its state on tmpfs, in a mount namespace of its own."""

    def __init__(self, bench, path=""):
        self.folder = Path(tempfile.mkdtemp(dir=bench.work))
        self.programs = bench.peers.containerd
        config = self.folder / "config.toml"
        config.write_text(f'version = 3\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
                          f'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", '
                          f'"io.containerd.cri.v1.runtime"]\n[grpc]\naddress = "{self.folder}/socket"\n'
                          f'[ttrpc]\naddress = "{self.folder}/ttrpc"\n')
        super().__init__(["unshare", "-m", self.programs / "containerd", "-c", config], self.ctr("version"),
                         env=dict(os.environ, PATH=f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]))

    def ctr(self, *arguments):
        """A command of ctr."""
        return [str(self.programs / "ctr"), "-a", f"{self.folder}/socket", *map(str, arguments)]

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.folder)


def measure(rounds, candidates, warm_up):
    """{label: {median_s, min_s, max_s}}, the candidates in turn, after a round more that does not count if wanted."""
    samples = {}
    for turn in range(-1 if warm_up else 0, rounds):
        for label, once in candidates.items():
            seconds = once()
            if turn >= 0:
                samples.setdefault(label, []).append(seconds)
    return {label: {"median_s": round(statistics.median(s), 3), "min_s": round(min(s), 3), "max_s": round(max(s), 3)}
            for label, s in samples.items()}


def unpacked(bench, image):
    """Each kind of that image."""
    rows = {}
    for kind in KINDS:
        bench.watched.clear()
        # Behind the first kind all memory there is has been used.
        found = measure(ROUNDS[image.name], bench.candidates(image, kind), warm_up=kind == "plain")
        rows[kind] = {"stored_bytes": sum(blob.stat().st_size for blob in image.blobs(kind)), "candidates": found}
        for where, look in bench.watched.items():
            row = found[WATCHED[where]]
            row["cpu_s"] = {name: round(seconds, 2) for name, seconds in look.by_name().items()}
            row["private_mib"] = round(look.private_kib / 1024, 1)
    return rows


def pulled(bench, image):
    """Out of a registry on loopback, gzip."""
    folder = bench.work / "registry"
    store(image.layouts["gzip"], folder, image.name)
    port = 5871
    config = bench.work / "registry.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\n"
                      f"http: {{addr: 127.0.0.1:{port}}}\n")
    name = f"127.0.0.1:{port}/{image.name}:latest"
    probe = ["curl", "-sf", f"http://127.0.0.1:{port}/v2/"]

    def containerd():
        with Containerd(bench) as running:
            return bench.timed(running.ctr("images", "pull", "--plain-http", "--snapshotter", "overlayfs", name))

    with Served([bench.peers.program("docker-registry"), "serve", config], probe):
        found = measure(ROUNDS[image.name], {
            "daxfs-build docker://, pool": lambda: bench.pool_build(image, f"docker://{name}"),
            "containerd pull, overlayfs": containerd}, warm_up=False)
    shutil.rmtree(folder)
    return found


def found_again(bench, image):
    """Milliseconds of a run that finds all layers of an image, and of that what the program itself took."""
    pool = bench.new_pool(image.bytes)
    command = [programs.tool("daxfs-build"), f"oci:{image.layouts['gzip']}", "--pool", pool, "--json"]
    whole, inside = [], []
    for turn in range(FOUND_ROUNDS + 1):
        started = time.monotonic()
        said = subprocess.run(command, check=True, capture_output=True, text=True, env=bench.env).stdout
        seconds = time.monotonic() - started
        report = json.loads(said.splitlines()[-1])
        if turn:
            assert {layer["how"] for layer in report["images"]} == {"found"}
            whole.append(seconds * 1000)
            inside.append(report["elapsed_ms"])
    pool.unlink()
    return {"layers": len(image.tars), "run_ms": round(statistics.median(whole), 2),
            "inside_ms": round(statistics.median(inside), 2)}


def run(cache):
    """{images: {name: {bytes, entries, layers, kinds, pulled, found}}, erofs: version}."""
    work = Path(tempfile.mkdtemp(prefix="daxfs-bench-", dir="/dev/shm"))
    try:
        bench = Bench(cache, work)
        results = {"erofs": bench.peers.erofs_version, "processors": os.cpu_count(), "images": {}}
        for name in IMAGES:
            image = Image(cache, name, work)
            entries = sum(len(d) + len(f) for tree in image.trees for _, d, f in os.walk(tree))
            results["images"][name] = {"bytes": image.bytes, "entries": entries, "layers": len(image.tars),
                                       "kinds": unpacked(bench, image), "pulled": pulled(bench, image),
                                       "found": found_again(bench, image)}
            print("\n".join(image_lines(name, results["images"][name])), flush=True)
            for path in [*image.trees, *image.layouts.values()]:
                shutil.rmtree(path)
            for tar in image.tars:
                tar.unlink()
        return results
    finally:
        shutil.rmtree(work, ignore_errors=True)


def lines(results):
    """A table for each kind of each image."""
    yield f"images: {results['processors']} processors, tmpfs; mkfs.erofs is {results['erofs']}"
    for name, image in results["images"].items():
        yield from image_lines(name, image)


def image_lines(name, image):
    """Those of one; they are printed as soon as it is measured, too."""
    yield f" {name}: {image['layers']} layers, {image['bytes'] / 1e6:.0f} MB of tars, {image['entries']} entries"
    for kind, row in image["kinds"].items():
        yield f"  {kind}, stored in {row['stored_bytes'] / 1e6:.0f} MB"
        yield from _rows(image["bytes"], row["candidates"])
    yield "  out of a registry on loopback, gzip"
    yield from _rows(image["bytes"], image["pulled"])
    found = image["found"]
    yield (f"  all of it there already: {found['run_ms']} ms, {found['inside_ms']} ms of it inside, "
           f"{found['run_ms'] / found['layers']:.1f} ms a layer")


def _rows(size, candidates):
    ours = next(iter(candidates.values()))["median_s"]
    for label, c in candidates.items():
        more = ""
        if "cpu_s" in c:
            more = ", ".join(f"{thread} {seconds}" for thread, seconds in c["cpu_s"].items())
            more = f"  CPU s: {more}; {c['private_mib']} MiB"
        yield (f"   {label:<30} {c['median_s']:>8.3f} s ({c['min_s']:.3f} to {c['max_s']:.3f}) "
               f"{size / 1e6 / c['median_s']:>7.0f} MB/s  {c['median_s'] / ours:>6.2f}{more}")


def figures(results):
    """The ratios that are goals."""
    image = results["images"]["large"]["kinds"]
    plain, gzip = image["plain"]["candidates"], image["gzip"]["candidates"]
    ours = {kind: image[kind]["candidates"]["daxfs-build, pool"]["median_s"] for kind in image}
    erofs, tar, bare = plain["mkfs.erofs, directory"], plain["tar -x"], gzip["bare igzip"]
    return {"images_plain_x_mkfs_erofs": round(erofs["median_s"] / ours["plain"], 2),
            "images_plain_x_mkfs_erofs_two": round(plain[f"mkfs.erofs, directory{TWO}"]["median_s"] / ours["plain"], 2),
            "images_plain_x_tar": round(tar["median_s"] / ours["plain"], 2),
            "images_plain_x_tar_two": round(plain[f"tar -x{TWO}"]["median_s"] / ours["plain"], 2),
            "images_gzip_of_bare_inflation": round(ours["gzip"] / bare["median_s"], 2),
            "images_gzip_of_bare_inflation_two": round(ours["gzip"] / gzip[f"bare igzip{TWO}"]["median_s"], 2),
            "images_gzip_x_containerd": round(gzip["containerd unpack"]["median_s"] / ours["gzip"], 2),
            "images_gzip_x_containerd_igzip": round(gzip["containerd unpack, igzip"]["median_s"] / ours["gzip"], 2)}
