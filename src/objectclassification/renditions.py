"""The middle size of a picture, made when it is first asked for: most are never looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import structlog
from uuid_utils import uuid7

from objectclassification.classification.outcome import Thumbnail
from objectclassification.classification.pool import ChildNotStarted
from objectclassification.errors import (
    Busy,
    ChildDied,
    DiskFull,
    NotAnImage,
    NotFound,
    StoreError,
    Undecodable,
)
from objectclassification.store.blobs import Blobs
from objectclassification.store.renditions import (
    MEDIUM_SIDE,
    Forms,
    Made,
    StoredBlob,
    add_medium,
    forms,
)
from objectclassification.store.writer import Database

MOST_WAITING: Final = 64
"""Requests that wait for one to be made: a browser asks for six at a time."""

log = structlog.get_logger(__name__)


class Pool(Protocol):
    """Child processes that decode; the pool of the worker is one."""

    async def shrink(self, path: Path, max_side: int) -> Thumbnail:
        """Makes a picture smaller; ImageError, NotFound or ChildDied."""


class Renditions:
    """Makes pictures smaller, one at a time, so that a job waits for at most one of them.

    Args:
        database: what there is of a picture.
        blobs: its files.
        pool: who decodes it.
    """

    def __init__(self, database: Database, blobs: Blobs, pool: Pool) -> None:
        self._database = database
        self._blobs = blobs
        self._pool = pool
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def medium(self, picture_id: str) -> StoredBlob:
        """Returns a picture with at most :data:`MEDIUM_SIDE` pixels a side.

        It is the picture as it came if that is no larger, if no model has looked at it yet
        (somebody waits for that), or if the disk has no room for another form.

        Raises:
            NotFound: no such picture, or it was deleted, or its file is gone.
            Undecodable, TooManyPixels: none can be made of it.
            Busy: too many are wanted at the same time, or no child can be started.
            StoreError: the database failed.
        """
        found = await self._forms(picture_id)
        if not _is_wanting(found):
            return _closest(found)
        async with self._counted(), self._turn:
            found = await self._forms(picture_id)  # somebody else may have wanted it, too
            if not _is_wanting(found):
                return _closest(found)
            if not await self._make(picture_id, found.best):
                return found.best
        return _closest(await self._forms(picture_id))

    async def _forms(self, picture_id: str) -> Forms:
        return await self._database.read(lambda c: forms(c, picture_id))

    async def _make(self, picture_id: str, best: StoredBlob) -> bool:
        """Makes the form and keeps it; False if there is no room for it."""
        made = await self._shrunk(best)
        key = str(uuid7())
        try:
            self._blobs.check_room(len(made.content))
            sha256 = await asyncio.to_thread(self._blobs.put, key, made.content)
        except (DiskFull, OSError) as exc:
            log.warning("there is no room for a smaller picture", picture=picture_id, why=str(exc))
            return False
        form = Made(key, sha256, len(made.content), made.width, made.height)
        try:
            is_first = await self._database.write(lambda c: add_medium(c, picture_id, form))
        except (NotFound, StoreError):
            self._blobs.delete(key)
            raise
        if not is_first:
            self._blobs.delete(key)
        return True

    async def _shrunk(self, best: StoredBlob) -> Thumbnail:
        try:
            return await self._pool.shrink(self._blobs.path(best.key), MEDIUM_SIDE)
        except ChildNotStarted as exc:
            raise Busy(exc.detail) from exc
        except (ChildDied, NotAnImage) as exc:  # its header was right when it came
            raise Undecodable(f"it cannot be made smaller: {exc.detail}") from exc

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise Busy(f"{MOST_WAITING} pictures are waiting to be made smaller already")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


def _is_wanting(found: Forms) -> bool:
    """Whether there is something to make.

    Raises:
        Undecodable: the picture could not be classified; what ended a child once is not tried with
            each request.
    """
    if "medium" in found.named or found.is_waiting or found.best.max_side <= MEDIUM_SIDE:
        return False
    if found.error is not None:
        raise Undecodable(
            f"it could not be classified, and is there at /image as it came: {found.error}"
        )
    return True


def _closest(found: Forms) -> StoredBlob:
    return found.named.get("medium") or found.best
