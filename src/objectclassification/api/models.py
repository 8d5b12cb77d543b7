"""``/api/models``: models beside the shipped one, and which camera uses which."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Path, Request
from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response
from uuid_utils import uuid7

from objectclassification.api.access import Admin, Reader, Used, answer, body_of, json_body
from objectclassification.bounds import MODEL_NAME_PATTERN
from objectclassification.classification.engines.card import MOST_CARD_BYTES, WantedEngine
from objectclassification.classification.trial import MOST_BYTES, try_model
from objectclassification.detection import Task
from objectclassification.errors import (
    BadMessage,
    Busy,
    Conflict,
    DiskFull,
    ModelError,
    StoreError,
    TooLarge,
)
from objectclassification.messages import Name
from objectclassification.receipts import rfc3339
from objectclassification.store import elsewhere, models
from objectclassification.store.blobs import NO_SPACE, Incoming

PIECE_BYTES = 2**20
"""What is written in one hop to a thread."""

ModelName = Annotated[str, Path(pattern=MODEL_NAME_PATTERN)]

T = TypeVar("T")

router = APIRouter(prefix="/api/models", tags=["models"])
log = structlog.get_logger(__name__)


class ModelShown(msgspec.Struct, frozen=True):
    """A model that was added.

    Attributes:
        id: its name.
        sha256: of its file, hexadecimal; it is with every prediction.
        task: what it does; a camera has one model for each task.
        size_bytes: of its file.
        added_at: RFC 3339, UTC.
        cameras: that use it by name.
        by_every_other: whether every camera without a model of its own for that uses it.
        address: where an engine has it; None: it is a file.
        away: why its engine is not ready with it now; None: it is, or it is a file.
    """

    id: str
    sha256: str
    task: Task
    size_bytes: int
    added_at: str
    cameras: tuple[str, ...]
    by_every_other: bool
    address: str | None = None
    away: str | None = None


class UseWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cameras use a model.

    Attributes:
        cameras: their names; none is every camera without a model of its own for its task.
        task: for the name `shipped`: of which task it is meant; None is both. Another model has
            one of its own.
    """

    cameras: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    task: Task | None = None


@router.get("", summary="The models that were added")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists them by name; a camera that is in none of them uses the shipped one."""
    return answer(await _all(parts))


@router.put("/{model_id}", summary="Add a model")
async def add(model_id: ModelName, request: Request, parts: Used, identity: Admin) -> Response:
    """Takes an ONNX file in the form that `objectclassification models add` gives it, or as
    `application/json` what is known of a model that an engine has at an address; and tries it on a
    picture first. One that fails changes nothing. The same name and bytes again are fine.
    """
    async with _alone(request):
        try:
            taken = await _take(request, parts, model_id)
        except OSError as exc:
            if exc.errno in NO_SPACE:
                raise DiskFull from exc
            raise StoreError(f"the model cannot be written: {exc.strerror}") from exc
        try:
            is_new = await parts.database.write(
                lambda c: models.add(c, model_id, taken, at=time.time())
            )
        except Conflict:
            if taken.sha256 not in await parts.database.read(models.blobs):
                parts.blobs.delete(taken.sha256)
            raise
    parts.engines.watch(await parts.database.read(models.addresses))
    log.info(
        "a model was added",
        model=model_id,
        sha256=taken.sha256,
        task=taken.task,
        engine=taken.address,
    )
    return answer(await _find(parts, model_id), 201 if is_new else 200)


@router.post("/{model_id}/use", summary="Have cameras use a model")
async def use(model_id: ModelName, request: Request, parts: Used, identity: Admin) -> Response:
    """From their next picture on; pictures that wait are looked at with it, too. A camera has a
    classifier and a detector, and keeps one when the other is exchanged. The name `shipped` is the
    models that come with the server, or the one of them for `task`."""
    wanted = _decoded(await json_body(request), UseWanted, "a use of a model")

    def work(connection: Connection) -> None:
        models.use(connection, model_id, wanted.cameras, task=wanted.task)
        elsewhere.sort_again(connection)

    await parts.database.write(work)
    log.info("a model is used", model=model_id, cameras=wanted.cameras or "every other")
    return answer(await _all(parts))


@router.delete("/{model_id}", summary="Remove a model that no camera uses")
async def remove(model_id: ModelName, request: Request, parts: Used, identity: Admin) -> Response:
    """Its predictions stay, with its name and hash."""
    async with _alone(request):
        key = await parts.database.write(lambda c: models.remove(c, model_id))
        await asyncio.to_thread(parts.blobs.delete, key)
    parts.engines.watch(await parts.database.read(models.addresses))
    log.info("a model was removed", model=model_id, sha256=key)
    return Response(status_code=204)


@asynccontextmanager
async def _alone(request: Request) -> AsyncIterator[None]:
    """One at a time: each is tried in a child of its own."""
    lock: asyncio.Lock = request.app.state.models
    if lock.locked():
        raise Busy("another model is being added or removed")
    async with lock:
        yield


async def _take(request: Request, parts: Used, model_id: str) -> models.Taken:
    """Brings the model to the disk and tries it; says what it is."""
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        return await _take_engine(request, parts, model_id)
    length = request.headers.get("content-length", "")
    wanted = int(length) if length.isdecimal() else 0
    _check_size(wanted)
    parts.blobs.check_room(wanted)
    incoming = parts.blobs.create(str(uuid7()))
    try:
        await _receive(request, incoming)
        if not await asyncio.to_thread(_may_be_onnx, incoming):
            raise ModelError("this is not a model: an ONNX file was expected")
        settings = parts.settings
        tried = await try_model(
            incoming.path, timeout_s=settings.classify_timeout_s, device=settings.device
        )
        if tried.model_id != model_id:
            raise ModelError(f"the file says that it is called {tried.model_id!r}: use that name")
        key = incoming.sha256
        await asyncio.to_thread(parts.blobs.keep, incoming, key)
        return models.Taken(key, incoming.size, tried.task)
    finally:
        incoming.discard()


async def _take_engine(request: Request, parts: Used, model_id: str) -> models.Taken:
    content = bytearray()
    async for chunk in body_of(request):
        content += chunk
        if len(content) > MOST_CARD_BYTES:
            limit = MOST_CARD_BYTES // 2**20
            detail = f"what is known of a model has at most {limit} MiB"
            raise TooLarge(detail, limit=MOST_CARD_BYTES, unit="bytes")
    wanted = _decoded(bytes(content), WantedEngine, "a model at an engine")
    card = await parts.engines.adopt(model_id, wanted)
    key, stored = card.sha256, card.encoded()
    if key not in await parts.database.read(models.blobs):
        await asyncio.to_thread(parts.blobs.put, key, stored)
    return models.Taken(key, len(stored), "classification", card.address)


async def _receive(request: Request, incoming: Incoming) -> None:
    piece, size = bytearray(), 0
    async for chunk in body_of(request):
        size += len(chunk)
        _check_size(size)
        piece += chunk
        if len(piece) >= PIECE_BYTES:
            await asyncio.to_thread(incoming.write, bytes(piece))
            piece.clear()
    await asyncio.to_thread(incoming.write, bytes(piece))
    await asyncio.to_thread(incoming.flush)


def _may_be_onnx(incoming: Incoming) -> bool:
    """Whether it begins as ONNX's protobuf does, with its version: noise costs no child."""
    with incoming.path.open("rb") as stream:
        return stream.read(1) == b"\x08"


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        limit = MOST_BYTES // 2**20
        raise TooLarge(f"a model has at most {limit} MiB", limit=MOST_BYTES, unit="bytes")


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadMessage(f"not {what}: {exc}"[:256]) from exc


async def _find(parts: Used, model_id: str) -> ModelShown:
    return next(model for model in await _all(parts) if model.id == model_id)


async def _all(parts: Used) -> list[ModelShown]:
    away = await parts.engines.look()
    return [
        _shown(model, away.get(model.address) if model.address else None)
        for model in await parts.database.read(models.every)
    ]


def _shown(model: models.StoredModel, away: str | None) -> ModelShown:
    return ModelShown(
        id=model.id,
        sha256=model.sha256,
        task=model.task,
        size_bytes=model.size_bytes,
        added_at=rfc3339(model.added_at),
        cameras=model.cameras,
        by_every_other=model.by_every_other,
        address=model.address,
        away=away,
    )
