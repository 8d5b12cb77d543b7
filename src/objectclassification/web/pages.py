"""What all pages share: how one is rendered, who may see it, and what its answer carries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import jinja2
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse, RedirectResponse, Response

from objectclassification import __version__
from objectclassification.api import problems
from objectclassification.api.access import authenticate, parts_of, session_of
from objectclassification.api.sessions import begin_session, go_on_with_session
from objectclassification.auth import RIGHTS, Identity
from objectclassification.errors import (
    AuthError,
    BadMessage,
    ObjectClassificationError,
    Unauthorized,
)
from objectclassification.hub.address import is_own_name
from objectclassification.receipts import rfc3339
from objectclassification.web.assets import asset
from objectclassification.web.sources import sources_of
from objectclassification.web.texts import SHARED, fill, texts_for_modules, texts_of

NAVIGATION: Final = (
    ("/", "cameras"),
    ("/history", "history"),
    ("/teach", "teach"),
    ("/snaps", "receipts"),
    ("/schedules", "schedules"),
    ("/settings", "settings"),
)
"""The pages in the header: address, and the table of its texts (which has a ``nav``)."""

MOST_SHOWN: Final = 200
"""Characters of an address that leads nowhere."""

_HEADERS: Final = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    ),
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # What it shows is one person's, and of this moment.
    "Cache-Control": "private, no-cache",
}

_ALONE: Final = {"Cross-Origin-Opener-Policy": "same-origin"}
"""No other site's window is told of ours. Elsewhere than on https and loopback, browsers pass it
over and complain (HTML Living Standard, section 7.1.3)."""

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(fill=fill, sources=sources_of)
templates.globals.update(asset=asset, version=__version__, shared=texts_of(SHARED))


def render(
    request: Request,
    identity: Identity | None,
    name: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    template: str | None = None,
    **context: Any,
) -> Response:
    """Renders ``templates/NAME.html`` with the texts of the table ``NAME``.

    Args:
        request: that is answered.
        identity: who looks; None is nobody, for whom there is no navigation.
        name: of the page.
        status: of the answer.
        headers: more of them, or others than all pages have.
        template: another template than the page's own: a part of the page.
        **context: what the template shows, beside ``t`` (its texts), ``may`` (a function of a
            right), ``here`` (the path) and what ``base.html`` needs.
    """
    rights = RIGHTS[identity.role] if identity is not None else frozenset()
    text = templates.get_template(f"{template or name}.html").render(
        t=texts_of(name),
        texts=texts_for_modules(name),
        navigation=[(path, texts_of(page).nav) for path, page in NAVIGATION],
        here=request.url.path,
        now=rfc3339(time.time()),
        identity=identity,
        rights=sorted(rights),
        may=rights.__contains__,
        is_open=parts_of(request).tokens.open,
        **context,
    )
    is_safe = request.url.scheme == "https" or is_own_name(request.headers.get("host", ""))
    also = _ALONE if is_safe else {}
    return HTMLResponse(text, status_code=status, headers={**_HEADERS, **also, **(headers or {})})


def sign_in_page(
    request: Request, why: str = "", *, status: int = 401, after: str | None = None
) -> Response:
    """The form that asks for a token.

    Args:
        request: that is answered.
        why: a line on what was wrong with the last one; empty when there was none.
        status: of the answer.
        after: where to go once it was right; the address that was asked for, unless given.
    """
    return render(
        request,
        None,
        "signin",
        status=status,
        why=why,
        after=_address_without_token(request) if after is None else after,
    )


class PageRoute(APIRoute):
    """A route whose answers are for a person.

    A link's ``?token=`` becomes a session and leaves the address; who is not signed in is asked for
    a token, at the same address; an error is a page.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """See :class:`fastapi.routing.APIRoute`."""
        handle = super().get_route_handler()

        async def page(request: Request) -> Response:
            try:
                if request.method == "GET" and "token" in request.query_params:
                    return await _signed_in_by_link(request)
                response = await handle(request)
            except Unauthorized as exc:
                if _comes_from_elsewhere(request):
                    return render(request, None, "onward", to=_address_without_token(request))
                knew = session_of(request) is not None or "token" in request.query_params
                return sign_in_page(request, exc.detail if knew else "")
            except ObjectClassificationError as exc:
                return _error_page(request, exc)
            except RequestValidationError:
                return _error_page(request, BadMessage("the address holds a value of no use here"))
            await go_on_with_session(request, response)
            return response

        return page


async def _signed_in_by_link(request: Request) -> Response:
    response = RedirectResponse(_address_without_token(request), status_code=303)
    if not parts_of(request).tokens.open:
        await begin_session(request, response, request.query_params["token"])
    return response


def _address_without_token(request: Request) -> str:
    url = request.url.remove_query_params("token")
    return f"{url.path}?{url.query}" if url.query else url.path


def _comes_from_elsewhere(request: Request) -> bool:
    """Whether another site's link was followed: then browsers keep ``SameSite=Strict`` cookies
    back, and send them once a page of ours leads to the same address. They say so only over TLS
    and on loopback; elsewhere ``signin.js`` finds the session.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("sec-fetch-site") == "cross-site"
        and headers.get("sec-fetch-mode") == "navigate"
        and "token" not in request.query_params
    )


def _error_page(request: Request, exc: ObjectClassificationError) -> Response:
    problems.refusal(request, exc)  # its line in the log says why
    status = problems.status_of(exc)
    return render(request, _reader(request), "error", status=status, why=exc.detail)


def lost_page(request: Request) -> Response:
    """What a person sees who opens an address that leads nowhere."""
    why = fill(texts_of("error").no_page, path=request.url.path[:MOST_SHOWN])
    return render(request, _reader(request), "error", status=404, why=why)


def _reader(request: Request) -> Identity | None:
    """Who looks, if that is somebody."""
    try:
        return authenticate(request)
    except AuthError:
        return None
