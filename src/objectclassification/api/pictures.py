"""``/api/pictures``: the history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from objectclassification.api.access import Reader, Used, answer
from objectclassification.api.images import image_response
from objectclassification.receipts import Picture
from objectclassification.store import pictures

MOST_A_PAGE = 200


def _no_number(text: str) -> str:
    """Refuses what pydantic would take for seconds, or milliseconds, since some epoch."""
    try:
        float(text)
    except ValueError:
        return text
    raise ValueError("not a time such as 2026-11-22T10:00:00Z")


Time = Annotated[datetime, BeforeValidator(_no_number)]

router = APIRouter(prefix="/api/pictures", tags=["pictures"])


class PicturePage(msgspec.Struct, frozen=True):
    """A page of the history.

    Attributes:
        pictures: newest first.
        cursor: for the next page; None on the last one.
    """

    pictures: tuple[Picture, ...]
    cursor: str | None


@router.get("", summary="The history, newest first")
async def history(
    parts: Used,
    identity: Reader,
    camera: str | None = None,
    label: str | None = None,
    min_score: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)] = None,
    since: Time | None = None,
    until: Time | None = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = 50,
) -> Response:
    """Pages by key: a picture that arrives while someone reads moves no page."""
    wanted = pictures.Filter(
        camera=camera,
        label=label,
        min_score=min_score,
        since=_seconds(since),
        until=_seconds(until),
    )
    found = await parts.database.read(
        lambda c: pictures.history(c, wanted, before=cursor, limit=limit + 1)
    )
    more = len(found) > limit
    page = tuple(found[:limit])
    return answer(PicturePage(page, page[-1].id if more else None))


@router.get("/{picture_id}", summary="One picture")
async def one(picture_id: str, parts: Used, identity: Reader) -> Response:
    """Shows a picture's renditions and predictions."""
    return answer(await parts.database.read(lambda c: pictures.get(c, picture_id)))


@router.get("/{picture_id}/image", summary="A picture's image")
async def image(
    picture_id: str,
    request: Request,
    parts: Used,
    identity: Reader,
    rendition: Annotated[str, Query(max_length=32)] = "full",
) -> Response:
    """Answers the bytes of a rendition; they never change."""
    blob = await parts.database.read(lambda c: pictures.blob(c, picture_id, rendition))
    return image_response(request, parts.blobs, blob, immutable=True)


@router.get("/{picture_id}/thumbnail", summary="A picture's thumbnail")
async def thumbnail(picture_id: str, request: Request, parts: Used, identity: Reader) -> Response:
    """Answers the camera's thumbnail, or the one that was made when it was classified."""
    blob = await parts.database.read(lambda c: pictures.blob(c, picture_id, "thumbnail"))
    return image_response(request, parts.blobs, blob, immutable=True)


def _seconds(at: datetime | None) -> float | None:
    """Seconds since the epoch; a time without a zone is UTC, as all times here are."""
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
