"""``/api/heads``: questions that this server was taught, and how good they are."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request
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
from objectclassification.errors import BadMessage, NotFound
from objectclassification.heads import Teaching
from objectclassification.messages import is_name
from objectclassification.store import heads

router = APIRouter(prefix="/api/heads", tags=["heads"])


class Activation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version is to answer."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


@router.get("", summary="The heads")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists what was taught or labelled for, with the versions that answer."""
    return answer(await parts.teacher.every())


@router.get("/{name}", summary="One head")
async def one(name: str, parts: Used, identity: Reader) -> Response:
    """Shows how many pictures are labelled for it, and which version answers."""
    for found in await parts.teacher.every():
        if found.name == name:
            return answer(found)
    raise NotFound(f"no head {name!r} was taught or labelled for")


@router.get("/{name}/versions", summary="A head's versions, newest first")
async def versions(
    name: str,
    parts: Used,
    identity: Reader,
    limit: Annotated[int, Query(ge=1, le=heads.MOST_VERSIONS)] = 10,
) -> Response:
    """Lists them with their evidence."""
    model = parts.teacher.model_sha256
    return answer(await parts.database.read(lambda c: heads.versions(c, name, model, limit=limit)))


@router.post("/{name}/versions", summary="Teach a head")
async def teach(name: str, request: Request, parts: Used, identity: Labeller) -> Response:
    """Fits a new version to the labelled pictures, and shows its evidence; it is not on yet."""
    wanted = read_json(Teaching, await json_body(request), "what a head is to learn")
    if not is_name(name):
        raise BadMessage(f"{name[:64]!r} cannot be the name of a head")
    note(request, head=name)
    return answer(await parts.teacher.teach(name, wanted, token_id=identity.token_id), 201)


@router.get("/{name}/versions/{number}", summary="One version")
async def version(
    name: str,
    number: Annotated[int, Path(ge=1, le=2**31 - 1)],
    parts: Used,
    identity: Reader,
) -> Response:
    """Shows a version with its evidence."""
    model = parts.teacher.model_sha256
    return answer(await parts.database.read(lambda c: heads.version(c, name, number, model)))


@router.post("/{name}/activate", summary="Switch a version on")
async def activate(name: str, request: Request, parts: Used, identity: Labeller) -> Response:
    """Has it answer from now on, in place of the one that does."""
    number = read_json(Activation, await json_body(request), "a version's number").version
    note(request, head=name)
    return answer(await parts.teacher.activate(name, number, token_id=identity.token_id))


@router.post("/{name}/rollback", summary="Switch back")
async def roll_back(name: str, request: Request, parts: Used, identity: Labeller) -> Response:
    """Has the version answer that did before; before the first, none does."""
    note(request, head=name)
    return answer(await parts.teacher.roll_back(name))


@router.get("/{name}/suggestions", summary="Which pictures to label next")
async def suggestions(
    name: str,
    parts: Used,
    identity: Reader,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Response:
    """Lists, by turns, the closest calls and what is most different from all labelled pictures."""
    return answer(await parts.teacher.suggest(name, camera, limit))
