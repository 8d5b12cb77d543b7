"""Every camera with its newest picture and what is on it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.cameras import list_cameras
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
async def cameras(request: Request, parts: Used, identity: Reader) -> Response:
    """A tile for each."""
    return render(request, identity, "cameras", cameras=await list_cameras(parts))
