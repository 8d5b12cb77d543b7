"""No secret is in anything that the programs wrote: a server, a hub and cameras at their most
talkative, good and bad callers, and then a search through all that is left of it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from objectclassification.auth import new_token
from tests.serving import Address, photo, until

COMMAND = (sys.executable, "-m", "objectclassification")
RTSP_PASSWORD = "Rt5p/Passw@rd-7491"
STILL_PASSWORD = "St1ll-Passw0rd-8263"
STILL_KEY = "Qu3ry-K3y-5527"


class Program:
    """A command as a process of its own, whose output goes to files; on a terminal, if asked."""

    def __init__(self, folder: Path, terminal: bool, *words: str, **environment: str) -> None:
        folder.mkdir()
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "OBJECTCLASS"))}
        ours, theirs = os.openpty() if terminal else (None, None)
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors if theirs is None else theirs,
                env={
                    **kept,
                    "HOME": str(folder),
                    "OBJECTCLASSIFICATION_WORKERS": "1",
                    **environment,
                },
            )
        self._copying: threading.Thread | None = None
        if ours is not None and theirs is not None:
            os.close(theirs)
            self._copying = threading.Thread(target=self._copy, args=(ours,))
            self._copying.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._copying is not None:
            self._copying.join()

    @property
    def said(self) -> str:
        """All of its output so far."""
        return "".join((self.folder / name).read_text() for name in ("stdout", "stderr"))

    def hear(self, pattern: str) -> re.Match[str]:
        """Waits for something in its output."""
        until(lambda: bool(re.search(pattern, self.said)) or self.process.poll() is not None)
        found = re.search(pattern, self.said)
        assert found, self.said
        return found

    def told(self) -> bytes:
        """The command lines of it and its children, and what the children were given."""
        process = psutil.Process(self.process.pid)
        children = process.children(recursive=True)
        lines = [word for each in (process, *children) for word in each.cmdline()]
        lines += [value for each in children for value in each.environ().values()]
        return "\n".join(lines).encode()

    def _copy(self, terminal: int) -> None:
        with (self.folder / "stderr").open("ab", buffering=0) as file, suppress(OSError):
            while piece := os.read(terminal, 65536):
                file.write(piece)
        os.close(terminal)


class Still(BaseHTTPRequestHandler):
    """A camera that answers one picture for each request, to those who know its password."""

    def do_GET(self) -> None:
        good = base64.b64encode(f"user:{STILL_PASSWORD}".encode()).decode()
        known = self.headers.get("Authorization") == f"Basic {good}"
        self.send_response(200 if known else 401)
        if not known:
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        if known:
            self.wfile.write(photo())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it is not ours to search."""


class Rtsp(socketserver.StreamRequestHandler):
    """A camera that lets nobody in."""

    def handle(self) -> None:
        for line in self.rfile:
            if line.lower().startswith(b"cseq"):
                head = b"RTSP/1.0 401 Unauthorized\r\n" + line
                self.wfile.write(head + b'WWW-Authenticate: Basic realm="camera"\r\n\r\n')


@contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield cast(tuple[str, int], server.server_address)[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ways(secret: str) -> set[bytes]:
    """How a secret may be written: as it is, in an address, in JSON, in a Basic header."""
    basic = base64.b64encode(f"user:{secret}".encode())
    return {
        secret.encode(),
        quote(secret, safe="").encode(),
        basic,
        json.dumps(secret)[1:-1].encode(),
    }


def leaks(secrets: dict[str, str], places: dict[str, bytes]) -> list[str]:
    """Which secret is where."""
    return [
        f"{name} in {where}"
        for name, secret in secrets.items()
        for where, content in places.items()
        if any(way in content for way in ways(secret))
    ]


def files(*folders: Path, but: set[str]) -> dict[str, bytes]:
    """Every file's name and content."""
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {
        str(path): str(path).encode() + b"\n" + path.read_bytes()
        for path in found
        if path.name not in but
    }


class Caller:
    """Good and bad callers of a server; keeps what they are answered."""

    def __init__(self, server: Address) -> None:
        self.server = server
        self.answers: dict[str, bytes] = {}

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = self.server.call(method, path, **kwargs)
        head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
        self.answers[f"answer {len(self.answers)} to {method} {path}"] = (
            head.encode() + answer.content
        )
        return answer

    def everything(self, secrets: dict[str, str]) -> None:
        """Calls with good, wrong and misplaced tokens, in every place where one can be."""
        for token in secrets.values():
            for path in ("/api/pictures", "/api/tokens", "/healthz", "/nothing", "/snippets/x"):
                self.call("GET", path, token=token)
                self.call("GET", f"{path}?token={token}", token="")
            self.call("POST", f"/api/snaps?token={token}", token="", json={"to": ["door"]})
            if token.startswith("oc_"):  # taken for its id
                self.call("DELETE", f"/api/tokens/{token}")
            self.call("PUT", "/snippets/1", token=token, data=b"no picture", params={"snap": "?"})
            self.call("GET", "/", headers={"Authorization": f"Basic {token}"}, token="")
            self._raw(f"GET /?token={token} HTTP/9.9\r\n\r\n")
            self._raw(f"GET /api/pictures?token={token} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            self._raw(f"GET /ws?token={token} HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
            self.websocket(token)

    def websocket(self, token: str) -> None:
        """A client that is let in or not, and says nonsense."""
        for path in ("/ws", "/", "/nowhere"):
            with suppress(InvalidStatus):
                url = f"ws://127.0.0.1:{self.server.port}{path}?token={token}"
                with connect(url, proxy=None, compression=None) as client:
                    client.send('{"type":"hello"}')
                    self.answers[f"frame {len(self.answers)}"] = str(client.recv(5)).encode()

    def _raw(self, request: str) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port), 5) as raw:
            raw.sendall(request.encode())
            raw.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(ConnectionError):
                while piece := raw.recv(65536):
                    answer += piece
            self.answers[f"raw {len(self.answers)}"] = answer


CAMERAS = """
[[cameras]]
name = "door"
source = "http://user:{still_password}@127.0.0.1:{still}/picture.jpg?key={still_key}"

[[cameras]]
name = "yard"
source = "rtsp://user:${{RTSP_PASSWORD}}@127.0.0.1:{rtsp}/stream"
"""


@pytest.mark.parametrize("terminal", [False, True], ids=["json", "terminal"])
def test_nothing_that_was_written_holds_a_secret(tmp_path: Path, terminal: bool) -> None:
    secrets = {
        "rtsp password": RTSP_PASSWORD,
        "still password": STILL_PASSWORD,
        "still key": STILL_KEY,
        "wrong token": new_token(),
        "wrong token of another form": "hunter2-is-no-token",
    }
    data = tmp_path / "server" / "data"
    with ExitStack() as stack:
        still = stack.enter_context(listening(ThreadingHTTPServer(("127.0.0.1", 0), Still)))
        rtsp = stack.enter_context(
            listening(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rtsp))
        )
        words = ("serve", "--port", "0", "--data", str(data), "--log-level", "debug")
        served = stack.enter_context(Program(tmp_path / "server", terminal, *words))
        port = int(served.hear(r"http://127\.0\.0\.1:(\d+)/")[1])
        until(lambda: (data / "admin-token").exists())
        caller = Caller(Address(port, (data / "admin-token").read_text().strip()))
        secrets |= {
            "admin token": caller.server.token or "",
            "operator token": caller.server.new_token("operator"),
            "camera token": caller.server.new_token("camera", "door", "yard"),
        }
        camera = stack.enter_context(
            camera_program(tmp_path, terminal, port, secrets["camera token"], still, rtsp)
        )
        camera.hear("is ready")
        caller.everything(secrets)
        receipt = caller.call(
            "POST", "/api/snaps?wait=1", json={"to": ["door", "yard"], "deadline_s": 30}
        ).json()
        assert {shot["camera"]: shot["state"] for shot in receipt["shots"]} == {
            "door": "classified",
            "yard": "failed",
        }
        for path in ("/api/cameras", "/api/snaps", "/api/tokens", "/metrics", "/openapi.json"):
            caller.call("GET", path)
        one_shots(tmp_path, port, secrets["operator token"])
        hub = stack.enter_context(hub_alone(tmp_path, terminal))
        where = hub.hear(r"ws://127\.0\.0\.1:(\d+)/\?token=(\S+)")
        secrets["hub's token"] = where[2]
        for token in secrets.values():
            Caller(Address(int(where[1]), None)).websocket(token)
        told = {name: each.told() for name, each in (("s", served), ("c", camera), ("h", hub))}

    own = {"admin-token", "hub-tokens.toml.admin-token", "token", "cameras.toml"}
    folders = [tmp_path / name for name in ("server", "camera", "snap", "login", "hub")]
    wrote = files(*folders, but=own)
    for first in ("server", "hub"):
        # The address with the token is printed once, on the standard output of the first start.
        shown = str(tmp_path / first / "stdout")
        wrote[shown] = re.sub(rb"/\?token=\S+", b"", wrote[shown], count=1)
    places = {**wrote, **told, **caller.answers}
    assert leaks(secrets, places) == []
    assert "debug" in served.said
    assert "rtsp://user:***@" in camera.said
    # It would have been found: here, and written otherwise.
    for way in ways(RTSP_PASSWORD):
        (data / "blobs" / "planted").write_bytes(b"\0" + way + b"\0")
        assert leaks(secrets, files(tmp_path / "server", but=own | {"stdout"}))


NOWHERE = "127.0.0.1:9"
FAILING = (
    "login http://NOWHERE/?token=TOKEN",
    "snap door --server http://NOWHERE/?token=TOKEN",
    "snap door --server http://user:PASSWORD@NOWHERE/",
    "token list --server http://NOWHERE/?token=TOKEN",
    "doctor --server http://NOWHERE/?token=TOKEN",
    "capture --source rtsp://user:PASSWORD@NOWHERE/x",
    "capture --source http://user:PASSWORD@NOWHERE/x.jpg?password=PASSWORD",
)
"""Commands that cannot work; where a person typed the secret, at that."""


def test_no_error_holds_a_secret(tmp_path: Path) -> None:
    secrets = {"token": new_token(), "password": STILL_PASSWORD}
    with ExitStack() as stack:
        programs = []
        for number, line in enumerate(FAILING):
            for mark, value in (("NOWHERE", NOWHERE), ("TOKEN", secrets["token"])):
                line = line.replace(mark, value)
            words = line.replace("PASSWORD", STILL_PASSWORD).split()
            program = Program(tmp_path / str(number), False, *words)
            programs.append(stack.enter_context(program))
        for program in programs:
            assert program.process.wait(60) != 0
            assert program.said, program.process.args
    assert leaks(secrets, {each.folder.name: each.said.encode() for each in programs}) == []


def camera_program(
    folder: Path, terminal: bool, port: int, token: str, still: int, rtsp: int
) -> Program:
    """A camera program with a source that works and one that does not, each with its password."""
    (folder / "token").write_text(token)
    (folder / "cameras.toml").write_text(
        CAMERAS.format(still_password=STILL_PASSWORD, still=still, still_key=STILL_KEY, rtsp=rtsp)
    )
    url = f"http://127.0.0.1:{port}"
    words = ("camera", url, "--config", "../cameras.toml", "--token-file", "../token")
    return Program(
        folder / "camera",
        terminal,
        *(*words, "--spool", "spool", "--log-level", "debug"),
        RTSP_PASSWORD=quote(RTSP_PASSWORD, safe=""),
        OPENCV_LOG_LEVEL="DEBUG",
        OPENCV_FFMPEG_DEBUG="1",
    )


def hub_alone(folder: Path, terminal: bool) -> Program:
    """A hub that is started for the first time."""
    return Program(folder / "hub", terminal, "server", "--port", "0", "--log-level", "debug")


def one_shots(folder: Path, port: int, token: str) -> None:
    """Commands that end: with the token in the environment, and from a file."""
    url = f"http://127.0.0.1:{port}"
    words = ("snap", "nobody", "--server", url)
    with Program(folder / "snap", False, *words, OBJECTCLASSIFICATION_TOKEN=token) as program:
        assert program.process.wait(30) != 0
        assert "nobody" in program.said
    (folder / "operator").mkdir()
    (folder / "operator" / "token").write_text(token)
    words = ("login", url, "--token-file", "../operator/token")
    with Program(folder / "login", False, *words) as program:
        assert program.process.wait(30) == 0, program.said
    stored = [path for path in (folder / "login").rglob("*") if path.is_file()]
    (kept,) = [path for path in stored if token.encode() in path.read_bytes()]
    assert kept.stat().st_mode & 0o077 == 0
    kept.unlink()
