"""Has children look at pictures that the model has not seen: after a new model, or for a crop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import Connection

from objectclassification.classification.outcome import Outcome
from objectclassification.classification.pool import ChildNotStarted
from objectclassification.errors import Busy, ChildDied, ImageError, NotFound
from objectclassification.heads import Crop
from objectclassification.store import embeddings, pictures
from objectclassification.store.blobs import Blobs
from objectclassification.store.embeddings import View
from objectclassification.store.writer import Database

BATCH = 16
"""Pictures whose embeddings are written in one transaction."""

log = structlog.get_logger(__name__)


class Pool(Protocol):
    """Child processes that classify; the pool of the worker is one."""

    @property
    def size(self) -> int:
        """How many work at the same time."""

    @property
    def model_sha256(self) -> str:
        """Of the model that they have."""

    async def classify(
        self, path: Path, *, thumbnail: bool = False, crops: tuple[Crop, ...] = ()
    ) -> Outcome:
        """Classifies one picture; ImageError, NotFound or ChildDied."""


class Looker:
    """Looks at stored pictures, as many at a time as there are children.

    Args:
        database: where embeddings go.
        blobs: the pictures.
        pool: who looks. A job waits for at most one of these pictures.
    """

    def __init__(self, database: Database, blobs: Blobs, pool: Pool) -> None:
        self._database = database
        self._blobs = blobs
        self._pool = pool

    async def look(self, ids: Sequence[str], view: View, *, within_s: float) -> int:
        """Looks at pictures until all are seen, or the time is over.

        Args:
            ids: the pictures.
            view: what of them.
            within_s: seconds after which nothing new is begun.

        Returns:
            How many were not looked at for want of time. One that cannot be read is.

        Raises:
            Busy: no child could be started, or the model is another one by now.
            StoreError: the database failed.
        """
        end = time.monotonic() + within_s
        size = max(1, min(self._pool.size, BATCH))
        done = 0
        while done < len(ids) and time.monotonic() < end:
            some: list[tuple[str, Outcome]] = []
            while done < len(ids) and len(some) < BATCH and time.monotonic() < end:
                part = ids[done : done + size]
                found = await asyncio.gather(*(self._look_at(one, view) for one in part))
                some += [(one, seen) for one, seen in zip(part, found, strict=True) if seen]
                done += len(part)
            await self._database.write(lambda c, some=some: _store(c, view, some))  # type: ignore[misc]
        return len(ids) - done

    async def _look_at(self, picture_id: str, view: View) -> Outcome | None:
        crops = () if view.crop is None else (view.crop,)
        try:
            blob = await self._database.read(lambda c: pictures.blob(c, picture_id, "full"))
            found = await self._pool.classify(self._blobs.path(blob.key), crops=crops)
        except ChildNotStarted as exc:
            raise Busy(exc.detail) from exc
        except (ImageError, NotFound, ChildDied) as exc:
            log.warning("a picture cannot be learnt from", picture=picture_id, why=exc.detail)
            return None
        if found.embedded_by != view.model_sha256:
            raise Busy("the server's model was exchanged just now: ask again")
        return found if found.embedding else None


def _store(connection: Connection, view: View, seen: Sequence[tuple[str, Outcome]]) -> None:
    for picture_id, found in seen:
        # The whole comes with every crop, and is what pictures are compared by.
        embeddings.add(connection, picture_id, view.model_sha256, None, found.embedding)
        if view.crop is not None:
            embeddings.add(connection, picture_id, view.model_sha256, view.crop, found.crops[0])
