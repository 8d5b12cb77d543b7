"""What the hub knows, on the database: its recorder, and when cameras were last here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec
import structlog
from sqlalchemy import Connection

from objectclassification.auth import Identity
from objectclassification.errors import Conflict, StoreError
from objectclassification.hub.effects import Ended, LeftOpen, NewSnap
from objectclassification.messages import CameraOffer, CameraPlace, Event, failure
from objectclassification.receipts import RANK, Receipt, Shot, ShotError, Until, rfc3339, tally
from objectclassification.store import elsewhere, heads, presence, snaps, snippets
from objectclassification.store.writer import Database

RETRY_S = 1.0
"""The pause before the end of a snap is written again; it doubles each time."""
MOST_RETRY_S = 60.0

log = structlog.get_logger(__name__)


class DatabaseRecorder:
    """See :class:`~objectclassification.hub.recorder.Recorder` for the contract.

    Args:
        database: where rows go.
        server: id of this server, which holds its open snaps.
    """

    def __init__(self, database: Database, server: str) -> None:
        self._database = database
        self._server = server
        self._ends: dict[str, Callable[[Connection], None]] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def known(self) -> dict[str, tuple[str, ...]]:
        """Every camera ever registered, with its groups."""
        rows = await self._database.read(snippets.all_cameras)
        return {row.name: row.groups for row in rows}

    async def register(
        self, offers: tuple[CameraOffer, ...], identity: Identity, *, agent: str, version: str
    ) -> dict[str, CameraPlace]:
        """Gives each camera its slot."""
        now = time.time()

        def work(connection: Connection) -> dict[str, CameraPlace]:
            return {
                offer.name: _place(
                    offer.name,
                    snippets.register(
                        connection,
                        offer.name,
                        at=now,
                        groups=offer.groups,
                        source=offer.source,
                        agent=agent,
                        version=version,
                    ),
                )
                for offer in offers
            }

        return await self._database.write(work)

    async def store(self, snap: NewSnap) -> Receipt | None:
        """Makes a new snap durable with a requested shot for each camera.

        One that was given up while it was being written is ended: nobody was told of it.
        """
        late = self._ends.get(snap.id)

        def work(connection: Connection) -> Receipt | None:
            new = self._row(snap)
            if late is not None:  # an end that was told already
                late(connection)
            if snaps.add(connection, new):
                snap.must_lie_ahead()
                heads.check_ask(connection, snap.options, snap.cameras, snap.until)
                # A camera's own picture may have come before its snap: merging keeps it. Nobody
                # else's answers what was not asked yet.
                if snap.origin != "camera":
                    snaps.forget_shots(connection, snap.id)
                    snaps.request_shots(connection, snap.id, snap.cameras)
                else:
                    requested = [Shot(camera=name, state="requested") for name in snap.cameras]
                    snaps.save_shots(connection, snap.id, requested)
                return None
            if not snaps.asks_the_same(connection, new):
                raise Conflict(f"the id {snap.id} belongs to another snap")
            return snaps.receipt(connection, snap.id)

        def end(connection: Connection) -> None:
            found = snaps.find(connection, snap.id)
            if found is not None and found.accepted_at == snap.accepted_at and not found.done:
                _end(connection, found, time.time())

        try:
            return await self._database.write(work)
        except asyncio.CancelledError:
            self._end_later(snap.id, end)
            raise

    async def save(self, snap_id: str, shots: tuple[Shot, ...], ended: Ended | None) -> None:
        """Merges shots into their rows and, with ``ended``, closes the snap.

        The hub forgets a snap that has ended. One whose end the database refuses, because the disk
        is full, or has not written when the hub gives up, is tried again until it takes it.
        """
        now = time.time()

        def work(connection: Connection) -> None:
            snaps.save_shots(connection, snap_id, shots)
            if ended is not None:
                counts = (ended.answered, ended.failed, ended.missing)
                snaps.end(connection, snap_id, counts=counts, elapsed_ms=ended.elapsed_ms, at=now)

        try:
            await self._database.write(work)
        except (StoreError, asyncio.CancelledError):
            if ended is not None:
                self._end_later(snap_id, work)
            raise

    async def finish(self) -> None:
        """Gives up what could not be written; the next start ends those snaps."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _end_later(self, snap_id: str, work: Callable[[Connection], None]) -> None:
        self._ends[snap_id] = work
        task = asyncio.get_running_loop().create_task(self._write_late(snap_id, work))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _write_late(self, snap_id: str, work: Callable[[Connection], None]) -> None:
        pause_s = RETRY_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._database.write(work)
            except StoreError as exc:
                pause_s = min(2 * pause_s, MOST_RETRY_S)
                log.warning("a snap's end is not written yet", snap=snap_id, why=exc.detail)
            else:
                if self._ends.get(snap_id) is work:
                    del self._ends[snap_id]
                return

    async def reconcile(self, snap_id: str) -> tuple[Shot, ...]:
        """The shots as picture and job rows know them, now that the snap's time is over."""

        def work(connection: Connection) -> tuple[Shot, ...]:
            shots = snaps.stored_shots(connection, snap_id)
            receipt = snaps.find(connection, snap_id)
            if receipt is None:
                return tuple(shots)
            return tuple(elsewhere.overdue(connection, receipt, shots))

        return await self._database.read(work)

    async def take_over(self) -> list[LeftOpen]:
        """Takes the snaps that were open when the server was killed; call it before any new one.

        Those whose deadline has passed meanwhile end: what the rows say of a shot stays; a shot
        that got nowhere in time fails as ``timeout``.

        Returns:
            Those that still have time, for the hub to go on with.
        """
        now = time.time()

        def work(connection: Connection) -> list[LeftOpen]:
            left: list[LeftOpen] = []
            for row, receipt in snaps.unended(connection):
                if row.ends_at > now:
                    left.append((_asked_now(row, now), receipt))
                else:
                    _end(connection, receipt, now)
            return left

        return await self._database.write(work)

    async def asleep(self) -> dict[str, float]:
        """Until when cameras sleep that said so before this start, in seconds since the epoch."""
        now = time.time()
        return await self._database.read(lambda c: presence.asleep(c, at=now))

    def _row(self, snap: NewSnap) -> snaps.NewSnap:
        return snaps.NewSnap(
            id=snap.id,
            origin=snap.origin,
            server=self._server,
            token_id=snap.by,
            to=snap.to,
            targets=snap.cameras,
            until=snap.until,
            deadline_s=snap.deadline_s,
            context=snap.context,
            options=snap.options,
            accepted_at=datetime.fromisoformat(snap.accepted_at).timestamp(),
            ttl_s=snap.ttl_s,
            policy=snap.policy,
            quorum=snap.quorum,
            shoot_at=snap.shoot_at,
            in_s=snap.in_s,
        )


def _place(camera: str, placed: snippets.Placed) -> CameraPlace:
    return CameraPlace(camera, placed.number, f"/snippets/{placed.number}/", placed.groups)


def _asked_now(row: snaps.NewSnap, now: float) -> NewSnap:
    """The same request as it would come now; its receipt has when it really came."""
    return NewSnap(
        id=row.id,
        by=row.token_id,
        to=row.to,
        cameras=row.targets,
        until=row.until,
        deadline_s=row.deadline_s,
        context=row.context,
        options=row.options,
        origin=row.origin,
        accepted_at=rfc3339(now),
        ttl_s=row.ttl_s,
        policy=row.policy,
        quorum=row.quorum,
        shoot_at=row.shoot_at,
        in_s=row.in_s,
    )


def _end(connection: Connection, receipt: Receipt, now: float) -> None:
    # By the wall clock: the one the snap was accepted by is gone with its process. It may have been
    # set since, or nobody was there for long: but no snap outlasts its deadline.
    lasted_s = now - datetime.fromisoformat(receipt.accepted_at).timestamp()
    elapsed_ms = round(min(max(0.0, lasted_s), receipt.lasts_s) * 1000, 1)
    error = failure("timeout", "the server lost it before it came to its end")
    if receipt.ttl_s is not None:
        error = failure("expired", f"the camera did not answer within {receipt.ttl_s:g} s")
    shots = [
        _ended(shot, receipt.until, error)
        for shot in elsewhere.overdue(connection, receipt, receipt.shots)
    ]
    snaps.save_shots(connection, receipt.snap, shots)
    counts = tally(shots, receipt.until)
    snaps.end(connection, receipt.snap, counts=counts, elapsed_ms=elapsed_ms, at=now)


def _ended(shot: Shot, until: Until, error: ShotError) -> Shot:
    if shot.error is not None or RANK[shot.state] >= RANK[until]:
        return shot
    return msgspec.structs.replace(shot, state="failed", error=error)


class PresenceRows:
    """Writes down when cameras came and went, from the hub's events.

    Args:
        database: where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._moved: list[presence.Moved] = []
        self._writing: asyncio.Task[None] | None = None

    def watch(self, event: Event) -> None:
        """Hears an event; subscribe it to the hub's runner."""
        if event.topic != "cameras" or event.name == "forgotten":
            return
        data = event.data
        at = data["since"] or time.time()
        self._moved.append(presence.Moved(data["camera"], at, data["state"], data["until"]))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def finish(self) -> None:
        """Waits for what is being written."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        """Writes until nothing is left: a fleet that comes at once is a few transactions."""
        try:
            while self._moved:
                moved, self._moved = self._moved, []
                try:
                    await self._database.write(partial(presence.note, moved=moved))
                except StoreError as exc:  # it is said again when the cameras come or go
                    log.warning("presence is not written", cameras=len(moved), why=exc.detail)
        finally:
            self._writing = None
