"""``/api/snaps``: take pictures now, and what came of it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Snapper, Used, answer, json_body, note
from objectclassification.errors import BadMessage, NotFound
from objectclassification.messages import read_snap_request
from objectclassification.receipts import Receipt
from objectclassification.store import snaps

MOST_A_PAGE = 200

router = APIRouter(prefix="/api/snaps", tags=["snaps"])


class ReceiptPage(msgspec.Struct, frozen=True):
    """A page of receipts.

    Attributes:
        snaps: newest first.
        cursor: for the next page; None on the last one.
    """

    snaps: tuple[Receipt, ...]
    cursor: str | None


@router.post("", summary="Snap")
async def snap(request: Request, parts: Used, identity: Snapper, wait: bool = False) -> Response:
    """Starts a snap: 202 with its receipt, or with ``?wait=1`` 200 when it is done."""
    wanted = read_snap_request(await json_body(request))
    note(request, snap=wanted.id)
    receipt = await parts.snaps.snap(wanted, identity)
    note(request, snap=receipt.snap)
    if not wait or receipt.done:
        return answer(receipt, 200 if receipt.done else 202)
    try:
        return answer(await parts.snaps.wait_done(receipt.snap))
    except NotFound:  # it ended in between: then it is stored
        return answer(await parts.database.read(lambda c: snaps.receipt(c, receipt.snap)))


@router.get("", summary="The recent snaps")
async def recent(
    parts: Used,
    identity: Reader,
    context: Annotated[list[str] | None, Query(max_length=8)] = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = 50,
    waiting: bool = False,
) -> Response:
    """Lists receipts, newest first; ``context=key=value`` may be given more than once.

    With ``waiting=1`` those that wait for cameras which are away, the oldest first, on one page.
    """
    if waiting:
        return answer(ReceiptPage(tuple(parts.waiting(limit)), None))
    wanted = dict(_pair(text) for text in context or ())
    found = await parts.database.read(
        lambda c: snaps.recent(c, context=wanted, before=cursor, limit=limit + 1)
    )
    more = len(found) > limit
    page = tuple(parts.snaps.receipt(receipt.snap) or receipt for receipt in found[:limit])
    return answer(ReceiptPage(page, page[-1].snap if more else None))


@router.get("/{snap_id}", summary="A receipt")
async def one(snap_id: str, parts: Used, identity: Reader) -> Response:
    """Shows a snap with all its shots, live or ended."""
    live = parts.snaps.receipt(snap_id)
    return answer(live or await parts.database.read(lambda c: snaps.receipt(c, snap_id)))


@router.delete("/{snap_id}", summary="Cancel a snap")
async def cancel(snap_id: str, request: Request, parts: Used, identity: Snapper) -> Response:
    """Ends a live snap; one that has ended stays as it is."""
    note(request, snap=snap_id)
    if parts.snaps.receipt(snap_id) is not None:
        parts.snaps.cancel(snap_id, identity)
        try:
            return answer(await parts.snaps.wait_done(snap_id))
        except NotFound:  # it ended in between: then it is stored
            pass
    return answer(await parts.database.read(lambda c: snaps.receipt(c, snap_id)))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BadMessage("context is searched as context=key=value")
    return key, value
