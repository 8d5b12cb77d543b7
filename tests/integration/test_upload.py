"""The PUT against a real HTTP server that fails in every way servers do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from objectclassification.capture import Capture, Spool, Uploader
from objectclassification.errors import (
    CaptureError,
    ConfigurationError,
    UploadFailed,
    UploadRefused,
)
from tests.integration.cameras.servers import free_port, jpeg
from tests.integration.test_spool import taken

TOKEN = "a-token-nobody-may-see"
PICTURE = {"id": "p1", "url": "/api/pictures/p1/image"}


@dataclass
class Answer:
    """What the server does with one request; ``None`` for the status hangs up."""

    status: int | None = 201
    body: bytes = json.dumps(PICTURE).encode()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """A request as it came."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Api:
    """A server that answers as it is told, and remembers what it was asked."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)


@pytest.fixture
def api() -> Iterator[Api]:
    yield from serve()


@pytest.fixture
def other_api() -> Iterator[Api]:
    yield from serve()


def serve() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.seen.append(
                Seen(parts.path, parse_qs(parts.query), headers, body, time.monotonic())
            )
            answer = api.answers.pop(0) if api.answers else Answer()
            if answer.status is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """A test's output is pytest's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield api
        server.shutdown()
        thread.join()


def problem(status: int, detail: str) -> Answer:
    return Answer(status, json.dumps({"detail": detail}).encode())


def test_an_item_of_the_spool_is_sent_as_the_api_wants_it(api: Api, tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, Uploader(api.url, TOKEN) as uploader:
        item = spool.add(
            taken(b"\xff\xd8 bytes", age_s=2.0), camera="door", upload="/snippets/1/", snap="s1"
        )
        assert uploader.send(item) == PICTURE
    (seen,) = api.seen
    assert seen.path == "/snippets/1/"
    assert seen.body == b"\xff\xd8 bytes"
    assert seen.headers["content-type"] == "image/jpeg"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["idempotency-key"] == item.key
    assert seen.query["snap"] == ["s1"]
    assert seen.query["rendition"] == ["full"]
    assert 2_000 <= int(seen.query["age_ms"][0]) < 4_000


def test_what_may_pass_is_tried_again_with_the_same_key(api: Api) -> None:
    api.answers = [Answer(None), problem(503, "busy"), problem(500, "oops"), Answer(200)]
    with Uploader(api.url, TOKEN) as uploader:
        assert uploader.put("/snippets/1/", b"x", "image/png", key="k") == PICTURE
    assert len(api.seen) == 4
    assert {seen.headers["idempotency-key"] for seen in api.seen} == {"k"}


def test_without_a_key_it_is_tried_once(api: Api) -> None:
    """The answer may be what was lost: a second try would make a second picture."""
    api.answers = [Answer(None)]
    with Uploader(api.url, TOKEN) as uploader, pytest.raises(UploadFailed):
        uploader.put("/snippets/1/", b"x", "image/png")
    assert len(api.seen) == 1


@pytest.mark.parametrize("http_date", [False, True])
def test_retry_after_is_honoured(api: Api, http_date: bool) -> None:
    # A date has whole seconds only, so that "in two seconds" is more than one from now.
    value = formatdate(time.time() + 2, usegmt=True) if http_date else "1"
    api.answers = [Answer(429, headers={"Retry-After": value})]
    with Uploader(api.url, TOKEN) as uploader:
        uploader.put("/snippets/1/", b"x", "image/png", key="k")
    first, second = api.seen
    assert second.at - first.at >= 0.9


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "objectclassification login"),
        (403, "may not upload"),
        (404, "no such snippet"),
        (413, "larger"),
        (415, "send a PNG"),
        (422, "send a PNG"),
    ],
)
def test_no_for_good(api: Api, status: int, says: str) -> None:
    api.answers = [problem(status, "send a PNG")]
    with Uploader(api.url, TOKEN) as uploader, pytest.raises(UploadRefused, match=says) as caught:
        uploader.put("/snippets/1/", b"x", "image/png", key="k")
    assert caught.value.status == status
    assert len(api.seen) == 1


def test_the_token_goes_to_no_other_server_and_into_no_line(api: Api, other_api: Api) -> None:
    api.answers = [
        Answer(307, headers={"Location": f"{other_api.url}/snippets/1/?token={TOKEN}"}),
        problem(500, "oops"),
    ]
    with capture_logs() as logs, Uploader(f"{api.url}/?token={TOKEN}", TOKEN, attempts=1) as up:
        with pytest.raises(UploadRefused, match="moved") as moved:
            up.put("/snippets/1/", b"x", "image/png", key="k")
        with pytest.raises(UploadFailed) as failed:
            up.put("/snippets/1/", b"x", "image/png", key="k")
    assert other_api.seen == []
    shown = f"{moved.value!r} {failed.value!r} {logs!r} {vars(up)!r}"
    assert TOKEN not in shown
    assert TOKEN not in api.seen[0].path


def test_nobody_listens() -> None:
    with Uploader(f"http://127.0.0.1:{free_port()}", TOKEN, attempts=2) as uploader:
        with pytest.raises(UploadFailed, match="cannot be reached") as caught:
            uploader.put("/snippets/1/", b"x", "image/png", key="k")
    assert caught.value.retryable


def test_something_else_listens(api: Api) -> None:
    api.answers = [Answer(200, b"<html>hello")]
    with Uploader(api.url) as uploader, pytest.raises(UploadRefused, match="not JSON"):
        uploader.put("/snippets/1/", b"x", "image/png", key="k")


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://host", "http://", "hub"])
def test_addresses_that_cannot_be(address: str) -> None:
    with pytest.raises(ConfigurationError):
        Uploader(address)


def test_capture_uploads_what_it_took_as_the_seed_does(api: Api, tmp_path: Path) -> None:
    (tmp_path / "source.jpg").write_bytes(jpeg())
    with Capture(str(tmp_path / "source.jpg"), tmp_path / "opencv_frame_0.png") as capture:
        with pytest.raises(CaptureError, match="take a picture before"):
            capture.upload(api.url)
        taken = capture.take()
        assert capture.upload(api.url, snippet=3, token=TOKEN) == PICTURE
    (seen,) = api.seen
    assert seen.path == "/snippets/3/"
    assert seen.body == taken.data
    assert seen.headers["content-type"] == "image/png"
