"""The browsers that are signed in."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.sessions import list_sessions
from objectclassification.web.pages import PageRoute, render

_BROWSERS: Final = ("Edg", "OPR", "Firefox", "FxiOS", "Chrome", "CriOS", "Safari")
_SYSTEMS: Final = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "CrOS", "Linux")
"""The first that is in a User-Agent counts: each names others, too."""
_SHOWN: Final = {
    "Edg": "Edge",
    "OPR": "Opera",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "CrOS": "ChromeOS",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/settings/sessions")
async def sessions(request: Request, parts: Used, identity: Reader) -> Response:
    """Those that the reader may end."""
    shown = [(one, browser_of(one.agent)) for one in await list_sessions(parts, identity)]
    return render(request, identity, "sessions", sessions=shown)


def browser_of(agent: str) -> str:
    """Returns a User-Agent in short, as ``Firefox, Windows``; what is neither stays as it is."""
    browser, system = (
        next((_SHOWN.get(name, name) for name in names if name in agent), "")
        for names in (_BROWSERS, _SYSTEMS)
    )
    return f"{browser}, {system}" if browser and system else agent
