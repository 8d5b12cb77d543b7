"""The page: what a person sees who opens the server's address.

Server-rendered, so that it can be read without JavaScript, with plain ES modules on top. A module
here is a page, or what pages share: :mod:`.pages`, :mod:`.assets` and :mod:`.texts`.
``docs/architecture.md`` says how a page is made.
"""

from __future__ import annotations

from fastapi import FastAPI

from objectclassification.web import (
    add_phone,
    assets,
    cameras,
    history,
    join,
    pictures,
    receipts,
    sessions,
    settings,
    signing_in,
    teach,
    trust,
)


def install(app: FastAPI) -> None:
    """Adds the pages to the app."""
    looking = (cameras, history, pictures, teach, receipts, settings, sessions)
    for room in (*looking, add_phone, assets, join, signing_in, trust):
        app.include_router(room.router)
