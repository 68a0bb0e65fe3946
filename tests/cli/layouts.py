# SPDX-License-Identifier: Apache-2.0
"""Small trees and OCI layouts for the command-line tests."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile

LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def zstd(data):
    """One zstd frame."""
    return subprocess.run(["zstd", "-1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def tar_of(entries):
    """A tar of (name, content[, mode]); a name that ends in "/" is a directory, content "-> x" a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, *mode in entries:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mode = 0o644
            data = content.encode() if isinstance(content, str) else content
            if name.endswith("/"):
                info.type, info.mode, data = tarfile.DIRTYPE, 0o755, b""
            elif data.startswith(b"-> "):
                info.type, info.linkname, data = tarfile.SYMTYPE, data[3:].decode(), b""
            info.mode = mode[0] if mode else info.mode
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def chain_ids(diff_ids):
    """What containerd calls the snapshot of each layer over those before it."""
    chains = []
    for diff_id in diff_ids:
        text = f"{chains[-1]} {diff_id}" if chains else ""
        chains.append("sha256:" + hashlib.sha256(text.encode()).hexdigest() if chains else diff_id)
    return chains


# Layers whose entries have parents that no entry names, and what these are over the layers below.
UNNAMED = [tar_of([("tmp/", "", 0o1777), ("opt/", "", 0o700), ("etc/", ""), (".wh.nothing", "")]),
           tar_of([("opt/", "", 0o711), ("tmp", "no directory"), ("link", "-> opt")]),
           tar_of([("opt/deep/file", "x"), ("tmp/file", "x"), ("link/file", "x"), ("etc/file", "x")])]
UNNAMED_MODES = {"/opt": "0711", "/opt/deep": "0755", "/tmp": "0755", "/link": "0711", "/etc": "0755"}


def docker_archive(tars, tag):
    """What `docker save` wrote of an image of these layers up to version 24."""
    ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}})
    name = hashlib.sha256(config.encode()).hexdigest() + ".json"
    layers = [f"{number}/layer.tar" for number in range(len(tars))]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": layers}])
    return tar_of([*zip(layers, tars), (name, config), ("manifest.json", manifest)])


class Layout:
    """Writes an OCI layout below `path`."""

    def __init__(self, path):
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data, media_type, **more):
        digest = hashlib.sha256(data).hexdigest()
        (self.path / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def blob_path(self, descriptor):
        return self.path / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")

    def image(self, tars, compress=False, said=None, diff_ids=None, architecture="amd64", **more):
        """Adds an image; returns its manifest's descriptor. `layers` keeps the layers' descriptors.

        `said` is the ending of their media types, if it is not the one that fits."""
        pack, suffix = {False: (bytes, ""), True: (lambda tar: gzip.compress(tar, 1), "+gzip"),
                        "zstd": (zstd, "+zstd")}[compress]
        self.layers = [self.blob(pack(tar), LAYER + (suffix if said is None else said)) for tar in tars]
        diff_ids = diff_ids or ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
        config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        manifest = {"schemaVersion": 2, "config": self.blob(json.dumps(config).encode(), "application/json"),
                    "layers": self.layers}
        return self.blob(json.dumps(manifest).encode(), MANIFEST, **more)

    def index(self, *manifests):
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
        return self
