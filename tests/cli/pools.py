# SPDX-License-Identifier: Apache-2.0
"""Pools in files for tests, and the programs as processes of their hosts."""

import json
import os
import subprocess
import time

HOST = "00000000-0000-4000-8000-00000000000{}"


class Pool:
    """A pool in a file, and the programs as processes of one of its hosts."""

    def __init__(self, folder, build, ctl, size="64M", *options):
        self.folder, self.build_program, self.ctl_program = folder, build, ctl
        self.path = folder / "pool"
        self.ok("create", "--size", size, *options)

    def environment(self, host=1):
        return {**os.environ, "DAXFS_HOST_ID": HOST.format(host), "DAXFS_RUN_DIR": str(self.folder / f"run{host}")}

    def run(self, command, *args, host=1):
        return self.ctl_program.run("pool", command, self.path, *args, env=self.environment(host))

    def ok(self, command, *args, host=1):
        result = self.run(command, *args, host=host)
        assert result.returncode == 0, (result.stdout, result.stderr)
        return result.stdout

    def json(self, command, *args, host=1):
        lines = self.ok(command, "--json", *args, host=host).splitlines()
        return [json.loads(line) for line in lines]

    def info(self):
        return self.json("info")[0]

    def build(self, source, *args, host=1):
        return self.build_program.run(source, "--pool", self.path, *args, env=self.environment(host))

    def start(self, source, *args, host=1):
        return subprocess.Popen([self.build_program.path, source, "--pool", self.path, *args],
                                env=self.environment(host), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def room(self):
        """What has to be the same again when nothing was placed."""
        info = self.info()
        return {key: info[key] for key in ("chunks", "granules", "objects", "holds", "participants", "held")}


def wait_for(condition, what):
    for _ in range(400):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


def building(pool):
    return [o for o in pool.json("ls") if o["state"] == "building"]
