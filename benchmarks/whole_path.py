"""From ``snap`` to the labelled answer: the whole path, ours against the seed to the letter.

Ours: the real server, the real camera program on a warm 1080p stream of 30 frames a second, and a
controller that sends ``snap`` over its WebSocket and waits for ``done``. The seed: an echo server,
a client that opens the camera for each ``snap``, waits two seconds, writes a PNG and PUTs it to a
Django REST framework server that classifies in the request, with our own classifier; the client
sends the labelled answer back over the WebSocket. Hub, camera, server and controller share the
machine; the sides take turns.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from websockets.sync.client import ClientConnection, connect

from benchmarks.programs import OURS, Server, free_port, own_account, running, scratch, serve
from benchmarks.puts import django
from benchmarks.table import Row, print_table

ROUNDS = 3
SNAPS = 14
"""A round, of ours; the seed takes 2.3 seconds for each."""
SEED_SNAPS = 5
WARM_SNAPS = 2
DEADLINE_S = 20.0
SEED = "the seed to the letter, with our classifier"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to take pictures, and what was measured of it.

    Attributes:
        what: for the table.
        options: of the camera program.
        reach: how many times faster than the seed it is to be, or None.
        most_ms: what the median is to stay under, or None.
        total_ms: from sending ``snap`` to the labelled answer, by the controller's clock.
        stages_ms: by stage, what the receipts say.
    """

    what: str
    options: tuple[str, ...]
    reach: float | None
    most_ms: float | None
    total_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=dict)


def ways() -> tuple[Way, ...]:
    """The stream's latency is zero, and the camera is told so, except once."""
    exact = ("--latency-ms", "0")
    return (
        Way("JPEG", (*exact, "--path", "opencv_frame_0.jpg"), 20.0, 150.0),
        Way("PNG", (*exact, "--path", "opencv_frame_0.png"), None, 250.0),
        Way("JPEG, latency not stated (100 ms assumed)", (), None, None),
    )


def measure() -> tuple[list[Row], tuple[Way, ...]]:
    """Snaps in turns.

    Returns:
        A row for each of our ways, and the ways with their stages.
    """
    ours, seed_ms = ways(), list[float]()
    with camera_stream() as source:
        for _ in range(ROUNDS):
            with scratch() as folder, serve(folder) as server:
                for way in ours:
                    _snap_ours(way, source, server, folder)
            with scratch() as folder:
                seed_ms += _snap_seed(source, folder)
    rows = [
        Row(
            f"snap to labelled answer, as {way.what}",
            way.total_ms,
            SEED,
            seed_ms,
            reach=way.reach,
            most=way.most_ms,
        )
        for way in ours
    ]
    return rows, ours


@contextmanager
def camera_stream() -> Iterator[str]:
    """Runs the camera, and gives its address."""
    command = (sys.executable, "-m", "benchmarks.camera_stream")
    with running(command, stdout=subprocess.PIPE) as process:
        yield f"http://127.0.0.1:{int(_line(process))}/stream"


def _snap_ours(way: Way, source: str, server: Server, folder: Path) -> None:
    """Starts the camera program and snaps."""
    token = folder / "token"
    token.write_text(server.token)
    camera = ("camera", server.url, "--name", "door", "--source", source, "--warm")
    options = ("--token-file", str(token), "--spool", str(folder / "spool"), *way.options)
    program = (*OURS, *camera, "--log-level", "error", *options)
    env = own_account(folder)
    with (
        running(program, env=env, cwd=folder, stdout=subprocess.PIPE) as process,
        connect(f"{server.url.replace('http', 'ws')}/ws?token={server.token}") as hub,
    ):
        _line(process)  # it is ready
        hub.send(json.dumps({"type": "hello", "role": "controller", "instance": "benchmark"}))
        for number in range(WARM_SNAPS + SNAPS):
            elapsed_ms, shot = _one_snap(hub)
            if number >= WARM_SNAPS:
                way.total_ms.append(elapsed_ms)
                for stage, value in _stages(shot, elapsed_ms).items():
                    way.stages_ms.setdefault(stage, []).append(value)
            _pause()


def _one_snap(hub: ClientConnection) -> tuple[float, dict[str, Any]]:
    """Sends a snap; returns milliseconds until it was done, and its one shot."""
    wish = {"type": "snap", "to": ["door"], "deadline_s": DEADLINE_S}
    shot: dict[str, Any] = {}
    started = time.perf_counter()
    hub.send(json.dumps(wish))
    while True:
        message = json.loads(hub.recv(DEADLINE_S + 5))
        if message["type"] == "shots":
            shot |= message["shots"][0]
        elif message["type"] == "done":
            assert shot["predictions"], shot
            return (time.perf_counter() - started) * 1000, shot


def _stages(shot: dict[str, Any], total_ms: float) -> dict[str, float]:
    """What each stage took: differences of the hub's times, and the camera's own durations."""
    at = shot["elapsed_ms"]
    stages = {
        "hub: snap to delivered": at["delivered"],
        "hub: delivered to captured": at["captured"] - at["delivered"],
    }
    stages |= {f"camera: {name}": value for name, value in shot["camera_ms"].items()}
    return stages | {
        "hub: captured to uploaded": at["uploaded"] - at["captured"],
        "hub: uploaded to classified": at["classified"] - at["uploaded"],
        "controller: snap to done, all in all": total_ms,
    }


def _snap_seed(source: str, folder: Path) -> list[float]:
    """Starts the seed's programs and snaps."""
    port, here = free_port(), ("-m", "benchmarks.seed.server_echo")
    address = f"ws://127.0.0.1:{port}"
    client_file = Path(__file__).with_name("seed") / "client.py"
    with (
        django(folder, classify=True) as api,
        running((sys.executable, *here, str(port))) as echo,
    ):
        _wait_for_hub(address, echo)
        client = (sys.executable, client_file, address, source, api.url)
        with (
            running(client, cwd=folder, stdout=subprocess.PIPE) as process,
            connect(address) as hub,
        ):
            _line(process)
            return [_one_seed_snap(hub) for _ in range(1 + SEED_SNAPS)][1:]


def _one_seed_snap(hub: ClientConnection) -> float:
    """Sends ``snap``; returns milliseconds until the labels are here."""
    _pause()
    started = time.perf_counter()
    hub.send("snap")
    answer = json.loads(hub.recv(DEADLINE_S))
    assert answer["predictions"], answer
    return (time.perf_counter() - started) * 1000


def _wait_for_hub(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with connect(address):
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the seed's echo server does not start")


def _line(process: subprocess.Popen[bytes]) -> str:
    """The next line that a program prints."""
    assert process.stdout
    line = process.stdout.readline().decode().strip()
    if not line:
        raise SystemExit(f"{process.args!r} said nothing")
    return line


def _pause() -> None:
    """So that snaps fall anywhere between two frames."""
    time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - hides nothing


def stage_table(measured: tuple[Way, ...]) -> str:
    """Returns a Markdown table of medians, a column for each way."""
    stages = list(dict.fromkeys(stage for way in measured for stage in way.stages_ms))
    lines = [
        f"| median of {len(measured[0].total_ms)} snaps, ms | "
        + " | ".join(way.what for way in measured)
        + " |",
        "| --- |" + " --- |" * len(measured),
    ]
    for stage in stages:
        values = (way.stages_ms.get(stage) for way in measured)
        cells = (f"{median(found):.1f}" if found else "" for found in values)
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    tail = (f"{sorted(way.total_ms)[len(way.total_ms) * 95 // 100]:.1f}" for way in measured)
    lines.append(f"| all in all, 95th percentile | {' | '.join(tail)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the tables."""
    rows, measured = measure()
    print_table(rows)
    print()
    print(stage_table(measured))


if __name__ == "__main__":
    main()
