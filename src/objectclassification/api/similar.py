"""``/api/pictures/{id}/similar``, ``/api/similar``: the pictures that look most like one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from objectclassification.api.access import Reader, Used, answer
from objectclassification.api.receive import Receiver
from objectclassification.classification.outcome import Outcome
from objectclassification.classification.pool import ChildNotStarted
from objectclassification.errors import Busy, ChildDied, Conflict, Undecodable
from objectclassification.receipts import Picture
from objectclassification.store import pictures
from objectclassification.store.similar import Neighbours, nearest, search
from objectclassification.store.writer import Database

MOST_SIMILAR = 100
MOST_SEARCHES = 8
"""Under way and waiting: with 100,000 pictures, some three seconds of one core."""

router = APIRouter(prefix="/api", tags=["pictures"])


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
        look: has a child process look at the picture in a file.
    """

    def __init__(self, database: Database, look: Callable[[Path], Awaitable[Outcome]]) -> None:
        self._database = database
        self._look = look
        self._turn = asyncio.Lock()
        self._under_way = 0

    async def search(self, picture_id: str, camera: str | None, limit: int) -> Similar:
        """Waits for its turn, and searches on a reading thread.

        Raises:
            NotFound, Conflict: see :func:`objectclassification.store.similar.search`.
            Busy: too many wait already.
        """
        async with self._counted(), self._turn:
            return await self._database.read(
                lambda c: _shown(c, search(c, picture_id, camera=camera, limit=limit))
            )

    async def search_like(
        self, picture: AbstractAsyncContextManager[Path], camera: str | None, limit: int
    ) -> Similar:
        """Has a child look at a picture that is not stored, and searches as :meth:`search` does.

        Args:
            picture: its file, which is waited for and is there while it is looked at.
            camera: only pictures of this camera, or None for all.
            limit: the most to find.

        Raises:
            Busy: too many wait already, or no child could be started.
            Conflict: the server's model gives no embedding.
            NotAnImage, Undecodable, TooManyPixels: of the picture.
        """
        async with picture as path, self._counted(), self._turn:
            seen = await self._look_at(path)
            return await self._database.read(
                lambda c: _shown(
                    c, nearest(c, seen.embedded_by, seen.embedding, camera=camera, limit=limit)
                )
            )

    async def _look_at(self, path: Path) -> Outcome:
        """What a child says of a file; one that ends its child is tried once, and not stored."""
        try:
            outcome = await self._look(path)
        except ChildNotStarted as exc:
            raise Busy(exc.detail) from exc
        except ChildDied as exc:
            raise Undecodable(f"it cannot be looked at: {exc.detail}") from exc
        if not outcome.embedding:
            raise Conflict("the server's model gives no embedding to compare")
        return outcome

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._under_way >= MOST_SEARCHES:
            raise Busy(f"{MOST_SEARCHES} searches for similar pictures are under way already")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


@router.get("/pictures/{picture_id}/similar", summary="The pictures that look most like it")
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


@router.post("/similar", summary="The pictures that look most like one that is sent")
async def similar_to(
    request: Request,
    parts: Used,
    identity: Reader,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_SIMILAR)] = 10,
) -> Response:
    """Compares the image in the body, as a PUT takes one, with every picture. It is not stored."""
    searches: Searches = request.app.state.searches
    receiver: Receiver = request.app.state.receiver
    sent = receiver.lent(request, identity.token_id)
    return answer(await searches.search_like(sent, camera, limit))


def _shown(connection: Connection, found: Neighbours) -> Similar:
    known = pictures.by_ids(connection, [id_ for id_, _ in found.nearest])
    neighbours = (Neighbour(near, known[id_]) for id_, near in found.nearest)
    return Similar(found.compared, tuple(neighbours))
