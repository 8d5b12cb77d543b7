"""Whether pictures can be taken in, stored and classified: each part is really tried."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, select, update

from objectclassification.classification.pool import ClassifierPool
from objectclassification.errors import ObjectClassificationError, StoreError
from objectclassification.store.blobs import Blobs
from objectclassification.store.folder import file_identity
from objectclassification.store.tables import snaps, snippets
from objectclassification.store.writer import Database, reading

WRITTEN_FOR_S: Final = 5.0
"""A write that worked is proof for so long: each costs the disk an fsync."""
PATIENCE_S: Final = 2.0
"""For the database, which answers in milliseconds when it is well."""
LEAST_ROOM_BYTES: Final = 2**20
"""Above the floor, which may be none: less takes hardly a picture and its rows."""
MOST_LAG_S: Final = 2.0
"""A loop that stood still for longer let somebody's deadline pass."""

log = structlog.get_logger(__name__)


class Readiness:
    """Looks at the parts of a running server.

    Args:
        database: must take a write.
        blobs: their disk must be above its floor.
        pool: one child must live.
        working: the job loop.
        lag_s: the worst lag of the event loop in the last seconds.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        pool: ClassifierPool,
        working: asyncio.Task[None],
        lag_s: Callable[[], float],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._pool = pool
        self._working = working
        self._lag_s = lag_s
        self._file = file_identity(database.file)
        self._looking: asyncio.Task[dict[str, str]] | None = None
        self._failing: dict[str, str] = {}
        self._wrote_at = -math.inf
        self._starting: asyncio.Task[None] | None = None

    async def failing(self) -> dict[str, str]:
        """Returns what fails and why, for a person; empty when the server is ready."""
        # Anyone may ask, as often as he likes: whoever comes while somebody looks gets that answer.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_and_tell())
        return await asyncio.shield(self._looking)

    async def close(self) -> None:
        """Looks no more; the pool and the database are closed after this."""
        tasks = [task for task in (self._looking, self._starting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_and_tell(self) -> dict[str, str]:
        found = await self._look()
        if found.keys() != self._failing.keys():
            say = log.error if found else log.info
            say("not ready" if found else "ready again", **found)
        self._failing = found
        return found

    async def _look(self) -> dict[str, str]:
        found = {
            "disk": self._disk(),
            "database": await self._database_trouble(),
            "worker": "the job loop ended: its log says why" if self._working.done() else None,
            "children": self._children(),
            "loop": self._loop(),
        }
        return {name: why for name, why in found.items() if why is not None}

    def _disk(self) -> str | None:
        try:
            self._blobs.check_room(LEAST_ROOM_BYTES)
        except StoreError as exc:
            return exc.detail
        return None

    async def _database_trouble(self) -> str | None:
        if file_identity(self._database.file) != self._file:
            return "its file was deleted or replaced under the server: restart it"
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._database.read(lambda _: _look_inside(self._database.file))
                if time.monotonic() - self._wrote_at >= WRITTEN_FOR_S:
                    await self._database.write(_touch)
                    self._wrote_at = time.monotonic()
        except TimeoutError:
            return f"it took no write within {PATIENCE_S:g} s: its disk, or another program's lock"
        except StoreError as exc:
            self._wrote_at = -math.inf
            # The path in it is nothing for everyone.
            return exc.detail.replace(str(self._database.file), "the database")
        return None

    def _children(self) -> str | None:
        """Pictures start a child when they need one; without pictures, this does."""
        if self._pool.ready:
            return None
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start_child())
        return "none is ready to classify; one is being started, and the log says why if it cannot"

    async def _start_child(self) -> None:
        try:
            await self._pool.start()
        except ObjectClassificationError as exc:
            log.error("no classifying child can be started", why=exc.detail)

    def _loop(self) -> str | None:
        lag_s = self._lag_s()
        if lag_s <= MOST_LAG_S:
            return None
        return f"the event loop stood still for {lag_s:.1f} s a moment ago"


def _look_inside(file: Path) -> None:
    """Reads a row afresh: connections that are open answer from what they keep in memory."""
    with reading(file) as connection:
        connection.execute(select(snaps.c.id).limit(1)).first()


def _touch(connection: Connection) -> None:
    """Writes slot 1, which is always there, as it is: the page goes to the disk all the same."""
    connection.execute(
        update(snippets).where(snippets.c.number == 1).values(camera=snippets.c.camera)
    )
