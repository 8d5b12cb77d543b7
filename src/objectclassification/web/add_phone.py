"""Joins a phone: a camera's name becomes a code to scan."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import segno
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from objectclassification.api.access import Admin, Used, json_body
from objectclassification.api.joins import make
from objectclassification.auth import Identity
from objectclassification.errors import BadMessage
from objectclassification.messages import is_name
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/join/new")
async def form(request: Request, identity: Admin) -> Response:
    """Asks for the camera's name."""
    return _page(request, identity)


@router.post("/join/new")
async def add(request: Request, parts: Used, identity: Admin) -> Response:
    """Shows the code for a camera of that name."""
    camera = _name_in(await json_body(request))
    if not is_name(camera):
        why = f"{camera!r} cannot be the name of a camera" if camera else "give the camera a name"
        return _page(request, identity, status=422, camera=camera, why=why)
    made = await make(request, parts, identity, camera)
    return _page(request, identity, made=made, qr=_drawn(made.link))


def _page(request: Request, identity: Identity, *, status: int = 200, **found: Any) -> Response:
    nothing = {"made": None, "qr": None, "camera": "", "why": ""}
    return render(request, identity, "add_phone", status=status, **{**nothing, **found})


def _drawn(link: str) -> Markup:
    svg = segno.make(link, error="m").svg_inline(omitsize=True, svgclass="qr", lineclass=None)
    return Markup(svg)  # noqa: S704 - squares only: nothing of the link's text is in it


def _name_in(body: bytes) -> str:
    try:
        return parse_qs(body.decode(), max_num_fields=2).get("camera", [""])[0].strip()
    except ValueError as exc:  # a UnicodeDecodeError is one, too
        raise BadMessage("not the form that this server gave") from exc
