"""One picture: what is on it, how it came, and what people say of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.export import upright_size
from objectclassification.api.similar import Neighbour, Searches
from objectclassification.errors import RequestError
from objectclassification.receipts import Prediction, Receipt, Shot
from objectclassification.store import heads, history, pictures, snaps
from objectclassification.web.asked import Asked
from objectclassification.web.pages import PageRoute, render
from objectclassification.web.sources import slot_of
from objectclassification.web.waterfall import span_ms, waterfall

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SIMILAR: Final = 12
_LEFT_FROM: Final = 0.6
"""A box that begins right of this has its label's end at its right side: there is more room."""


class Box(msgspec.Struct, frozen=True):
    """A box over the image, in percent of its width and height, and where its label is."""

    label: str
    score: float
    classified: str | None
    x: float
    y: float
    width: float
    height: float
    text_x: float
    text_end: bool
    inside: bool


@router.get("/pictures/{picture_id}")
async def picture(
    picture_id: str, request: Request, parts: Used, identity: Reader, similar: str = ""
) -> Response:
    """A picture among those that the history was asked for; ``similar=1`` looks for others."""
    asked = Asked.of(request.query_params)
    shown = await parts.database.read(lambda c: pictures.get(c, picture_id))
    newer, older = await parts.database.read(
        lambda c: history.neighbours(c, asked.filter, picture_id)
    )
    snap = shown.snap
    receipt = None if snap is None else await parts.database.read(lambda c: snaps.find(c, snap))
    sha256 = parts.teacher.model_sha256
    taught = await parts.database.read(lambda c: heads.every(c, sha256))
    near: dict[str, Any] = await _similar(request, picture_id) if similar else {}
    width, height = upright_size(shown)
    return render(
        request,
        identity,
        "picture",
        asked=asked,
        picture=shown,
        full=shown.ref(),
        width=width,
        height=height,
        sizes=slot_of(width, height),
        whole=[found for found in shown.predictions if found.box is None],
        boxes=[_box(found) for found in shown.predictions if found.box is not None],
        shot=(shot := _shot(receipt, shown.camera)),
        stages=waterfall(shot, span_ms([shot])) if shot else (),
        newer=newer,
        older=older,
        heads=taught,
        classes=sorted({found.label for found in shown.predictions if len(found.label) <= 64}),
        near=near,
    )


async def _similar(request: Request, picture_id: str) -> dict[str, Any]:
    searches: Searches = request.app.state.searches
    try:
        found = await searches.search(picture_id, None, SIMILAR)
    except RequestError as exc:
        return {"why": exc.detail}
    nearest: tuple[Neighbour, ...] = found.similar
    return {"pictures": nearest}


def _shot(receipt: Receipt | None, camera: str | None) -> Shot | None:
    shots = receipt.shots if receipt else ()
    return next((shot for shot in shots if shot.camera == camera), None)


def _box(found: Prediction) -> Box:
    left, top, right, bottom = found.box or (0.0, 0.0, 0.0, 0.0)
    ends = left > _LEFT_FROM
    return Box(
        label=found.label,
        score=found.score,
        classified=found.classified.label if found.classified else None,
        x=round(100 * left, 3),
        y=round(100 * top, 3),
        width=round(100 * (right - left), 3),
        height=round(100 * (bottom - top), 3),
        text_x=round(100 * (right if ends else left), 3),
        text_end=ends,
        inside=top < 0.06,
    )
