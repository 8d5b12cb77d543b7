"""A browser as a camera."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Used
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_MAY_LOOK = {"Permissions-Policy": "camera=(self), microphone=(), geolocation=()"}


@router.get("/join")
async def join(request: Request, parts: Used) -> Response:
    """Asks for no token: the code in the link, which no server sees, becomes one."""
    return render(
        request,
        None,
        "join",
        headers=_MAY_LOOK,
        max_pixels=parts.settings.max_pixels,
        max_bytes=parts.settings.max_body_bytes,
        has_authority=parts.authority is not None,
    )
