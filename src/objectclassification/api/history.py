"""``/api/pictures/counts``, ``/scores`` and ``/export``: the history as a whole."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from objectclassification.api import export
from objectclassification.api.access import Reader, Used, answer
from objectclassification.api.filters import Filtered
from objectclassification.api.parts import Parts
from objectclassification.errors import BadMessage
from objectclassification.receipts import rfc3339
from objectclassification.store import days, history
from objectclassification.store.days import DAY_S
from objectclassification.store.pictures import Filter

router = APIRouter(prefix="/api/pictures", tags=["pictures"])

DAYS: Final = 30
"""Counted unless ``since`` says otherwise."""
MOST_DAYS: Final = 366
MOST_SCORES: Final = 1000
MOST_NAMED: Final = 1000
"""Pictures that an export names one by one: their ids are 45 kB of an address."""

Zone = Annotated[int, Query(ge=-840, le=840)]
"""Minutes by which the reader's zone is ahead of UTC."""


class DayCounts(msgspec.Struct, frozen=True):
    """How many pictures were captured on a day.

    Attributes:
        day: as ``2026-11-25``, in the zone that was asked for.
        pictures: how many.
        labels: of these by their best label, the most frequent first; those without a label are
            in none of them.
    """

    day: str
    pictures: int
    labels: dict[str, int]


class ScoreShown(msgspec.Struct, frozen=True):
    """A label's score on a picture; ``captured_at`` is RFC 3339, UTC."""

    picture: str
    captured_at: str
    score: float


class ScorePage(msgspec.Struct, frozen=True):
    """Scores, newest first; ``cursor`` is for the next page, None on the last one."""

    scores: tuple[ScoreShown, ...]
    cursor: str | None


@router.get("/counts", summary="How many pictures a day, by label")
async def counts(parts: Used, identity: Reader, wanted: Filtered, zone_min: Zone = 0) -> Response:
    """Counts by best label, the first day first; days without pictures are left out."""
    return answer(await count_days(parts, wanted, zone_min))


@router.get("/scores", summary="A label's scores over time")
async def scores(
    parts: Used,
    identity: Reader,
    wanted: Filtered,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_SCORES)] = 100,
) -> Response:
    """Lists a label's scores, newest first; of several on one picture the best."""
    if wanted.label is None:
        raise BadMessage("whose scores? Say it with label=…")
    found = await list_scores(parts, wanted, before=cursor, limit=limit + 1)
    more = len(found) > limit
    page = tuple(found[:limit])
    return answer(ScorePage(page, page[-1].picture if more else None))


@router.get("/export", summary="Pictures as a file")
async def exported(
    parts: Used,
    identity: Reader,
    wanted: Filtered,
    format: Literal["zip", "csv", "coco"],
    picture: Annotated[list[str] | None, Query(max_length=MOST_NAMED)] = None,
) -> Response:
    """Streams what the filter leaves, or the pictures that are named, as an attachment."""
    ids = picture or await parts.database.read(lambda c: history.ids(c, wanted))
    made_at = time.time()
    stream: Any = {"zip": export.as_zip, "csv": export.as_csv, "coco": export.as_coco}[format]
    suffix, media_type = {
        "zip": ("zip", "application/zip"),
        "csv": ("csv", "text/csv; charset=utf-8"),
        "coco": ("coco.json", "application/json"),
    }[format]
    name = f"pictures-{datetime.fromtimestamp(made_at, UTC):%Y%m%dT%H%M%SZ}.{suffix}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
    }
    pieces = stream(parts.database, parts.blobs, ids, made_at=made_at)
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


async def count_days(parts: Parts, wanted: Filter, zone_min: int) -> list[DayCounts]:
    """Counts by day and label: of the last :data:`DAYS`, unless the filter says since when.

    Raises:
        BadMessage: more than :data:`MOST_DAYS`.
    """
    until = wanted.until or time.time()
    since = wanted.since
    if since is None:
        since = _midnight(until, zone_min) - (DAYS - 1) * DAY_S
    if until - since > MOST_DAYS * DAY_S:
        raise BadMessage(f"at most {MOST_DAYS} days are counted: say since when, and until when")
    # Until the end of today: nothing that is stored was captured later.
    whole = replace(wanted, since=since, until=wanted.until or _midnight(until, zone_min) + DAY_S)
    rows = await parts.database.read(lambda c: days.counts(c, whole, zone_s=zone_min * 60))
    by_day: dict[int, dict[str | None, int]] = {}
    for row in rows:
        by_day.setdefault(row.day, {})[row.label] = row.pictures
    return [
        DayCounts(
            day=f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day):%Y-%m-%d}",
            pictures=sum(found.values()),
            labels={
                name: number
                for name, number in sorted(found.items(), key=lambda one: -one[1])
                if name is not None
            },
        )
        for day, found in by_day.items()
    ]


async def list_scores(
    parts: Parts, wanted: Filter, *, before: str | None, limit: int
) -> list[ScoreShown]:
    """Lists the scores of the filter's label, newest first."""
    rows = await parts.database.read(
        lambda c: history.scores(c, wanted, before=before, limit=limit)
    )
    return [ScoreShown(row.picture_id, rfc3339(row.captured_at), row.score) for row in rows]


def _midnight(at: float, zone_min: int) -> float:
    local = at + zone_min * 60
    return local - local % DAY_S - zone_min * 60
