# SPDX-License-Identifier: Apache-2.0
"""An OCI image layout in a folder: blobs by digest, index, manifests for two platforms,
configuration."""

import hashlib
import json

from e2e.oci import tar, tree

REF = "demo"
CREATED = "2023-11-14T22:13:20Z"
OCI = "application/vnd.oci.image"


class Blobs:
    """The blobs/sha256 folder of a layout."""

    def __init__(self, folder):
        self.folder = folder / "blobs" / "sha256"
        self.folder.mkdir(parents=True)

    def add(self, data, media_type, **more):
        """Stores `data`; returns its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def add_json(self, value, media_type, **more):
        """Stores `value` as JSON; returns its descriptor."""
        return self.add(json_bytes(value), media_type, **more)


def json_bytes(value):
    """JSON the same way each time."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


COMMAND = ("python3", "/usr/local/share/daxfs-demo/report.py")


def configuration(architecture, diff_ids, comments, command):
    """The image configuration of the OCI image specification."""
    history = [{"created": CREATED, "created_by": comment} for comment in comments]
    return {
        "created": CREATED, "architecture": architecture, "os": "linux", "config": {
            "Env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
                "PYTHONDONTWRITEBYTECODE=1"
            ], "Cmd": list(command), "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.title": REF}
        }, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history
    }


def add_image(blobs, architecture, layers, check=tree.check, command=COMMAND):
    """Stores one platform's image: `layers` is a list of (comment, entries, compressed). Returns
    the manifest's descriptor and the layers' diffIDs."""
    descriptors, diff_ids = [], []
    for _, entries, compressed in layers:
        check(entries)
        data = tar.write(entries)
        diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        kind = f"{OCI}.layer.v1.tar" + ("+gzip" if compressed else "")
        descriptors.append(blobs.add(tar.compress(data) if compressed else data, kind))
    config = configuration(architecture, diff_ids, [comment for comment, _, _ in layers], command)
    manifest = {
        "schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json",
        "config": blobs.add_json(config, f"{OCI}.config.v1+json"), "layers": descriptors
    }
    platform = {"os": "linux", "architecture": architecture}
    return blobs.add_json(manifest, f"{OCI}.manifest.v1+json", platform=platform), diff_ids


def write(folder, layers, check=tree.check, command=COMMAND):
    """Writes the layout to `folder`/image and what readers must find in it to
    `folder`/expected.json. `check` refuses layers that are not well-formed; `command` is what
    containers run."""
    image = folder / "image"
    blobs = Blobs(image)
    manifest, diff_ids = add_image(blobs, "amd64", layers, check, command)
    other, _ = add_image(
        blobs, "arm64", [("not for this machine", [tree.file("wrong-platform", b"arm64\n")], True)])
    index = {
        "schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [other, manifest]
    }
    name = {"org.opencontainers.image.ref.name": REF}
    top = blobs.add_json(index, f"{OCI}.index.v1+json", annotations=name)
    (image / "index.json").write_bytes(json_bytes({"schemaVersion": 2, "manifests": [top]}))
    (image / "oci-layout").write_bytes(json_bytes({"imageLayoutVersion": "1.0.0"}))
    all_entries = [entries for _, entries, _ in layers]
    expected = {
        "layers": [{"diff_id": diff_id, "comment": comment, **tree.expected_layer(entries)}
                   for diff_id, (comment, entries, _) in zip(diff_ids, layers)],
        "merged": tree.expected(all_entries)
    }
    (folder / "expected.json").write_bytes(json_bytes(expected))


def _blob(image, descriptor):
    return image / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")


def _manifest(image):
    """The amd64 image's manifest."""
    index = json.loads((image / "index.json").read_text())
    platforms = json.loads(_blob(image, index["manifests"][0]).read_text())["manifests"]
    chosen = next(m for m in platforms if m["platform"]["architecture"] == "amd64")
    return json.loads(_blob(image, chosen).read_text())


def configuration_of(image):
    """The amd64 image's configuration in the layout `image`."""
    return json.loads(_blob(image, _manifest(image)["config"]).read_text())


def layer_blobs(image):
    """The files of the amd64 image's layers in the layout `image`, lowest first."""
    return [_blob(image, layer) for layer in _manifest(image)["layers"]]
