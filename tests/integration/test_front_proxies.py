"""The shipped configurations of nginx and Caddy, with the real ones in front of a real server."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from objectclassification.messages import Done, Hello, SnapRequest, Welcome, encode
from tests import certificates
from tests.parts import proxy, require
from tests.serving import Address, Served, hear, photo, until

PACKAGING = Path(__file__).parents[2] / "packaging"
MOST_BYTES = 32 * 2**20
CLIENT = "127.0.0.5"
"""Another address of this machine than the proxy's own."""
FORGED = {"X-Forwarded-For": "198.51.100.7"}


def filled_in(file: str, changes: dict[str, str]) -> str:
    """A shipped configuration, with this test's places in it."""
    text = (PACKAGING / file).read_text()
    for shipped, here in changes.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    return text


def nginx(folder: Path, port: int, server_port: int) -> list[str]:
    """Writes the configuration of nginx; returns its command."""
    live = "/etc/letsencrypt/live/cameras.example.org"
    changes = {
        "    listen 443 ssl;": f"    listen 127.0.0.1:{port} ssl;",
        "    listen [::]:443 ssl;": "",
        "127.0.0.1:8000;": f"127.0.0.1:{server_port};",
        f"{live}/fullchain.pem": f"{folder}/cert.pem",
        f"{live}/privkey.pem": f"{folder}/key.pem",
        "/var/log/nginx/objectclassification.log": f"{folder}/access.log",
    }
    (folder / "site.conf").write_text(filled_in("nginx.conf", changes))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "main.conf").write_text(
        f"daemon off; pid {folder}/pid; events {{}}"
        f"http {{ {temporary} include {folder}/site.conf; }}\n"
    )
    return ["-e", "stderr", "-p", str(folder), "-c", str(folder / "main.conf")]


def caddy(folder: Path, port: int, server_port: int) -> list[str]:
    """Writes the configuration of Caddy; returns its command."""
    here = f"https://127.0.0.1:{port} {{\n\ttls {folder}/cert.pem {folder}/key.pem"
    changes = {
        "cameras.example.org {": here,
        "reverse_proxy 127.0.0.1:8000": f"reverse_proxy 127.0.0.1:{server_port}",
    }
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + filled_in("Caddyfile", changes))
    return ["run", "--adapter", "caddyfile", "--config", str(file)]


KINDS: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": nginx, "caddy": caddy}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server that trusts the proxies."""
    folder = tmp_path_factory.mktemp("behind") / "data"
    with Served(folder, trusted_proxies="127.0.0.1", disk_floor_bytes=0) as served:
        yield served


@pytest.fixture(scope="module", params=KINDS)
def front(
    request: pytest.FixtureRequest, behind: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Address]:
    """A proxy in front of it: the address for clients."""
    kind = request.param
    require(kind)
    program = proxy(kind)
    assert program
    folder = tmp_path_factory.mktemp(kind)
    authority = certificates.authority()
    pair = certificates.signed_by(authority)
    (folder / "cert.pem").write_text(pair.pem)
    (folder / "key.pem").write_text(pair.key_pem())
    (folder / "ca.pem").write_text(authority.pem)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, *KINDS[kind](folder, port, behind.port)]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}
        )
    try:
        until(lambda: running.poll() is not None or answers(port))
        assert running.poll() is None, (folder / "log").read_text()
        yield Address(port, behind.token, folder / "ca.pem")
    finally:
        running.terminate()
        running.wait(30)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def padded(size_bytes: int) -> bytes:
    """A real picture of that many bytes, most of them in segments that decoders pass over."""
    start, rest = photo()[:2], photo()[2:]
    left = size_bytes - len(start) - len(rest)
    segments = []
    while left:
        size = min(left, 65_535 + 2)
        if 0 < left - size < 4:  # a segment has four bytes at least
            size -= 4
        segments.append(b"\xff\xef" + (size - 2).to_bytes(2, "big") + bytes(size - 4))
        left -= size
    return start + b"".join(segments) + rest


def test_snap_and_picture_go_through(front: Address) -> None:
    with front.camera("door") as door, front.connect() as controller:
        controller.send(encode(Hello(role="controller", instance="test")).decode())
        hear(controller, Welcome)
        request = SnapRequest(to=("door",), until="uploaded", deadline_s=30)
        controller.send(encode(request).decode())
        door.answer()
        assert hear(controller, Done).answered == 1


def test_the_largest_picture_goes_through_and_a_larger_one_is_refused(front: Address) -> None:
    whole = padded(MOST_BYTES)
    made = front.call("PUT", "/snippets/1/", data=whole)
    assert made.status_code == 201, made.text
    for more in (1, 8 * 2**20):  # the server refuses; nginx itself does
        assert refusal(front, MOST_BYTES + more) == 413


def refusal(front: Address, size_bytes: int) -> int:
    """The status for a picture of that many bytes, to a client that stops to look for an answer.

    Caddy answers after 256 kB, and in HTTP/1.1 hangs up half a second later on who goes on.
    """
    tls = ssl.create_default_context(cafile=front.ca)
    with closing(
        http.client.HTTPSConnection("127.0.0.1", front.port, context=tls, timeout=15)
    ) as calling:
        calling.putrequest("PUT", "/snippets/1/")
        calling.putheader("Authorization", f"Bearer {front.token}")
        calling.putheader("Content-Type", "image/jpeg")
        calling.putheader("Content-Length", str(size_bytes))
        calling.endheaders(photo() + bytes(2**20))
        return calling.getresponse().status


def test_the_client_is_who_connects_to_the_proxy(
    front: Address, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert front.ca
    tls = ssl.create_default_context(cafile=front.ca)
    calling = http.client.HTTPSConnection(
        "127.0.0.1", front.port, context=tls, source_address=(CLIENT, 0), timeout=30
    )
    with closing(calling):
        calling.request("GET", "/api/cameras", headers=FORGED)
        assert calling.getresponse().status == 401
    with (
        pytest.raises(InvalidStatus),
        connect(
            f"wss://127.0.0.1:{front.port}/ws",
            ssl=certificates.trusting(front.ca),
            additional_headers=FORGED,
            proxy=None,
            source_address=(CLIENT, 0),
        ),
    ):
        pass
    for event, key in (("request", "client"), ("refused", "peer")):
        (line,) = [text for text in caplog.messages if f"event='{event}'" in text]
        assert f"{key}='{CLIENT}'" in line


@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_only_the_servers_own_page_may_connect(front: Address, origin: str | None) -> None:
    assert front.ca
    headers = {"Authorization": f"Bearer {front.token}", "Origin": origin or front.url}
    opening = partial(
        connect,
        f"wss://127.0.0.1:{front.port}/ws",
        ssl=certificates.trusting(front.ca),
        additional_headers=headers,
        proxy=None,
    )
    if origin is None:
        with opening():
            return
    with pytest.raises(InvalidStatus, match="403"):
        opening()
