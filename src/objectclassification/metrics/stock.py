"""What lies in the database and on the disk, asked for cheaply."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from objectclassification.errors import StoreError
from objectclassification.store import queue
from objectclassification.store.blobs import Blobs
from objectclassification.store.tables import pictures, renditions
from objectclassification.store.writer import Database

KEEP_S: Final = 60.0
"""How long the number of pictures is good for: counting 100,000 reads a few megabytes."""
PATIENCE_S: Final = 2.0
"""A page without these numbers is better than none: Prometheus gives a scrape 10 s."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored.

    Attributes:
        pictures: how many.
        bytes: of all their renditions.
    """

    pictures: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one look found.

    Attributes:
        held: what is stored, counted every :data:`KEEP_S` beside one scrape for the next; None when
            the database did not answer.
        queue: the jobs now; None when the database did not answer.
    """

    held: Held | None
    queue: queue.Queue | None


class Stock:
    """Looks at a database and the disk of its pictures.

    Args:
        database: the rows.
        blobs: the pictures.
    """

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._held: Held | None = None
        self._held_at = 0.0
        self._counting: asyncio.Task[None] | None = None

    async def amounts(self) -> Amounts:
        """Asks the database for the queue; what is stored is counted beside it, now and then."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                waiting = await self._database.read(queue.queue)
                if self._held is None:
                    await self._count()
        except (StoreError, TimeoutError):
            return Amounts(None, None)
        is_old = time.monotonic() - self._held_at > KEEP_S
        if is_old and (self._counting is None or self._counting.done()):
            self._counting = asyncio.create_task(self._count_for_the_next())
        return Amounts(self._held, waiting)

    async def _count(self) -> None:
        self._held = await self._database.read(_held)
        self._held_at = time.monotonic()

    async def _count_for_the_next(self) -> None:
        with suppress(StoreError):  # the next one asks again
            await self._count()

    def disk_free_bytes(self) -> int | None:
        """Free bytes on the disk of the pictures; None if it cannot be asked."""
        try:
            return self._blobs.free_bytes()
        except StoreError:
            return None

    def database_bytes(self) -> int:
        """Bytes of the database's file and of what is not yet moved into it."""
        file = self._database.file
        found = 0
        for path in (file, file.with_name(file.name + "-wal")):
            try:
                found += path.stat().st_size
            except OSError:  # the second one comes and goes
                continue
        return found


def _held(connection: Connection) -> Held:
    number = connection.execute(select(func.count()).select_from(pictures)).scalar_one()
    size = connection.execute(select(func.sum(renditions.c.size_bytes))).scalar_one()
    return Held(int(number), int(size or 0))
