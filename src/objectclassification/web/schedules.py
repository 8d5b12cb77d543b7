"""Snaps that the server asks for itself: when they come next, and what came of the last ones."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/schedules")
async def schedules(request: Request, parts: Used, identity: Reader) -> Response:
    """All of them, by name."""
    return render(request, identity, "schedules", schedules=await parts.schedules.every())
