"""``/snippets``: the cameras' slots, and where pictures come in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from uuid_utils import uuid7

from objectclassification.api.access import Caller, Reader, Used, answer, note, parts_of
from objectclassification.api.images import image_response
from objectclassification.api.receive import Receiver
from objectclassification.api.slots import slots_of
from objectclassification.auth import Identity
from objectclassification.bus import PictureUploaded
from objectclassification.errors import DiskFull, NotFound, RequestError
from objectclassification.receipts import Picture
from objectclassification.shot_options import MOST_BURST
from objectclassification.store import pictures, snippets, uploads

MOST_AGE_MS = 10 * 366 * 86_400_000.0
MOST_KEY = 256
"""Characters of an ``Idempotency-Key``."""
SNAP = "[0-9A-Za-z][0-9A-Za-z_-]{0,63}"
RENDITION = "[a-z][a-z0-9_]{0,31}"

router = APIRouter(tags=["snippets"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a PUT asks for, beside its body: the parameters of :func:`put`, checked."""

    number: int
    snap: str | None = None
    rendition: str = "full"
    age_ms: float | None = None
    idempotency_key: str | None = None
    frame: int = 1


class Snippet(msgspec.Struct, frozen=True):
    """A camera's slot.

    Attributes:
        number: as in ``/snippets/{number}/``.
        camera: None for slot 1 until the first camera takes it.
        picture: the newest one, if there is any.
    """

    number: int
    camera: str | None
    picture: Picture | None


@router.put("/snippets/{number}", summary="Store a picture in a slot")
async def put(
    number: int,
    request: Request,
    identity: Caller,
    snap: Annotated[str | None, Query(pattern=f"^{SNAP}$")] = None,
    rendition: Annotated[str, Query(pattern=f"^{RENDITION}$")] = "full",
    age_ms: Annotated[float | None, Query(ge=0, le=MOST_AGE_MS, allow_inf_nan=False)] = None,
    frame: Annotated[int, Query(ge=1, le=MOST_BURST)] = 1,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=MOST_KEY)] = None,
) -> Response:
    """Takes the image as the body, or as the one file of a form; durable before it answers."""
    wanted = Wanted(number, snap, rendition, age_ms, idempotency_key, frame)
    return await store(request, identity, wanted)


async def store(request: Request, identity: Identity, wanted: Wanted) -> Response:
    """Makes the picture in a request durable, with its rows, and says so."""
    parts = parts_of(request)
    note(request, snap=wanted.snap)
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise RequestError("a picture has one Idempotency-Key")
    await slots_of(request).check(wanted.number, identity)
    received_at, began = time.time(), time.monotonic()
    receiver: Receiver = request.app.state.receiver
    received = await receiver.receive(request, str(uuid7()), identity.token_id)
    body_ms = (time.monotonic() - began) * 1000
    upload = uploads.Upload(
        id=received.key,
        snippet=wanted.number,
        snap=wanted.snap,
        name=wanted.rendition,
        sha256=received.sha256,
        size_bytes=received.size_bytes,
        media_type=received.image.media_type,
        width=received.image.width,
        height=received.image.height,
        idempotency_key=wanted.idempotency_key,
        frame=wanted.frame,
        received_at=received_at,
        age_ms=wanted.age_ms,
        # The age was true when the request left; how long it travelled is not known, but no
        # longer than it took to arrive here whole.
        uncertainty_ms=None if wanted.age_ms is None else round(body_ms, 3),
    )
    taken = await _take(parts, upload)
    note(request, picture=taken.picture.id, camera=taken.picture.camera)
    if taken.picture_is_new:
        parts.counts.pictures += 1
        camera = taken.picture.camera
        shown = wanted.frame == 1
        parts.bus.publish(PictureUploaded(taken.picture.ref(), camera, wanted.snap, shown))
    return answer(taken.picture, 201 if taken.new else 200)


@router.get("/snippets", summary="Every slot with its newest picture")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists the slots by number."""
    slots = await parts.database.read(snippets.all_slots)
    ids = [slot.picture_id for slot in slots if slot.picture_id]
    found = await parts.database.read(lambda c: pictures.by_ids(c, ids))
    return answer([_snippet(slot, found) for slot in slots])


@router.get("/snippets/{number}", summary="A slot with its newest picture")
async def one(number: int, parts: Used, identity: Reader) -> Response:
    """Shows one slot."""
    slot = await parts.database.read(lambda c: snippets.slot(c, number))
    ids = [slot.picture_id] if slot.picture_id else []
    return answer(_snippet(slot, await parts.database.read(lambda c: pictures.by_ids(c, ids))))


@router.get("/snippets/{number}/image", summary="A slot's newest image")
async def image(number: int, request: Request, parts: Used, identity: Reader) -> Response:
    """Answers the bytes; unlike a picture's own image they change."""
    slot = await parts.database.read(lambda c: snippets.slot(c, number))
    if slot.picture_id is None:
        raise NotFound(f"snippet {number} has no picture yet")
    picture_id = slot.picture_id
    blob = await parts.database.read(lambda c: pictures.blob(c, picture_id, "full"))
    return image_response(request, parts.blobs, blob, immutable=False)


async def _take(parts: Used, upload: uploads.Upload) -> uploads.Taken:
    """Writes the rows; a blob that no row refers to afterwards is deleted.

    Not so when this is cancelled: the transaction may be on its way to the disk, and a blob too
    many is better than a row without one.
    """
    try:
        taken = await parts.database.write(lambda c: uploads.take(c, upload))
    except (RequestError, DiskFull):  # it was refused, so no row refers to the blob
        parts.blobs.delete(upload.id)
        raise
    # After another StoreError it stays: the commit may have reached the disk all the same, and a
    # blob too many is found by `doctor`, while one too few is a picture lost.
    if not taken.new:
        parts.blobs.delete(upload.id)
    return taken


def _snippet(slot: snippets.Slot, found: dict[str, Picture]) -> Snippet:
    return Snippet(slot.number, slot.camera, found.get(slot.picture_id or ""))
