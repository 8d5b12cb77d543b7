"""A fleet on a network that fails: partitions, half-open connections, a hub that is killed.

Real programs on machines of their own (:mod:`tests.network`). What is waited for is the programs'
own time: heartbeats of 20 s, a partition of 30 s. So this has a target of its own, `make
test-faults`.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection

from objectclassification.client.link import Link
from objectclassification.messages import CameraOffer, Hello, Welcome
from objectclassification.store import folder, repair, tables
from objectclassification.store.writer import reading
from tests.camera_process import CameraProcess
from tests.gate import Gate
from tests.integration.cameras.servers import free_port
from tests.network import Network
from tests.parts import require
from tests.serving import ServeProcess, photo, until

pytestmark = [pytest.mark.faults, pytest.mark.debian]

HEARTBEAT_S = 20.0
PARTITION_S = 30.0
BACK_S = 10.0
"""Within this all cameras are back at a hub that was started again."""
PROGRAMS, CAMERAS = 4, 5
CROWD = 200
"""Connections of the crowd: each as a camera program has it, without the camera."""
BUCKET_S = 0.1
MOST_IN_A_BUCKET = 0.25
"""Of the crowd knock in such a span. All at once would be 1; without chance in the pauses it is."""
SHOWN_S = 0.5


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    require("network")
    with Network() as network, network.on("hub"):
        yield network


class Fleet:
    """A server on one machine, and camera programs of some cameras each on the other.

    Half of the cameras have a picture at once; the others, the slow ones, wait for the test.
    """

    def __init__(self, place: Path, network: Network) -> None:
        self._place = place
        self._network = network
        self._stack = ExitStack()
        self._port = free_port()
        self.gates: dict[str, Gate] = {}
        self.quick: list[str] = []
        self.programs: list[CameraProcess] = []
        (place / "server").mkdir()
        self.start_server()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.server.__exit__(None, None, None)

    def start_server(self) -> None:
        """On the same data and port each time."""
        where = ("--host", self._network.address("hub"), "--port", str(self._port))
        self.server = ServeProcess(self._place / "server", *where)

    def start_cameras(self, programs: int = PROGRAMS) -> None:
        """Returns once all are ready."""
        with self._network.on("cameras"):
            for number in range(programs):
                home = self._place / f"program-{number}"
                home.mkdir()
                (home / "cameras.toml").write_text(self._cameras(number))
                login = (home, self.server.url, self.server.token)
                program = CameraProcess(*login, "--config", "cameras.toml")
                self.programs.append(self._stack.enter_context(program))
        for program in self.programs:
            for _ in range(CAMERAS):
                program.line("is ready")

    def _cameras(self, program: int) -> str:
        lines = []
        for number in range(CAMERAS):
            name = f"camera-{program}-{number}"
            home = self._place / name
            home.mkdir()
            picture = home / "picture.jpg"
            picture.write_bytes(photo(name))  # all different, so that a mix-up shows
            source = str(picture)
            if (program + number) % 2:
                self.gates[name] = Gate(home, picture)
                source = self.gates[name].source
            else:
                self.quick.append(name)
            # A JSON text is a TOML one, too.
            lines += ["[[cameras]]", f'name = "{name}"', f"source = {json.dumps(source)}"]
        return "\n".join(lines)

    def snap(self, snap_id: str, to: list[str], deadline_s: float) -> None:
        asked = {"id": snap_id, "to": to, "deadline_s": deadline_s}
        answer = self.server.call("POST", "/api/snaps", json=asked)
        assert answer.status_code == 202, answer.text

    def receipt(self, snap_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.call("GET", f"/api/snaps/{snap_id}").json()
        return found

    def online(self) -> int:
        cameras = self.server.call("GET", "/api/cameras").json()
        return sum(camera["online"] for camera in cameras)

    def spooled(self) -> dict[tuple[str, str], str]:
        """The hashes of the pictures that wait, by snap and camera."""
        notes = [note for program in self.programs for note in program.spool.glob("*.json")]
        told = [json.loads(note.read_bytes()) for note in notes]
        return {(each["snap"], each["camera"]): each["sha256"] for each in told}

    def stored(self) -> dict[tuple[str, str], str]:
        """The same of the pictures that the server has; none is there twice."""
        pictures, renditions = tables.pictures.c, tables.renditions.c
        query = select(pictures.snap_id, pictures.camera, renditions.sha256).where(
            renditions.picture_id == pictures.id, renditions.name == "full"
        )
        with reading(self.server.data / folder.DATABASE) as connection:
            rows = connection.execute(query).all()
        found = {(row.snap_id, row.camera): str(row.sha256) for row in rows}
        assert len(found) == len(rows), "a shot was stored twice"
        return found


@pytest.fixture
def fleet(tmp_path: Path, network: Network) -> Iterator[Fleet]:
    with Fleet(tmp_path, network) as fleet:
        yield fleet


def within(limit_s: float, condition: Any) -> float:
    """Waits until something is so; returns after how many seconds it was."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + limit_s, f"not within {limit_s:g} s"
        time.sleep(0.02)  # nothing tells of it
    return time.monotonic() - began


def check_truthful(receipt: dict[str, Any], stored: dict[tuple[str, str], str]) -> None:
    """What a receipt says of each shot is what the rows say."""
    shots = receipt["shots"]
    assert receipt["done"]
    assert receipt["answered"] + receipt["failed"] + receipt["missing"] == len(shots)
    states = Counter(shot["state"] for shot in shots)
    assert (
        states
        == Counter({"classified": receipt["answered"], "failed": receipt["missing"]}) - Counter()
    ), receipt
    for shot in shots:
        if shot["state"] == "failed":
            assert shot["error"]["code"] in ("timeout", "offline"), shot
        else:
            assert shot["error"] is None and shot["predictions"], shot
        if shot["picture"] is not None:
            key = (receipt["snap"], shot["camera"])
            assert shot["picture"]["sha256"] == stored[key], shot
    assert 0 < receipt["elapsed_ms"] < (receipt["deadline_s"] + 2) * 1000


def test_a_partition_in_the_middle_of_a_snap_loses_no_picture(
    fleet: Fleet, network: Network
) -> None:
    fleet.start_cameras()
    everybody = [*fleet.quick, *fleet.gates]
    assert len(everybody) == 20

    fleet.snap("in-the-middle", ["*"], deadline_s=15)
    for gate in fleet.gates.values():
        gate.entered()
    until(lambda: any(s["state"] == "classified" for s in fleet.receipt("in-the-middle")["shots"]))
    network.part()
    parted = time.monotonic()
    for gate in fleet.gates.values():
        gate.release()
    until(lambda: len([key for key in fleet.spooled() if key[1] in fleet.gates]) == 10)
    fleet.snap("meanwhile", fleet.quick, deadline_s=120)
    within(20, lambda: fleet.receipt("in-the-middle")["done"])
    ended, kept = fleet.receipt("in-the-middle"), fleet.spooled()
    print(f"at its deadline: {ended['answered']} answered, {ended['missing']} missing", end="; ")
    check_truthful(ended, fleet.stored())
    assert 1 <= ended["answered"] <= 10 <= ended["missing"]
    for shot in ended["shots"]:
        if shot["camera"] in fleet.gates:
            assert shot["error"]["code"] == "timeout"
            assert not {"captured", "uploaded"} & shot["elapsed_ms"].keys()

    time.sleep(parted + PARTITION_S - time.monotonic())  # how long it lasts is what is tried
    network.heal()
    back_s = within(60, lambda: not fleet.spooled())
    print(f"all pictures are there {back_s:.1f} s after the partition", end="; ")
    answered_s = within(90, lambda: fleet.receipt("meanwhile")["done"])
    print(f"and the snap that waited is answered {back_s + answered_s:.1f} s after it")
    assert fleet.receipt("meanwhile")["answered"] == len(fleet.quick)
    assert fleet.online() == 20

    stored = fleet.stored()
    assert len(stored) == 20 + len(fleet.quick)
    assert kept.items() <= stored.items()
    late = fleet.receipt("in-the-middle")
    for receipt in (late, fleet.receipt("meanwhile")):
        check_truthful(receipt, stored)
        assert all(shot["picture"] for shot in receipt["shots"])
    counts = ("answered", "failed", "missing", "elapsed_ms")
    assert [late[name] for name in counts] == [ended[name] for name in counts]
    assert all(not list(program.spool.glob("refused/*")) for program in fleet.programs)
    fleet.server.stop()
    found = repair.inspect(fleet.server.data)
    assert (found.lost, found.noted) == ((), 0)


def test_a_half_open_connection_is_found_within_two_heartbeats_by_both(
    fleet: Fleet, network: Network
) -> None:
    fleet.start_cameras(programs=1)
    (program,) = fleet.programs
    assert fleet.online() == CAMERAS
    limit_s = 2 * HEARTBEAT_S
    with ThreadPoolExecutor() as pool:
        network.part()
        began = time.monotonic()
        told = pool.submit(within, limit_s, lambda: "the hub is silent" in program.errors)
        hub_s = within(limit_s, lambda: fleet.online() == 0)
        camera_s = told.result()
    program.log("broke")
    print(f"found after {hub_s:.1f} s by the hub and {camera_s:.1f} s by the camera program")
    assert time.monotonic() - began < limit_s
    fleet.snap("nobody", [fleet.quick[0]], deadline_s=5)
    until(lambda: bool(fleet.receipt("nobody")["done"]))
    (shot,) = fleet.receipt("nobody")["shots"]
    assert shot["error"]["code"] == "offline"
    network.heal()
    print(f"back {within(45, lambda: fleet.online() == CAMERAS):.1f} s after the partition")


class Knocking(Link):
    """A link that says when it knocks; nothing else shows how its tries are spread."""

    knocked_at = 0.0

    async def _open(self) -> ClientConnection:
        self.knocked_at = time.monotonic()
        return await super()._open()


class Crowd:
    """Many connections to a hub, which come back as a camera program's does.

    Attributes:
        welcomes: when each knocked and was welcomed, ``time.monotonic()`` seconds, since
            :meth:`forget`.
        told: lines for a person.
    """

    def __init__(self, server: ServeProcess, size: int) -> None:
        self._server = server
        self._size = size
        self.told: list[str] = []
        self.welcomes: dict[int, tuple[float, float]] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="crowd")
        self._ready = threading.Event()

    def __enter__(self) -> Crowd:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def all_here(self) -> bool:
        return len(self.welcomes) == self._size

    def forget(self) -> None:
        self.welcomes.clear()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks = [asyncio.create_task(self._listen(number)) for number in range(self._size)]
        self._ready.set()
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, number: int) -> None:
        name = f"crowd-{number}"
        hello = Hello(role="camera", instance=name, cameras=(CameraOffer(name=name),))
        token, tell = self._server.token, self.told.append
        async with Knocking(self._server.url, hello, token=token, tell=tell) as link:
            async for message in link:
                if isinstance(message, Welcome):
                    self.welcomes[number] = (link.knocked_at, time.monotonic())


def buckets(times: Sequence[float], zero: float, width_s: float) -> dict[int, int]:
    """How many fall into each span of time, the empty ones between them included."""
    found = Counter(math.floor((at - zero) / width_s) for at in times)
    return {bucket: found[bucket] for bucket in range(min(found), max(found) + 1)}


@pytest.mark.parametrize("down_s", [0.0, 6.0])
def test_all_are_back_at_a_hub_that_was_killed_and_not_at_once(
    fleet: Fleet, network: Network, down_s: float
) -> None:
    """Started again at once, and after a while; starting takes seconds, too."""
    fleet.start_cameras()
    with network.on("cameras"), Crowd(fleet.server, CROWD) as crowd:
        with network.on("hub"):
            until(crowd.all_here)
            fleet.server.process.kill()
            fleet.server.process.communicate()
            crowd.forget()
            time.sleep(down_s)  # as long as it is down
            began = time.monotonic()
            fleet.start_server()
            serves = time.monotonic()
            within(BACK_S, crowd.all_here)
            within(BACK_S, lambda: fleet.online() == CROWD + 20)
            back_s = time.monotonic() - serves
    knocks, welcomes = zip(*crowd.welcomes.values(), strict=True)
    print(f"down {serves - began + down_s:.1f} s, all back {back_s:.1f} s later; they knocked at")
    for bucket, number in buckets(knocks, serves, SHOWN_S).items():
        print(f"  {bucket * SHOWN_S:5.1f} s {'#' * number}")
    assert max(welcomes) - serves <= BACK_S
    assert max(buckets(knocks, serves, BUCKET_S).values()) <= MOST_IN_A_BUCKET * CROWD
    fleet.snap("after", fleet.quick, deadline_s=20)
    until(lambda: bool(fleet.receipt("after")["done"]))
    assert fleet.receipt("after")["answered"] == len(fleet.quick)
