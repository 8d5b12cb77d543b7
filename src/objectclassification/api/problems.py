"""Errors as RFC 9457 problems."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route

from objectclassification import errors
from objectclassification.api.access import note
from objectclassification.hub.inspections import CameraSilent
from objectclassification.masking import mask

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
GONE = 499
"""In logs and counts: the client went away before the answer began, as nginx has it. Starlette ends
the sending of a file without a word when it does."""

log = structlog.get_logger(__name__)

# The first that fits counts: the closest class stands before its base.
_STATUS: tuple[tuple[type[errors.ObjectClassificationError], int], ...] = (
    (errors.BadMessage, 422),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.KeyReused, 422),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.TooManyPixels, 413),
    (errors.NotAnImage, 415),
    (errors.Undecodable, 422),
    (errors.ModelError, 422),
    (errors.RateLimited, 429),
    (errors.Busy, 503),
    (errors.ServerStopping, 503),
    (CameraSilent, 504),
    (errors.TimedOut, 408),
    (errors.RequestError, 422),
    (errors.DiskFull, 507),
    (errors.StoreError, 503),
)


class Problem(msgspec.Struct, omit_defaults=True):
    """An RFC 9457 problem.

    Attributes:
        title: the status's phrase.
        status: the HTTP status.
        detail: one line for a person.
        code: stable name for machines.
    """

    title: str
    status: int
    detail: str
    code: str


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Returns a problem as a response; what a detail repeats of a request may hold a token."""
    body = Problem(HTTPStatus(status).phrase, status, mask(detail), code)
    return Response(
        msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def status_of(exc: errors.ObjectClassificationError) -> int:
    """Returns the HTTP status of one of our errors."""
    return next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)


def from_error(exc: errors.ObjectClassificationError) -> Response:
    """Returns one of our errors as a response."""
    status = status_of(exc)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="objectclassification"'
    if status == 408:
        headers["Connection"] = "close"  # what still comes of the body is no next request
    if status in (503, 507):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(exc, errors.RateLimited):
        headers["Retry-After"] = str(math.ceil(exc.retry_after_s))
    return problem(status, exc.code, exc.detail, headers)


def refusal(request: Request, exc: errors.ObjectClassificationError) -> Response:
    """Returns one of our errors as a response, and has the request's log line say why."""
    note(request, code=exc.code, detail=exc.detail)
    return from_error(exc)


def from_routing(request: Request, exc: HTTPException) -> Response:
    """Returns as a problem that no route is for a request."""
    headers = dict(exc.headers) if exc.headers else {}
    if exc.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
    phrase = HTTPStatus(exc.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    return problem(exc.status_code, code, str(exc.detail), headers)


def disconnected(path: str) -> Response:
    """Returns the answer, which nobody reads, to a client that went away."""
    log.info("a client went away before its request was whole", path=path)
    return problem(400, "disconnected", "the request did not come whole")


def install(app: FastAPI) -> None:
    """Makes the app answer every error as a problem."""

    @app.exception_handler(errors.ObjectClassificationError)
    async def ours(request: Request, exc: errors.ObjectClassificationError) -> Response:
        return refusal(request, exc)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, exc: ClientDisconnect) -> Response:
        return disconnected(request.url.path)

    @app.exception_handler(HTTPException)
    async def routing(request: Request, exc: HTTPException) -> Response:
        return from_routing(request, exc)

    # It is raised again after this answer, and the server logs it with its traceback.
    @app.exception_handler(Exception)
    async def bug(request: Request, exc: Exception) -> Response:
        return problem(500, "internal", "the server failed; its log says why")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> Response:
        detail = "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in exc.errors()
        )
        return problem(422, "bad_request", detail)


def _allowed(request: Request) -> set[str]:
    """The methods of a path; Starlette names those of the first route of several."""
    matching = [
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    allowed = {method for route in matching for method in route.methods or ()}
    return allowed | {"HEAD"} if "GET" in allowed else allowed
