# SPDX-License-Identifier: Apache-2.0
"""Builders that die, and many at once: what their host and others may make of it."""

import contextlib
import json
import os
import random
import signal
import threading
import time

from layouts import Layout, tar_of
from pools import HOST, Pool, building, wait_for


def test_a_killed_builder_is_undone_by_its_own_host_at_once_and_by_no_other(pool, tmp_path):
    before = pool.room()
    fifo = tmp_path / "fifo.tar"
    os.mkfifo(fifo)
    process = pool.start(f"tar:{fifo}")
    with open(fifo, "wb") as writer:
        writer.write(tar_of([("a", b"x" * (6 << 20))])[:5 << 20])
        writer.flush()
        wait_for(lambda: building(pool) and building(pool)[0]["progress_bytes"] > 2 << 20, "it builds")
        process.kill()
        process.wait()
    assert pool.json("gc", host=2)[-1]["objects"] == 0
    assert len(building(pool)) == 1, "another host may not know"
    assert pool.run("check", host=2).returncode == 0, "nor is anything wrong: it may be alive"
    pool.json("gc", host=1)
    assert pool.room() == before
    assert pool.ok("check", "--repair") and pool.ok("check") == "clean\n"


def test_fence_wants_to_hear_the_fact(pool, tmp_path, tree):
    fifo = tmp_path / "fifo.tar"
    os.mkfifo(fifo)
    process = pool.start(f"tar:{fifo}", host=2)
    with open(fifo, "wb") as writer:
        writer.write(tar_of([("a", b"x" * (6 << 20))])[:5 << 20])
        writer.flush()
        wait_for(lambda: building(pool), "it builds")
        alive = pool.run("fence", HOST.format(2), "--powered-off")
        assert alive.returncode == 1 and "is alive: its heart beats" in alive.stderr and building(pool)
        process.kill()
        process.wait()
    before = pool.room()
    refused = pool.run("fence", HOST.format(2))
    assert refused.returncode == 1 and "can no longer reach this memory" in refused.stderr
    assert "no host \"9\"" in pool.run("fence", "9").stderr, "before anything is explained"
    assert pool.room() == before
    assert pool.run("fence", "9", "--powered-off").returncode == 1
    assert pool.run("fence", HOST.format(1), "--powered-off").returncode == 1, "oneself"
    pool.ok("fence", HOST.format(2), "--powered-off")
    assert not building(pool) and pool.info()["chunks"]["free"] == pool.info()["chunks"]["total"]
    assert pool.ok("check") == "clean\n"


def test_a_pool_whose_slots_are_all_of_the_dead(memory, build, ctl, tmp_path):
    pool = Pool(memory, build, ctl, "64M", "--participants", "2")
    before = pool.room()
    for off in (2, 3):
        with contextlib.ExitStack() as writers:
            processes = []
            for number in range(2):
                fifo = tmp_path / f"fifo{off}{number}"
                os.mkfifo(fifo)
                processes.append(pool.start(f"tar:{fifo}", host=off))
                writer = writers.enter_context(open(fifo, "wb"))
                writer.write(tar_of([(str(number), b"x" * (6 << 20))])[:5 << 20])
                writer.flush()
            wait_for(lambda: len(building(pool)) == 2, "both build")
            for process in processes:
                process.kill()
                process.wait()
        full = pool.run("gc")
        assert full.returncode == 1 and "all 2 slots" in full.stderr and "fence hosts that are off" in full.stderr
        if off == 2:
            pool.ok("gc", host=off)
        else:
            pool.ok("fence", HOST.format(off), "--powered-off")
        assert pool.room() == before and pool.info()["participants"] == []
    assert pool.ok("check") == "clean\n"


def test_builders_killed_anywhere_leave_nothing(pool, tree):
    """SIGKILL after a random time, often; what is published is whole, everything else is gone."""
    chance = random.Random(7)
    for i in range(40):
        (tree / "small").write_text(str(i % 5))
        process = pool.start(f"dir:{tree}")
        time.sleep(chance.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left = [o for o in pool.json("ls") if o["state"] != "ready"]
        assert len(left) <= 1
    pool.json("gc", "--bytes", "0")
    assert all(o["state"] == "ready" for o in pool.json("ls"))
    unnamed = 0
    for o in pool.json("ls"):
        source = f"pool:{pool.path}:{o['digest']}"
        verified = pool.ctl_program.run("image", "verify", source, env=pool.environment())
        # Between its publication and its digest in the index there is an instant: who is killed there leaves an image
        # that nobody finds, whole, to be collected.
        unnamed += "no object" in verified.stderr
        assert verified.returncode == 0 or "no object" in verified.stderr, verified.stderr
    assert unnamed <= 1
    assert pool.run("check", "--repair").returncode == 0
    pool.json("gc")
    info = pool.info()
    assert info["chunks"]["free"] == info["chunks"]["total"] and not info["participants"]


def result_roots(result):
    return {image["root"] for image in json.loads(result.stdout)["images"]}


def test_many_builders_of_overlapping_images(tmp_path, memory, build, ctl):
    """Eight processes with a hundred layers each, out of 160: each is built once."""
    pool = Pool(memory, build, ctl, "512M")
    chance = random.Random(3)
    layers = [tar_of([(f"f{i}", chance.randbytes(chance.choice([10, 70000, 70000, 2500000])))]) for i in range(160)]
    for i in range(8):
        layout = Layout(tmp_path / f"oci{i}")
        layout.index(layout.image(chance.sample(layers, 100)))
    results = [None] * 8

    def one(i):
        results[i] = pool.build(f"oci:{tmp_path}/oci{i}", "--per-layer", "--json", host=1 + i % 2)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    built = {}
    for result in results:
        assert result.returncode == 0, result.stderr
        for image in json.loads(result.stdout)["images"]:
            built.setdefault(image["root"], []).append(image["how"])
    wanted = len(set().union(*(result_roots(result) for result in results)))
    assert len(built) == wanted > 120 and all(hows.count("built") == 1 for hows in built.values()), built
    assert len(pool.json("ls")) == wanted and pool.ok("check") == "clean\n"
