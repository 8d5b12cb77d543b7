"""``/api/pictures``: the history."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from msgspec import Meta
from sqlalchemy import Connection
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
from objectclassification.api.filters import Filtered
from objectclassification.api.images import image_response
from objectclassification.api.parts import Parts
from objectclassification.auth import Identity
from objectclassification.bus import PicturesLabelled
from objectclassification.errors import BadMessage
from objectclassification.heads import NO_HEAD, ClassName, clean_class
from objectclassification.messages import is_name
from objectclassification.receipts import Picture
from objectclassification.store import labels, pictures
from objectclassification.store.renditions import MEDIUM_SIDE

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


class LabellingOfMany(Labelling, frozen=True, forbid_unknown_fields=True):
    """The same, said of several pictures."""

    pictures: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...],
        Meta(min_length=1, max_length=MOST_A_PAGE),
    ]


class Labelled(msgspec.Struct, frozen=True):
    """Of how many pictures it was said."""

    pictures: int


@router.get("", summary="The history, newest first")
async def history(
    parts: Used,
    identity: Reader,
    wanted: Filtered,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = 50,
) -> Response:
    """Pages by key: a picture that arrives while someone reads moves no page."""
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


@router.patch("", summary="Label pictures")
async def label_all(request: Request, parts: Used, identity: Labeller) -> Response:
    """Says the same of several pictures: of all of them, or, if one is not there, of none."""
    wanted = read_json(LabellingOfMany, await json_body(request), "labels of pictures")
    await _say(parts, identity, wanted.pictures, wanted.labels)
    return answer(Labelled(len(wanted.pictures)))


@router.patch("/{picture_id}", summary="Label a picture")
async def label(picture_id: str, request: Request, parts: Used, identity: Labeller) -> Response:
    """Says what a head should answer for it; null takes a label away. Who says it last is right."""
    said = read_json(Labelling, await json_body(request), "labels").labels
    note(request, picture=picture_id)
    await _say(parts, identity, (picture_id,), said)
    return answer(await parts.database.read(lambda c: pictures.get(c, picture_id)))


async def _say(
    parts: Parts, identity: Identity, ids: tuple[str, ...], said: dict[str, str | None]
) -> None:
    """Labels pictures, and has every page that shows them know."""
    clean = {head: None if name is None else clean_class(name) for head, name in said.items()}
    for head in clean:
        if head != NO_HEAD and not is_name(head):
            raise BadMessage(f"{head[:64]!r} cannot be the name of a head")
    now = time.time()

    def write(connection: Connection) -> None:
        for one in ids:
            labels.change(connection, one, clean, at=now, token_id=identity.token_id)

    await parts.database.write(write)
    parts.bus.publish(PicturesLabelled(ids, clean))


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
    # What stands in for a full one that is still to come is not kept.
    return image_response(request, parts.blobs, blob, immutable=blob.name == rendition)


@router.get("/{picture_id}/thumbnail", summary="A picture's thumbnail")
async def thumbnail(picture_id: str, request: Request, parts: Used, identity: Reader) -> Response:
    """Answers the camera's thumbnail, or the one that was made when it was classified."""
    blob = await parts.database.read(lambda c: pictures.blob(c, picture_id, "thumbnail"))
    return image_response(request, parts.blobs, blob, immutable=True)


@router.get("/{picture_id}/medium", summary="A picture in a middle size")
async def medium(picture_id: str, request: Request, parts: Used, identity: Reader) -> Response:
    """Answers at most 1,024 pixels a side, made when first asked for; a smaller one as it came."""
    blob = await parts.medium(picture_id)
    is_final = blob.name == "medium" or (blob.name == "full" and blob.max_side <= MEDIUM_SIDE)
    return image_response(request, parts.blobs, blob, immutable=is_final)
