"""Retention at work: what goes, and its deletion in steps that leave the writer thread free.

What a person deleted goes, too, once that cannot be undone any more.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from objectclassification.errors import StoreError
from objectclassification.store import deletions, old_snaps, retention
from objectclassification.store.old_snaps import OldSnap
from objectclassification.store.retention import Candidate, Deleted, Policy, Reckoning
from objectclassification.store.writer import Database

PERIOD_S = 3600.0
PAGE = 1000
"""Candidates read at a time: some 10 ms of one reading thread."""
BATCH = 50
"""Pictures deleted in one transaction: a PUT waits a few milliseconds for it at most."""
PAUSE_S = 0.05
"""Between two transactions, so that PUTs have the writer thread and the disk in between."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Going:
    """What goes of one camera, or of all.

    Attributes:
        pictures: how many.
        bytes: of their renditions.
        oldest_at: when the first of them arrived, seconds since the epoch; None if there is none.
        newest_at: the last.
    """

    pictures: int = 0
    bytes: int = 0
    oldest_at: float | None = None
    newest_at: float | None = None

    def plus(self, candidate: Candidate) -> Going:
        """This and one picture more."""
        at = candidate.received_at
        return Going(
            self.pictures + 1,
            self.bytes + candidate.bytes,
            at if self.oldest_at is None else min(self.oldest_at, at),
            at if self.newest_at is None else max(self.newest_at, at),
        )


@dataclass(slots=True)
class Plan:
    """What goes, or went.

    Attributes:
        all: of all cameras together.
        cameras: by name; pictures without a camera are under None.
        snaps: how many receipts, of which no picture is left.
    """

    all: Going = Going()
    cameras: dict[str | None, Going] = field(default_factory=dict)
    snaps: int = 0

    def add(self, candidate: Candidate) -> None:
        """One picture more."""
        self.all = self.all.plus(candidate)
        self.cameras[candidate.camera] = self.cameras.get(candidate.camera, Going()).plus(candidate)


class Housekeeper:
    """Deletes the pictures that a policy does not keep.

    Args:
        database: their rows.
        forget: deletes the blob of a key; called on a thread.
        policy: what may stay.
        count: told how many pictures and bytes went, after each step.
    """

    def __init__(
        self,
        database: Database,
        forget: Callable[[str], None],
        policy: Policy,
        count: Callable[[int, int], None],
    ) -> None:
        self._database = database
        self._forget = forget
        self._policy = policy
        self._count = count

    async def plan(self) -> Plan:
        """Says what would go now, and deletes nothing.

        Raises:
            StoreError: the database failed.
        """
        plan, of_snaps = Plan(), Counter[str]()
        async for page in self._going():
            for candidate in page:
                plan.add(candidate)
                if candidate.snap is not None:
                    of_snaps[candidate.snap] += 1
        async for snaps in self._snaps_without(of_snaps, plan):
            plan.snaps += len(snaps)
        return plan

    async def tidy(self) -> Plan:
        """Deletes what goes now, and what was deleted a day ago.

        Returns:
            What went by the policy; less than was planned if something came to be needed meanwhile.

        Raises:
            StoreError: the database failed; what went before is gone.
            OSError: a blob cannot be deleted; its row is gone.
        """
        await self._sweep()
        gone = Plan()
        async for page in self._going():
            for start in range(0, len(page), BATCH):
                for candidate in await self._delete(page[start : start + BATCH]):
                    gone.add(candidate)
                await asyncio.sleep(PAUSE_S)
        async for snaps in self._snaps_without(Counter(), gone):
            for start in range(0, len(snaps), BATCH):
                gone.snaps += await self._delete_snaps(snaps[start : start + BATCH])
                await asyncio.sleep(PAUSE_S)
        if gone.all.pictures or gone.snaps:
            log.info(
                "retention deleted pictures",
                pictures=gone.all.pictures,
                bytes=gone.all.bytes,
                snaps=gone.snaps,
            )
        return gone

    async def _sweep(self) -> None:
        """Has what a person deleted follow its mark, unless something still works on it."""
        before, after, swept = time.time() - deletions.UNDO_S, "", 0
        while ids := await self._due(before, after):
            after = ids[-1]
            swept += len(await self._delete_rows(partial(_sweep_some, ids=ids)))
            await asyncio.sleep(PAUSE_S)
        if swept:
            log.info("deleted pictures are gone for good", pictures=swept)

    async def _due(self, before: float, after: str) -> list[str]:
        return await self._database.read(
            lambda c: deletions.due(c, before=before, after=after, limit=BATCH)
        )

    async def _going(self) -> AsyncIterator[list[Candidate]]:
        if self._policy.keeps_all:
            return
        amount = await self._database.read(retention.held)
        reckoning = Reckoning(self._policy, amount, now=time.time())
        after = ""
        while page := await self._page(after):
            after = page[-1].id
            yield [candidate for candidate in page if reckoning.goes(candidate)]
            if reckoning.is_settled(page[-1]):
                return

    async def _snaps_without(self, going: Counter[str], plan: Plan) -> AsyncIterator[list[str]]:
        """Pages of old snaps that have no pictures but those that are going."""
        if self._policy.keeps_all:
            return
        before = self._policy.receipts_before(plan.all.newest_at, now=time.time())
        last: OldSnap | None = None
        while page := await self._snap_page(before, last):
            last = page[-1]
            yield [snap.id for snap in page if snap.pictures == going[snap.id]]

    async def _snap_page(self, before: float, last: OldSnap | None) -> list[OldSnap]:
        return await self._database.read(
            lambda c: old_snaps.page(c, before=before, after=last, limit=PAGE)
        )

    async def _delete_snaps(self, ids: list[str]) -> int:
        return await self._database.write(lambda c: old_snaps.delete(c, ids))

    async def _page(self, after: str) -> list[Candidate]:
        too = not self._policy.keeps_labelled
        return await self._database.read(
            lambda c: retention.candidates(c, after=after, limit=PAGE, labelled_too=too)
        )

    async def _delete(self, batch: list[Candidate]) -> list[Candidate]:
        ids = [candidate.id for candidate in batch]
        too = not self._policy.keeps_labelled
        gone = await self._delete_rows(lambda c: retention.delete(c, ids, labelled_too=too))
        return [candidate for candidate in batch if candidate.id in gone]

    async def _delete_rows(self, delete: Callable[[Connection], Deleted]) -> tuple[str, ...]:
        deleted = await self._database.write(delete)
        await asyncio.to_thread(self._forget_all, deleted.keys)
        self._count(len(deleted.ids), deleted.bytes)
        return deleted.ids

    def _forget_all(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            self._forget(key)


def _sweep_some(connection: Connection, ids: list[str]) -> Deleted:
    # Who undid it in the last moment was told so: what counts is what is true in this transaction.
    going = deletions.still_deleted(connection, ids)
    return retention.delete(connection, going, labelled_too=True)


@asynccontextmanager
async def tidying(keeper: Housekeeper, period_s: float = PERIOD_S) -> AsyncIterator[None]:
    """Tidies now and every hour, beside whatever runs inside."""
    task = asyncio.create_task(_tidy_for_ever(keeper, period_s), name="housekeeping")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tidy_for_ever(keeper: Housekeeper, period_s: float) -> None:
    while True:
        try:
            await keeper.tidy()
        except (StoreError, OSError) as exc:
            log.error("retention failed; it is tried again", reason=str(exc), after_s=period_s)
        await asyncio.sleep(period_s)
