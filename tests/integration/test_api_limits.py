"""Limits of time, space and number, on raw sockets where a client library is too polite."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from objectclassification.api.app import create_app
from objectclassification.api.images import image_response
from objectclassification.store.blobs import Blobs
from objectclassification.store.renditions import StoredBlob
from tests.serving import WAIT_S, Served, photo, until

FORM_START = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that is impatient and takes two bodies at a time, one of each token."""
    data = tmp_path_factory.mktemp("limited") / "data"
    limits = {"max_uploads": 2, "body_timeout_s": 0.4, "header_timeout_s": 0.4}
    with Served(data, **limits) as served:
        served.new_token("camera", "door")
        yield served


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes eight bodies at a time, two of each token."""
    with Served(tmp_path_factory.mktemp("patient") / "data", max_uploads=8) as served:
        served.new_token("camera", "door")
        yield served


def head(server: Served, line: str, *headers: str) -> bytes:
    return "\r\n".join(
        [line + " HTTP/1.1", "Host: x", f"Authorization: Bearer {server.token}", *headers, "", ""]
    ).encode()


def upload(server: Served, token: str) -> bytes:
    """The head of a picture that does not come."""
    return (
        "PUT /snippets/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


@contextmanager
def raw(server: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes; a reset is an end as well."""
    found = b""
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def read_to(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while not found.endswith(end):
        piece = connection.recv(65_536)
        assert piece, "the server closed"
        found += piece
    return found


def incoming(server: Served) -> int:
    return len(list((server.settings.data / "blobs" / "incoming").iterdir()))


class TestBodies:
    def test_a_body_that_stalls_gets_408(self, limited: Served) -> None:
        before = limited.rows(), limited.files()
        with raw(limited) as connection:
            request = head(limited, "PUT /snippets/1", "Content-Length: 100000")
            connection.sendall(request + photo()[:5000])
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert b'"code":"timeout"' in answer
        assert (limited.rows(), limited.files()) == before

    def test_a_form_that_stalls_gets_408(self, limited: Served) -> None:
        kind = "Content-Type: multipart/form-data; boundary=x"
        with raw(limited) as connection:
            connection.sendall(head(limited, "PUT /snippets/1", "Content-Length: 9000", kind))
            connection.sendall(FORM_START)
            assert read_all(connection).startswith(b"HTTP/1.1 408 ")
        assert incoming(limited) == 0

    def test_a_snap_that_stalls_gets_408(self, limited: Served) -> None:
        with raw(limited) as connection:
            connection.sendall(head(limited, "POST /api/snaps", "Content-Length: 50") + b'{"to"')
            assert read_all(connection).startswith(b"HTTP/1.1 408 ")

    @pytest.mark.parametrize(
        ("kind", "start"), [("image/jpeg", b""), ("multipart/form-data; boundary=x", FORM_START)]
    )
    def test_a_client_that_goes_away_leaves_nothing(
        self, limited: Served, kind: str, start: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        before = limited.rows(), limited.files()
        with raw(limited) as connection:
            size, declared = "Content-Length: 100000", f"Content-Type: {kind}"
            connection.sendall(head(limited, "PUT /snippets/1", size, declared))
            connection.sendall(start + photo()[:5000])
            until(lambda: incoming(limited) == 1)
        until(lambda: incoming(limited) == 0)
        assert (limited.rows(), limited.files()) == before
        assert "Traceback" not in capfd.readouterr().err

    def test_too_many_at_a_time_are_asked_to_come_back(self, patient: Served) -> None:
        others = [patient.new_token("admin") for _ in range(4)]
        with ExitStack() as stack:
            slow = [stack.enter_context(raw(patient)) for _ in range(8)]
            for number, connection in enumerate(slow):
                connection.sendall(upload(patient, others[number % 4]))
            until(lambda: incoming(patient) == 8)
            answer = patient.call("PUT", "/snippets/1", data=photo())
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert int(answer.headers["Retry-After"]) > 0
            assert patient.call("GET", "/snippets/1").status_code == 200
            slow[0].close()
            until(lambda: incoming(patient) == 7)
            assert patient.call("PUT", "/snippets/1", data=photo()).status_code == 201
        until(lambda: incoming(patient) == 0)

    def test_one_tokens_slow_bodies_leave_places_for_the_others(self, patient: Served) -> None:
        other = patient.new_token("admin")
        with ExitStack() as stack:
            for _ in range(8):
                connection = stack.enter_context(raw(patient))
                connection.sendall(upload(patient, str(patient.token)))
            until(lambda: incoming(patient) == 2)
            answer = patient.call("PUT", "/snippets/1", data=photo(), token=other)
            assert answer.status_code == 201, answer.text
            answer = patient.call("PUT", "/snippets/1", data=photo())
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        until(lambda: incoming(patient) == 0)

    def test_a_body_that_drips_gets_408(self, limited: Served) -> None:
        """Each piece comes in time, and all of them too slowly."""
        with raw(limited) as connection:
            connection.sendall(upload(limited, str(limited.token)))
            connection.settimeout(0.05)
            for _ in range(200):
                connection.sendall(b"x")
                with suppress(TimeoutError):
                    assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
                    return
        raise AssertionError("it may drip for ever")

    @pytest.mark.parametrize(
        ("line", "token", "status"),
        [
            ("PUT /snippets/1", None, b"413"),
            ("PUT /snippets/1", "wrong", b"401"),
            ("PUT /snippets/999", None, b"404"),
        ],
    )
    def test_an_early_answer_is_read_by_a_client_that_closes(
        self, limited: Served, line: str, token: str | None, status: bytes
    ) -> None:
        """urllib sends `Connection: close`, all of the body, and looks for the answer only then."""
        size = 40 * 2**20
        with raw(limited) as connection:
            connection.sendall(
                f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n"
                f"Authorization: Bearer {token or limited.token}\r\n\r\n".encode()
            )
            for _ in range(40):
                connection.sendall(bytes(2**20))
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"application/problem+json" in answer

    def test_an_early_answer_is_read_by_a_client_that_still_sends(self, limited: Served) -> None:
        with raw(limited) as connection:
            connection.sendall(head(limited, "PUT /snippets/9", "Content-Length: 3000000"))
            assert connection.recv(12) == b"HTTP/1.1 404"
            connection.sendall(bytes(3_000_000))
            connection.sendall(head(limited, "GET /healthz"))  # the connection is good for more
            answer = read_to(connection, b"ok\n")
        assert answer.count(b"HTTP/1.1") == 1

    def test_a_body_without_end_after_an_answer_is_cut_off(self, limited: Served) -> None:
        with raw(limited) as connection:
            connection.sendall(head(limited, "PUT /snippets/9", "Content-Length: 3000000"))
            assert connection.recv(12) == b"HTTP/1.1 404"
            connection.sendall(bytes(1000))
            read_all(connection)  # ends, because the server closes


class TestHeaders:
    @pytest.mark.parametrize(
        "start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["none", "line", "half"]
    )
    def test_headers_that_do_not_come_close_the_connection(
        self, limited: Served, start: bytes
    ) -> None:
        with raw(limited) as connection:
            connection.sendall(start)
            assert read_all(connection) == b""

    def test_the_next_requests_headers_too(self, limited: Served) -> None:
        with raw(limited) as connection:
            connection.sendall(head(limited, "GET /healthz"))
            assert read_to(connection, b"ok\n").startswith(b"HTTP/1.1 200 ")
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost")
            assert read_all(connection) == b""

    @pytest.mark.parametrize("size", [70_000, 1_000_000, 50_000_000])
    @pytest.mark.parametrize("kind", ["one", "many"])
    def test_huge_headers_are_refused(self, limited: Served, size: int, kind: str) -> None:
        line = b"X: " + b"x" * (size if kind == "one" else 1000) + b"\r\n"
        with raw(limited) as connection:
            try:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
                connection.sendall(line * (1 if kind == "one" else size // 1000))
                connection.sendall(b"\r\n")
            except (ConnectionResetError, BrokenPipeError):
                return  # refused while it was still coming
            assert not read_all(connection).startswith(b"HTTP/1.1 200")

    def test_large_headers_are_fine(self, limited: Served) -> None:
        answer = limited.call("GET", "/healthz", headers={"X": "x" * 30_000})
        assert answer.status_code == 200

    def test_two_hosts_are_refused(self, limited: Served) -> None:
        with raw(limited) as connection:
            connection.sendall(head(limited, "GET /api/cameras", "Host: y", "Connection: close"))
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in answer

    def test_what_is_not_http_gets_400(self, limited: Served) -> None:
        with raw(limited) as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00 a TLS greeting\r\n\r\n")
            assert read_all(connection).startswith(b"HTTP/1.1 400 ")


class TestDisk:
    def test_below_the_floor_nothing_is_taken_and_reads_go_on(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data") as server:
            made = server.call("PUT", "/snippets/1", data=photo()).json()
            server.settle()
        with Served(tmp_path / "data", disk_floor_bytes=2**60) as server:
            before = server.files()
            answer = server.call("PUT", "/snippets/1", data=photo())
            assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
            assert "Retry-After" in answer.headers
            assert server.files() == before
            not_ready = server.call("GET", "/readyz")
            assert (not_ready.status_code, not_ready.json()["code"]) == (503, "not_ready")
            assert not_ready.json()["detail"].startswith("disk: ")
            assert server.call("GET", "/healthz").status_code == 200
            assert server.call("GET", "/snippets/1").json()["picture"]["id"] == made["id"]
            image = server.call("GET", f"/api/pictures/{made['id']}/image")
            assert (image.status_code, image.content) == (200, photo())
            snap = server.call("POST", "/api/tokens", json={"role": "viewer"})
            assert snap.status_code == 201  # rows are small

    def test_a_disk_that_fails_is_a_problem_and_no_crash(self, limited: Served) -> None:
        folder = limited.settings.data / "blobs" / "incoming"
        shutil.rmtree(folder)
        try:
            answer = limited.call("PUT", "/snippets/1", data=photo())
        finally:
            folder.mkdir()
        assert (answer.status_code, answer.json()["code"]) == (503, "store_failed")
        assert str(folder) not in answer.text
        assert limited.call("PUT", "/snippets/1", data=photo()).status_code == 201

    def test_a_folder_that_is_gone_is_told(self, tmp_path: Path) -> None:
        with Served(tmp_path / "data") as server:
            assert server.call("GET", "/readyz").status_code == 200
            shutil.rmtree(tmp_path / "data" / "blobs")
            answer = server.call("PUT", "/snippets/1", data=photo())
            assert (answer.status_code, answer.json()["code"]) == (503, "store_failed")
            answer = server.call("GET", "/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.json()["detail"].startswith("disk: ")

    @pytest.mark.parametrize("how", ["deleted", "replaced", "overwritten"])
    def test_a_database_that_is_not_ours_any_more_is_told(self, tmp_path: Path, how: str) -> None:
        file = tmp_path / "data" / "database.sqlite3"
        with Served(tmp_path / "data") as server:
            assert server.call("GET", "/readyz").status_code == 200
            if how == "replaced":
                shutil.copyfile(file, tmp_path / "copy")
                (tmp_path / "copy").rename(file)
            elif how == "deleted":
                file.unlink()
            else:
                file.with_name(file.name + "-wal").write_bytes(b"")
                file.write_bytes(b"no database" * 10_000)
            answer = server.call("GET", "/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.json()["detail"].startswith("database: ")
            assert str(tmp_path) not in answer.text

    def test_nobody_else_may_read_what_is_stored(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir(mode=0o755)
        with Served(data) as server:
            assert server.call("PUT", "/snippets/1", data=photo()).status_code == 201
            names = ("database.sqlite3", "database.sqlite3-wal", "database.sqlite3-shm", "blobs")
            assert [(data / name).stat().st_mode & 0o077 for name in names] == [0, 0, 0, 0]
        (data / "database.sqlite3").chmod(0o644)
        (data / "blobs").chmod(0o755)
        with Served(data):  # one from before is put right
            assert [(data / name).stat().st_mode & 0o077 for name in names] == [0, 0, 0, 0]

    @pytest.mark.parametrize("headers", [[], [(b"range", b"bytes=0-9")]], ids=["all", "range"])
    async def test_a_picture_deleted_at_the_last_moment(
        self, tmp_path: Path, headers: list[tuple[bytes, bytes]]
    ) -> None:
        blobs = Blobs(tmp_path / "blobs", floor_bytes=0)
        blob = StoredBlob(
            "key-1", "full", blobs.put("key-1", photo()), "image/jpeg", len(photo()), 640
        )
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        response = image_response(Request(scope), blobs, blob, immutable=True)
        blobs.delete("key-1")
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await asyncio.Event().wait()

        await response(scope, receive, send)
        assert [message.get("status") for message in sent] == [404, None]

    def test_a_picture_whose_file_is_gone(self, limited: Served) -> None:
        made = limited.call("PUT", "/snippets/1", data=photo()).json()
        limited.settle()
        for file in limited.files():
            (limited.settings.data / "blobs" / file).unlink()
        answer = limited.call("GET", f"/api/pictures/{made['id']}/image")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_many_at_the_same_moment(limited: Served) -> None:
    """Whoever is not taken is told to come back; nothing else goes wrong."""

    def put(number: int) -> int:
        return limited.call("PUT", "/snippets/1", data=photo(str(number))).status_code

    with ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(put, range(96)))
    assert set(statuses) <= {201, 503}
    assert 201 in statuses
    limited.settle()
    assert incoming(limited) == 0


async def test_a_bug_is_a_problem_too(limited: Served) -> None:
    async def bug() -> bytes:
        raise ZeroDivisionError("secret")

    app = create_app(replace(limited.parts, metrics=bug))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "query_string": f"token={limited.token}".encode(),
        "headers": [],
    }
    with pytest.raises(ZeroDivisionError):  # for the server's log
        await app(scope, receive, send)
    assert sent[0]["status"] == 500
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert b"secret" not in sent[1]["body"]


def test_who_leaves_before_the_answer_is_no_error_of_the_server(
    patient: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """As browsers do with pictures that are scrolled out of sight before they came."""
    caplog.set_level(logging.DEBUG)
    picture = patient.call("PUT", "/snippets/1", data=photo("left behind")).json()["id"]
    path = f"/api/pictures/{picture}/image"
    for _ in range(20):
        with raw(patient) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(head(patient, f"GET {path}"))

    def answered() -> list[str]:
        lines = [line for line in caplog.messages if f"path='{path}'" in line]
        return [status for line in lines for status in re.findall(r"status=(\d+)", line)]

    until(lambda: len(answered()) == 20)
    assert set(answered()) <= {"200", "499"}
    assert "499" in answered()
    assert patient.call("GET", path).status_code == 200
