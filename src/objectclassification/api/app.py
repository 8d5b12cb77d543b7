"""The HTTP API as one ASGI application."""

from __future__ import annotations

import asyncio
import logging
import time

import structlog
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from objectclassification.api import (
    cameras,
    deletions,
    heads,
    health,
    history,
    joins,
    models,
    pictures,
    problems,
    rules,
    schedules,
    schema,
    sessions,
    similar,
    snaps,
    snippets,
    unsure,
)
from objectclassification.api import tokens as token_routes
from objectclassification.api.access import noted_of
from objectclassification.api.counts import HttpCounts
from objectclassification.api.intake import Intake
from objectclassification.api.parts import Parts
from objectclassification.api.receive import Receiver
from objectclassification.api.slots import Slots
from objectclassification.errors import ServerStopping
from objectclassification.hub.pace import Refusals
from objectclassification.hub.remote import TrustedProxies

log = structlog.get_logger(__name__)

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    # A ?token= in the address must not travel to another site. With no-referrer, browsers would
    # hide the Origin of our own forms from us, too.
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    # No other site may show what this one answers to a cookie, pictures least of all.
    (b"cross-origin-resource-policy", b"same-origin"),
)


def create_app(parts: Parts) -> FastAPI:
    """Builds the API.

    Args:
        parts: what it works with; nothing is started here.
    """
    app: FastAPI = FastAPIOffline(
        title="ObjectClassification",
        description="Take a picture on a camera somewhere else, now, and say what is on it.",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.state.bodies = set()
    app.state.refusals = Refusals()
    app.state.models = asyncio.Lock()
    app.state.slots = Slots(parts.database)
    app.state.receiver = Receiver(parts.blobs, parts.settings, parts.counts)
    app.state.searches = similar.Searches(parts.database, parts.look)
    problems.install(app)
    # The history's own calls before those of one picture, whose id could be their name.
    looking = (snippets, snaps, schedules, history, pictures, similar, deletions, cameras)
    knowing = (heads, models, rules, unsure)
    for room in (*looking, *knowing, token_routes, joins, sessions, health):
        app.include_router(room.router)
    schema.describe(app)
    app.add_middleware(Intake)
    proxies = TrustedProxies(parts.settings.trusted_proxies)
    app.add_middleware(Shell, proxies=proxies, counts=parts.counts)
    return app


class Shell:
    """Around every request: a last slash is as good as none, HEAD is GET without its body (which
    uvicorn leaves out), a trusted proxy says whom it is from, answers carry safe headers, and the
    log gets a line without the query, which may hold a token.

    The line has what a route notes, too: the ids of snap and picture.
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies, counts: HttpCounts) -> None:
        self.app = app
        self._proxies = proxies
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:  # RFC 9112, section 3.2
            refusal = problems.problem(400, "bad_request", "a request has one Host header")
            await refusal(scope, receive, send)
            return
        self._look_through_proxies(scope)
        noted = noted_of(scope)
        path, method = scope["path"], scope["method"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        if method == "HEAD":
            scope = {**scope, "method": "GET"}

        began, status, answering = time.perf_counter(), problems.GONE, False

        async def with_headers(message: Message) -> None:
            nonlocal status, answering
            if message["type"] == "http.response.start":
                status, answering = message["status"], True
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            self._counts.sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except asyncio.CancelledError:  # only a stop of the server cancels requests
            if answering:
                log.warning("the stop cut an answer off", path=path)
                return
            stopping = ServerStopping("the server stops: send it again in a moment")
            await problems.from_error(stopping)(scope, receive, with_headers)
        except Exception:
            if not answering:
                status = 500
            raise
        finally:
            elapsed_s = time.perf_counter() - began
            self._counts.answered(method, status, elapsed_s)
            log.log(
                _level(method, path, status),
                "request",
                client=scope["client"][0],
                method=method,
                path=path,
                status=status,
                elapsed_ms=round(elapsed_s * 1000, 1),
                **noted,
            )

    def _look_through_proxies(self, scope: Scope) -> None:
        peer, port = scope.get("client") or ("", 0)
        headers = Headers(scope=scope)
        scope["objectclassification.proxied"] = self._proxies.trusts(peer)
        client = self._proxies.client(peer, headers.getlist("x-forwarded-for"))
        scope["client"] = (client, port if client == peer else 0)
        scope["scheme"] = self._proxies.scheme(
            peer, headers.getlist("x-forwarded-proto"), scope.get("scheme", "http")
        )


def _level(method: str, path: str, status: int) -> int:
    """Pages and health checks read all day long; /readyz has a line of its own when it changes.
    Whoever scrolls leaves pictures behind that were still on their way."""
    if method in ("GET", "HEAD") and status == problems.GONE:
        return logging.DEBUG
    if path == "/readyz" or (method in ("GET", "HEAD") and status < 400):
        return logging.DEBUG
    return logging.ERROR if status >= 500 else logging.INFO
