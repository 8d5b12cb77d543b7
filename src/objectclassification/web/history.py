"""Every picture there is: a gallery with filters, counts a day, and a label's scores."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.deletions import list_deletions
from objectclassification.api.history import DAYS, MOST_DAYS, count_days, list_scores
from objectclassification.store import pictures, snippets
from objectclassification.web.asked import Asked
from objectclassification.web.charts import dots, timeline
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)

TILES: Final = 60
"""On a page: some screens of a phone, two of a desk's. It divides by 2, 3, 4, 5 and 6 columns."""
DOTS: Final = 400


@router.get("/history")
async def history(
    request: Request, parts: Used, identity: Reader, cursor: str | None = None
) -> Response:
    """The gallery with its filters; ``part=tiles`` is what scrolling asks for."""
    asked = Asked.of(request.query_params)
    wanted = asked.filter
    found = await parts.database.read(
        lambda c: pictures.history(c, wanted, before=cursor or None, limit=TILES + 1)
    )
    older = found[TILES - 1].id if len(found) > TILES else None
    gallery: dict[str, Any] = {
        "asked": asked,
        "pictures": found[:TILES],
        "older": older and asked.query(cursor=older),
    }
    if request.query_params.get("part") == "tiles":
        return render(request, identity, "history", template="tiles", **gallery)
    first, last = _days(asked)
    counted = await count_days(parts, _within(asked, first, last).filter, asked.zone_min)
    scores = await list_scores(parts, wanted, before=None, limit=DOTS) if asked.label else []
    cameras = await parts.database.read(snippets.all_cameras)
    return render(
        request,
        identity,
        "history",
        **gallery,
        is_first=not cursor,
        cameras=[camera.name for camera in cameras],
        groups=sorted({group for camera in cameras for group in camera.groups}),
        days=timeline(counted, first, last),
        dots=dots(scores),
        scores=scores,
        deletions=await list_deletions(parts) if identity.may("admin") else [],
    )


def _days(asked: Asked) -> tuple[date, date]:
    """The first and the last day of the timeline."""
    today = datetime.fromtimestamp(time.time() + asked.zone_min * 60, UTC).date()
    last = date.fromisoformat(asked.until) if asked.until else today
    earliest = last - timedelta(days=MOST_DAYS - 1)
    if asked.since:
        return min(max(date.fromisoformat(asked.since), earliest), last), last
    return last - timedelta(days=DAYS - 1), last


def _within(asked: Asked, first: date, last: date) -> Asked:
    return msgspec.structs.replace(asked, since=first.isoformat(), until=last.isoformat())
