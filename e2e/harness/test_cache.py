# SPDX-License-Identifier: Apache-2.0
"""The cache: names by inputs, nothing half-made, counted, pruned by last use, safe between
processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.harness import cache as cache_module
from e2e.harness.cache import Cache, default_root, key_of, report

REPOSITORY = Path(__file__).resolve().parents[2]


def quiet(root, **more):
    return Cache(root, say=lambda text: None, **more)


def fill(text, size_bytes=0):

    def make(folder):
        (folder / "file").write_text(text, encoding="utf-8")
        (folder / "bulk").write_bytes(b"x" * size_bytes)

    return make


def never(folder):
    raise AssertionError(f"made again: {folder}")


@pytest.mark.parametrize("environment, expected", [
    ({"DAXFS_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
    ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/daxfs"),
    ({"HOME": "/c"}, "/c/.cache/daxfs"),
    ({"DAXFS_CACHE": "", "HOME": "/c"}, "/c/.cache/daxfs"),
])
def test_root(monkeypatch, environment, expected):
    for name in ("DAXFS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_root() == Path(expected)


def test_key_depends_on_every_input_and_on_no_order():
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert key_of({"b": [1, 2]}) != key_of({"b": [2, 1]})


def test_second_use_is_a_hit(tmp_path):
    first, second = quiet(tmp_path), quiet(tmp_path)
    made = first.entry("thing", {"v": 1}, fill("one"))
    assert (made / "file").read_text() == "one"
    assert second.entry("thing", {"v": 1}, never) == made
    assert (first.hits, first.misses, second.hits, second.misses) == (0, 1, 1, 0)
    assert second.entry("thing", {"v": 2}, fill("two")) != made


def test_failed_make_leaves_nothing(tmp_path):

    def broken(folder):
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        quiet(tmp_path).entry("thing", {}, broken)
    assert not list((tmp_path / "entries").iterdir()) and not list((tmp_path / "tmp").iterdir())
    assert (quiet(tmp_path).entry("thing", {}, fill("whole")) / "file").read_text() == "whole"


def test_leftovers_of_a_killed_run_are_not_used(tmp_path):
    half = tmp_path / "tmp" / f"thing-{key_of({})}"
    quiet(tmp_path)
    half.mkdir(parents=True)
    (half / "half").write_text("half")
    made = quiet(tmp_path).entry("thing", {}, fill("whole"))
    assert sorted(p.name for p in made.iterdir()) == ["bulk", "file"]


def test_deleted_while_nobody_looks_is_made_again(tmp_path):
    first = quiet(tmp_path)
    made = first.entry("thing", {}, fill("one"))
    first.close()
    for path in made.iterdir():
        path.unlink()
    made.rmdir()
    again = quiet(tmp_path)
    again.entry("thing", {}, fill("two"))
    assert again.misses == 1


def test_prunes_least_recently_used_first_and_never_what_is_in_use(tmp_path):
    for age, name in ((300, "old"), (200, "middle"), (100, "young")):
        made = quiet(tmp_path)
        path = made.entry(name, {}, fill(name, 1 << 20))
        then = time.time() - age
        os.utime(tmp_path / "meta" / f"{path.name}.json", (then, then))
        made.close()
    user = quiet(tmp_path)
    user.entry("old", {}, never)
    os.utime(tmp_path / "meta" / f"old-{key_of({})}.json", (1, 1))
    pruner = quiet(tmp_path, limit_bytes=2_500_000)
    pruner.prune()
    left = {path.name.split("-")[0] for path in (tmp_path / "entries").iterdir()}
    assert left == {"old", "young"}
    user.close()
    quiet(tmp_path, limit_bytes=0).prune()
    assert not list((tmp_path / "entries").iterdir())


def test_two_processes_make_an_entry_once(tmp_path):
    program = ("import sys, time\n"
               "from e2e.harness.cache import Cache\n"
               "def make(folder):\n"
               "    time.sleep(0.3)\n"
               "    (folder / 'by').write_text('x')\n"
               "cache = Cache(sys.argv[1], say=lambda text: None)\n"
               "cache.entry('thing', {}, make)\n"
               "print(cache.misses)\n")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=REPOSITORY)
        for _ in range(3)
    ]
    misses = [int(run.communicate(timeout=30)[0]) for run in runs]
    assert sorted(misses) == [0, 0, 1]


def test_figures_are_appended_only_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("DAXFS_FIGURES", raising=False)
    report({"a": 1})
    out = tmp_path / "figures"
    monkeypatch.setenv("DAXFS_FIGURES", str(out))
    cache = quiet(tmp_path / "cache")
    cache.entry("thing", {}, fill("x"))
    report({"a": 1})
    report(cache.figures())
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0] == {"a": 1}
    assert lines[1]["cache_misses"] == 1 and lines[1]["cache_hits"] == 0


def test_hash_of_files_follows_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    both = cache_module.hash_files([tmp_path / "a", tmp_path / "b"])
    assert both == cache_module.hash_files([tmp_path / "b", tmp_path / "a"])
    (tmp_path / "b").write_text("3")
    assert both != cache_module.hash_files([tmp_path / "a", tmp_path / "b"])
