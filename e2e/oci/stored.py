# SPDX-License-Identifier: Apache-2.0
"""OCI layouts of layers that lie in files already."""

import hashlib
import json
import os

TAR = "application/vnd.oci.image.layer.v1.tar"


def digest_of(path):
    """As descriptors have it."""
    with path.open("rb") as data:
        return f"sha256:{hashlib.file_digest(data, 'sha256').hexdigest()}"


def write(folder, layers):
    """An OCI layout with the layers (path, media type, diffID), linked into it; its image is called latest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    described = []
    for path, media_type, _ in layers:
        digest = digest_of(path)
        os.link(path, blobs / digest.removeprefix("sha256:"))
        described.append({"mediaType": media_type, "digest": digest, "size": path.stat().st_size})
    config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                             "rootfs": {"type": "layers", "diff_ids": [diff_id for _, _, diff_id in layers]}}).encode(),
                 "application/vnd.oci.image.config.v1+json")
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                               "config": config, "layers": described}).encode(),
                   "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
