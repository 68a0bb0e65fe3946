# SPDX-License-Identifier: Apache-2.0
"""A registry (CNCF distribution) on the loopback of a guest, and what it has sent."""

import base64
import crypt
import json
import os
import re
import shutil
import subprocess

from e2e.harness.containerd import Daemon

PORT = 5000
ADDRESS = f"127.0.0.1:{PORT}"
CONFIGURATION = """version: 0.1
log: {{level: info, formatter: json}}
storage:
  filesystem: {{rootdirectory: {folder}}}
  maintenance: {{readonly: {{enabled: true}}}}
http: {{addr: {address}{http}}}
"""
# Behind TLS and a login; the guest's share has what is named.
GUARDED = """auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""
TLS = ", tls: {{certificate: {folder}/server.pem, key: {folder}/server.key}}"
USER, PASSWORD = "builder", "correct horse"


def guard(vm, folder="guard"):
    """Who the registry lets in, and a certificate for loopback by an authority nobody knows: (the authority's, an
    authfile) as paths in the guest."""
    here = vm.share / folder
    here.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=authority",
                    "-keyout", here / "ca.key", "-out", here / "ca.pem"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=registry",
                    "-keyout", here / "server.key", "-out", here / "server.csr"], check=True, capture_output=True)
    (here / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
    subprocess.run(["openssl", "x509", "-req", "-in", here / "server.csr", "-CA", here / "ca.pem", "-CAkey",
                    here / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", here / "extensions",
                    "-out", here / "server.pem"], check=True, capture_output=True)
    hashed = crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
    (here / "htpasswd").write_text(f"{USER}:{hashed}\n")
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (here / "auth.json").write_text(json.dumps({"auths": {ADDRESS: {"auth": login}}}))
    return f"/mnt/share/{folder}/ca.pem", f"/mnt/share/{folder}/auth.json"


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
    """One that serves what `store` has put into the guest's share, below `folder`; guarded by what `guard` has made
    below that folder."""

    def __init__(self, vm, folder="registry", guarded=None):
        where = f"/mnt/share/{guarded}"
        text = CONFIGURATION.format(folder=f"/mnt/share/{folder}", address=ADDRESS,
                                    http=TLS.format(folder=where) if guarded else "")
        text += GUARDED.format(folder=where) if guarded else ""
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


