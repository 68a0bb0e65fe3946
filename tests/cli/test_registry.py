# SPDX-License-Identifier: Apache-2.0
"""daxfs-build from a registry on loopback that is in order, or misbehaves in every way: what comes of it, and that
nothing stays of what failed."""

import contextlib
import http.server
import itertools
import json
import re
import signal
import socketserver
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest

import layouts

NAME = "team/image"
SECONDS = 50  # less than a program of a test may take
STALLED_SECONDS = 30  # behind them daxfs-build asks once more
USER = "Basic dXNlcjpwYXNz"  # user:pass


class Registry(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves the blobs of a layout; `misbehave(handler, what)` may answer itself and say True."""
    daemon_threads = True

    def __init__(self, layout, misbehave):
        super().__init__(("127.0.0.1", 0), Handler)
        self.layout, self.misbehave, self.asked = layout, misbehave, []
        self.host = f"127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Clients that go away are part of the test."""


class Handler(http.server.BaseHTTPRequestHandler):
    """GET alone."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Says nothing."""

    def send(self, status, body=b"", **headers):
        """A whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # pylint: disable=invalid-name
        """Manifests by tag or digest, blobs by digest, both whole or from a byte on."""
        self.server.asked.append(self.path)
        if self.server.misbehave(self, self.path):
            return
        kind, _, name = self.path.partition("?")[0].removeprefix(f"/v2/{NAME}/").partition("/")
        if kind == "manifests" and name == "1":
            name = json.loads((self.server.layout / "index.json").read_text())["manifests"][0]["digest"]
        blob = self.server.layout / "blobs/sha256" / name.removeprefix("sha256:")
        if not blob.exists():
            self.send(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"there is none"}]}')
            return
        data, status, more = blob.read_bytes(), 200, {}
        if kind == "manifests":
            more = {"Content_Type": layouts.MANIFEST, "Docker_Content_Digest": f"sha256:{blob.name}"}
        elif "Range" in self.headers:
            first = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            status, more = 206, {"Content_Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            data = data[first:]
        self.send(status, data, **more)


@contextlib.contextmanager
def serving(layout, misbehave=lambda handler, path: False, certificate=None):
    """A registry while the block runs; with a certificate behind TLS."""
    with Registry(layout, misbehave) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(name="layout", scope="module")
def make_layout(tmp_path_factory):
    """An image of two layers, the second of some size."""
    layout = layouts.Layout(tmp_path_factory.mktemp("registry") / "layout")
    tars = [layouts.tar_of([("etc/", ""), ("etc/hello", "hello")]),
            layouts.tar_of([("large", bytes(range(256)) * 8000)])]
    layout.index(layout.image(tars))
    return layout.path


@pytest.fixture(name="flags")
def make_flags(tmp_path):
    """Nobody's configuration but the test's."""
    (tmp_path / "auth.json").write_text("{}")
    return ["--authfile", tmp_path / "auth.json", "--hosts-dir", tmp_path / "certs.d"]


def largest(layout):
    """The second layer's path in a registry."""
    blob = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    return f"/v2/{NAME}/blobs/sha256:{blob.name}"


def test_an_image_comes_as_from_a_layout(build, layout, flags, tmp_path):
    build.ok(f"oci:{layout}", "--flatten", "-o", tmp_path / "expected")
    with serving(layout) as server:
        build.ok(f"docker://{server.host}/{NAME}:1", "--flatten", "-o", tmp_path / "found", *flags)
        digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
        build.ok(f"docker://{server.host}/{NAME}@{digest}", "--per-layer", "-o", tmp_path / "layers", *flags)
    assert (tmp_path / "found").read_bytes() == (tmp_path / "expected").read_bytes()
    assert len(json.loads((tmp_path / "layers/image.json").read_text())["layers"]) == 2


def once(answer):
    """Misbehaves at the first question for what `answer` is for."""
    done = []

    def misbehave(handler, path):
        if done or not answer(handler, path):
            return False
        done.append(path)
        return True
    return misbehave


def cut_off(layout, at=100000):
    """The large layer's connection ends early."""
    def answer(handler, path):
        if path != largest(layout) or "Range" in handler.headers:
            return False
        data = (layout / "blobs/sha256" / path.rpartition(":")[2]).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:at])
        handler.close_connection = True
        return True
    return answer


def redirected(handler, path):
    """For who has the password; blobs are on another host, which wants nobody who shows it."""
    if "/elsewhere" in path:
        blob = handler.server.layout / "blobs/sha256" / path.rpartition(":")[2]
        handler.send(400 if "Authorization" in handler.headers else 200, blob.read_bytes())
        return True
    if with_password(handler, path):
        return True
    if "/blobs/" not in path:
        return False
    handler.send(307, Location=f"http://localhost:{handler.server.server_port}/elsewhere/{path.rpartition('/')[2]}")
    return True


def with_password(handler, _path):
    """Basic authentication."""
    if handler.headers.get("Authorization") == USER:
        return False
    handler.send(401, WWW_Authenticate='Basic realm="test"')
    return True


def with_token(handler, path):
    """Bearer tokens, for who has the password."""
    if path.startswith("/token?"):
        good = handler.headers.get("Authorization") == USER and "scope=repository%3Ateam%2Fimage%3Apull" in path
        handler.send(200 if good else 401, b'{"token": "secret"}' if good else b"")
        return True
    if handler.headers.get("Authorization") == "Bearer secret":
        return False
    realm = f"http://{handler.server.host}/token"
    handler.send(401, WWW_Authenticate=f'Bearer realm="{realm}",service="test"')
    return True


def with_two_challenges(handler, path):
    """The same, in two fields, the last of which nobody can follow."""
    if path.startswith("/token?") or handler.headers.get("Authorization") == "Bearer secret":
        return with_token(handler, path)
    handler.send_response(401)
    for challenge in (f'Bearer realm="http://{handler.server.host}/token",service="test"', 'Negotiate'):
        handler.send_header("WWW-Authenticate", challenge)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


def slowly(layout):
    """The large layer drips."""
    def answer(handler, path):
        if path != largest(layout):
            return False
        data = (layout / "blobs/sha256" / path.rpartition(":")[2]).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for at in range(0, len(data), len(data) // 8):
            time.sleep(0.2)
            handler.wfile.write(data[at:at + len(data) // 8])
        return True
    return answer


def endless_blob(handler, path):
    """A blob is followed by more, without an end."""
    if "/blobs/" not in path:
        return False
    data = (handler.server.layout / "blobs/sha256" / path.rpartition(":")[2]).read_bytes()
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        handler.wfile.write(data)
        while True:
            handler.wfile.write(bytes(65536))
    handler.close_connection = True
    return True


GOOD = {
    "busy-once": lambda layout: once(lambda handler, _: handler.send(429, Retry_After=0) or True),
    "failing-once": lambda layout: once(lambda handler, _: handler.send(503) or True),
    "cut-off": cut_off,
    "slow": slowly,
    "redirected": lambda layout: redirected,
    "endless-blob": lambda layout: endless_blob,
    "with-password": lambda layout: with_password,
    "with-token": lambda layout: with_token,
    "with-two-challenges": lambda layout: with_two_challenges,
}


@pytest.mark.parametrize("case", GOOD)
def test_what_can_be_had_is(build, layout, flags, tmp_path, case):
    with serving(layout, GOOD[case](layout)) as server:
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {server.host: {"auth": USER.split()[1]}}}))
        build.ok(f"docker://{server.host}/{NAME}:1", "--flatten", "-o", tmp_path / "image", *flags)
    assert (tmp_path / "image").exists()


def wrong_bytes(handler, path):
    """The last bit of the large layer is another."""
    if path != largest(handler.server.layout):
        return False
    blob = bytearray((handler.server.layout / "blobs/sha256" / path.rpartition(":")[2]).read_bytes())
    blob[-1] ^= 1
    handler.send(200, bytes(blob))
    return True


def cut_off_again(handler, path):
    """Each connection for the large layer gets eight bytes further."""
    if path != largest(handler.server.layout):
        return False
    data = (handler.server.layout / "blobs/sha256" / path.rpartition(":")[2]).read_bytes()
    first = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    handler.send_response(206 if first else 200)
    handler.send_header("Content-Length", str(len(data) - first))
    if first:
        handler.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
    handler.end_headers()
    handler.wfile.write(data[first:first + 8])
    handler.close_connection = True
    return True


def endless(handler, _path):
    """Never ends, as fast as it can."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" " * 65536)
    handler.close_connection = True
    return True


BAD = {
    "nobody-is-let-in": (lambda handler, _: handler.send(401, WWW_Authenticate="Basic realm=x") or True, "log in"),
    "not-there": (lambda handler, _: handler.send(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}') or True,
                  "404 NAME_UNKNOWN"),
    "forbidden": (lambda handler, _: handler.send(403) or True, "403"),
    "comes-too-often": (lambda handler, _: handler.send(429, Retry_After=3600) or True, "let alone for 3600 s"),
    "wrong-bytes": (wrong_bytes, "its bytes have sha256:"),
    "cut-off-again-and-again": (cut_off_again, "transfer closed"),
    "redirected-for-ever": (lambda handler, path: handler.send(307, Location=path) or True, "without an end"),
    "no-json": (lambda handler, _: handler.send(200, b"<html>") or True, "not well-formed JSON"),
    "endless": (endless, "more than 8388608 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_had_is_said_and_nothing_stays(build, layout, flags, tmp_path, case):
    misbehave, said = BAD[case]
    with serving(layout, misbehave) as server:
        before = sorted(tmp_path.iterdir())
        result = build.run(f"docker://{server.host}/{NAME}:1", "--flatten", "-o", tmp_path / "image", *flags)
    assert result.returncode == 1 and said in result.stderr, result.stderr
    assert sorted(tmp_path.iterdir()) == before
    asked = server.asked.count(largest(layout))
    assert asked == {"cut-off-again-and-again": 5, "wrong-bytes": 1}.get(case, 0)


def test_the_table_of_the_manual_has_every_case():
    lines = (Path(__file__).parents[2] / "docs/daxfs-build.md").read_text().splitlines()
    rows = lines[lines.index("| case | the registry | outcome |") + 2:]
    named = [name for row in itertools.takewhile(lambda line: line.startswith("|"), rows)
             for name in re.findall("`([a-z-]+)`", row.split("|")[1])]
    assert sorted(named) == sorted([*GOOD, *BAD])


def test_a_failure_does_not_wait_for_what_stands_still(build, layout, flags, tmp_path):
    """One layer never comes while the other is not there; the program would wait for half a minute, and again."""
    top = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    manifest = (layout / "blobs/sha256" / top.removeprefix("sha256:")).read_text()
    lowest, other = json.loads(manifest)["layers"]
    asked, over = threading.Event(), threading.Event()

    def misbehave(handler, path):
        if lowest["digest"] in path:
            asked.set()
            return over.wait(SECONDS)
        if other["digest"] in path:
            asked.wait(SECONDS)
            handler.send(404)
            return True
        return False

    with serving(layout, misbehave) as server:
        try:
            started = time.monotonic()
            done = build.run(f"docker://{server.host}/{NAME}:1", "--per-layer", "-o", tmp_path / "out", "-j", "2",
                             *flags)
        finally:
            over.set()
    assert done.returncode == 1 and "layer 2 of 2: " in done.stderr and "404" in done.stderr, done.stderr
    assert time.monotonic() - started < STALLED_SECONDS


def test_nobody_listens(build, layout, flags, tmp_path):
    with serving(layout) as server:
        host = server.host
    result = build.run(f"docker://{host}/{NAME}:1", "--flatten", "-o", tmp_path / "image", *flags)
    assert result.returncode == 1 and host in result.stderr and "onnect" in result.stderr, result.stderr


def test_behind_tls_with_an_authority_of_ones_own(build, layout, flags, tmp_path):
    pem = tmp_path / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"], check=True, capture_output=True)
    pem.write_text((tmp_path / "ca.pem").read_text() + (tmp_path / "key.pem").read_text())
    with serving(layout, certificate=pem) as server:
        source = f"docker://{server.host}/{NAME}:1"
        refused = build.run(source, "--flatten", "-o", tmp_path / "no", *flags)
        assert refused.returncode == 1 and "certificate" in refused.stderr, refused.stderr
        build.ok(source, "--flatten", "-o", tmp_path / "a", "--ca-file", tmp_path / "ca.pem", *flags)
        build.ok(source, "--flatten", "-o", tmp_path / "b", "--insecure-registry", server.host, *flags)
        hosts = tmp_path / "certs.d" / server.host.replace(":", "_") / "x"
        hosts = hosts.parent.with_name(hosts.parent.name + "_")
        hosts.mkdir(parents=True)
        (hosts / "hosts.toml").write_text(f'server = "https://{server.host}"\nca = "{tmp_path}/ca.pem"\n')
        build.ok(source, "--flatten", "-o", tmp_path / "c", *flags)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_interrupted_it_leaves_nothing(build, layout, flags, tmp_path):
    hangs = threading.Event()

    def misbehave(handler, path):
        if path != largest(layout):
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)
        handler.wfile.flush()
        hangs.set()
        time.sleep(5)
        handler.close_connection = True
        return True

    with serving(layout, misbehave) as server:
        before = sorted(tmp_path.iterdir())
        with subprocess.Popen([build.path, f"docker://{server.host}/{NAME}:1", "--flatten", "-o", tmp_path / "image",
                               *flags], stderr=subprocess.PIPE) as running:
            assert hangs.wait(20)
            running.send_signal(signal.SIGINT)
            started = time.monotonic()
            assert running.wait(10) == 1
            assert time.monotonic() - started < 4
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("arguments, said", [
    (["docker://UPPER/x/Y", "--flatten", "-o", "x"], "no repository"),
    (["docker://r.example/x", "-o", "x"], "--per-layer"),
    (["dir:/tmp", "-o", "x", "--ca-file", "y"], "go with docker:// only"),
])
def test_wrong_usage(build, arguments, said):
    result = build.run(*arguments)
    assert result.returncode == 2 and said in result.stderr, result.stderr
