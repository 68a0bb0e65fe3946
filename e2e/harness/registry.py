# SPDX-License-Identifier: Apache-2.0
"""A registry (CNCF distribution) on the loopback of a guest, and what it has sent."""

import json
import os
import re
import shutil

from e2e.harness.containerd import Daemon

PORT = 5000
ADDRESS = f"127.0.0.1:{PORT}"
CONFIGURATION = """version: 0.1
log: {{level: info, formatter: json}}
storage:
  filesystem: {{rootdirectory: {folder}}}
  maintenance: {{readonly: {{enabled: true}}}}
http: {{addr: {address}}}
"""


def store(layout, folder, name, tag="latest"):
    """What a registry has on its disk after a push of the OCI layout's first image."""
    root = folder / "docker/registry/v2"
    repository = root / "repositories" / name
    blobs = list((layout / "blobs/sha256").iterdir())
    for blob in blobs:
        place = root / "blobs/sha256" / blob.name[:2] / blob.name
        place.mkdir(parents=True, exist_ok=True)  # images may share it
        shutil.copy(blob, place / "data")
        for kind in ("_layers", "_manifests/revisions"):
            _link(repository / kind / "sha256" / blob.name, blob.name)
    top = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    _link(repository / "_manifests/tags" / tag / "current", top)
    _link(repository / "_manifests/tags" / tag / "index/sha256" / top, top)


def _link(folder, digest):
    folder.mkdir(parents=True)
    (folder / "link").write_text(f"sha256:{digest}")


class Registry(Daemon):
    """One that serves what `store` has put into the guest's share, below `folder`."""

    def __init__(self, vm, folder="registry"):
        text = CONFIGURATION.format(folder=f"/mnt/share/{folder}", address=ADDRESS)
        vm.run("cat > /etc/registry.yml", stdin=text)
        super().__init__(vm, "registry", "docker-registry serve /etc/registry.yml", PORT)

    def sent_while(self, layers, function):
        """Bytes of those layers in its answers while `function` ran."""
        before = self.sent(layers)
        function()
        return self.sent(layers) - before

    def sent(self, layers):
        """Bytes of those layers (files named by digest) in its answers so far."""
        names = {os.path.basename(layer) for layer in layers}
        total = 0
        for line in self.log().splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            blob = re.search(r"/blobs/sha256:([0-9a-f]+)", entry.get("http.request.uri", ""))
            if blob and blob.group(1) in names and entry.get("http.request.method") == "GET":
                total += entry.get("http.response.written", 0)
        return total


