"""The page: server-rendered, for reading; what a person sees who opens the server's address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import jinja2
from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from objectclassification import __version__
from objectclassification.api import problems
from objectclassification.api.access import Used, identity_of, token_of
from objectclassification.api.cameras import list_cameras
from objectclassification.errors import AuthError, NotFound
from objectclassification.trust.handshake import fingerprint

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
_CERTIFICATE_TYPE = "application/x-x509-ca-cert"
"""What iOS, Android and Windows open with a dialogue of their own."""
_POLICY = "default-src 'none'; img-src 'self'; style-src 'self'; frame-ancestors 'none'"


def install(app: FastAPI) -> None:
    """Adds the page to the app."""
    app.get("/", include_in_schema=False)(cameras)
    app.get("/style.css", include_in_schema=False)(style)
    app.get("/trust", include_in_schema=False)(trust)
    app.get("/ca.crt", include_in_schema=False)(certificate)


async def cameras(request: Request, parts: Used) -> Response:
    """Every camera with its newest picture and what is on it."""
    try:
        (await identity_of(request)).require("read")
    except AuthError as exc:  # a person is looking: no problem document for them
        page = templates.get_template("refused.html").render(why=exc.detail)
        headers = {"Content-Security-Policy": _POLICY}
        return HTMLResponse(page, status_code=problems.status_of(exc), headers=headers)
    token = token_of(request)
    page = templates.get_template("cameras.html").render(
        cameras=await list_cameras(parts),
        # Links carry the token the page was opened with: there are no sessions yet.
        key=f"?token={quote(token)}" if token else "",
        version=__version__,
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


async def trust(parts: Used) -> Response:
    """How to trust the server's own authority, on each system; whoever asks has no token yet."""
    shown = fingerprint(_authority(parts))
    page = templates.get_template("trust.html").render(fingerprint=shown)
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


async def certificate(parts: Used) -> Response:
    """That authority's certificate, in PEM; it is public."""
    return Response(_authority(parts), media_type=_CERTIFICATE_TYPE)


def _authority(parts: Used) -> str:
    if parts.authority is None:
        raise NotFound("this server has no certificate authority of its own (`serve --tls auto`)")
    return parts.authority


async def style() -> Response:
    """The style sheet."""
    text = templates.get_template("style.css").render()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=300"})
