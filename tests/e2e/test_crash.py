"""``kill -9`` of everything, at random moments of many snaps: nothing captured is lost.

Server, classifying child and camera program are real processes, started anew at once on the same
data, port and spool. The moments come from a seed, which is printed and can be given again in
``OBJECTCLASSIFICATION_TEST_SEED``; how far each process had come at its moment is the machine's.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import psutil
import pytest
import requests
from sqlalchemy import Connection, select

from objectclassification.receipts import RANK
from objectclassification.store import folder, repair, tables
from objectclassification.store.writer import reading
from tests.camera_process import CameraProcess
from tests.integration.cameras.servers import free_port
from tests.serving import ServeProcess, photo, until

SEED = int(os.environ.get("OBJECTCLASSIFICATION_TEST_SEED", "3"))
DEADLINE_S = 12.0
"""Of each snap: longer than any of the programs takes to come back."""
BURST = 8
"""The most snaps before the next kill."""
LONGEST_PAUSE_S = 0.3
"""From a burst to its kill: by then all of its pictures may be classified, or none asked for."""

Victim = Literal["server", "child", "camera"]


@dataclass(frozen=True, slots=True)
class Round:
    """Some snaps, and the kill that meets them."""

    snaps: int
    victim: Victim
    after_s: float


def rounds(seed: int, snaps: int) -> Iterator[Round]:
    """The same for the same seed; each third has a victim of each kind."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    while snaps > 0:
        victims: list[Victim] = ["server", "child", "camera"]
        dice.shuffle(victims)
        for victim in victims:
            burst = min(snaps, dice.randint(1, BURST))
            snaps -= burst
            if burst:
                yield Round(burst, victim, dice.uniform(0, LONGEST_PAUSE_S))


class Witness:
    """Notes every picture that was durable in the spool, by its key: its hash, and its snap."""

    def __init__(self, spool: Path) -> None:
        self.seen: dict[str, tuple[str, str]] = {}
        self._spool = spool
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness")

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Reads the notes that are there now."""
        for note in self._spool.glob("*.json"):
            try:
                told = json.loads(note.read_bytes())
            except FileNotFoundError:  # uploaded in between
                continue
            self.seen[told["key"]] = (told["sha256"], told["snap"])

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.look()


class Place:
    """The programs of a small plant, which come back whenever they are killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        pictures = folder / "pictures"
        pictures.mkdir()
        for number in range(50):  # all different, so that a mix-up shows
            (pictures / f"{number:03d}.jpg").write_bytes(photo(f"{number}"))
        self.accepted: set[str] = set()
        self._met: set[str] = set()
        self.killed: Counter[Victim] = Counter()
        self.start_server()
        self.start_camera()
        self.camera.ready()

    @property
    def data(self) -> Path:
        return self.server.data

    @property
    def spool(self) -> Path:
        return self.camera.spool

    def start_server(self) -> None:
        home = self._folder / "server"
        home.mkdir(exist_ok=True)
        self.server = ServeProcess(home, "--port", str(self._port))

    def start_camera(self) -> None:
        source = ("--name", "door", "--source", str(self._folder / "pictures"))
        home = self._folder / "camera"
        self.camera = CameraProcess(home, self.server.url, self.server.token, *source)

    def snap(self, snap_id: str) -> None:
        """Asks until the snap is accepted: by its id it is one, however often it is asked for."""
        asked = {"id": snap_id, "to": ["door"], "deadline_s": DEADLINE_S}

        def accepted() -> bool:
            try:
                answer = self.server.call("POST", "/api/snaps", json=asked)
            except requests.ConnectionError:
                return False
            assert answer.status_code in (200, 202, 503), answer.text
            return answer.status_code != 503

        until(accepted)
        self.accepted.add(snap_id)

    def online(self) -> bool:
        try:
            cameras = self.server.call("GET", "/api/cameras").json()
        except requests.ConnectionError:
            return False
        return any(camera["online"] for camera in cameras)

    def kill(self, victim: Victim, witness: Witness) -> None:
        """kill -9 by process id, and up again at once."""
        self.killed[victim] += 1
        match victim:
            case "server":
                self.server.__exit__(None, None, None)
                self.start_server()
            case "camera":
                self.camera.kill()
                witness.look()
                self.start_camera()
            case "child":
                # A picture whose child dies twice is given up, on purpose: no two for the same.
                until(lambda: not self._met & unfinished(self.data))
                self._met = unfinished(self.data)
                children = psutil.Process(self.server.process.pid).children()
                if children:  # else its last one was killed and nobody needed another yet
                    random.Random(len(self.accepted)).choice(children).kill()  # noqa: S311

    def close(self) -> None:
        """kill -9 of what still runs."""
        self.camera.kill()
        if self.server.process.poll() is None:
            self.server.__exit__(None, None, None)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.mark.parametrize("snaps", [30, pytest.param(200, marks=pytest.mark.crash)])
def test_whatever_is_killed_nothing_captured_is_lost(place: Place, snaps: int) -> None:
    print(f"seed {SEED}, {snaps} snaps")
    began = time.monotonic()
    with Witness(place.spool) as witness:
        for number, step in enumerate(rounds(SEED, snaps)):
            until(place.online)
            for shot in range(step.snaps):
                place.snap(f"crash-{number}-{shot}")
            time.sleep(step.after_s)  # the moment of the kill is what is tried
            place.kill(step.victim, witness)
        until(lambda: place.online() and not list(place.spool.glob("*.json")))
        receipts = settled_receipts(place)
    assert {path.name for path in place.spool.iterdir()} == {"spool.lock", "door.instance"}
    place.close()  # by kill -9, too: what is looked at now is what a crash leaves

    assert len(place.accepted) == snaps
    with reading(place.data / folder.DATABASE) as connection:
        stored = stored_once(connection, place.data / folder.BLOBS)
        check_captured(witness, receipts, stored)
        for receipt in receipts.values():
            check_truthful(receipt, stored)
    found = repair.inspect(place.data)
    assert (found.lost, found.noted) == ((), 0)
    answered = sum(receipt["answered"] for receipt in receipts.values())
    assert answered > snaps / 2  # else it tried little
    codes = Counter(code_of(receipt) for receipt in receipts.values())
    print(
        f"{time.monotonic() - began:.0f} s; killed {dict(place.killed)}; {len(stored)} pictures, "
        f"{len(witness.seen)} of them seen in the spool; shots {dict(codes)}"
    )


def settled_receipts(place: Place) -> dict[str, dict[str, Any]]:
    """Waits until every snap is done and every picture is classified; returns the receipts."""

    def all_done() -> bool:
        with reading(place.data / folder.DATABASE) as connection:
            query = select(tables.snaps.c.id).where(tables.snaps.c.ended_at.is_(None))
            return connection.execute(query).first() is None

    until(lambda: all_done() and not unfinished(place.data))
    return {
        snap_id: place.server.call("GET", f"/api/snaps/{snap_id}").json()
        for snap_id in place.accepted
    }


def unfinished(data: Path) -> set[str]:
    """The jobs that wait or are under way."""
    with reading(data / folder.DATABASE) as connection:
        query = select(tables.jobs.c.id).where(tables.jobs.c.state.in_(("queued", "leased")))
        return set(connection.execute(query).scalars())


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture as the rows and the disk have it."""

    id: str
    sha256: str
    labels: tuple[str, ...]


def stored_once(connection: Connection, blobs: Path) -> dict[str, Stored]:
    """The pictures by snap; each has one full rendition, its bytes and its predictions."""
    query = select(
        tables.pictures.c.id,
        tables.pictures.c.snap_id,
        tables.renditions.c.id.label("key"),
        tables.renditions.c.sha256,
        tables.jobs.c.state,
    ).where(
        tables.renditions.c.picture_id == tables.pictures.c.id,
        tables.renditions.c.name == "full",
        tables.jobs.c.picture_id == tables.pictures.c.id,
    )
    stored: dict[str, Stored] = {}
    for row in connection.execute(query):
        assert row.snap_id not in stored, "a shot was stored twice"
        content = (blobs / row.key[-2:] / row.key).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert row.state == "done"
        found = tables.predictions.c
        of_it = select(found.label, found.rank).where(found.picture_id == row.id)
        rows = connection.execute(of_it.order_by(found.rank)).all()
        assert [each.rank for each in rows] == [0, 1, 2, 3, 4]
        labels = tuple(each.label for each in rows)
        stored[row.snap_id] = Stored(row.id, row.sha256, labels)
    return stored


def check_captured(
    witness: Witness, receipts: dict[str, dict[str, Any]], stored: dict[str, Stored]
) -> None:
    """Every picture that the spool or a receipt ever had is stored."""
    assert witness.seen
    for sha256, snap_id in witness.seen.values():
        assert stored[snap_id].sha256 == sha256
    for snap_id, receipt in receipts.items():
        if "captured" in receipt["shots"][0]["elapsed_ms"]:
            assert snap_id in stored, receipt


def check_truthful(receipt: dict[str, Any], stored: dict[str, Stored]) -> None:
    """What a receipt says is what the rows say."""
    (shot,) = receipt["shots"]
    picture = stored.get(receipt["snap"])
    assert receipt["done"]
    assert receipt["answered"] + receipt["failed"] + receipt["missing"] == 1, receipt
    if receipt["answered"]:
        assert RANK[shot["state"]] == RANK["classified"], receipt
        assert picture is not None, receipt
    else:
        missing = shot["error"]["code"] in ("offline", "timeout")
        assert (shot["state"], receipt["missing"]) == ("failed", int(missing)), receipt
    if picture is None:
        assert "picture" not in shot, receipt
    else:  # also one that came too late for the answer
        assert (shot["picture"]["id"], shot["picture"]["sha256"]) == (picture.id, picture.sha256)
        assert tuple(found["label"] for found in shot["predictions"]) == picture.labels


def code_of(receipt: dict[str, Any]) -> str:
    (shot,) = receipt["shots"]
    return str(shot["error"]["code"] if shot.get("error") else shot["state"])
