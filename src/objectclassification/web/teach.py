"""Your own classes: a question, its pictures, what was taught and how good it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.parts import Parts
from objectclassification.errors import BadMessage, NotFound
from objectclassification.heads import HeadShown, Version, clean_class
from objectclassification.messages import is_name
from objectclassification.receipts import Picture
from objectclassification.store import heads, pictures, snippets
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)

ENOUGH: Final = 5
"""Pictures of a class: with fewer the evidence has a finding, ``too_few``."""
MOST_VERSIONS: Final = 20
"""On one page, the newest."""
MOST_EXAMPLES: Final = 24
"""Pictures of one kind in the evidence."""

Lines = Annotated[str, Query(max_length=4096)]
"""Classes that have no picture yet, one a line."""
CameraName = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A head as its page shows it.

    Attributes:
        name: the question.
        classes: how many pictures have each label; classes of the address and of the newest
            version are among them.
        camera: whose pictures are labelled; empty is every camera's.
        shown: what the API says of it; None while nothing is labelled for it.
        versions: the newest first.
        example: a picture to draw a crop on.
    """

    name: str
    classes: dict[str, int]
    camera: str
    shown: HeadShown | None
    versions: tuple[Version, ...]
    example: Picture | None

    @property
    def newest(self) -> Version | None:
        """The newest version, if it was taught at all."""
        return self.versions[0] if self.versions else None


@router.get("/teach")
async def every(
    request: Request,
    parts: Used,
    identity: Reader,
    name: Annotated[str, Query(max_length=64)] = "",
    classes: Lines = "",
    camera: CameraName = "",
) -> Response:
    """The heads, and a form for a new one; with a ``name`` it leads to its page."""
    if name:
        query = urlencode({"classes": classes, "camera": camera})
        return RedirectResponse(f"/teach/{quote(name.strip(), safe='')}?{query}", status_code=303)
    model = parts.teacher.model_sha256
    found = await parts.database.read(lambda c: heads.every(c, model))
    newest = await parts.database.read(
        lambda c: {head.name: _versions(c, head.name, model, 1) for head in found}
    )
    return render(
        request,
        identity,
        "teach",
        heads=found,
        newest={head: versions[0] for head, versions in newest.items() if versions},
        cameras=await _cameras(parts),
    )


@router.get("/teach/{name}")
async def one(
    name: str,
    request: Request,
    parts: Used,
    identity: Reader,
    classes: Lines = "",
    camera: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Label, teach, and the versions."""
    if not is_name(name):
        raise BadMessage(
            f"{name[:64]!r} cannot be the name of a question: use letters, digits, and - _ . "
            "between them"
        )
    lesson = await _lesson(parts, name, _clean(classes), camera)
    cameras = await _cameras(parts)
    if lesson.camera and lesson.camera not in cameras:
        raise NotFound(f"no camera is called {lesson.camera}")
    return render(request, identity, "head", lesson=lesson, cameras=cameras, enough=ENOUGH)


@router.get("/teach/{name}/{number}")
async def version(
    name: str,
    number: Annotated[int, Path(ge=1, le=2**31 - 1)],
    request: Request,
    parts: Used,
    identity: Reader,
) -> Response:
    """A version's evidence, and the switch."""
    model = parts.teacher.model_sha256
    found = await parts.database.read(lambda c: heads.version(c, name, number, model))
    return render(
        request,
        identity,
        "evidence",
        taught=found,
        evidence=found.evidence,
        mistakes=found.evidence.mistakes[:MOST_EXAMPLES],
        examples=found.evidence.changes.examples[:MOST_EXAMPLES],
    )


async def _lesson(parts: Parts, name: str, asked: Iterable[str], camera: str | None) -> Lesson:
    model = parts.teacher.model_sha256
    every = await parts.database.read(lambda c: heads.every(c, model))
    shown = next((head for head in every if head.name == name), None)
    versions = await parts.database.read(lambda c: _versions(c, name, model, MOST_VERSIONS))
    of_version = versions[0].classes if versions else ()
    whose = (versions[0].camera or "" if versions else "") if camera is None else camera
    labels = shown.labels if shown is not None else {}
    wanted = pictures.Filter(camera=whose or None)
    newest = await parts.database.read(lambda c: pictures.history(c, wanted, before=None, limit=1))
    return Lesson(
        name=name,
        classes={one: labels.get(one, 0) for one in (*asked, *of_version, *labels)},
        camera=whose,
        shown=shown,
        versions=tuple(versions),
        example=newest[0] if newest else None,
    )


def _versions(connection: Connection, name: str, model: str, limit: int) -> list[Version]:
    """A head's newest versions; none of one that was only labelled for."""
    try:
        return heads.versions(connection, name, model, limit=limit)
    except NotFound:
        return []


async def _cameras(parts: Parts) -> list[str]:
    return [row.name for row in await parts.database.read(snippets.all_cameras)]


def _clean(lines: str) -> list[str]:
    return [clean_class(line) for line in lines.splitlines() if line.strip()]
