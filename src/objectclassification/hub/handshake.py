"""What a client's opening handshake must bring with it, beside RFC 6455."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from objectclassification.auth import Identity, Tokens, session_cookie
from objectclassification.errors import Unauthorized
from objectclassification.hub.address import is_own_name, is_own_origin

PATHS = frozenset({"/", "/ws"})
SUBPROTOCOL = Subprotocol("objectclassification")
"""The only one there is: a browser that offers some wants one of them in the answer."""
TOKEN_SUBPROTOCOL = "token."  # noqa: S105 - what is behind it is one
"""A browser's WebSocket sets no header but this; in the address a token would be in the logs of
every proxy on its way."""

Refusal = tuple[HTTPStatus, str]


def identify(
    request: Request, tokens: Tokens, *, scheme: str, is_stopping: bool
) -> tuple[Identity, None] | tuple[None, Refusal]:
    """Returns whose handshake it is, or why it is refused.

    Args:
        request: the handshake.
        tokens: that are good.
        scheme: ``https`` if it is known to have come over TLS.
        is_stopping: nobody is let in any more.
    """
    refused = _refusal(request, scheme, without_tokens=tokens.open)
    if refused is None and is_stopping:
        refused = (HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping")
    if refused is not None:
        return None, refused
    try:
        token = _token_of(request)
        cookie = None if token else _session_of(request)
        if cookie is not None:
            return tokens.authenticate_session(cookie), None
        return tokens.authenticate(token), None
    except Unauthorized as exc:
        return None, (HTTPStatus.UNAUTHORIZED, exc.detail)


def _refusal(request: Request, scheme: str, *, without_tokens: bool) -> Refusal | None:
    """Why it is refused, whoever it is from."""
    try:
        path = urlsplit(request.path).path
    except ValueError:
        return HTTPStatus.BAD_REQUEST, "the request's path cannot be read"
    if path not in PATHS:
        return HTTPStatus.NOT_FOUND, "the hub is at / and /ws"
    if len(request.headers.get_all("Host")) > 1:  # RFC 9112, section 3.2
        return HTTPStatus.BAD_REQUEST, "a request has one Host header"
    hosts = [host.lower() for host in request.headers.get_all("Host")]
    # Without tokens the name in Host is what keeps another site's page out (DNS rebinding).
    if without_tokens and not all(is_own_name(host) for host in hosts):
        return HTTPStatus.FORBIDDEN, "without tokens only this machine's own names are served"
    for origin in request.headers.get_all("Origin"):
        if not is_own_origin(origin, "".join(hosts), scheme):
            return HTTPStatus.FORBIDDEN, "a page of another origin may not connect"
    return None


class Handshaking(ServerProtocol):
    """Takes our subprotocol from those who offer it: what else is offered there may be a token."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """See :class:`websockets.server.ServerProtocol`."""
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None


def _token_of(request: Request) -> str | None:
    """The token from ``Authorization: Bearer``, a subprotocol, or else from ``?token=``."""
    for value in request.headers.get_all("Authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    for offered in ",".join(request.headers.get_all("Sec-WebSocket-Protocol")).split(","):
        if offered.strip().startswith(TOKEN_SUBPROTOCOL):
            return offered.strip().removeprefix(TOKEN_SUBPROTOCOL)
    found = parse_qs(urlsplit(request.path).query).get("token")
    return found[0] if found else None


def _session_of(request: Request) -> str | None:
    """The cookie of a page's session; that the page is of this origin was looked at."""
    host = request.headers.get("Host", "")
    return session_cookie(request.headers.get_all("Cookie"), host)
