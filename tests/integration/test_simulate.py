"""A simulated fleet at a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from objectclassification.cli import build_app
from objectclassification.client import backoff
from objectclassification.client.simulation import camera as cameras
from objectclassification.client.simulation.fleet import Fleet
from objectclassification.client.simulation.picture import prepare
from objectclassification.client.simulation.plan import Plan
from objectclassification.config import Connection
from objectclassification.errors import Conflict, Forbidden, ServerUnreachable, Unauthorized
from objectclassification.hub.server_echo import Server
from tests.integration.hub_fixtures import serving, token
from tests.photographs import CHELSEA
from tests.serving import WAIT_S, Address, Served, until

pytestmark = pytest.mark.long

COMMAND = (sys.executable, "-m", "objectclassification", "simulate")
PICTURE = prepare()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("simulate")) as served:
        yield served


@asynccontextmanager
async def running(at: Address, plan: Plan, token: str | None = None) -> AsyncIterator[Fleet]:
    """A fleet that is connected, and says goodbye afterwards."""
    stop = asyncio.Event()
    fleet = Fleet(Connection(at.url, token or at.token), plan, PICTURE)
    task = asyncio.create_task(fleet.run(stop))
    try:
        await reached(lambda: fleet.tally.connected == plan.cameras or task.done())
        yield fleet
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def reached(condition: Callable[[], bool]) -> None:
    """Waits for what no event tells, on this loop."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - that is what it is for
            await asyncio.sleep(0.01)


async def snap(server: Address, *to: str, **more: Any) -> dict[str, Any]:
    """Snaps, and returns the whole receipt."""
    body = {"to": to, "until": "uploaded", "deadline_s": 20, **more}
    answer = await asyncio.to_thread(server.call, "POST", "/api/snaps?wait=1", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_every_camera_answers_a_snap_and_puts_its_picture(server: Served) -> None:
    async with running(server, Plan(50, prefix="all-", groups=("left", "right"))) as fleet:
        receipt = await snap(server, "@left", "@right")
        half = await snap(server, "@left", until="captured")
        assert half["answered"] == 25
        assert receipt["answered"] == 50
        last_ms = max(shot["elapsed_ms"]["uploaded"] for shot in receipt["shots"])
        assert last_ms > 50, "by chance within 227 ms: pictures of many cameras are spread"
        assert {shot["freshness"] for shot in receipt["shots"]} == {"replay"}
        assert all(shot["picture"] for shot in receipt["shots"])
        await reached(lambda: fleet.tally.puts == 75)
        found = fleet.summary()
    assert (found.snaps, found.orders, found.shots) == (2, 75, 75)
    assert found.put_ms.p50 is not None
    assert found.errors == {}
    assert fleet.summary().connected == 50, "as it was when it ended"


async def test_churn_cuts_cameras_off_and_they_come_back(server: Served) -> None:
    async with running(server, Plan(20, prefix="churn-", churn=30.0)) as fleet:
        await reached(lambda: fleet.tally.connections >= 30)
        found = fleet.summary()
    assert found.cut >= 10
    assert (found.broken, found.errors) == (0, {})
    names = [row["name"] for row in server.call("GET", "/api/cameras").json()]
    assert sum(name.startswith("churn-") for name in names) == 20


async def test_what_is_lost_is_missing_in_the_receipt(server: Served) -> None:
    async with running(server, Plan(40, prefix="loss-", groups=("lossy",), loss=0.3)) as fleet:
        receipt = await snap(server, "@lossy", deadline_s=3)
        found = fleet.summary()
    lost = found.lost_shots + found.lost_puts
    assert 0 < found.lost_shots < 40
    assert 0 < found.lost_puts
    assert (receipt["answered"], receipt["missing"]) == (40 - lost, lost)
    codes = {shot["error"]["code"] for shot in receipt["shots"] if shot.get("error")}
    assert codes == {"timeout"}


async def test_slow_readers_do_not_slow_the_others(server: Served) -> None:
    plan = Plan(12, prefix="slow-", groups=("slow",), slow_readers=2)
    async with running(server, plan):
        receipt = await snap(server, "@slow", until="captured", deadline_s=1.5)
    slow = {plan.name(0), plan.name(1)}
    missing = {shot["camera"] for shot in receipt["shots"] if shot["state"] == "failed"}
    assert missing == slow
    times = [s["elapsed_ms"]["captured"] for s in receipt["shots"] if s["camera"] not in slow]
    assert max(times) < 1000


async def test_a_slow_reader_answers_once_it_looks(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "SLOW_PAUSE_S", 0.2)
    async with running(server, Plan(2, prefix="late-", groups=("late",), slow_readers=2)):
        assert (await snap(server, "@late"))["answered"] == 2


async def test_latency_is_in_every_answer(server: Served) -> None:
    plan = Plan(5, prefix="far-", groups=("far",), latency_s=0.2)
    async with running(server, plan):
        receipt = await snap(server, "@far", until="captured")
    assert all(shot["elapsed_ms"]["captured"] >= 100 for shot in receipt["shots"])
    assert all(100 <= shot["camera_ms"]["total"] <= 300 for shot in receipt["shots"])


async def test_a_hub_that_restarts_gets_its_fleet_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 60.0)
    monkeypatch.setattr(backoff, "RESTART_PAUSES_S", (0.01, 0.02))
    async with serving() as hub:
        at = Address(hub.port, token("admin"))
        async with running(at, Plan(10)) as fleet:
            await hub.stop()
            await reached(lambda: fleet.tally.connected == 0)
            async with Server(port=hub.port, tokens=hub.runner.tokens):
                await reached(lambda: fleet.tally.connected == 10)
                found = fleet.summary()
    assert (found.welcomed, found.connections) == (10, 20)
    assert found.errors["closed by the hub: the server is stopping"] == 10


async def test_a_token_serves_the_names_that_it_was_made_for(server: Served) -> None:
    made = server.new_token("camera", "own-0001", "own-0002")
    async with running(server, Plan(2, prefix="own-"), made) as fleet:
        assert fleet.tally.connected == 2
    with pytest.raises(Forbidden, match="own-0003"):
        async with running(server, Plan(3, prefix="own-"), made):
            pass


async def test_two_fleets_need_two_prefixes(server: Served) -> None:
    async with running(server, Plan(1, prefix="twin-")):
        with pytest.raises(Conflict, match="twin-0001"):
            async with running(server, Plan(1, prefix="twin-")):
                pass


async def test_a_bad_token_and_no_server(server: Served) -> None:
    with pytest.raises(Unauthorized):
        async with running(server, Plan(3), "oc_wrong"):
            pass
    nobody = Address(1, "oc_any")
    with pytest.raises(ServerUnreachable, match="no server answers"):
        async with running(nobody, Plan(3)):
            pass


def simulate(server: Address, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run(
        [*COMMAND, *options, server.url],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env=os.environ | {"OBJECTCLASSIFICATION_TOKEN": server.token or ""},
    )


def test_the_command_tells_what_came_of_it_as_json(server: Served) -> None:
    done = simulate(server, "--cameras", "5", "--prefix", "json-", "--duration", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["cameras"], found["connected"], found["connections"]) == (5, 5, 5)
    assert found["welcome_ms"]["p99"] > 0


def test_ctrl_c_ends_the_command_with_its_table(server: Served) -> None:
    with subprocess.Popen(
        [*COMMAND, "--cameras", "5", "--prefix", "ctrl-c-", "--image", CHELSEA, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OBJECTCLASSIFICATION_TOKEN": server.token or ""},
    ) as program:
        until(lambda: online(server, "ctrl-c-") == 5)
        body = {"to": ["ctrl-c-0003"], "until": "uploaded"}
        receipt = server.call("POST", "/api/snaps?wait=1", json=body).json()
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=WAIT_S)
    assert (program.returncode, errors) == (0, "")
    assert "5 of 5" in out
    assert re.search(r"PUTs stored +1 ", out)
    until(lambda: online(server, "ctrl-c-") == 0)
    image = server.call("GET", receipt["shots"][0]["picture"]["url"])
    assert image.content == CHELSEA.read_bytes()


def test_cameras_that_were_never_welcomed_are_an_error(server: Served) -> None:
    options = ("--cameras", "5", "--connect-rate", "0.5", "--prefix", "few-", "--duration", "1")
    done = simulate(server, *options)
    assert done.returncode == 1
    assert "4 of 5 cameras were never welcomed" in done.stderr


def test_too_few_open_files_are_said_at_once(server: Served) -> None:
    command = " ".join((*COMMAND, "--cameras", "1000", server.url))
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 500 && exec {command}"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 78
    assert "1000 cameras take 1128 open files, and this account may have 500" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--cameras", "0"),
        ("--cameras", "70000"),
        ("--loss", "101"),
        ("--loss", "nan"),
        ("--duration", "nan"),
        ("--latency", "-1"),
        ("--connect-rate", "0"),
    ],
)
def test_options_that_cannot_work(options: tuple[str, ...]) -> None:
    done = CliRunner().invoke(build_app(), ["simulate", *options])
    assert done.exit_code == 2
    assert options[0] in done.output


def test_a_picture_that_is_not_there(server: Served) -> None:
    done = simulate(server, "--image", "/nowhere.jpg")
    assert (done.returncode, done.stdout) == (78, "")
    assert "cannot read /nowhere.jpg" in done.stderr


def online(server: Served, prefix: str) -> int:
    """How many cameras of a fleet the server has connected now."""
    rows = server.call("GET", "/api/cameras").json()
    return sum(row["name"].startswith(prefix) and row["online"] for row in rows)
