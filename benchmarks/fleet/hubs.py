"""The hubs that are measured, and the load that they are measured with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.environments import BENCH, ROOT
from benchmarks.fleet.controllers import (
    Controller,
    MqttController,
    OurController,
    WebSocketController,
)
from benchmarks.programs import OURS, START_TIMEOUT_S, free_port, own_account, running
from objectclassification.hub.token_file import make_admin

PEERS = ROOT / "benchmarks" / "peers"
WS = "8.18.3"
"""Of npm's ``ws``."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that is measured.

    Attributes:
        name: as the table calls it.
        command: what starts it, given the port and a folder of its own.
        controller: who asks it for snaps.
        protocol: what its cameras speak, ``ws`` or ``mqtt``.
    """

    name: str
    command: Callable[[int, Path], list[str | Path]]
    controller: type[Controller]
    protocol: str = "ws"


def ours(port: int, folder: Path) -> list[str | Path]:
    """``objectclassification server``: the hub alone, with tokens, presence, receipts and pings."""
    options = ("server", "--port", str(port), "--log-level", "error")
    return [*OURS, *options, "--tokens", folder / "tokens.toml"]


def mosquitto(port: int, folder: Path) -> list[str | Path]:
    """Debian's broker, without a limit on what it queues."""
    settings = folder / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        "log_type none\nset_tcp_nodelay true\n"
    )
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    return [program, "-c", settings]


def bare(port: int, folder: Path) -> list[str | Path]:
    """The C loop: a ``send()`` for each message, as every peer here has it."""
    return [compiled("bare_hub"), str(port), "0"]


def bare_batching(port: int, folder: Path) -> list[str | Path]:
    """The C loop, which sends the controller all answers of one turn at once, as we do."""
    return [compiled("bare_hub"), str(port), "1"]


def websockets_serve(port: int, folder: Path) -> list[str | Path]:
    """The library that we parse with, as one uses it."""
    return [sys.executable, PEERS / "websockets_serve.py", str(port)]


def node_ws(port: int, folder: Path) -> list[str | Path]:
    """The usual library of Node."""
    return ["node", BENCH / "ws" / "ws_hub.js", str(port)]


OUR_HUB = Hub("ours", ours, OurController)
BARE = Hub("bare C epoll loop", bare, WebSocketController)
BATCHING = Hub("bare C epoll loop that batches", bare_batching, WebSocketController)
MOSQUITTO = Hub("mosquitto", mosquitto, MqttController, "mqtt")
WEBSOCKETS = Hub("websockets.serve", websockets_serve, WebSocketController)
NODE_WS = Hub(f"ws {WS} on Node", node_ws, WebSocketController)


def peers() -> list[Hub]:
    """Those that can run here; the others are left out, which is said."""
    found = [BARE, BATCHING]
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin"):
        found.append(MOSQUITTO)
    else:
        print("left out: mosquitto is not installed", file=sys.stderr)
    found.append(WEBSOCKETS)
    if _install_ws():
        found.append(NODE_WS)
    return found


class Running:
    """A hub that runs.

    Attributes:
        hub: which.
        port: where.
        token: of an admin.
        process: its one process.
    """

    def __init__(self, hub: Hub, port: int, token: str, pid: int) -> None:
        self.hub = hub
        self.port = port
        self.token = token
        self.process = psutil.Process(pid)

    def cpu_s(self) -> float:
        """Processor time of all its threads so far, in the kernel and out of it."""
        return cpu_s(self.process.pid)

    def rss_kb(self) -> float:
        """Its resident memory."""
        return float(self.process.memory_info().rss) / 1000

    def controller(self) -> Controller:
        """A controller's connection."""
        return self.hub.controller(self.port, self.token)


def cpu_s(pid: int) -> float:
    """Processor time of a process: the scheduler's own count, in nanoseconds (proc(5))."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


@contextmanager
def run(hub: Hub, folder: Path) -> Iterator[Running]:
    """Runs a hub until the block ends."""
    place = folder / hub.command.__name__
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    port, token = free_port(), make_admin(place / "tokens.toml") if hub is OUR_HUB else ""
    with running(hub.command(port, place), env=own_account(place), stdout=subprocess.DEVNULL) as it:
        _wait_for(port, it)
        yield Running(hub, port, token, it.pid)


@dataclass(frozen=True, slots=True)
class Load:
    """Cameras that are connected.

    Attributes:
        cameras: how many.
        connected_s: how long that took.
        process: their program.
    """

    cameras: int
    connected_s: float
    process: subprocess.Popen[bytes]

    def all_ordered(self) -> None:
        """Waits until every camera has got one more order."""
        self._line(b"orders")

    def cpu_s(self) -> float:
        """Processor time of the load so far."""
        return cpu_s(self.process.pid)

    def _line(self, begins: bytes) -> bytes:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line.startswith(begins):
            raise SystemExit(f"the load ended: {line!r}, {self.process.poll()}")
        return line


@contextmanager
def load(hub: Running, cameras: int, *, answers: bool) -> Iterator[Load]:
    """Connects cameras until the block ends."""
    how = (hub.hub.protocol, str(hub.port), str(cameras), str(int(answers)), hub.token or "none")
    with running([compiled("fleet_load"), *how], stdout=subprocess.PIPE) as program:
        connecting = Load(cameras, 0.0, program)
        seconds = float(connecting._line(b"ready").split()[1])
        yield Load(cameras, seconds, program)


@contextmanager
def loaded(
    hub: Hub, folder: Path, cameras: int, *, answers: bool
) -> Iterator[tuple[Running, Load]]:
    """Runs a hub with cameras connected to it."""
    with ExitStack() as stack:
        it = stack.enter_context(run(hub, folder))
        yield it, stack.enter_context(load(it, cameras, answers=answers))


def compiled(name: str) -> Path:
    """Returns the program of a file in ``benchmarks/peers``, newly compiled if it is older."""
    source, program = PEERS / f"{name}.c", BENCH / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BENCH.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, source], check=True)
    return program


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise SystemExit(f"{process.args!r} does not listen")


def _install_ws() -> bool:
    """Whether Node's ``ws`` is here; fetched once, as npm does."""
    if not shutil.which("node") or not shutil.which("npm"):
        print("left out: Node and npm are not installed", file=sys.stderr)
        return False
    folder = BENCH / "ws"
    if not (folder / "node_modules" / "ws").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ("--silent", "--no-audit", "--no-fund")
        subprocess.run(["npm", "install", *quiet, f"ws@{WS}"], cwd=folder, check=True)
    shutil.copy(PEERS / "ws_hub.js", folder)
    return True
