"""``objectclassification serve`` as a process: its start, its end, and its secrets."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import text
from websockets.exceptions import ConnectionClosedError

from objectclassification.errors import (
    EXIT_CONFIGURATION,
    DataFolderUnusable,
    ModelError,
    NewerDatabase,
)
from objectclassification.messages import Done, Hello, SnapOrder, SnapRequest, Welcome, encode
from objectclassification.store.writer import open_database
from tests.serving import SERVE, WAIT_S, Served, ServeProcess, hear, photo, until


def refused(home: Path, *arguments: str) -> str:
    """Starts a server that cannot start; returns its one line."""
    found = subprocess.run(
        [*SERVE, "--port", "0", "--data", str(home / "data"), *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={**os.environ, "HOME": str(home)},
    )
    assert found.returncode == EXIT_CONFIGURATION, found.stderr
    assert "Traceback" not in found.stderr
    lines = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, found.stderr
    return lines[0]


class TestStart:
    def test_the_token_is_shown_once_and_never_again(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path, "--log-level", "debug") as server:
            assert server.token
            assert server.token.startswith("oc_")
            assert f"{server.url}/?token={server.token}" in server.banner
            file = server.data / "admin-token"
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            # However it is used, it stays out of the log.
            for path in ("/", "/api/cameras", "/nothing", "/snippets/9", "/api/pictures?limit=0"):
                requests.get(server.url + path, params={"token": server.token}, timeout=WAIT_S)
                requests.get(server.url + path, params={"token": "oc_wrong" * 6}, timeout=WAIT_S)
            with server.connect(token="", path=f"/ws?token={server.token}") as connection:
                connection.send("{half a message")
            server.call("PUT", "/snippets/1", data=photo())
            assert server.stop() == 0
            first = server.token
        with ServeProcess(tmp_path) as server:
            assert server.token == first
            assert first not in server.banner
            assert "admin-token" in server.banner
            assert server.call("GET", "/api/cameras").status_code == 200
            assert server.stop() == 0
            assert '"path": "/api/cameras"' in server.errors  # it is logged, less its query
            assert first not in server.errors
            assert "oc_wrong" not in server.errors
        assert not (tmp_path / "data" / "lock").read_bytes()

    def test_commands_on_this_machine_find_it(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            listed = subprocess.run(
                [*SERVE[:-1], "token", "list", "--json"],
                capture_output=True,
                text=True,
                timeout=WAIT_S,
                check=True,
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith("XDG_")},
                    "HOME": str(tmp_path),
                },
            )
            assert '"role":"admin"' in listed.stdout.replace(" ", "")
            assert str(server.token) not in listed.stdout

    def test_the_machines_address_is_shown(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            assert socket.gethostname() in server.banner.splitlines()[0]
            assert re.search(r"\(\d+\.\d+\.\d+\.\d+\)", server.banner)

    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            line = refused(tmp_path, "--port", str(port))
        assert f"127.0.0.1:{port}" in line
        assert "--port" in line

    def test_two_servers_on_one_data_folder(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            assert "another server uses the data folder" in refused(tmp_path)
            assert server.call("GET", "/healthz").status_code == 200

    def test_a_data_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        line = refused(tmp_path, "--data", str(tmp_path / "file" / "data"))
        assert "cannot use the data folder" in line

    def test_no_auth_beyond_loopback(self, tmp_path: Path) -> None:
        line = refused(tmp_path, "--no-auth", "--host", "0.0.0.0")  # noqa: S104 - it is refused
        assert "loopback" in line

    def test_a_setting_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "server.toml").write_text("wrokers = 1")
        assert "wrokers" in refused(tmp_path, "--config", str(tmp_path / "server.toml"))


class TestRefusedData:
    def test_a_newer_database(self, tmp_path: Path) -> None:
        with Served(tmp_path):
            pass
        database = open_database(tmp_path / "database.sqlite3")
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        database.close()
        with pytest.raises(NewerDatabase, match="newer version"), Served(tmp_path):
            pass

    def test_a_file_for_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(DataFolderUnusable), Served(tmp_path / "file"):
            pass

    def test_a_folder_nobody_can_write(self) -> None:
        with pytest.raises(DataFolderUnusable), Served(Path("/proc/data")):  # root cannot either
            pass

    @pytest.mark.parametrize("name", ["server-id", "admin-token"])
    @pytest.mark.parametrize("kind", ["no text", "a folder"])
    def test_a_file_of_it_that_cannot_be_read(self, tmp_path: Path, name: str, kind: str) -> None:
        if kind == "no text":
            (tmp_path / name).write_bytes(b"\xff\xfe")
        else:
            (tmp_path / name).mkdir()
        with pytest.raises(DataFolderUnusable, match=f"{name}: .*move it away"), Served(tmp_path):
            pass

    def test_a_model_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"no model")
        with pytest.raises(ModelError), Served(tmp_path / "data", model=tmp_path / "model.onnx"):
            pass
        with Served(tmp_path / "data"):  # and what was started before it is stopped
            pass


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without tokens."""
    with Served(tmp_path_factory.mktemp("open") / "data", no_auth=True) as served:
        yield served


class TestWithoutTokens:
    def test_anyone_here_is_admin(self, open_server: Served) -> None:
        assert open_server.token is None
        assert open_server.call("GET", "/api/tokens").status_code == 200
        assert open_server.call("PUT", "/snippets/1", data=photo()).status_code == 201
        with open_server.connect() as connection:
            connection.send(encode(Hello(role="controller", instance="me")).decode())
            hear(connection, Welcome)

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("localhost", 200),
            ("localhost:1234", 200),
            ("127.0.0.1", 200),
            ("[::1]:80", 200),
            ("LOCALHOST", 200),
            ("evil.example", 403),
            ("evil.example:8000", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("192.168.1.2", 403),
            ("", 403),
            ("[evil.example", 403),
            ("@localhost", 403),
        ],
    )
    def test_the_host_must_be_this_machine(
        self, open_server: Served, host: str, status: int
    ) -> None:
        for path in ("/api/cameras", "/"):
            answer = open_server.call("GET", path, headers={"Host": host})
            assert answer.status_code == status, answer.text

    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "http://[", "https://localhost"]
    )
    def test_a_page_of_another_origin_may_not_call(self, open_server: Served, origin: str) -> None:
        answer = open_server.call("GET", "/api/cameras", headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    def test_its_own_page_may(self, open_server: Served) -> None:
        answer = open_server.call("GET", "/api/cameras", headers={"Origin": open_server.url})
        assert answer.status_code == 200


class TestStop:
    def test_sigterm_ends_everything_in_order(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server, ThreadPoolExecutor() as pool:
            with server.camera("door") as door, server.connect() as controller:
                hello = Hello(role="controller", instance="test")
                controller.send(encode(hello).decode())
                hear(controller, Welcome)
                controller.send(encode(SnapRequest(to=("door",), deadline_s=60)).decode())
                waiting = pool.submit(
                    server.call,
                    "POST",
                    "/api/snaps?wait=1",
                    json={"to": ["door"], "deadline_s": 60},
                )
                orders = [door.hear(SnapOrder) for _ in range(2)]
                # A picture whose job cannot be done: the child stands still.
                (child,) = children(server)
                child.suspend()
                slot = door.places["door"].snippet
                made = server.call("PUT", f"/snippets/{slot}", data=photo())
                assert made.status_code == 201
                begun = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                done = hear(controller, Done)
                assert (done.answered, done.failed, done.missing) == (0, 1, 0)
                for connection in (controller, door.socket):
                    with pytest.raises(ConnectionClosedError) as closed:
                        while True:
                            connection.recv(timeout=WAIT_S)
                    assert closed.value.rcvd
                    assert closed.value.rcvd.code == 1012
                assert server.process.wait(WAIT_S) == 0
                assert time.monotonic() - begun < 10
                receipt = waiting.result(WAIT_S).json()
                assert receipt["shots"][0]["error"]["code"] == "cancelled"
            assert not child.is_running()
            assert "Traceback" not in server.errors
        with ServeProcess(tmp_path) as server:
            for order in orders:
                stored = server.call("GET", f"/api/snaps/{order.id}").json()
                assert (stored["done"], stored["failed"]) == (True, 1)
            assert classified(server, made.json()["id"])  # its job was kept, and is done now

    def test_ctrl_c_is_a_stop_too(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(WAIT_S) == 0
            assert "Traceback" not in server.errors

    def test_a_stop_does_not_wait_for_a_client_that_hangs(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path, OBJECTCLASSIFICATION_STOP_TIMEOUT_S="4") as server:
            with socket.create_connection(("127.0.0.1", server.port)) as hanging:
                hanging.sendall(
                    b"PUT /snippets/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
                    + f"Authorization: Bearer {server.token}\r\n\r\n".encode()
                    + photo()[:1000]
                )
                incoming = server.data / "blobs" / "incoming"
                while not list(incoming.iterdir()):
                    time.sleep(0.01)
                begun = time.monotonic()
                assert server.stop() == 0
                assert time.monotonic() - begun < 8  # twice what it was given: others work here too
            assert not list(incoming.iterdir())

    def test_a_body_that_stalls_is_told_that_the_server_stops(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path, OBJECTCLASSIFICATION_STOP_TIMEOUT_S="20") as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as stalled:
                stalled.sendall(
                    b"PUT /snippets/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
                    + f"Authorization: Bearer {server.token}\r\n\r\n".encode()
                )
                incoming = server.data / "blobs" / "incoming"
                until(lambda: any(incoming.iterdir()))
                begun = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                answer = b""
                while piece := stalled.recv(65_536):
                    answer += piece
                assert server.process.wait(WAIT_S) == 0
                assert time.monotonic() - begun < 8  # without this it is the half of those
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b'"code":"stopping"' in answer
            assert not any(incoming.iterdir())
            assert "Traceback" not in server.errors

    def test_a_killed_server_leaves_no_child_behind(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            (child,) = children(server)
            server.process.kill()
            child.wait(WAIT_S)


class TestAfterAKill:
    def test_receipts_are_true_and_jobs_are_done(self, tmp_path: Path) -> None:
        """kill -9 while a snap is open: one camera's picture was stored, one answered nothing."""
        with ServeProcess(tmp_path) as server:
            with server.camera("door") as door, server.camera("yard") as yard:
                (child,) = children(server)
                child.suspend()
                request = {"to": ["door", "yard"], "deadline_s": 60, "context": {"order": 1}}
                asked = server.call("POST", "/api/snaps", json={**request, "until": "uploaded"})
                door.answer(photo())
                yard.hear(SnapOrder)
                deeper = server.call("POST", "/api/snaps", json=request)
                door.answer(photo("second"))
                server.process.kill()
                server.process.wait(WAIT_S)
                child.wait(WAIT_S)  # stopped as it is, it ends with its parent
            assert asked.status_code == deeper.status_code == 202
        with ServeProcess(tmp_path) as server:
            wanted = [made.json()["snap"] for made in (asked, deeper)]
            receipts = [server.call("GET", f"/api/snaps/{snap}").json() for snap in wanted]
            assert [receipt["done"] for receipt in receipts] == [False, False]
            shots = {shot["camera"]: shot for shot in receipts[0]["shots"]}
            assert RANK[shots["door"]["state"]] >= RANK["uploaded"]
            assert shots["door"]["picture"]
            assert shots["yard"]["state"] == "requested"
            with server.camera("yard") as yard:  # it owes a picture for each, and is told so
                assert sorted(order.id for order in yard.pending) == sorted(wanted)
                for order in yard.pending:
                    yard.upload(order, photo(order.id))
                with server.camera("door") as door:
                    assert door.pending == ()  # its pictures are there
                for snap, state in zip(wanted, ("uploaded", "classified"), strict=True):
                    # Whoever asked asks again, and gets the same snap with all its answers.
                    body = {**request, "id": snap, "until": state}
                    receipt = server.call("POST", "/api/snaps?wait=1", json=body).json()
                    counts = [receipt[name] for name in ("done", "answered", "failed", "missing")]
                    assert counts == [True, 2, 0, 0]
                    assert receipt["context"] == {"order": 1}
                    assert receipt["elapsed_ms"] > 0

    def test_a_deadline_that_passed_meanwhile(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            with server.camera("door") as door, server.camera("yard") as yard:
                request = {"to": ["door", "yard"], "deadline_s": 1.5, "until": "uploaded"}
                asked = server.call("POST", "/api/snaps", json=request)
                door.answer(photo())
                yard.hear(SnapOrder)
                server.process.kill()
                server.process.wait(WAIT_S)
        accepted = datetime.fromisoformat(asked.json()["accepted_at"]).timestamp()
        until(lambda: time.time() > accepted + 1.5)
        with ServeProcess(tmp_path) as server:
            receipt = server.call("GET", f"/api/snaps/{asked.json()['snap']}").json()
            counts = [receipt[name] for name in ("done", "answered", "failed", "missing")]
            assert counts == [True, 1, 0, 1]
            shots = {shot["camera"]: shot for shot in receipt["shots"]}
            assert shots["yard"]["error"]["code"] == "timeout"
            assert classified(server, shots["door"]["picture"]["id"])
            again = server.call("GET", f"/api/snaps/{asked.json()['snap']}").json()
            assert [again[name] for name in ("done", "answered", "failed", "missing")] == counts

    def test_what_was_acknowledged_is_there(self, tmp_path: Path) -> None:
        """kill -9 in the middle of many PUTs, which their senders then send again."""
        acknowledged: dict[str, str] = {}

        def put(server: ServeProcess, key: str) -> None:
            answer = server.call(
                "PUT", "/snippets/1", data=photo(key), headers={"Idempotency-Key": key}
            )
            if answer.status_code in (200, 201):
                acknowledged.setdefault(key, answer.json()["id"])

        def put_until_it_dies(server: ServeProcess, sender: int) -> None:
            with suppress(requests.ConnectionError):
                for number in range(1000):
                    put(server, f"{sender}-{number}")

        with ServeProcess(tmp_path) as server, ThreadPoolExecutor(4) as pool:
            sending = [pool.submit(put_until_it_dies, server, sender) for sender in range(4)]
            until(lambda: len(acknowledged) >= 40)
            server.process.kill()
            for sender in sending:
                sender.result(WAIT_S)
        before = dict(acknowledged)
        with ServeProcess(tmp_path) as server:
            for key, picture in before.items():
                image = server.call("GET", f"/api/pictures/{picture}/image")
                assert image.content == photo(key)
            again = [*sorted(before)[::5], "0-900"]
            for key in again:
                put(server, key)
            assert {key: acknowledged[key] for key in before} == before
            every = server.call("GET", "/api/pictures", params={"limit": 200}).json()["pictures"]
            sums = [picture["renditions"]["full"]["sha256"] for picture in every]
            assert len(sums) == len(set(sums)) >= len(before) + 1

    def test_half_a_body_is_swept_away(self, tmp_path: Path) -> None:
        with ServeProcess(tmp_path) as server:
            incoming = server.data / "blobs" / "incoming"
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(
                    b"PUT /snippets/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
                    + f"Authorization: Bearer {server.token}\r\n\r\n".encode()
                )
                while not list(incoming.iterdir()):
                    time.sleep(0.01)
                server.process.kill()
                server.process.wait(WAIT_S)
        assert len(list(incoming.iterdir())) == 1
        with ServeProcess(tmp_path):
            assert list(incoming.iterdir()) == []


RANK = {"requested": 0, "delivered": 1, "captured": 2, "uploaded": 3, "classified": 4, "failed": -1}


def children(server: ServeProcess) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(server.process.pid).children()
    return found


def classified(server: ServeProcess, picture_id: str) -> bool:
    """Waits until a picture's job is done; says whether it has labels."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        picture = server.call("GET", f"/api/pictures/{picture_id}").json()
        if picture["state"] != "queued":
            return bool(picture["predictions"])
        time.sleep(0.02)
    return False
