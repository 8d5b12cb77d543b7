"""Real servers for tests: one on a thread of this process, one as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import requests
from sqlalchemy import func, select
from websockets.sync.client import ClientConnection, connect

from objectclassification.api.parts import Parts
from objectclassification.api.serving import HttpServer
from objectclassification.bootstrap import System, running
from objectclassification.config import ServerSettings
from objectclassification.hub.acceptor import bind
from objectclassification.messages import (
    CameraOffer,
    ClientMessage,
    Hello,
    HubMessage,
    Problem,
    SnapOrder,
    Welcome,
    decode_hub,
    encode,
)
from objectclassification.store import jobs
from objectclassification.store.tables import metadata
from tests.certificates import trusting
from tests.photographs import ROCKET

T = TypeVar("T")
M = TypeVar("M", bound=HubMessage)
WAIT_S = 30.0
"""The most a test waits for what must come; far more than it takes."""


def photo(mark: str = "") -> bytes:
    """A real JPEG; with a mark, one whose bytes are its own (a note after the image's end)."""
    return ROCKET.read_bytes() + mark.encode()


def until(condition: Callable[[], bool]) -> None:
    """Waits for what no event tells."""
    pause = threading.Event()
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


class Address:
    """Where a server listens, its admin token, and with TLS its certificate's authority."""

    def __init__(
        self, port: int, token: str | None, ca: Path | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.host = host
        self.port = port
        self.token = token
        self.ca = ca

    @property
    def url(self) -> str:
        """For HTTP."""
        return f"{'https' if self.ca else 'http'}://{self.host}:{self.port}"

    def call(
        self, method: str, path: str, *, token: str | None = None, **kwargs: Any
    ) -> requests.Response:
        """One request, as admin unless a token is given; an empty one sends none."""
        used = self.token if token is None else token
        headers = {**kwargs.pop("headers", {})}
        if used:
            headers.setdefault("Authorization", f"Bearer {used}")
        return requests.request(
            method,
            self.url + path,
            headers=headers,
            timeout=WAIT_S,
            allow_redirects=False,
            verify=str(self.ca) if self.ca else None,
            **kwargs,
        )

    def new_token(self, role: str, *cameras: str) -> str:
        """Makes a token."""
        made = self.call("POST", "/api/tokens", json={"role": role, "cameras": cameras})
        assert made.status_code == 201, made.text
        token: str = made.json()["token"]
        return token

    def connect(self, token: str | None = None, path: str = "/ws") -> ClientConnection:
        """A WebSocket without a hello, as admin unless a token is given; use it in ``with``."""
        used = self.token if token is None else token
        headers = {"Authorization": f"Bearer {used}"} if used else {}
        return connect(
            f"ws{self.url.removeprefix('http')}{path}",
            ssl=trusting(self.ca) if self.ca else None,
            additional_headers=headers,
            compression=None,
            max_size=None,
            proxy=None,
        )

    def camera(self, *names: str, token: str | None = None) -> CameraLink:
        """A camera program that does what the test says; connected by ``with``."""
        return CameraLink(self, names, token)


class CameraLink:
    """A camera program's side of the wire, by hand."""

    def __init__(self, server: Address, names: tuple[str, ...], token: str | None) -> None:
        self._server = server
        self._names = names
        self._connecting = server.connect(token)

    def __enter__(self) -> CameraLink:
        self.socket = self._connecting.__enter__()
        offers = tuple(CameraOffer(name=name) for name in self._names)
        self.say(Hello(role="camera", instance=f"test-{'-'.join(self._names)}", cameras=offers))
        while not isinstance(welcome := next_message(self.socket), Welcome):
            if isinstance(welcome, Problem):  # else it would wait for what never comes
                raise AssertionError(f"the hub refused {self._names}: {welcome.detail}")
        self.places = {place.name: place for place in welcome.cameras}
        self.pending = welcome.pending
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._connecting.__exit__(kind, exc, tb)

    def say(self, message: ClientMessage) -> None:
        """Sends a message."""
        self.socket.send(encode(message).decode())

    def hear(self, kind: type[M]) -> M:
        """Waits for the next message of that kind."""
        return hear(self.socket, kind)

    def answer(self, image: bytes | None = None, **query: Any) -> SnapOrder:
        """Waits for an order and uploads a picture for it."""
        order = self.hear(SnapOrder)
        self.upload(order, image or photo(), **query)
        return order

    def upload(self, order: SnapOrder, image: bytes, **query: Any) -> None:
        """Uploads a picture for an order."""
        path = f"/snippets/{self.places[order.camera].snippet}/"
        made = self._server.call("PUT", path, data=image, params={"snap": order.id, **query})
        assert made.status_code == 201, made.text


def next_message(socket: ClientConnection) -> HubMessage | str:
    """Waits for the next message on a connection."""
    frame = socket.recv(timeout=WAIT_S)
    return decode_hub(frame if isinstance(frame, bytes) else frame.encode())


def hear(socket: ClientConnection, kind: type[M]) -> M:
    """Waits for the next message of that kind on a connection; passes over the others."""
    while True:
        message = next_message(socket)
        if isinstance(message, kind):
            return message


class Served(Address):
    """A whole server on a thread of this process, with real sockets and real children.

    Args:
        data: its folder.
        **settings: of :class:`ServerSettings`.

    Attributes:
        settings: all of them.
        system: its parts.
    """

    def __init__(self, data: Path, **settings: Any) -> None:
        self.settings = ServerSettings(data=data, port=0, **{"workers": 1, **settings})
        self._ready: Future[tuple[System, int]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="server")

    def __enter__(self) -> Served:
        self._thread.start()
        self.system, port = self._ready.result(WAIT_S)
        ca = None if self.system.tls is None else self.system.tls.authority_file
        super().__init__(port, self.system.token, ca)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server does not stop"

    @property
    def parts(self) -> Parts:
        """What the API works with."""
        parts: Parts = self.system.app.state.parts
        return parts

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def files(self) -> set[str]:
        """Every file under the blobs' folder, ``incoming`` included."""
        folder = self.settings.data / "blobs"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        return self.run(
            self.parts.database.read(
                lambda c: {
                    table.name: c.execute(select(func.count()).select_from(table)).scalar_one()
                    for table in metadata.tables.values()
                }
            )
        )

    def settle(self) -> None:
        """Waits until no job waits any more."""
        self.run(self._settled())

    async def _settled(self) -> None:
        done = asyncio.Event()
        remove = self.parts.bus.subscribe(lambda message: done.set())
        async with asyncio.timeout(WAIT_S):
            while await self.parts.database.read(jobs.waiting):
                await done.wait()
                done.clear()
        remove()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = bind(self.settings.host, 0)
        try:
            async with running(self.settings) as system:
                tls = None if system.tls is None else system.tls.context
                server = HttpServer(system.app, self.settings, system.runner, tls)
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                await server.listening.wait()
                self._ready.set_result((system, listener.getsockname()[1]))
                await self._stop.wait()
                await system.runner.stop(timeout_s=2)
                server.should_exit = True
                await serving
        except BaseException as exc:
            if self._ready.done():
                raise
            self._ready.set_exception(exc)
        finally:
            listener.close()


class ServeProcess(Address):
    """``objectclassification serve`` as a process of its own, in a home of its own.

    Args:
        home: for its data, its notes and its logs; may be used again.
        *arguments: more of the command line.
        **environment: more of the environment.
    """

    def __init__(self, home: Path, *arguments: str, **environment: str) -> None:
        self.data = home / "data"
        self._errors = home / "stderr"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "OBJECTCLASS"))}
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*SERVE, "--port", "0", "--data", str(self.data), *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={
                    **kept,
                    "HOME": str(home),
                    "OBJECTCLASSIFICATION_WORKERS": "1",
                    **environment,
                },
                text=True,
            )
        self.banner = self._read_banner()
        where = re.search(r"https?://([\d.]+|localhost):(\d+)/", self.banner)
        assert where, f"it did not start: {self.banner}{self.errors}"
        host = "127.0.0.1" if where[1] == "localhost" else where[1]
        file = self.data / "admin-token"
        token = file.read_text().strip() if file.exists() else None
        ca = self.data / "ca.crt"
        super().__init__(int(where[2]), token, ca if ca.exists() else None, host)

    def __enter__(self) -> ServeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    @property
    def errors(self) -> str:
        """What it logged so far, the runs before this one included."""
        return self._errors.read_text()

    def stop(self) -> int:
        """Ends it as systemd does; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def _read_banner(self) -> str:
        assert self.process.stdout
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("  data:"):
                break
        return "".join(lines)


class HubProcess(Address):
    """``objectclassification server`` as a process of its own, in a home of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._errors = home / "hub-stderr"
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*SERVE[:-1], "server", "--port", "0", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data")},
                text=True,
            )
        assert self.process.stdout
        self.banner = ""
        for line in self.process.stdout:
            self.banner += line
            if where := re.search(r"ws://127\.0\.0\.1:(\d+)/(?:\?token=(\S+))?", line):
                break
        else:
            raise AssertionError(f"it did not start: {self.banner}{self.errors}")
        super().__init__(int(where[1]), where[2])

    def __enter__(self) -> HubProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def errors(self) -> str:
        """What it logged so far."""
        return self._errors.read_text()


SERVE = (sys.executable, "-m", "objectclassification", "serve")
