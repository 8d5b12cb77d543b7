"""``/api/deletions``: pictures that were deleted, for as long as that can be undone."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta
from starlette.responses import Response

from objectclassification.api.access import Admin, Used, answer, json_body, note, read_json
from objectclassification.api.parts import Parts
from objectclassification.bus import PicturesDeleted, PicturesRestored
from objectclassification.receipts import rfc3339
from objectclassification.store import deletions

router = APIRouter(prefix="/api/deletions", tags=["pictures"])


class DeletionWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which pictures are to go."""

    pictures: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...],
        Meta(min_length=1, max_length=deletions.MOST_DELETED),
    ]


class DeletionShown(msgspec.Struct, frozen=True):
    """Pictures that were deleted together.

    Attributes:
        id: to undo it with.
        pictures: how many.
        deleted_at: RFC 3339, UTC.
        until: when they are gone for good, RFC 3339, UTC.
        token_id: whose word it was.
    """

    id: str
    pictures: int
    deleted_at: str
    until: str
    token_id: str


@router.post("", summary="Delete pictures")
async def delete(request: Request, parts: Used, identity: Admin) -> Response:
    """Hides them everywhere at once; for a day it can be undone. Those that are gone already are
    passed over.
    """
    wanted = read_json(DeletionWanted, await json_body(request), "pictures to delete").pictures
    now = time.time()
    made, ids = await parts.database.write(
        lambda c: deletions.delete(c, wanted, at=now, token_id=identity.token_id)
    )
    note(request, deletion=made.id)
    parts.bus.publish(PicturesDeleted(tuple(ids)))
    return answer(_shown(made), 201)


@router.get("", summary="What was deleted and can be undone")
async def every(parts: Used, identity: Admin) -> Response:
    """Lists the deletions of the last day, newest first."""
    return answer(await list_deletions(parts))


@router.delete("/{deletion_id}", summary="Undo a deletion")
async def undo(deletion_id: str, request: Request, parts: Used, identity: Admin) -> Response:
    """Shows its pictures again."""
    note(request, deletion=deletion_id)
    ids = await parts.database.write(lambda c: deletions.undo(c, deletion_id))
    parts.bus.publish(PicturesRestored(tuple(ids)))
    return Response(status_code=204)


async def list_deletions(parts: Parts) -> list[DeletionShown]:
    """Returns those that can be undone, newest first."""
    since = time.time() - deletions.UNDO_S
    rows = await parts.database.read(lambda c: deletions.recent(c, since=since))
    return [_shown(row) for row in rows]


def _shown(one: deletions.Deletion) -> DeletionShown:
    return DeletionShown(
        id=one.id,
        pictures=one.pictures,
        deleted_at=rfc3339(one.deleted_at),
        until=rfc3339(one.deleted_at + deletions.UNDO_S),
        token_id=one.token_id,
    )
