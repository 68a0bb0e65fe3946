# SPDX-License-Identifier: Apache-2.0
"""Debian packages of any suite, through a private apt configuration derived from the machine's own.

The mirror, the keyring and the proxy are read from this machine's apt configuration at run time and
only the suite is replaced; the machine's sources and package lists are never touched. Versions are
compared with `e2e/versions.lock`: if the archive has moved on, the new one is used and `drift:`
says so.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOCK_FILE = Path(__file__).resolve().parents[1] / "versions.lock"
LISTS_FRESH_SECONDS = 24 * 3600


class AptError(Exception):
    """apt, or this machine's configuration of it, does not give what was asked for."""


def run(argv, **more):
    """Runs a command of the host; AptError with its output if it fails. Returns its standard
    output."""
    done = subprocess.run(argv,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          text=True,
                          check=False,
                          **more)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise AptError(f"{' '.join(map(str, argv))}: exit status {done.returncode}\n{tail}")
    return done.stdout


def machine_codename(path="/etc/os-release"):
    """The release this machine runs, such as `bookworm`."""
    found = re.search(r"^VERSION_CODENAME=(\S+)",
                      Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise AptError(f"{path}: no VERSION_CODENAME")
    return found.group(1)


def parse_deb822(text):
    """The stanzas of a `.sources` file as dictionaries with lower-case field names."""
    stanzas = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        stanza, name = {}, None
        for line in lines:
            if line[0].isspace() and name:
                stanza[name] += "\n" + line.rstrip()
                continue
            name, _, value = line.partition(":")
            name = name.strip().lower()
            stanza[name] = value.strip()
        if stanza:
            stanzas.append(stanza)
    return stanzas


def parse_one_line(text):
    """The `deb` lines of a sources.list as the same dictionaries."""
    stanzas = []
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if not found:
            continue
        options, uri, suite, components = found.groups()
        stanza = {"types": "deb", "uris": uri, "suites": suite, "components": components.strip()}
        for option in (options or "").split():
            name, _, value = option.partition("=")
            stanza[name.lower()] = value.replace(",", " ")
        stanzas.append(stanza)
    return stanzas


def machine_stanzas(folder=Path("/etc/apt")):
    """Every package source this machine has, as dictionaries."""
    stanzas = []
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        stanzas += parse_deb822(path.read_text(encoding="utf-8"))
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        if path.exists():
            stanzas += parse_one_line(path.read_text(encoding="utf-8"))
    return [
        s for s in stanzas
        if "deb" in s.get("types", "").split() and s.get("enabled", "yes") != "no"
    ]


def stanzas_for(suite, stanzas, codename):
    """The sources for `suite`: the machine's own for its own release (updates and security
    included), else its main source with the suite replaced."""
    own = [s for s in stanzas if any(n.split("-")[0] == codename for n in s["suites"].split())]
    main = [s for s in own if codename in s["suites"].split()]
    if not main:
        raise AptError(f"no package source for {codename} in this machine's apt configuration")
    if suite == codename:
        return own
    return [dict(main[0], suites=suite, components="main")]


def format_deb822(stanzas):
    """The text of a `.sources` file."""
    blocks = []
    for stanza in stanzas:
        blocks.append("".join(f"{name.title()}: {value}\n" for name, value in stanza.items()))
    return "\n".join(blocks)


def machine_acquire():
    """This machine's `Acquire::` settings (proxies among them) as lines of an apt.conf; nothing
    that runs hooks."""
    lines = run(["apt-config", "dump", "--format", "%F \"%v\";%n", "Acquire"]).splitlines()
    kept = [line for line in lines if not re.match(r"Acquire(::IndexTargets\b.*|) ", line)]
    return "\n".join(line for line in kept if "IndexTargets" not in line) + "\n"


def parse_uris(text):
    """`--print-uris` output as {archive file name: size in bytes}; the name has the version in
    it."""
    found = {}
    for line in text.splitlines():
        # The digest that may follow is left out: which one apt prints, if any, differs by suite.
        match = re.match(r"'[^']+' (\S+\.deb) (\d+)(?: |$)", line)
        if match:
            found[match.group(1)] = int(match.group(2))
        elif line.startswith("'"):
            raise AptError(f"apt-get --print-uris: not understood: {line}")
    return found


def name_and_version(file_name):
    """(package, version, architecture) from the name of an archive as apt prints it."""
    package, version, rest = file_name.split("_", 2)
    return package, version.replace("%3a", ":"), rest.removesuffix(".deb")


class Apt:
    """One suite's packages. Lists are refreshed once a day; without a network the old ones
    serve."""

    def __init__(self, cache, suite, say=None):
        self.cache = cache
        self.suite = suite
        self.folder = cache.root / "apt" / suite
        self._say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self._ready = False

    def sources(self):
        """The text of the `.sources` file for this suite."""
        return format_deb822(stanzas_for(self.suite, machine_stanzas(), machine_codename()))

    def _configure(self):
        for name in ("lists/partial", "cache/archives/partial", "sources"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "sources" / "suite.sources").write_text(self.sources(), encoding="utf-8")
        (self.folder / "status").touch()
        text = machine_acquire() + "".join(f'{name} "{value}";\n' for name, value in (
            ("Dir::Etc::Parts", "/dev/null"), ("Dir::Etc::Main", "/dev/null"),
            ("Dir::Etc::Preferences", "/dev/null"), ("Dir::Etc::PreferencesParts", "/dev/null"),
            ("Dir::Etc::SourceList", "/dev/null"),
            ("Dir::Etc::SourceParts", self.folder / "sources"),
            ("Dir::State::Lists", self.folder / "lists"),
            ("Dir::State::status", self.folder / "status"), ("Dir::Cache", self.folder / "cache"),
            ("APT::Sandbox::User", "root"), ("APT::Install-Recommends", "false"),
            ("Acquire::Languages", "none")))
        (self.folder / "apt.conf").write_text(text, encoding="utf-8")

    def _apt(self, *argv, **more):
        env = dict(os.environ, APT_CONFIG=str(self.folder / "apt.conf"), LC_ALL="C.UTF-8")
        return run(list(argv), env=env, **more)

    def refresh(self):
        """Makes the package lists usable: fetched if older than a day, kept if the archive does not
        answer."""
        if self._ready:
            return
        handle = self.cache.lock(f"apt-{self.suite}")
        try:
            stamp = self.folder / "fetched"
            self._configure()
            fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_FRESH_SECONDS
            if not fresh:
                self._fetch_lists(stamp)
        finally:
            os.close(handle)
        self._ready = True

    def _fetch_lists(self, stamp):
        try:
            self._apt("apt-get", "-q", "update", "--error-on=any")
            stamp.touch()
        except AptError as error:
            if not stamp.exists():
                raise
            self._say(f"apt: {self.suite}: keeping the old package lists: {error}")

    def candidate(self, package):
        """The version of `package` in this suite; says `drift:` if it is not the one in
        versions.lock."""
        self.refresh()
        found = re.search(r"Candidate: (\S+)", self._apt("apt-cache", "policy", package))
        if not found or found.group(1) == "(none)":
            raise AptError(f"{package}: not in {self.suite}")
        warn_drift(self.suite, package, found.group(1), self._say)
        return found.group(1)

    def depends(self, package):
        """The `Depends` field of the candidate, as one string."""
        self.refresh()
        shown = self._apt("apt-cache", "show", "--no-all-versions", package)
        return "".join(re.findall(r"^Depends: (.*)$", shown, re.MULTILINE)[:1])

    def archives(self, packages, closure=False):
        """{archive file name: size} of `packages`, with everything they depend on if
        `closure`."""
        self.refresh()
        how = ["install", "--yes"] if closure else ["download"]
        found = parse_uris(self._apt("apt-get", "-q", *how, "--print-uris", *packages))
        if not found:
            raise AptError(f"{' '.join(packages)}: nothing to download from {self.suite}")
        return found

    def download(self, packages, closure=False):
        """A folder of the cache with the archives of `packages`; apt has checked their digests."""
        wanted = self.archives(packages, closure)
        exact = []
        for file_name in sorted(wanted):
            name, version, architecture = name_and_version(file_name)
            exact.append(f"{name}{'' if architecture == 'all' else ':' + architecture}={version}")

        def make(folder):
            self._apt("apt-get", "-q", "download", *exact, cwd=folder)

        return self.cache.entry(f"debs-{self.suite}", {"archives": wanted}, make)


def bootstrap(source, tree, packages, excluded=()):
    """Makes `tree` a minimal root of that suite with `packages`. Needs root, as mmdebstrap does to set owners."""
    if os.geteuid() != 0:
        raise AptError(f"a root folder of {source.suite} can only be made by root")
    settings = [f"--aptopt={line}" for line in machine_acquire().splitlines() if line.strip()]
    settings += [f"--dpkgopt=path-exclude={pattern}" for pattern in excluded]
    with tempfile.NamedTemporaryFile("w", suffix=".sources", encoding="utf-8") as sources:
        sources.write(source.sources())
        sources.flush()
        run(["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}", *settings,
             source.suite, tree, sources.name])
    # It is for anybody's test: it carries no trace of where the packages came from.
    shutil.rmtree(tree / "etc/apt/sources.list.d", ignore_errors=True)
    shutil.rmtree(tree / "etc/apt/apt.conf.d", ignore_errors=True)
    (tree / "etc/apt/sources.list").unlink(missing_ok=True)


def locked_versions(path=LOCK_FILE):
    """{suite: {package: version}}: what the tests were last seen to pass with."""
    return json.loads(path.read_text(encoding="utf-8"))["packages"]


def warn_drift(suite, package, version, say, path=LOCK_FILE):
    """Prints `drift:` if the archive's version is not the locked one; true if it did."""
    locked = locked_versions(path).get(suite, {}).get(package)
    if locked is None or locked == version:
        return False
    say(f"drift: {package} in {suite} is {version}, e2e/versions.lock has {locked}")
    return True
