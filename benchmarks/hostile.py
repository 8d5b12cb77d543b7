"""What hostile clients cost the honest ones: a snap's time, and the server's memory.

A real server, a camera and a controller that snap all the time, and an attacker in a process of its
own (:mod:`benchmarks.attacker`). Each attack stands beside the same load without it, just before.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from urllib.parse import urlsplit

import psutil
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks import machine, programs
from benchmarks.attacker import ATTACKS
from benchmarks.environments import ROOT
from benchmarks.page import replace_section
from benchmarks.pictures import jpeg, photograph
from objectclassification.messages import (
    CameraOffer,
    Done,
    Hello,
    HubMessage,
    SnapOrder,
    SnapRequest,
    Welcome,
    decode_hub,
    encode,
)

M = TypeVar("M", bound=HubMessage)
QUIET_S = 1.5
ATTACK_S = 3.0
MIB = 2**20
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """One attack.

    Attributes:
        attack: its name.
        quiet_ms: how long each snap took without it.
        attacked_ms: and with it.
        before_bytes: the server's resident memory before it.
        peak_bytes: the most of it during the attack.
        after_bytes: and when it was over.
    """

    attack: str
    quiet_ms: Sequence[float]
    attacked_ms: Sequence[float]
    before_bytes: int
    peak_bytes: int
    after_bytes: int


class HonestPair:
    """A camera and a controller that take snaps, from ``snap`` to the uploaded picture."""

    def __init__(self, url: str, token: str, image: bytes) -> None:
        self._place = urlsplit(url).netloc
        self._token = token
        self._image = image

    def __enter__(self) -> HonestPair:
        self._stack = ExitStack()
        self._camera = self._join("camera", CameraOffer(name="honest"))
        (self._slot,) = _hear(self._camera, Welcome).cameras
        self._controller = self._join("controller")
        _hear(self._controller, Welcome)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
        self._thread.join()

    def snaps(self, seconds: float) -> list[float]:
        """Snaps one after the other for so long; returns what each took, in milliseconds."""
        took, until = [], time.monotonic() + seconds
        while (began := time.monotonic()) < until:
            snap = SnapRequest(to=("honest",), until="uploaded", deadline_s=WAIT_S)
            self._controller.send(encode(snap), text=True)
            done = _hear(self._controller, Done)
            assert done.answered == 1, done
            took.append((time.monotonic() - began) * 1000)
        return took

    def _join(self, role: str, *offers: CameraOffer) -> ClientConnection:
        headers = {"Authorization": f"Bearer {self._token}"}
        socket = self._stack.enter_context(
            connect(f"ws://{self._place}/ws", additional_headers=headers, compression=None)
        )
        hello = Hello(
            role="camera" if offers else "controller", instance=f"honest-{role}", cameras=offers
        )
        socket.send(encode(hello), text=True)
        return socket

    def _serve(self) -> None:
        upload = http.client.HTTPConnection(self._place, timeout=WAIT_S)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "image/jpeg"}
        try:
            while True:
                order = _hear(self._camera, SnapOrder)
                path = f"/snippets/{self._slot.snippet}/?snap={order.id}"
                upload.request("PUT", path, self._image, headers)
                answer = upload.getresponse()
                assert answer.status == 201, answer.read()
                answer.read()
        except ConnectionClosed:
            upload.close()


def measure(kinds: Sequence[str] = tuple(ATTACKS)) -> list[Result]:
    """Runs every attack on one server."""
    image = jpeg(photograph()[::3, ::3])
    # The classifier stands still: attacker and children would only fight for the second core.
    # In memory: how long a disk takes to sync is no matter of hostile clients.
    with (
        TemporaryDirectory(dir=MEMORY) as folder,
        programs.serve(Path(folder), classify_timeout_s=3600) as server,
    ):
        for child in server.children:
            child.suspend()
        with HonestPair(server.url, server.token, image) as honest:
            honest.snaps(QUIET_S)  # everything is warm
            token = _token_of_its_own(server)
            return [measure_one(kind, server, honest, token) for kind in kinds]


def _token_of_its_own(server: programs.Server) -> str:
    """For the attacker: what comes with one token is bounded together."""
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = requests.post(
        f"{server.url}/api/tokens", json={"role": "admin"}, headers=headers, timeout=WAIT_S
    )
    token: str = answer.json()["token"]
    return token


def measure_one(kind: str, server: programs.Server, honest: HonestPair, token: str) -> Result:
    """Runs one attack, with a token."""
    process = psutil.Process(server.process.pid)
    quiet = honest.snaps(QUIET_S)
    before = process.memory_info().rss
    with attacking(kind, server.url, token), _peak(process) as peak:
        attacked = honest.snaps(ATTACK_S)
    after = process.memory_info().rss
    return Result(kind, quiet, attacked, before, max(peak), after)


@contextmanager
def attacking(kind: str, url: str, token: str) -> Iterator[None]:
    """Has a server attacked until the block ends."""
    place = urlsplit(url)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.attacker", kind, str(place.hostname), str(place.port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(f"{token}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "attacking\n"
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _peak(process: psutil.Process) -> Iterator[list[int]]:
    """Looks at a process's resident memory all the time."""
    seen, ended = [process.memory_info().rss], threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def percentile(figures: Sequence[float], percent: int) -> float:
    """The figure that so many percent do not exceed."""
    return sorted(figures)[min(len(figures) - 1, len(figures) * percent // 100)]


def format_results(results: Sequence[Result]) -> str:
    """Returns a Markdown table."""
    lines = [
        "| attack | honest p50, ms: before → during | honest p99, ms: before → during | p99, times "
        "| server's memory, MiB: before → most → after |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in results:
        cells = [one.attack]
        for percent in (50, 99):
            quiet, attacked = (percentile(f, percent) for f in (one.quiet_ms, one.attacked_ms))
            cells.append(f"{quiet:.1f} → {attacked:.1f}")
        ratio = attacked / quiet
        cells.append(f"{ratio:.1f}" if ratio < 2 else f"**{ratio:.1f}**")
        memory = (one.before_bytes, one.peak_bytes, one.after_bytes)
        cells.append(" → ".join(f"{size / MIB:.0f}" for size in memory))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _hear(socket: ClientConnection, kind: type[M]) -> M:
    while True:
        message = decode_hub(socket.recv(timeout=WAIT_S, decode=False))
        if isinstance(message, kind):
            return message


def main() -> None:
    """Measures the attacks that are named, or all of them, and then writes."""
    busy = machine.busy_percent()
    results = measure(sys.argv[1:] or tuple(ATTACKS))
    page = "\n".join(
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}, while other programs kept the machine "
            f"{busy:.0f} % busy.",
            "",
            machine.describe(),
            "",
            format_results(results),
        )
    )
    print(page)
    if not sys.argv[1:]:
        replace_section("hostile", page)


if __name__ == "__main__":
    main()
