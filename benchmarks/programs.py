"""Starts and stops the programs under measurement: real processes, on ports of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from benchmarks.environments import BENCH, ROOT

OURS = (sys.executable, "-m", "objectclassification")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Server:
    """Our server, running.

    Attributes:
        url: ``http://127.0.0.1:port``.
        token: of an admin.
        process: ``objectclassification serve``.
    """

    url: str
    token: str
    process: subprocess.Popen[bytes]

    @property
    def children(self) -> list[psutil.Process]:
        """Its classifying child processes."""
        return psutil.Process(self.process.pid).children()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the disk of this checkout (``/tmp`` may be memory), gone afterwards."""
    BENCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="run-") as name:
        yield Path(name)
    os.sync()  # what this run left to be written must not slow the next one


@contextmanager
def serve(folder: Path, **settings: object) -> Iterator[Server]:
    """Runs ``objectclassification serve`` on a free port until the block ends.

    Args:
        folder: everything it writes goes here, what it notes for this account included.
        **settings: of :class:`~objectclassification.config.ServerSettings`.
    """
    port, data = free_port(), folder / "data"
    fast = {"max_snaps_per_minute": 1_000_000, **settings}  # they ask as fast as they are answered
    more = {f"OBJECTCLASSIFICATION_{key.upper()}": str(value) for key, value in fast.items()}
    options = ("serve", "--port", str(port), "--data", str(data), "--log-level", "error")
    with running((*OURS, *options), env=own_account(folder) | more) as process:
        wait_for_answer(f"http://127.0.0.1:{port}/readyz", process)
        token = (data / "admin-token").read_text().strip()
        yield Server(f"http://127.0.0.1:{port}", token, process)


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program until the block ends; then SIGTERM, and SIGKILL if that does not help."""
    process = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def own_account(folder: Path) -> dict[str, str]:
    """An environment in which our programs keep their notes in a folder, not in the account's."""
    names = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    return {name: str(folder / name.lower()) for name in names}


def free_port() -> int:
    """Finds a port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until the process answers HTTP, whatever it says."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        with suppress(requests.ConnectionError):
            requests.get(url, timeout=START_TIMEOUT_S)
            return
        time.sleep(0.02)
    raise SystemExit(f"{process.args!r} does not answer at {url}")
