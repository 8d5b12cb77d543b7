"""Who is calling, and what a request may carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from fastapi import Depends, Request
from starlette.responses import Response

from objectclassification.api.parts import Parts
from objectclassification.auth import Identity, Right
from objectclassification.config import is_loopback
from objectclassification.errors import Forbidden, TooLarge

MAX_JSON_BYTES = 65_536


def parts_of(request: Request) -> Parts:
    """The parts that :func:`~objectclassification.api.app.create_app` was given."""
    parts: Parts = request.app.state.parts
    return parts


def token_of(request: Request) -> str | None:
    """The token of a request: the header, or ``?token=`` of a link (GET and HEAD only)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    if request.method in ("GET", "HEAD"):
        return request.query_params.get("token")
    return None


def identity_of(request: Request) -> Identity:
    """Who is calling.

    Raises:
        Unauthorized: nobody we know.
        Forbidden: without tokens, a Host that is not this machine's own name (DNS rebinding).
    """
    parts = parts_of(request)
    if parts.tokens.open:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if not is_loopback(host):
            raise Forbidden("without tokens this server answers to localhost only")
        if "origin" in request.headers:
            origin = urlsplit(request.headers["origin"]).netloc
            if origin != request.headers.get("host"):
                raise Forbidden("without tokens a page of another origin may not call this server")
    return parts.tokens.authenticate(token_of(request))


def need(right: Right) -> Callable[..., Identity]:
    """A dependency that lets only those in who have the right."""

    def caller(identity: Annotated[Identity, Depends(identity_of)]) -> Identity:
        identity.require(right)
        return identity

    return caller


Used = Annotated[Parts, Depends(parts_of)]
Caller = Annotated[Identity, Depends(identity_of)]
Reader = Annotated[Identity, Depends(need("read"))]
Snapper = Annotated[Identity, Depends(need("snap"))]
Admin = Annotated[Identity, Depends(need("admin"))]


async def json_body(request: Request) -> bytes:
    """The whole body of a small JSON request.

    Raises:
        TooLarge: over :data:`MAX_JSON_BYTES`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise TooLarge(
                f"a JSON body has at most {MAX_JSON_BYTES} bytes",
                limit=MAX_JSON_BYTES,
                unit="bytes",
            )
    return bytes(body)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response; msgspec encodes our structs several times faster than pydantic."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
