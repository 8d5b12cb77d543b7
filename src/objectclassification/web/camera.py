"""One camera: whether it is there, what waits for it, and when it came and went."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.cameras import list_cameras, list_moves
from objectclassification.errors import NotFound
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/cameras/{name}")
async def camera(name: str, request: Request, parts: Used, identity: Reader) -> Response:
    """What the server knows of it."""
    found = next((one for one in await list_cameras(parts) if one.name == name), None)
    if found is None:
        raise NotFound(f"no camera {name[:64]}")
    moves = await list_moves(parts, name)
    return render(request, identity, "camera", camera=found, moves=moves)
