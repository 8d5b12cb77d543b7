"""What became of every snap: each picture is looked at once, before retention lets it go.

A snap is settled once its picture is classified and its receipt is read and found true. What was
settled may be deleted from then on; what was not must still be there at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
from sqlalchemy import Connection, func, select
from tests.plant import Place, Stored, Witness, check_truthful, code_of, stored_once
from tests.serving import WAIT_S

from objectclassification.store import folder, repair, tables
from objectclassification.store.writer import reading

PAGE = 200


@dataclass(frozen=True, slots=True)
class Settled:
    """A snap whose receipt is true and final.

    Attributes:
        snap: its id.
        outcome: ``classified``, or why it failed.
        ms: from acceptance to done, by the hub's clock.
        picture: its picture's id and hash, if it has one; it may have come too late.
    """

    snap: str
    outcome: str
    ms: float
    picture: tuple[str, str] | None


class Ledger:
    """Reads rows, files and receipts while the plant runs and dies.

    Attributes:
        settled: by snap.
        wrong: what is not as it must be, a line each.
    """

    def __init__(self, place: Place, keep_pictures: int) -> None:
        self.settled: dict[str, Settled] = {}
        self.wrong: list[str] = []
        self._place = place
        self._keep = keep_pictures
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {place.server.token}"

    @property
    def outcomes(self) -> Counter[str]:
        """How many snaps ended how."""
        return Counter(settled.outcome for settled in self.settled.values())

    @property
    def pictures(self) -> dict[str, str]:
        """The hash of every picture that was ever looked at, by its id."""
        found = (settled.picture for settled in self.settled.values())
        return dict(picture for picture in found if picture is not None)

    def settle(self) -> list[Settled]:
        """Looks at what is new; returns it. A server that is down is left for the next time."""
        fresh = []
        with suppress(requests.RequestException):
            for snap_id, picture in self._classified().items():
                # After the job's end: from then on a receipt that is done stays as it is.
                receipt = self._get(f"/api/snaps/{snap_id}")
                if receipt["done"] and not _objection(receipt, picture):
                    fresh.append(self._settle(receipt, picture))
        return fresh

    def close(self, witness: Witness) -> list[Settled]:
        """Looks at all that is left, once the plant is at rest; returns what was new."""
        fresh = self.settle()
        left = self._classified()
        told: Counter[str] = Counter()
        for receipt in self._receipts():
            told[receipt["snap"]] += 1
            before = self.settled.get(receipt["snap"])
            if before is None:
                picture = left.get(receipt["snap"])
                if objection := _objection(receipt, picture):
                    self.wrong.append(objection)
                fresh.append(self._settle(receipt, picture))
            elif code_of(receipt) != before.outcome:
                self.wrong.append(f"changed after it was done: {receipt}")
        for snap_id in self._place.accepted:
            if told[snap_id] != 1:
                self.wrong.append(f"{snap_id} has {told[snap_id]} receipts")
        if len(told) != len(self._place.accepted):
            self.wrong.append(f"{len(told)} receipts of {len(self._place.accepted)} snaps")
        for sha256, snap_id in witness.seen.values():
            known = self.settled.get(snap_id)
            if known is None or known.picture is None or known.picture[1] != sha256:
                self.wrong.append(f"the picture of {snap_id} was in the spool and is lost: {known}")
        return fresh

    def check_rest(self) -> None:
        """Compares what is left on the disk with what must be: call it after the last kill."""
        data = self._place.data
        with reading(data / folder.DATABASE) as connection:
            left = list(connection.execute(select(tables.pictures.c.id)).scalars())
            of_snaps = select(tables.pictures.c.snap_id)
            stored = self._stored(connection, set(connection.execute(of_snaps).scalars()))
        looked_at = self.pictures
        newest = sorted(looked_at)[-self._keep :]  # UUIDv7: by arrival
        if sorted(left) != newest:
            self.wrong.append(
                f"{len(left)} pictures are left instead of the newest {len(newest)}: "
                f"{sorted(set(left) ^ set(newest))[:5]}"
            )
        for snap_id, picture in stored.items():
            known = self.settled.get(snap_id)
            if known is None or known.picture != (picture.id, picture.sha256):
                self.wrong.append(f"{snap_id} has another picture than its receipt: {picture}")
        found = repair.inspect(data)
        if found.lost or found.noted:
            self.wrong.append(f"rows without their file: {found.lost} {found.noted}")

    def stored(self) -> int:
        """How many pictures the database has now."""
        with reading(self._place.data / folder.DATABASE) as connection:
            return connection.execute(
                select(func.count()).select_from(tables.pictures)
            ).scalar_one()

    def _settle(self, receipt: dict[str, Any], picture: Stored | None) -> Settled:
        known = None if picture is None else (picture.id, picture.sha256)
        ms = float(receipt["elapsed_ms"])
        settled = Settled(receipt["snap"], code_of(receipt), ms, known)
        self.settled[settled.snap] = settled
        return settled

    def _classified(self) -> dict[str, Stored]:
        """Pictures that were not settled and that no job waits for, by snap."""
        done = select(tables.pictures.c.snap_id).where(
            tables.jobs.c.picture_id == tables.pictures.c.id, tables.jobs.c.state == "done"
        )
        with reading(self._place.data / folder.DATABASE) as connection:
            new = set(connection.execute(done).scalars()) - self.settled.keys()
            return self._stored(connection, new)

    def _stored(self, connection: Connection, snaps: Iterable[str]) -> dict[str, Stored]:
        """Their pictures; one that is not as it must be is noted, and does not hide the others."""
        found: dict[str, Stored] = {}
        for snap_id in snaps:
            try:
                found |= stored_once(connection, self._place.data / folder.BLOBS, [snap_id])
            except (AssertionError, FileNotFoundError) as exc:
                self.wrong.append(f"the picture of {snap_id} is not stored as it must be: {exc}")
        return found

    def _receipts(self) -> Iterator[dict[str, Any]]:
        cursor: dict[str, Any] = {}
        while True:
            page = self._get("/api/snaps", limit=PAGE, **cursor)
            yield from page["snaps"]
            if page["cursor"] is None:
                return
            cursor = {"cursor": page["cursor"]}

    def _get(self, path: str, **query: Any) -> Any:
        answer = self._session.get(self._place.server.url + path, params=query, timeout=WAIT_S)
        answer.raise_for_status()
        return answer.json()


def _objection(receipt: dict[str, Any], picture: Stored | None) -> str:
    """What is not true of a receipt; nothing if all is."""
    try:
        check_truthful(receipt, {} if picture is None else {receipt["snap"]: picture})
        # A capture that was reported was durable in the spool: its picture is never lost.
        assert picture or "captured" not in receipt["shots"][0]["elapsed_ms"], receipt
    except AssertionError:
        return f"a receipt is not true: {receipt}, but {picture}"
    return ""
