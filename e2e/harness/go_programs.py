# SPDX-License-Identifier: Apache-2.0
"""Programs built from Go modules, static, in the cache. Which versions: "go" in e2e/versions.lock. The module proxy and
checksum database are the machine's own (`go env`)."""

import json
import os
import subprocess
from pathlib import Path

LOCK = Path(__file__).parents[1] / "versions.lock"
RECIPE = 2  # raise when the way they are built changes


def prepare(cache, name):
    """A folder with the programs of the lock's entry `name`, from the cache or built now."""
    entry = json.loads(LOCK.read_text(encoding="utf-8"))["go"][name]
    compiler = subprocess.run(["go", "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    inputs = {"entry": entry, "compiler": compiler, "recipe": RECIPE}
    return cache.entry(f"go-{name}", inputs, lambda folder: build(folder, entry))


def build(folder, entry):
    """Builds all commands of a module into `folder`, in the module's own folder: what it needs is compared with its own
    go.sum, and the module itself with the lock."""
    env = dict(os.environ, CGO_ENABLED="0", GOFLAGS="-trimpath -buildvcs=false -mod=readonly", GOTOOLCHAIN="local")
    name = f"{entry['module']}@{entry['version']}"
    said = subprocess.run(["go", "mod", "download", "-json", name], check=True, cwd=folder, capture_output=True,
                          text=True, env=env | {"GONOSUMDB": entry["module"]}).stdout
    got = json.loads(said)
    if got["Sum"] != entry["sum"]:
        raise ValueError(f"{name}: its sum is {got['Sum']}, e2e/versions.lock has {entry['sum']}")
    commands = [f"./{command}" for command in entry["commands"]]
    subprocess.run(["go", "build", "-C", got["Dir"], "-o", f"{folder}/", *commands], check=True, env=env)
