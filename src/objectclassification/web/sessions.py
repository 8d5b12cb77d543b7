"""The browsers that are signed in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.sessions import list_sessions
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/settings/sessions")
async def sessions(request: Request, parts: Used, identity: Reader) -> Response:
    """Those that the reader may end."""
    return render(request, identity, "sessions", sessions=await list_sessions(parts, identity))
