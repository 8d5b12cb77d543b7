"""How to trust the server's own authority, on each system; whoever asks has no token yet."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Used
from objectclassification.errors import NotFound
from objectclassification.trust.handshake import fingerprint
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False)
_CERTIFICATE_TYPE = "application/x-x509-ca-cert"
"""What iOS, Android and Windows open with a dialogue of their own."""


async def trust(request: Request, parts: Used) -> Response:
    """The authority's fingerprint, and what to do with its certificate."""
    return render(request, None, "trust", fingerprint=fingerprint(_authority(parts)))


router.add_api_route("/trust", trust, route_class_override=PageRoute)


@router.get("/ca.crt")
async def certificate(parts: Used) -> Response:
    """That authority's certificate, in PEM; it is public."""
    return Response(_authority(parts), media_type=_CERTIFICATE_TYPE)


def _authority(parts: Used) -> str:
    if parts.authority is None:
        raise NotFound("this server has no certificate authority of its own (`serve --tls auto`)")
    return parts.authority
