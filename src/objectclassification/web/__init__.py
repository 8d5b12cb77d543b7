"""The page: what a person sees who opens the server's address.

Server-rendered, so that it can be read without JavaScript, with plain ES modules on top. A module
here is a page, or what pages share: :mod:`.pages`, :mod:`.assets` and :mod:`.texts`.
``docs/architecture.md`` says how a page is made.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from objectclassification.api.problems import from_routing
from objectclassification.web import (
    add_phone,
    assets,
    camera,
    cameras,
    history,
    join,
    pictures,
    receipts,
    schedules,
    sessions,
    settings,
    signing_in,
    teach,
    trust,
)
from objectclassification.web.pages import lost_page


def install(app: FastAPI) -> None:
    """Adds the pages to the app, and one for addresses that lead nowhere."""
    looking = (cameras, camera, history, pictures, teach, receipts, schedules, settings, sessions)
    for room in (*looking, add_phone, assets, join, signing_in, trust):
        app.include_router(room.router)

    @app.exception_handler(404)
    async def lost(request: Request, exc: HTTPException) -> Response:
        """A page for browsers, which ask for one; for all others the API's problem."""
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return lost_page(request)
        return from_routing(request, exc)
