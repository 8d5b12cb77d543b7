"""The HTTP API as one ASGI application."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from objectclassification.api import cameras, health, pictures, problems, schema, snaps, snippets
from objectclassification.api import tokens as token_routes
from objectclassification.api.parts import Parts
from objectclassification.api.receive import Receiver

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    # A ?token= in the address must not travel to another site.
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
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
    app.state.receiver = Receiver(parts.blobs, parts.settings)
    problems.install(app)
    for room in (snippets, snaps, pictures, cameras, token_routes, health):
        app.include_router(room.router)
    schema.describe(app)
    app.add_middleware(Shell)
    return app


class Shell:
    """Around every request: a last slash is as good as none, and answers carry safe headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        await self.app(scope, receive, with_headers)
