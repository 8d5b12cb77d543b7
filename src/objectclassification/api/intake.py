"""The short way of a picture: past FastAPI, whose dispatch costs a PUT as much as its rows do.

A PUT whose parameters are plainly right goes straight to
:func:`~objectclassification.api.snippets.store`. Whatever is odd about one, it takes the long way
through the router, where FastAPI says what is wrong, so that both ways take the same requests and
the document at ``/docs`` describes both.
"""

from __future__ import annotations

import re

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from objectclassification.api import problems
from objectclassification.api.access import identity_of
from objectclassification.api.snippets import (
    MOST_AGE_MS,
    MOST_KEY,
    RENDITION,
    SNAP,
    Wanted,
    store,
)
from objectclassification.errors import ObjectClassificationError

_PATH = re.compile(r"/snippets/([0-9]{1,9})")
_QUERY = {
    "snap": re.compile(SNAP),
    "rendition": re.compile(RENDITION),
    "age_ms": re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?"),
    "frame": re.compile(r"[1-9]|1[0-9]|20"),
}


class Intake:
    """Takes the PUTs of pictures out of what goes to the app behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        wanted = _wanted(scope)
        if wanted is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await store(request, await identity_of(request), wanted)
        except ObjectClassificationError as exc:
            response = problems.refusal(request, exc)
        except ClientDisconnect:
            response = problems.disconnected(scope["path"])
        await response(scope, receive, send)


def _wanted(scope: Scope) -> Wanted | None:
    """What a PUT asks for; None for everything else, and when anything about it is odd."""
    if scope["type"] != "http" or scope["method"] != "PUT":
        return None
    path = _PATH.fullmatch(scope["path"])
    query = _plain_query(scope["query_string"].decode("latin-1"))
    keys = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if path is None or query is None or len(keys) > 1:
        return None
    if keys and not 0 < len(keys[0]) <= MOST_KEY:
        return None
    age_ms = float(query["age_ms"]) if "age_ms" in query else None
    if age_ms is not None and age_ms > MOST_AGE_MS:
        return None
    return Wanted(
        number=int(path[1]),
        snap=query.get("snap"),
        rendition=query.get("rendition", "full"),
        age_ms=age_ms,
        idempotency_key=keys[0].decode("latin-1") if keys else None,
        frame=int(query.get("frame", "1")),
    )


def _plain_query(text: str) -> dict[str, str] | None:
    """Known names with good values, once each and without escapes; else None."""
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        pattern = _QUERY.get(name)
        if name in found or pattern is None or pattern.fullmatch(value) is None:
            return None
        found[name] = value
    return found
