"""``/api/pictures``: the history."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from msgspec import Meta
from starlette.responses import Response

from objectclassification.api.access import (
    Labeller,
    Reader,
    Used,
    answer,
    json_body,
    note,
    read_json,
)
from objectclassification.api.images import image_response
from objectclassification.api.times import Time, seconds
from objectclassification.errors import BadMessage
from objectclassification.heads import NO_HEAD, ClassName, clean_class
from objectclassification.messages import is_name
from objectclassification.receipts import Picture, Verdict
from objectclassification.store import labels, pictures

MOST_A_PAGE = 200
MOST_LABELS = 64
"""Said of one picture in one request."""


router = APIRouter(prefix="/api/pictures", tags=["pictures"])


class PicturePage(msgspec.Struct, frozen=True):
    """A page of the history.

    Attributes:
        pictures: newest first.
        cursor: for the next page; None on the last one.
    """

    pictures: tuple[Picture, ...]
    cursor: str | None


class Labelling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of a picture: a class for each head, or null; ``""`` for what is on it."""

    labels: Annotated[dict[str, ClassName | None], Meta(min_length=1, max_length=MOST_LABELS)]


@router.get("", summary="The history, newest first")
async def history(
    parts: Used,
    identity: Reader,
    camera: str | None = None,
    label: str | None = None,
    min_score: Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)] = None,
    since: Time | None = None,
    until: Time | None = None,
    head: Annotated[str | None, Query(max_length=64)] = None,
    class_: Annotated[str | None, Query(alias="class", max_length=256)] = None,
    verdict: Verdict | None = None,
    unsure: bool | None = None,
    changed: bool | None = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = 50,
) -> Response:
    """Pages by key: a picture that arrives while someone reads moves no page."""
    if class_ is not None and head is None:
        raise BadMessage("class is an answer of a head: say which with head=…")
    wanted = pictures.Filter(
        camera=camera,
        label=label,
        min_score=min_score,
        since=seconds(since),
        until=seconds(until),
        head=head,
        answer=class_,
        verdict=verdict,
        unsure=unsure,
        changed=changed,
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


@router.patch("/{picture_id}", summary="Label a picture")
async def label(picture_id: str, request: Request, parts: Used, identity: Labeller) -> Response:
    """Says what a head should answer for it; null takes a label away."""
    said = read_json(Labelling, await json_body(request), "labels").labels
    clean = {head: None if name is None else clean_class(name) for head, name in said.items()}
    for head in clean:
        if head != NO_HEAD and not is_name(head):
            raise BadMessage(f"{head[:64]!r} cannot be the name of a head")
    note(request, picture=picture_id)
    now = time.time()
    await parts.database.write(
        lambda c: labels.change(c, picture_id, clean, at=now, token_id=identity.token_id)
    )
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
