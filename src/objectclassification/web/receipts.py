"""What came of the recent snaps: their shots, how long each stage took, and what went wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.cameras import waits_until
from objectclassification.receipts import Receipt, Shot
from objectclassification.store import snaps, snippets
from objectclassification.store.snaps import context_text
from objectclassification.web.cameras import PHONE
from objectclassification.web.pages import PageRoute, render
from objectclassification.web.texts import texts_of
from objectclassification.web.waterfall import Bar, span_ms, waterfall

router = APIRouter(include_in_schema=False, route_class=PageRoute)

A_PAGE: Final = 20
"""Receipts."""
MOST_SHOTS: Final = 4
"""Of each receipt on the list."""
MOST_SHOTS_ALONE: Final = 500
"""Of a receipt on its own page."""


@dataclass(frozen=True, slots=True)
class Row:
    """A shot with its bars."""

    shot: Shot
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt as it is shown.

    Attributes:
        receipt: all of it.
        until: when it ends at the latest, RFC 3339, UTC.
        rows: its first shots, those that failed before the others.
        more: how many shots are not among them.
        context: what its caller gave with it: name, text, and the address of a search for all
            that have the same, where that can be searched for.
    """

    receipt: Receipt
    until: str
    rows: tuple[Row, ...]
    more: int
    context: tuple[tuple[str, str, str | None], ...]


@router.get("/snaps")
async def recent(
    request: Request,
    parts: Used,
    identity: Reader,
    context: Annotated[str, Query(max_length=1024)] = "",
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    waiting: bool = False,
) -> Response:
    """The recent ones, newest first; ``context=order=4711`` shows those that were given that.

    ``waiting=1`` shows those that wait for cameras, the oldest first.
    """
    key, equals, value = context.partition("=")
    wanted = {key.strip(): value.strip()} if equals else {}
    found: list[Receipt] = []
    if waiting:
        found = parts.waiting(A_PAGE)
    elif not context or equals:
        found = await parts.database.read(
            lambda c: snaps.recent(c, context=wanted, before=cursor, limit=A_PAGE + 1)
        )
    page = [parts.snaps.receipt(one.snap) or one for one in found[:A_PAGE]]
    older = urlencode({"context": context, "cursor": page[-1].snap}) if found[A_PAGE:] else None
    return render(
        request,
        identity,
        "receipts",
        entries=[_entry(one, MOST_SHOTS) for one in page],
        context=context,
        odd=bool(context) and not equals,
        older=older,
        newest=cursor is None,
        waiting=waiting,
    )


@router.get("/snaps/{snap_id}")
async def one(snap_id: str, request: Request, parts: Used, identity: Reader) -> Response:
    """One with all its shots."""
    receipt = parts.snaps.receipt(snap_id)
    if receipt is None:
        receipt = await parts.database.read(lambda c: snaps.receipt(c, snap_id))
    cameras = await parts.database.read(snippets.all_cameras)
    return render(
        request,
        identity,
        "receipt",
        entry=_entry(receipt, MOST_SHOTS_ALONE),
        receipt=receipt,
        phones={camera.name for camera in cameras if camera.source == PHONE},
        s=texts_of("receipts"),
    )


def _entry(receipt: Receipt, most: int) -> Entry:
    failed_first: Sequence[Shot] = sorted(receipt.shots, key=lambda shot: shot.error is None)
    whole_ms = max(span_ms(receipt.shots), receipt.elapsed_ms or 0)
    rows = tuple(Row(shot, waterfall(shot, whole_ms)) for shot in failed_first[:most])
    context = tuple(
        (key, text if text is not None else json.dumps(value, ensure_ascii=False), search)
        for key, value in receipt.context.items()
        for text in (context_text(value),)
        for search in (None if text is None else urlencode({"context": f"{key}={text}"}),)
    )
    return Entry(receipt, waits_until(receipt), rows, len(receipt.shots) - len(rows), context)
