"""Signing in with a token, and out."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from objectclassification.api.access import (
    Caller,
    Used,
    is_same_origin,
    json_body,
    parts_of,
)
from objectclassification.api.sessions import begin_session, end_session, forget_cookie
from objectclassification.errors import AuthError, BadMessage, Forbidden, Unauthorized
from objectclassification.web.pages import PageRoute, sign_in_page
from objectclassification.web.texts import texts_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)

_MOST_FIELDS: Final = 4


@router.get("/signin")
async def form(request: Request, next: str = "/", why: str = "") -> Response:
    """The form; ``why=ended`` when a page found its session gone."""
    if parts_of(request).tokens.open:
        return RedirectResponse("/", status_code=303)
    line = texts_of("signin").ended if why == "ended" else ""
    return sign_in_page(request, line, status=200, after=own_address(next))


@router.post("/signin")
async def sign_in(request: Request) -> Response:
    """Makes a session of the token in the form, and leads to where it was asked for."""
    if not is_same_origin(request):
        raise Forbidden("a page of another origin may not sign you in here")
    token, after = _fields(await json_body(request))
    response = RedirectResponse(own_address(after), status_code=303)
    if parts_of(request).tokens.open:
        return response
    try:
        await begin_session(request, response, token)
    except AuthError as exc:
        status = 401 if isinstance(exc, Unauthorized) else 403
        return sign_in_page(request, exc.detail, status=status, after=own_address(after))
    return response


@router.post("/signout")
async def sign_out(request: Request, parts: Used, identity: Caller) -> Response:
    """Ends the browser's session."""
    response = RedirectResponse("/signin", status_code=303)
    if identity.session_id is not None:
        await end_session(parts, identity.session_id)
    forget_cookie(request, response)
    return response


def _fields(body: bytes) -> tuple[str, str]:
    """The token of a form, and where to go with it."""
    try:
        fields = parse_qs(body.decode(), max_num_fields=_MOST_FIELDS)
    except ValueError as exc:  # a UnicodeDecodeError is one, too
        raise BadMessage("not the form that this server gave") from exc
    return fields.get("token", [""])[0].strip(), fields.get("next", ["/"])[0]


def own_address(text: str) -> str:
    """Returns an address of this server: what was asked for if it is one, else the first page."""
    try:
        url = urlsplit(text)
    except ValueError:
        return "/"
    # Browsers read a backslash as a slash, and what follows several slashes as a host:
    # /\evil.example and ///evil.example are another host's address.
    elsewhere = url.scheme or url.netloc or not re.match(r"/(?!/)", text) or "\\" in text
    return "/" if elsewhere or not text.isprintable() or not text.isascii() else text
