"""What systemd is told, by a socket that stands where systemd's would."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from objectclassification.config.service import notify_socket, watchdog_s
from objectclassification.systemd import Notifier

WAIT_S = 10.0


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end."""
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        address = f"\0objectclassification-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(address)
        bound.settimeout(WAIT_S)
        yield bound


def address_of(manager: socket.socket) -> str:
    """As systemd writes it into the environment."""
    name = manager.getsockname()
    return name if isinstance(name, str) else "@" + name[1:].decode()


def heard(manager: socket.socket) -> str:
    """The next message."""
    return manager.recv(4096).decode()


async def heard_on_loop(manager: socket.socket) -> str:
    """The next message, while the loop turns."""
    return await asyncio.to_thread(heard, manager)


async def test_ready_status_and_stopping(manager: socket.socket) -> None:
    notifier = Notifier(address_of(manager))
    notifier.ready("serving")
    notifier.status("1 camera")
    notifier.stopping()
    messages = [heard(manager) for _ in range(3)]
    assert messages == ["READY=1\nSTATUS=serving", "STATUS=1 camera", "STOPPING=1\nSTATUS=stopping"]


async def test_a_status_cannot_say_more_than_a_status(manager: socket.socket) -> None:
    Notifier(address_of(manager)).status("door\nWATCHDOG=trigger")
    assert heard(manager) == "STATUS=door WATCHDOG=trigger"


async def test_the_loop_shows_life_while_it_turns_and_only_then(manager: socket.socket) -> None:
    Notifier(address_of(manager), watchdog_s=0.03).ready("serving")
    assert heard(manager).startswith("READY=1")
    for _ in range(3):
        assert await heard_on_loop(manager) == "WATCHDOG=1"
    manager.settimeout(0.1)
    with pytest.raises(TimeoutError):  # no await: the loop stands still in here
        while True:
            heard(manager)
    manager.settimeout(WAIT_S)
    assert await heard_on_loop(manager) == "WATCHDOG=1"


async def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier(None, watchdog_s=0.01)
    notifier.ready("serving")
    notifier.stopping()


async def test_a_systemd_that_does_not_listen_harms_nobody(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody")).ready("serving")


async def test_a_systemd_that_does_not_read_blocks_nobody(manager: socket.socket) -> None:
    notifier = Notifier(address_of(manager))

    def say_more_than_a_socket_holds() -> None:
        for _ in range(2000):
            notifier.status("serving")

    await asyncio.wait_for(asyncio.to_thread(say_more_than_a_socket_holds), WAIT_S)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_it_names(
    environment: dict[str, str], expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_s() == expected


def test_the_socket_is_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify_socket() is None
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert notify_socket() == "/run/systemd/notify"


@pytest.mark.parametrize("of_this_file", [True, False])
def test_the_journal_is_told_from_other_outputs(of_this_file: bool, tmp_path: Path) -> None:
    code = "from objectclassification.config.service import prints_to_journal as p; print(p())"
    with (tmp_path / "out").open("w+") as out, (tmp_path / "other").open("w") as other:
        stat = os.fstat((out if of_this_file else other).fileno())
        environment = os.environ | {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        subprocess.run([sys.executable, "-c", code], stdout=out, env=environment, check=True)
        out.seek(0)
        assert out.read() == f"{of_this_file}\n"
