"""``/api/pictures/{id}/similar``: the pictures that look most like one."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from objectclassification.api.access import Reader, Used, answer
from objectclassification.errors import Busy
from objectclassification.receipts import Picture
from objectclassification.store import pictures
from objectclassification.store.similar import search
from objectclassification.store.writer import Database

MOST_SIMILAR = 100
MOST_SEARCHES = 8
"""Under way and waiting: with 100,000 pictures, some three seconds of one core."""

router = APIRouter(prefix="/api/pictures", tags=["pictures"])


class Neighbour(msgspec.Struct, frozen=True):
    """A picture that looks like the one that was asked about.

    Attributes:
        similarity: of their embeddings: the cosine of the angle between them, -1 to 1.
        picture: all of it.
    """

    similarity: float
    picture: Picture


class Similar(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        compared: with how many pictures: every one that the same model looked at.
        similar: the most similar first.
    """

    compared: int
    similar: tuple[Neighbour, ...]


class Searches:
    """Searches, one at a time: each reads every embedding, and readers are few.

    Args:
        database: where the embeddings are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()
        self._under_way = 0

    async def search(self, picture_id: str, camera: str | None, limit: int) -> Similar:
        """Waits for its turn, and searches on a reading thread.

        Raises:
            NotFound, Conflict: see :func:`objectclassification.store.similar.search`.
            Busy: too many wait already.
        """
        if self._under_way >= MOST_SEARCHES:
            raise Busy(f"{MOST_SEARCHES} searches for similar pictures are under way already")
        self._under_way += 1
        try:
            async with self._turn:
                return await self._database.read(lambda c: _search(c, picture_id, camera, limit))
        finally:
            self._under_way -= 1


@router.get("/{picture_id}/similar", summary="The pictures that look most like it")
async def similar(
    picture_id: str,
    request: Request,
    parts: Used,
    identity: Reader,
    camera: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_SIMILAR)] = 10,
) -> Response:
    """Compares its embedding with every other by the same model, exactly."""
    searches: Searches = request.app.state.searches
    return answer(await searches.search(picture_id, camera, limit))


def _search(connection: Connection, picture_id: str, camera: str | None, limit: int) -> Similar:
    found = search(connection, picture_id, camera=camera, limit=limit)
    known = pictures.by_ids(connection, [id_ for id_, _ in found.nearest])
    neighbours = (Neighbour(near, known[id_]) for id_, near in found.nearest)
    return Similar(found.compared, tuple(neighbours))
