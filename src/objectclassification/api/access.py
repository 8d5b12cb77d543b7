"""Who is calling, and what a request may carry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, FastAPI, Request
from starlette.responses import Response
from starlette.types import Scope

from objectclassification.api.parts import Parts
from objectclassification.auth import Identity, Right, session_cookie
from objectclassification.errors import BadMessage, Forbidden, TimedOut, TooLarge, Unauthorized
from objectclassification.hub.address import is_own_name, is_own_origin
from objectclassification.hub.pace import Refusals

T = TypeVar("T")

MAX_JSON_BYTES = 65_536
MAX_BODY_S = 900.0
"""32 MiB over a slow 4G link take ten minutes; who drips for longer only holds a place."""
MIN_BYTES_PER_S = 10_000
"""A body slower than this on the whole, after ``body_timeout_s``, only holds a place; the slowest
mobile links that can carry pictures at all (EDGE) bring twice as much."""


def parts_of(request: Request) -> Parts:
    """The parts that :func:`~objectclassification.api.app.create_app` was given."""
    parts: Parts = request.app.state.parts
    return parts


def refusals_of(request: Request) -> Refusals:
    """When those without a good token get their answers."""
    refusals: Refusals = request.app.state.refusals
    return refusals


def bodies_of(app: FastAPI) -> set[asyncio.Task[Any]]:
    """The tasks of requests whose bodies are on their way; cancelled, they answer 503."""
    tasks: set[asyncio.Task[Any]] = app.state.bodies
    return tasks


def note(request: Request, **ids: str | None) -> None:
    """Adds ids to the log lines of a request, so that one id finds all its stages."""
    # Not structlog's context: what this request sets going in the hub would carry it on.
    noted_of(request.scope).update({name: id_ for name, id_ in ids.items() if id_ is not None})


def is_proxied(scope: Scope) -> bool:
    """Whether a request came through a proxy that is trusted (``trusted_proxies``)."""
    return bool(scope.get("objectclassification.proxied"))


def noted_of(scope: Scope) -> dict[str, str]:
    """What was noted of a request."""
    noted: dict[str, str] = scope.setdefault("objectclassification.noted", {})
    return noted


def token_of(request: Request) -> str | None:
    """The token of a request: the header, or ``?token=`` of a link (GET and HEAD only)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    if request.method == "GET":
        return request.query_params.get("token")
    return None


def session_of(request: Request) -> str | None:
    """What the cookie of a browser's session holds."""
    secure = request.url.scheme == "https"
    host = request.headers.get("host", "")
    return session_cookie(request.headers.getlist("cookie"), host, secure=secure)


def is_same_origin(request: Request) -> bool:
    """Whether a request with a cookie is from a page of this server: browsers say so."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return _is_own_origin(request, request.headers.get("origin", ""))


def _is_own_origin(request: Request, origin: str) -> bool:
    return is_own_origin(origin, request.headers.get("host", ""), request.scope["scheme"])


def authenticate(request: Request) -> Identity:
    """Who is calling: whose token, or else whose session it is.

    Raises:
        Unauthorized: nobody we know.
        Forbidden: a page of another origin would change something with a cookie (CSRF).
    """
    tokens = parts_of(request).tokens
    token = token_of(request)
    cookie = session_of(request) if token is None and not tokens.open else None
    if cookie is None:
        return tokens.authenticate(token)
    identity = tokens.authenticate_session(cookie)
    if request.method not in ("GET", "HEAD") and not is_same_origin(request):
        raise Forbidden("a page of another origin may not call this server")
    return identity


# The dependencies below are coroutines because FastAPI runs plain functions in a thread each: two
# hops that a PUT would wait for.


async def used_parts(request: Request) -> Parts:
    """:func:`parts_of` as a dependency."""
    return parts_of(request)


async def identity_of(request: Request) -> Identity:
    """Who is calling.

    Raises:
        Unauthorized: nobody we know.
        Forbidden: without tokens, a Host that is not this machine's own name (DNS rebinding); with
            a session, a change from a page of another origin.
    """
    parts = parts_of(request)
    if parts.tokens.open:
        if not is_own_name(request.headers.get("host", "")):
            raise Forbidden("without tokens this server answers to localhost only")
        origin = request.headers.get("origin")
        if origin is not None and not _is_own_origin(request, origin):
            raise Forbidden("without tokens a page of another origin may not call this server")
    try:
        return authenticate(request)
    except Unauthorized:
        await keep_waiting(request)
        raise


async def keep_waiting(request: Request) -> None:
    """Lets who has no good token wait for that answer, the longer the more of them there are."""
    await asyncio.sleep(refusals_of(request).wait_s(time.monotonic()))


def need(right: Right) -> Callable[..., Awaitable[Identity]]:
    """A dependency that lets only those in who have the right."""

    async def caller(identity: Annotated[Identity, Depends(identity_of)]) -> Identity:
        identity.require(right)
        return identity

    return caller


Used = Annotated[Parts, Depends(used_parts)]
Caller = Annotated[Identity, Depends(identity_of)]
Reader = Annotated[Identity, Depends(need("read"))]
Snapper = Annotated[Identity, Depends(need("snap"))]
Labeller = Annotated[Identity, Depends(need("label"))]
Admin = Annotated[Identity, Depends(need("admin"))]


async def body_of(request: Request) -> AsyncGenerator[bytes, None]:
    """The body of a request as it comes, with a limit on how long it may stand still or drip.

    Raises:
        TimedOut: no next piece came for ``body_timeout_s``, or the whole of it is slower than
            :data:`MIN_BYTES_PER_S` after that time, or takes :data:`MAX_BODY_S`.
    """
    task, arriving = asyncio.current_task(), bodies_of(request.app)
    assert task is not None  # noqa: S101 - a coroutine runs in one
    arriving.add(task)
    try:
        async for chunk in _in_time(request.stream(), parts_of(request).settings.body_timeout_s):
            yield chunk
    finally:
        arriving.discard(task)


async def _in_time(stream: AsyncGenerator[bytes, None], still_s: float) -> AsyncIterator[bytes]:
    began, size = time.monotonic(), 0
    while True:
        allowed_s = min(MAX_BODY_S, still_s + size / MIN_BYTES_PER_S)
        left_s = allowed_s - (time.monotonic() - began)
        try:
            async with asyncio.timeout(min(still_s, max(left_s, 0))):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as exc:
            if left_s < still_s:
                detail = f"{size} bytes of the body took longer than {allowed_s:.1f} s"
                raise TimedOut(detail, after_s=allowed_s) from exc
            detail = f"no more of the body came for {still_s:g} s"
            raise TimedOut(detail, after_s=still_s) from exc
        size += len(chunk)
        yield chunk


async def json_body(request: Request) -> bytes:
    """The whole body of a small JSON request.

    Raises:
        TooLarge: over :data:`MAX_JSON_BYTES`.
        TimedOut: it did not come whole.
    """
    body = bytearray()
    async for chunk in body_of(request):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise TooLarge(
                f"a JSON body has at most {MAX_JSON_BYTES} bytes",
                limit=MAX_JSON_BYTES,
                unit="bytes",
            )
    return bytes(body)


def read_json(kind: type[T], body: bytes, what: str) -> T:
    """Reads a JSON body.

    Args:
        kind: a struct.
        body: of the request.
        what: its name, for the error.

    Raises:
        BadMessage: it cannot be used.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadMessage(f"not {what}: {exc}"[:256]) from exc


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response; msgspec encodes our structs several times faster than pydantic."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
