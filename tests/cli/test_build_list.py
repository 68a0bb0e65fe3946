# SPDX-License-Identifier: Apache-2.0
"""daxfs-build of many sources at once, in advance, and with a second look."""

import hashlib
import json
import signal
import subprocess

import pytest
from layouts import Layout, tar_of


@pytest.fixture(name="layout")
def make_layout(tmp_path):
    """An image of two layers."""
    layout = Layout(tmp_path / "layout")
    layout.index(layout.image([tar_of([("a", b"a" * 100000)]), tar_of([("b", b"b")])]))
    return layout.path


def last_line(result):
    return json.loads(result.stdout.splitlines()[-1])


def listed(pool, text, *args):
    return pool.build_program.run("--list", "-", "--pool", pool.path, *args, env=pool.environment(), input=text)


def test_all_of_a_list_goes_into_the_pool(pool, layout, tree):
    text = f"# what this rack runs\n\n oci:{layout} app\ndir:{tree}\ttree\noci:{layout}\n"
    done = listed(pool, text, "--json")
    assert done.returncode == 0, done.stderr
    report = last_line(done)
    assert report["ok"] and report["failed"] == 0 and report["pool"] == str(pool.path)
    assert [one["source"] for one in report["sources"]] == [f"oci:{layout}", f"dir:{tree}", f"oci:{layout}"]
    assert [[i.get("how") for i in one["images"]] for one in report["sources"]] == [
        ["built", "built"], ["built"], ["found", "found"]]
    assert {"app", "tree"} <= {name for row in pool.json("ls") for name in row["names"]}


def test_one_that_fails_stops_no_other(pool, layout, tree):
    text = f"oci:{tree}\noci:{layout}\n"
    done = listed(pool, text, "--json")
    report = last_line(done)
    assert done.returncode == 1 and not report["ok"] and report["failed"] == 1
    assert [one["ok"] for one in report["sources"]] == [False, True]
    assert "no OCI image layout" in report["sources"][0]["error"]
    assert f"oci:{tree}: " in done.stderr and "1 of 2 sources failed" in done.stderr
    plain = listed(pool, text)
    assert plain.returncode == 1 and f"oci:{layout}\nsha256:" in plain.stdout


@pytest.mark.parametrize("text, message", [
    ("", "names no SOURCE"), ("# only this\n", "names no SOURCE"),
    ("oci:{layout}\nfloppy:x\n", "line 2: SOURCE \"floppy:x\": unknown prefix"),
    ("oci:{layout} a b\n", "line 1: has more than SOURCE and NAME"),
    ("--help\n", "line 1: SOURCE \"--help\" has no prefix"), ("dir:{layout} --flatten\n", None)])
def test_a_list_that_is_wrong_places_nothing(pool, layout, text, message):
    before = pool.room()
    done = listed(pool, text.format(layout=layout))
    if message is None:  # a name like any other
        assert done.returncode == 0 and "--flatten" in pool.ok("ls"), done.stderr
        return
    assert done.returncode == 2 and f"-: {message}" in done.stderr, done.stderr
    assert pool.room() == before


@pytest.mark.parametrize("args, message", [
    (["--list", "x", "dir:/tmp", "--pool", "p"], "--list goes without SOURCE"),
    (["--list", "x", "-o", "out"], "--list goes with --pool"),
    (["--list", "x", "--pool", "p", "--name", "n"], "names are in the list"),
    (["dir:/tmp", "--pool", "p", "--dry-run", "--verify"], "--dry-run makes nothing")])
def test_usage(build, args, message):
    done = build.run(*args)
    assert done.returncode == 2 and message in done.stderr, done.stderr


def test_who_is_interrupted_between_two_says_so(pool, layout, tmp_path):
    sources = tmp_path / "sources"
    sources.write_text(f"oci:{layout}\n" * 20000)
    with subprocess.Popen([pool.build_program.path, "--list", sources, "--pool", pool.path, "--dry-run"],
                          env=pool.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline().startswith("oci:")
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate()
    assert run.returncode == 1 and "interrupted" in said.splitlines()[-1], said


def test_a_dry_run_says_what_there_is_to_do(pool, layout, tree, tmp_path):
    before = pool.room()
    plan = pool.build(f"oci:{layout}", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    report = last_line(plan)
    assert report["dry_run"] and [i["how"] for i in report["images"]] == ["missing", "missing"]
    assert pool.room() == before
    made = last_line(pool.build(f"oci:{layout}", "--json"))["images"]
    assert [(i["diff_id"], i["stored_bytes"]) for i in report["images"]] == [
        (i["diff_id"], i["stored_bytes"]) for i in made]
    text = pool.build(f"oci:{layout}", "--dry-run").stdout
    assert text.count("was there") == 2 and "stored" in text
    # Without layers it is made, in a file nobody sees.
    out = tmp_path / "image"
    planned = last_line(pool.build_program.run(f"dir:{tree}", "-o", out, "--dry-run", "--json"))["images"][0]
    assert not out.exists()
    real = last_line(pool.build_program.run(f"dir:{tree}", "-o", out, "--json"))["images"][0]
    assert planned["root"] == real["root"] and planned["size_bytes"] == real["size_bytes"] == out.stat().st_size
    assert "not kept" in pool.build_program.ok(f"dir:{tree}", "-o", out, "--dry-run")


def test_a_dry_run_of_a_tar_knows_its_size(build, tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_of([("a", b"a" * 100000)]))
    said = build.ok(f"tar:{tmp_path / 'x.tar'}", "-o", tmp_path / "out", "--dry-run")
    assert "not kept" in said and "stored" not in said


def test_the_reason_is_that_of_the_layer_that_failed(pool, layout, tmp_path):
    """Whatever the others were doing then: one is made again over what is below it."""
    bad = Layout(tmp_path / "bad")
    tars = [tar_of([("a/", "", 0o700)]), tar_of([("a/large", bytes(range(256)) * 40000)]), tar_of([("c", "c")])]
    ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in [*tars[:2], b"another"]]
    bad.index(bad.image(tars, diff_ids=ids))
    for jobs in ("1", "3"):
        done = listed(pool, f"oci:{bad.path}\noci:{layout}\n", "--json", "-j", jobs)
        sources = last_line(done)["sources"]
        assert "layer 3 of 3: " in sources[0]["error"] and ids[2] in sources[0]["error"], sources[0]
        assert sources[1]["ok"], "the next one is made all the same"


@pytest.mark.parametrize("mode", ["--per-layer", "--flatten"])
def test_verify_sees_what_the_memory_has_become(pool, layout, tree, mode):
    assert pool.build(f"oci:{layout}", mode, "--verify").returncode == 0
    with open(pool.path, "r+b") as memory:
        at = memory.read().index(b"a" * 4096)
        memory.seek(at)
        memory.write(b"A")
    done = pool.build(f"oci:{layout}", mode, "--verify")
    assert done.returncode == 1, "what is there is damaged"
    assert mode == "--flatten" or "layer 1 of 2: " in done.stderr, done.stderr


def test_verify_reads_files_too(build, tree, layout, tmp_path):
    assert build.run(f"dir:{tree}", "-o", tmp_path / "image", "--verify").returncode == 0
    assert build.run(f"oci:{layout}", "-o", tmp_path / "layers", "--per-layer", "--verify").returncode == 0
