"""Every camera with its newest picture, what is on it, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.cameras import Camera, list_cameras
from objectclassification.receipts import Answer, Found, Freshness, Prediction
from objectclassification.store import snaps
from objectclassification.web.pages import PageRoute, render
from objectclassification.web.texts import SHARED, texts_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MOST_LABELS: Final = 3
"""On a tile; the picture's own page has them all."""

PICTURE: Final = "/pictures/{id}"
"""Where a tile's picture leads."""

PHONE: Final = "browser"
"""What a phone's page says that its source is (``static/phone-camera.js``)."""

Lines = tuple[tuple[str, float | None], ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A camera as it is shown.

    Attributes:
        camera: what the API says of it.
        freshness: of its newest picture.
        lines: what is on that: texts with their scores, the best first; no answer has none.
        fits: whether the filter lets it through.
    """

    camera: Camera
    freshness: Freshness | None
    lines: Lines
    fits: bool


@router.get("/")
async def cameras(
    request: Request,
    parts: Used,
    identity: Reader,
    q: Annotated[str, Query(max_length=256)] = "",
    state: Annotated[str, Query(max_length=16)] = "",
) -> Response:
    """A tile for each; ``q`` is looked for in names, groups and labels."""
    found = await list_cameras(parts)
    newest = [camera.picture for camera in found if camera.picture is not None]
    fresh = await parts.database.read(lambda c: snaps.freshness(c, newest))
    tiles = [_tile(camera, fresh, q, state) for camera in found]
    address = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return render(
        request,
        identity,
        "cameras",
        tiles=tiles,
        q=q,
        state=state,
        address=address,
        picture_page=PICTURE,
        phone=PHONE,
    )


def _tile(camera: Camera, fresh: dict[str, Freshness], q: str, wanted_state: str) -> Tile:
    picture = camera.picture
    lines = lines_of(picture.found) if picture is not None else ()
    words = " ".join((camera.name, *camera.groups, *(text for text, _ in lines)))
    return Tile(
        camera=camera,
        freshness=fresh.get(picture.id) if picture is not None else None,
        lines=lines,
        fits=q.casefold() in words.casefold() and wanted_state in ("", camera.state),
    )


def lines_of(found: Found) -> Lines:
    """What a tile says is on a picture: the answers of heads, then the best labels."""
    answers = [_line_of(answer) for answer in found.answers]
    # A thing that is there ten times is one line.
    best: dict[str, Prediction] = {}
    for prediction in found.predictions:
        best.setdefault(prediction.label, prediction)
    labels = [(one.label, one.score) for one in best.values()]
    return (*answers, *labels[:MOST_LABELS])


def _line_of(answer: Answer) -> tuple[str, float | None]:
    if answer.class_ is not None:
        return f"{answer.head}: {answer.class_}", answer.score
    # The score of what it nearly said would make it look sure of that.
    why: str = getattr(texts_of(SHARED), f"abstains_{answer.abstains or 'close'}")
    return f"{answer.head}: {why}", None
