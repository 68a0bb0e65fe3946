# SPDX-License-Identifier: Apache-2.0
"""What people see of a pool on a terminal: its width and height, and how they leave."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pytest

from layouts import Layout, tar_of
from pools import Pool
from test_partitions import PartitionedPool


class Screen:
    """A program on a terminal of a size."""

    def __init__(self, columns, rows):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.text = b""

    def start(self, pool, command, *args, host=1):
        self.start_program([pool.ctl_program.path, "pool", command, pool.path, *args], env=pool.environment(host))

    def start_program(self, command, **more):
        self.process = subprocess.Popen(command, stdout=self.slave, stderr=subprocess.PIPE, text=True, **more)
        os.close(self.slave)

    def read_until(self, wanted):
        """All that is shown; `wanted` is None for all until its end."""
        while wanted is None or wanted not in self.text:
            try:
                self.text += os.read(self.master, 65536)
            except OSError:  # nobody has the other side any more
                assert wanted is None, self.text
                break
        return self.text.decode().replace("\r\n", "\n")

    def end(self):
        _, said = self.process.communicate()
        os.close(self.master)
        return self.process.returncode, said


def shown(pool, *args, columns=80, rows=24):
    screen = Screen(columns, rows)
    screen.start(pool, *args)
    text = screen.read_until(None)
    assert screen.end() == (0, "")
    return text


@pytest.fixture(params=[Pool, PartitionedPool])
def pool(request, memory, build, ctl, tmp_path):  # noqa: F811
    """With long names, and what is behind each of them."""
    pool = request.param(memory, build, ctl)
    layout = Layout(tmp_path / "oci")
    layout.index(layout.image([tar_of([(f"f{i}", b"x")]) for i in range(3)]))
    for name in ("n" * 100, "ä" * 90):
        assert pool.build(f"oci:{tmp_path}/oci", "--per-layer", "--name", name).returncode == 0
    return pool


@pytest.mark.parametrize("args", [["info"], ["ls"], ["ls", "n" * 100], ["watch", "-c", "1"]])
@pytest.mark.parametrize("columns", [80, 200])
def test_nothing_is_wider_than_the_terminal(pool, args, columns):
    for line in shown(pool, *args, columns=columns, rows=200).split("\n"):
        assert len(line.replace("\033[H\033[J", "")) <= columns
        # Only a name, which has any length, is cut: at the end of a row of a table.
        assert not line.endswith("…") or re.match(r" {0,3}\d+ |(.{6})?sha256:", line), line


def test_digests_are_whole_where_nobody_looks_and_when_asked_for(pool):
    piped = pool.ok("ls")
    assert "…" not in piped and "n" * 100 in piped
    short, whole = shown(pool, "ls").splitlines(), shown(pool, "ls", "--no-trunc").splitlines()
    digests = [row["digest"] for row in pool.json("ls")]
    assert len(digests) == 4
    for digest, cut, line in zip(digests, short[1:], whole[1:]):
        assert f"{digest[:19]}…  " in cut and digest not in cut and digest in line and digest in piped
    assert "n" * 100 in whole[-1]
    assert all(line in pool.ok("info") for line in shown(pool, "info", columns=200).splitlines()[:4])


@pytest.mark.parametrize("rows", [8, 18])
def test_watch_is_one_screen_and_says_how_much_more_there_is(pool, rows):
    lines = shown(pool, "watch", "-c", "1", rows=rows).split("\n")
    whole = pool.ok("watch", "-c", "1").count("\n")
    # The last line is empty: the cursor's.
    assert len(lines) == rows and lines[-1] == "" and lines[0].startswith("\033[H\033[J")
    assert lines[-2] == f"… {whole - (rows - 2)} more lines"


def test_all_is_shown_where_there_is_room(pool):
    assert "more lines" not in shown(pool, "watch", "-c", "1", rows=100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaving_watch_is_no_failure(pool, number):
    screen = Screen(80, 24)
    screen.start(pool, "watch", "-i", "100")
    screen.read_until(b"more lines" if "partitioned" in pool.ok("info") else b"HEARTBEAT")
    screen.process.send_signal(number)
    assert screen.end() == (0, "")
