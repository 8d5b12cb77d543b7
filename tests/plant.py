"""A small plant whose programs are killed: server, classifying child, camera program.

Real processes on the same data, port and spool, started anew at once; and what must be true of
their rows, files and receipts afterwards. The crash tests and the soak share it.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import psutil
import requests
from sqlalchemy import Connection, select

from objectclassification.receipts import RANK
from objectclassification.store import folder, tables
from objectclassification.store.writer import reading
from tests.camera_process import CameraProcess
from tests.integration.cameras.servers import free_port
from tests.serving import ServeProcess, photo, until

Victim = Literal["server", "child", "camera"]


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
    """The programs of a small plant, which come back whenever they are killed.

    Args:
        folder: for the data, the spool and the logs of all of them.
        **environment: more of the server's environment.

    Attributes:
        accepted: the snaps that the server took.
        killed: how often each was killed.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        self._environment = environment
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
        self.server = ServeProcess(home, "--port", str(self._port), **self._environment)

    def start_camera(self) -> None:
        source = ("--name", "door", "--source", str(self._folder / "pictures"))
        home = self._folder / "camera"
        self.camera = CameraProcess(home, self.server.url, self.server.token, *source)

    def snap(self, snap_id: str, deadline_s: float) -> None:
        """Asks until the snap is accepted: by its id it is one, however often it is asked for."""
        until(lambda: self.ask(snap_id, deadline_s))

    def ask(self, snap_id: str, deadline_s: float) -> bool:
        """Asks once; returns whether the snap was accepted."""
        asked = {"id": snap_id, "to": ["door"], "deadline_s": deadline_s}
        try:
            answer = self.server.call("POST", "/api/snaps", json=asked)
        except (requests.ConnectionError, requests.Timeout):
            return False
        assert answer.status_code in (200, 202, 503), answer.text
        if answer.status_code == 503:
            return False
        self.accepted.add(snap_id)
        return True

    def online(self) -> bool:
        try:
            cameras = self.server.call("GET", "/api/cameras").json()
        except (requests.ConnectionError, requests.Timeout):
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


def all_done(data: Path) -> bool:
    """Whether no snap is open."""
    with reading(data / folder.DATABASE) as connection:
        query = select(tables.snaps.c.id).where(tables.snaps.c.ended_at.is_(None))
        return connection.execute(query).first() is None


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


def stored_once(
    connection: Connection, blobs: Path, snaps: Collection[str] | None = None
) -> dict[str, Stored]:
    """The pictures by snap; each has one full rendition, its bytes and its predictions.

    Args:
        connection: to read with.
        blobs: where the files are.
        snaps: looks at the pictures of these; at all if None.
    """
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
    if snaps is not None:
        query = query.where(tables.pictures.c.snap_id.in_(snaps))
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
        assert shot["picture"] is None, receipt
    else:  # also one that came too late for the answer
        assert (shot["picture"]["id"], shot["picture"]["sha256"]) == (picture.id, picture.sha256)
        assert tuple(found["label"] for found in shot["predictions"]) == picture.labels


def code_of(receipt: dict[str, Any]) -> str:
    (shot,) = receipt["shots"]
    return str(shot["error"]["code"] if shot.get("error") else shot["state"])
