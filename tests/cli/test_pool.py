# SPDX-License-Identifier: Apache-2.0
"""Pools from the command line: what people type, what they see, and what is left when something fails."""

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from layouts import UNNAMED, UNNAMED_MODES, Layout, chain_ids, tar_of
from pools import HOST, Pool, building, wait_for


def test_an_image_is_placed_once_and_found_by_all(pool, tree):
    first = json.loads(pool.build(f"dir:{tree}", "--name", "web", "--json").stdout)
    again = json.loads(pool.build(f"dir:{tree}", "--json", host=2).stdout)
    assert (first["images"][0]["how"], again["images"][0]["how"]) == ("built", "found")
    objects = pool.json("ls")
    assert [o["names"] for o in objects] == [["web"]] and objects[0]["digest"] == first["images"][0]["root"]
    for name in ("web", first["images"][0]["root"]):
        image = f"pool:{pool.path}:{name}"
        assert pool.ctl_program.ok("image", "verify", image, env=pool.environment(2)).startswith(image)
    assert pool.ctl_program.ok("image", "cat", f"pool:{pool.path}:web", "/small", env=pool.environment()) == "small\n"


def test_info_says_how_large_the_devices_are(memory, build, ctl):
    pool = Pool(memory, build, ctl, "16M", "--max-size", "1G")
    assert [(d["size_bytes"], d["max_size_bytes"]) for d in pool.info()["devices"]] == [(16 << 20, 1 << 30)]
    assert "device      16.0 MiB, may grow to 1.0 GiB\n" in pool.ok("info")
    pool.ok("resize", "1G")
    assert "device      1.0 GiB\n" in pool.ok("info")
    pool.path = ",".join(str(memory / name) for name in "ab")
    pool.ok("create", "--size", "32M")
    assert [d["size_bytes"] for d in pool.info()["devices"]] == [32 << 20, 32 << 20]
    assert pool.ok("info").count("device      32.0 MiB\n") == 2


def test_waits_are_counted_and_stay(memory, build, ctl, tmp_path):
    pool = Pool(memory, build, ctl, "256M")
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar_of([("a", bytes(100 << 20))])]))
    processes = [pool.start(f"oci:{tmp_path}/oci", "--per-layer")]
    wait_for(lambda: building(pool), "it builds")
    processes[0].send_signal(signal.SIGSTOP)
    assert building(pool)
    processes.append(pool.start(f"oci:{tmp_path}/oci", "--per-layer", host=2))
    wait_for(lambda: pool.info()["contention"]["waits"] == 1, "the second one waits")
    waiting = [p["contention"]["waits"] for p in pool.info()["participants"]]
    processes[0].send_signal(signal.SIGCONT)
    for process in processes:
        assert process.communicate() and process.returncode == 0
    info = pool.info()
    assert sorted(waiting) == [0, 1] and info["participants"] == [] and info["contention"]["waits"] == 1
    assert sorted(host["contention"]["waits"] for host in info["hosts"]) == [0, 1]
    assert " 1 wait," in pool.ok("info")


def test_pool_and_file_have_the_same_bytes(pool, tree, tmp_path):
    pool.build(f"dir:{tree}", "--name", "web")
    pool.build_program.ok(f"dir:{tree}", "-o", tmp_path / "image")
    result = pool.ctl_program.run("image", "diff", "--layout", f"pool:{pool.path}:web", tmp_path / "image",
                                  env=pool.environment())
    assert result.returncode == 0, result.stdout


def test_layers_are_found_by_what_they_are_made_of(pool, tmp_path):
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar_of([("a", b"a" * 100)]), tar_of([("b", b"b" * 3000000)])]))
    source = f"oci:{tmp_path / 'oci'}"
    first = json.loads(pool.build(source, "--per-layer", "--name", "app", "--json").stdout)
    again = json.loads(pool.build(source, "--per-layer", "--json", host=2).stdout)
    assert [i["how"] for i in first["images"]] == ["built", "built"]
    assert [i["how"] for i in again["images"]] == ["found", "found"]
    assert [i["root"] for i in first["images"]] == [i["root"] for i in again["images"]]
    for image in first["images"]:
        text = pool.ctl_program.ok("image", "info", f"pool:{pool.path}:{image['diff_id']}", env=pool.environment())
        assert image["root"] in text
    assert pool.json("gc")[-1]["objects"] == 0, "a name keeps its layers"
    pool.ok("rm", "app")
    assert pool.json("gc")[-1]["objects"] == 2


def test_chains_are_found_over_what_lies_below(pool, tmp_path):
    layout = Layout(tmp_path / "unnamed")
    layout.index(layout.image(UNNAMED))
    source = f"oci:{layout.path}"
    first = json.loads(pool.build(source, "--name", "app", "--json").stdout)["images"]
    again = json.loads(pool.build(source, "--json", host=2).stdout)["images"]
    assert [i["how"] for i in first] == ["built"] * 3 and [i["how"] for i in again] == ["found"] * 3
    assert [i["root"] for i in first] == [i["root"] for i in again]

    def info(digest):
        return pool.ctl_program.ok("image", "info", f"pool:{pool.path}:{digest}", env=pool.environment())

    diff_ids = [i["diff_id"] for i in first]
    for chain, image in list(zip(chain_ids(diff_ids), first))[1:]:  # that of one layer is its diffID
        assert image["root"] in info(chain)
    assert [i["root"] in info(i["diff_id"]) for i in first] == [False, True, False], "what serves all chains stays"
    where = f"pool:{pool.path}:{chain_ids(diff_ids)[2]}"
    for path, mode in UNNAMED_MODES.items():
        said = pool.ctl_program.ok("image", "stat", where, path, "--json", env=pool.environment())
        assert json.loads(said)["mode"] == mode
    pool.build_program.ok(source, "-o", tmp_path / "files", "--per-layer")
    for path, image in zip(sorted((tmp_path / "files").glob("*.daxfs")), first):
        assert image["root"] in pool.ctl_program.ok("image", "info", path), "files are the same"
    # Nothing is read any more, and nothing made: not even what serves other chains, which has gone meanwhile.
    for layer in layout.layers:
        path = layout.blob_path(layer)
        path.write_bytes(bytes(path.stat().st_size))
    pool.ok("gc")
    before = pool.json("ls"), pool.room()
    found = pool.build(source, "--json", host=2)
    assert [i["how"] for i in json.loads(found.stdout)["images"]] == ["found"] * 3, found.stderr
    assert [i["diff_id"] for i in json.loads(found.stdout)["images"]] == [i["diff_id"] for i in first]
    assert pool.build(source, "--dry-run").stdout.count("was there") == 3
    assert (pool.json("ls"), pool.room()) == before


def place_layers(pool, folder, count):
    """An image of so many layers, called app. Their digests, the lowest first."""
    layout = Layout(folder / "layers")
    layout.index(layout.image([tar_of([(f"f{i}", b"x" * (i + 1))]) for i in range(count)]))
    result = pool.build(f"oci:{folder}/layers", "--per-layer", "--name", "app", "--json")
    assert result.returncode == 0, result.stderr
    return [image["root"] for image in json.loads(result.stdout)["images"]]


def test_a_name_of_several_layers_says_so_and_what_to_type(pool, tmp_path):
    roots = place_layers(pool, tmp_path, 3)
    said = "\"app\" is an image of 3 layers, not one image; name one of them, the lowest first: " + ", ".join(roots)
    for args in (["pool", "get", pool.path, "app", "-o", tmp_path / "out"],
                 *(["image", command, f"pool:{pool.path}:app"] for command in ("ls", "info", "verify"))):
        result = pool.ctl_program.run(*args, env=pool.environment())
        assert result.returncode == 1 and said in result.stderr and f"pool ls {pool.path} app" in result.stderr
    assert not (tmp_path / "out").exists()
    for root in roots:
        pool.ok("get", root, "-o", tmp_path / root)


def test_ls_of_a_name_shows_its_layers_in_order(pool, tree, tmp_path):
    roots = place_layers(pool, tmp_path, 3)
    record, *layers = pool.json("ls", "app")
    assert (record["names"], record["layers"], record["uses"]) == (["app"], 3, 0)
    assert [(layer["layer"], layer["digest"], layer["state"]) for layer in layers] == [
        (i, root, "ready") for i, root in enumerate(roots)]
    listed = {row["digest"]: row for row in pool.json("ls")}
    assert all({**listed[layer["digest"]], **layer} == layer for layer in layers), "what ls says of each"
    again = json.loads(pool.build(f"oci:{tmp_path}/layers", "--per-layer", "--json").stdout)
    assert [layer["diff_id"] for layer in layers] == [image["diff_id"] for image in again["images"]]
    lines = pool.ok("ls", "app").splitlines()
    assert len(lines) == 6 and lines[2] == "an image of 3 layers, the lowest first:"
    assert [line.split()[0] for line in lines[3:]] == roots
    pool.ok("put", tree, "tree")
    assert [row["names"] for row in pool.json("ls", "tree")] == [["tree"]]
    assert len(pool.ok("ls", "tree").splitlines()) == 2
    missing = pool.run("ls", "nothing")
    assert missing.returncode == 1 and missing.stdout == "" and "no object is called" in missing.stderr


def test_ls_of_a_name_says_which_layers_are_gone(pool, tmp_path):
    roots = place_layers(pool, tmp_path, 3)
    pool.ok("fence", HOST.format(1), "--powered-off", host=2)
    first = pool.json("gc", "--bytes", "1", host=2)[0]["digest"]
    assert first in roots
    layers = pool.json("ls", "app", host=2)[1:]
    assert [layer["digest"] for layer in layers] == roots
    assert [layer["state"] for layer in layers] == ["gone" if root == first else "ready" for root in roots]
    line = next(line for line in pool.ok("ls", "app", host=2).splitlines() if line.startswith(first))
    assert line.split()[-1] == "gone"


def test_rm_of_several_layers_says_what_becomes_of_them(pool, tmp_path):
    place_layers(pool, tmp_path, 3)
    said = pool.ok("rm", "app")
    assert "app: freed; 3 layers of it" in said and "the next daxfsctl pool gc" in said
    assert pool.json("gc")[-1]["objects"] == 3 and pool.json("ls") == []
    place_layers(pool, tmp_path / "again", 3)
    assert pool.json("rm", "app") == [{"ok": True, "object": "app", "freed": True, "layers": 3}]


def test_layers_of_an_earlier_image_of_that_name_can_go(pool, tmp_path, tree):
    for number, layers in enumerate((3, 1)):
        layout = Layout(tmp_path / f"oci{number}")
        layout.index(layout.image([tar_of([(f"{number}-{i}", b"x" * 100)]) for i in range(layers)]))
        assert pool.build(f"oci:{tmp_path}/oci{number}", "--per-layer", "--name", "app").returncode == 0
        assert pool.info()["holds"]["used"] == layers + 1
    assert pool.json("gc")[-1]["objects"] == 4, "three layers and their list"
    pool.ok("put", tree, "app")
    assert pool.info()["holds"]["used"] == 1


def test_put_and_get(pool, tree, tmp_path):
    pool.ok("put", tree / "small", "weights")
    assert pool.ok("get", "weights", "-o", "-") == "small\n"
    pool.ok("put", tree, "folder")
    pool.ok("get", "folder", "-o", tmp_path / "out")
    assert (tmp_path / "out/below/large").read_bytes() == (tree / "below/large").read_bytes()
    assert pool.run("get", "folder", "-o", "-").returncode == 1
    pool.ok("put", tree / "below/large", "weights")
    pool.ok("get", "weights", "-o", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tree / "below/large").read_bytes()
    assert pool.json("gc")[-1]["objects"] == 1, "what the name stood for before"


def test_a_directory_of_one_file_is_a_directory(pool, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "only").write_bytes(b"one")
    pool.ok("put", folder, "folder")
    pool.ok("put", folder / "only", "file")
    pool.ok("get", "folder", "-o", tmp_path / "out")
    assert (tmp_path / "out/only").read_bytes() == b"one"
    assert pool.run("get", "folder", "-o", "-").returncode == 1
    assert pool.ok("get", "file", "-o", "-") == "one"


def test_full_says_what_could_go_and_leaves_nothing(pool, tree, tmp_path):
    for i in range(3):
        (tree / "below/large").write_bytes(random.Random(i).randbytes(15 << 20))
        assert pool.build(f"dir:{tree}").returncode == 0
    (tree / "below/large").write_bytes(random.Random(9).randbytes(30 << 20))
    before = pool.room()
    result = pool.build(f"dir:{tree}")
    assert result.returncode == 1 and "pool is full" in result.stderr
    assert "3 objects of 60.0 MiB are used by nobody: daxfsctl pool gc" in result.stderr, result.stderr
    assert pool.room() == before
    order = [line["digest"] for line in pool.json("gc", "--dry-run")[:-1]]
    assert len(order) == 3 and pool.room() == before
    assert [line["digest"] for line in pool.json("gc", "--bytes", "1M")[:-1]] == order[:1]
    assert [line["digest"] for line in pool.json("gc")[:-1]] == order[1:]
    assert pool.build(f"dir:{tree}").returncode == 0


def test_a_failed_build_leaves_nothing(pool, tmp_path):
    before = pool.room()
    (tmp_path / "bad.tar").write_bytes(b"no tar at all" * 1000)
    assert pool.build(f"tar:{tmp_path / 'bad.tar'}").returncode == 1
    assert pool.room() == before and pool.ok("check") == "clean\n"


def test_check_says_what_repair_would_free_though_nothing_is_wrong(pool, tree):
    assert pool.run("check").stderr == ""
    pool.ok("put", tree, "tree")
    pool.ok("rm", "tree")
    rows = pool.info()["aliases"]["stale"]
    checked = pool.run("check")
    assert rows > 0 and (checked.returncode, checked.stdout) == (0, "clean\n")
    assert "--repair frees them" in checked.stderr and f"rows={rows}" in checked.stderr
    assert pool.json("check") == [{"ok": True, "findings": 0, "left": 0, "stale": rows}]
    repaired = pool.json("check", "--repair")
    assert [line["repaired"] for line in repaired[:-1]] == [True] and repaired[-1]["stale"] == 0
    assert pool.run("check").stderr == "" and pool.info()["aliases"]["stale"] == 0


def kinds_of(value, key, found):
    """What stands behind each key, wherever it is: names of types."""
    for inner in value if isinstance(value, list) else []:
        kinds_of(inner, key, found)
    for name, inner in value.items() if isinstance(value, dict) else []:
        found.setdefault(name, set()).add(type(inner).__name__)
        kinds_of(inner, name, found)


def test_json_has_one_word_for_one_thing(pool, tree, tmp_path):
    place_layers(pool, tmp_path, 2)
    lines = pool.json("put", tree, "tree") + pool.json("info") + pool.json("ls") + pool.json("ls", "app")
    lines += pool.json("check") + pool.json("rm", "tree") + pool.json("gc", "-n") + pool.json("gc", "--bytes", "0")
    found = {}
    kinds_of(lines, "", found)
    # All that there are, and a count of them.
    both = {key: {"dict", "int"} for key in ("aliases", "chunks", "granules", "holds", "objects")}
    both["participants"] = {"list", "int"}
    assert all(len(kinds) == 1 or kinds == both.get(key) for key, kinds in found.items()), found
    assert not [key for key in found if "byte" in key and not key.endswith("_bytes")]
    page = (Path(__file__).parents[2] / "docs/daxfsctl.md").read_text()
    assert [key for key in sorted(found) if f"`{key}`" not in page] == [], "every key is on the page"
    freed = pool.json("gc")
    assert sum(line["pool_bytes"] for line in freed[:-1]) == freed[-1]["pool_bytes"]


@pytest.mark.parametrize("args, message", [
    (["create", "{pool}"], "holds a pool already"),
    (["create", "{folder}/new"], "No such file"),
    (["create", "{folder}/new", "--size", "1M"], "too small"),
    (["create", "{folder}/new", "--size", "lots"], "--size"),
    (["create", "{folder}/new", "--size", "64M", "--label", "x" * 65], "label"),
    (["create", "{folder}/new", "--size", "64M", "--rows", "16777216"], "too small for its tables"),
    (["info", "{folder}"], "directory"),
    (["info", "{folder}/text"], "no DAXFS pool"),
    (["info", "nosuchpool"], "no pool \"nosuchpool\""),
    (["ls", "{pool},{pool}"], "named twice"),
    (["get", "{pool}", "nothing", "-o", "-"], "no object is called \"nothing\""),
    (["get", "{pool}", "sha256:12", "-o", "-"], "64 lower-case"),
    (["rm", "{pool}", "nothing"], "no object is called"),
    (["put", "{pool}", "{folder}/missing", "name"], "missing"),
    (["put", "{pool}", "{folder}/text", ""], "a name has 1 to 192 bytes"),
    (["put", "{pool}", "{folder}/text", "n" * 193], "a name has 1 to 192 bytes"),
    (["fence", "{pool}", "x", "--powered-off"], "no host \"x\""),
    (["gc", "{pool}", "--bytes", "x"], "--bytes"),
    (["resize", "{pool}"], "SIZE is required"),
    (["gone", "{pool}"], "unknown command \"gone\""),
])
def test_refusals(pool, tmp_path, args, message):
    (tmp_path / "text").write_text("text" * 2000)
    before = pool.room()
    result = pool.ctl_program.run("pool", *(a.format(pool=pool.path, folder=tmp_path) for a in args),
                                  env=pool.environment())
    assert result.returncode in (1, 2) and message in result.stderr, result.stderr
    in_json = pool.ctl_program.run("pool", *(a.format(pool=pool.path, folder=tmp_path) for a in args), "--json",
                                   env=pool.environment())
    error = json.loads(in_json.stdout)["error"]
    assert in_json.returncode == result.returncode and message in error["message"], in_json.stdout
    assert error["code"] and error["code"] == error["code"].upper() and in_json.stderr == result.stderr
    assert pool.room() == before
    assert not (tmp_path / "new").exists()


def test_without_an_id_it_says_what_to_do(pool, tree):
    environment = {key: value for key, value in pool.environment().items() if key != "DAXFS_HOST_ID"}
    result = pool.build_program.run(f"dir:{tree}", "--pool", pool.path, env=environment)
    if result.returncode != 0:  # this machine has none
        assert "cat /proc/sys/kernel/random/uuid > /etc/daxfs/host-id" in result.stderr
    assert pool.build_program.run(f"dir:{tree}", "--pool", pool.path,
                                  env={**environment, "DAXFS_HOST_ID": "12"}).returncode == 1


def test_without_the_module_attach_says_so(ctl, tmp_path):
    if Path("/dev/daxfs/control").exists():
        pytest.skip("the kernel module is loaded here")
    environment = {**os.environ, "DAXFS_POOLS_DIR": str(tmp_path)}
    (tmp_path / "main.yaml").write_text("phys: 0x100000000\nsize: 1G\n")
    for args, message in ((["attach", "main"], "modprobe daxfs"), (["detach", "main"], "modprobe daxfs"),
                          (["info", "main"], "daxfsctl pool attach main"), (["attach", "other"], "there is main"),
                          (["attach", "/dev/x"], "wants a name"), (["attach", "main", "--phys", "4G"], "go together")):
        result = ctl.run("pool", *args, env=environment)
        assert result.returncode == 1 and message in result.stderr, result.stderr


def test_names_that_would_mean_something_else(pool, tree):
    for name in ("web#0", "sha256:web", ""):
        result = pool.run("put", tree, name)
        assert result.returncode != 0 and "name" in result.stderr, name
    assert pool.json("ls") == []


def test_what_a_host_held_under_a_name_that_is_gone_can_go_too(pool, tree, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"another")
    pool.ok("put", tree, "web")
    pool.ok("put", other, "web", host=2)
    pool.ok("rm", "web", host=2)
    assert pool.info()["holds"]["used"] == 1
    assert "no longer held" in pool.ok("rm", "web")
    assert pool.run("rm", "web").returncode == 1
    pool.ok("gc")
    assert pool.json("ls") == [] and pool.info()["holds"]["used"] == 0


def test_a_path_with_a_colon(memory, build, ctl, tree, tmp_path):
    folder = memory / "a:b"
    folder.mkdir()
    pool = Pool(folder, build, ctl)
    pool.ok("put", tree, "web")
    pool.ok("get", "-o", tmp_path / "out", "web")
    assert (tmp_path / "out" / "below").is_dir()


def test_of_many_who_make_one_pool_one_does(memory, ctl):
    path = memory / "pool"
    for _ in range(10):
        makers = [subprocess.Popen([ctl.path, "pool", "create", "--size", "16M", path], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True) for _ in range(4)]
        said = [(maker.communicate()[0].split(), maker.returncode) for maker in makers]
        made = [words for words, code in said if code == 0]
        assert len(made) == 1
        uuid = json.loads(ctl.run("pool", "info", "--json", path).stdout)["uuid"]
        assert uuid == made[0][2]
        path.unlink()


def test_who_sees_other_lock_files_takes_nothing_away(pool, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(3 << 20))
    pool.ok("put", source, "web")
    reader = subprocess.Popen([pool.ctl_program.path, "pool", "get", "-o", "-", pool.path, "web"],
                              env=pool.environment(), stdout=subprocess.PIPE)
    wait_for(lambda: pool.info()["participants"], "the reader")
    contained = {**pool.environment(), "DAXFS_RUN_DIR": str(pool.folder / "elsewhere")}
    result = pool.ctl_program.run("pool", "rm", pool.path, "web", env=contained)
    assert "others use" in result.stdout
    assert reader.communicate()[0] == source.read_bytes()


def test_a_pool_in_use_is_not_made_anew(pool, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(3 << 20))
    pool.ok("put", source, "web")
    reader = subprocess.Popen([pool.ctl_program.path, "pool", "get", "-o", "-", pool.path, "web"],
                              env=pool.environment(2), stdout=subprocess.PIPE)
    wait_for(lambda: pool.info()["participants"], "the reader")
    result = pool.run("create", "--force")
    assert result.returncode == 1 and "take part" in result.stderr
    assert len(pool.json("ls")) == 1
    reader.kill()
    reader.communicate()
    for wrong in (["--size", "10M", "--max-size", "1M"], ["--size", "10M", "--rows", "99999999"], ["--size", "1M"]):
        assert pool.run("create", "--force", *wrong).returncode == 1
        assert len(pool.json("ls")) == 1, "a refusal costs nothing"
    pool.ok("create", "--force")
    assert pool.json("ls") == []


def test_a_host_names_its_pools(pool, tree, tmp_path):
    (tmp_path / "main.yaml").write_text(f"devices: [{pool.path}]\n")
    environment = {**pool.environment(), "DAXFS_POOLS_DIR": str(tmp_path)}
    pool.build_program.ok(f"dir:{tree}", "--pool", "main", "--name", "web", env=environment)
    assert "web" in pool.ctl_program.ok("pool", "ls", "main", env=environment)
    assert pool.ctl_program.ok("image", "cat", "pool:main:web", "small", env=environment) == "small\n"


def test_the_unit_is_one_systemd_accepts(ctl, tmp_path):
    if not Path("/usr/bin/systemd-analyze").exists():
        pytest.skip("no systemd-analyze here")
    unit = Path(__file__).parents[2] / "manifests/systemd/daxfs-pool@.service"
    text = unit.read_text().replace("/usr/bin/daxfsctl", str(ctl.path))
    (tmp_path / "daxfs-pool@.service").write_text(text)
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "daxfs-pool@.service"],
                            capture_output=True, text=True, check=False)
    assert "daxfs" not in result.stderr, result.stderr
