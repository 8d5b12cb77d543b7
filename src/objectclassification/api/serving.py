"""uvicorn, with its traps closed.

Its own server handles signals by raising them again, so that nothing after ``serve()`` runs; it
lets half a request stay open for ever; and its HTTP parser has no bound on the size of headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from objectclassification.api.access import bodies_of, token_of
from objectclassification.auth import session_cookie
from objectclassification.config import ServerSettings
from objectclassification.errors import Unauthorized
from objectclassification.hub.acceptor import Acceptor
from objectclassification.hub.admission import Admission
from objectclassification.hub.runner import HubRunner
from objectclassification.hub.upgraded import uvicorn_protocol

MAX_HEADER_BYTES = 65_536
BODY_GRACE_S = 1.0
"""How long a stop lets bodies that are on their way arrive."""
MOST_PIPELINED, MOST_PIPELINED_BY_STRANGERS = 16, 1
"""Requests on one connection that wait for the one before them; hardly any client sends two."""
LINGER_AT_STOP_S = 0.5
"""How long a stop waits for clients to read that they were refused."""

BODY_PIECE_BYTES = 2**19
"""A body is handed on in pieces of this size, or whole: each costs its reader a wake-up."""
BODY_WAKE_S = 0.1
"""A slow body's reader hears this often that it goes on."""
_INFORMS = b"HTTP/1.1 1"  # of "100 Continue", which comes before the answer


# uvicorn warns of each request that it cannot read: whoever sends such would fill the log.
_quiet_log = logging.getLogger("objectclassification.api.http")
_quiet_log.setLevel(logging.ERROR)


class TimedHttp(HttpToolsProtocol):
    """HTTP/1.1 whose request line and headers must come whole, soon, and be of a sane size.

    A request's headers are awaited when the connection is made, and again when bytes of a next
    request come; the idle time between requests is uvicorn's ``timeout_keep_alive``. What still
    comes of the body of a request that was answered early (too large, say) is read and thrown
    away for as long, so that a client that only then looks for the answer finds it. So it is when
    the connection ends with that answer: closing a socket with unread bytes resets it, and the
    answer would be lost on its way.
    """

    def __init__(
        self,
        *args: Any,
        header_timeout_s: float,
        admission: Admission,
        caller: Callable[[Any], tuple[str, str] | None],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _quiet_log
        self._admission = admission
        self._caller = caller
        self._is_known = False
        self._header_timeout_s = header_timeout_s
        self._header_timer: asyncio.TimerHandle | None = None
        self._header_bytes = self._trailer_bytes = 0
        self._in_body = False
        self._handed_on_at = 0.0
        self._request_ended = False
        self._lingers = False
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to wait for the first request."""
        super().connection_made(transport)
        if self._admission.arrive(self, self.client[0] if self.client else ""):
            self._await_headers()
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and bounds headers that do not end."""
        if self._awaits_request() and self._header_timer is None:
            self._await_headers()
        self._request_ended = False
        super().data_received(data)
        if self._in_body or self._request_ended:
            self._header_bytes = 0
            return
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("Request headers are too large.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers, or a trailer: that is none of the request, and nobody reads it."""
        if not self._in_body:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > MAX_HEADER_BYTES:
            raise ValueError("trailers are too large")  # httptools makes it a 400

    def on_headers_complete(self) -> None:
        """The request is whole as far as its headers go."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEADER_BYTES:  # they came in one piece
            raise ValueError("request headers are too large")  # httptools makes it a 400
        most = MOST_PIPELINED if self._is_known else MOST_PIPELINED_BY_STRANGERS
        if len(self.pipeline) >= most:
            raise ValueError("too many requests at once")
        self._stop_waiting()
        self._in_body, self._trailer_bytes = True, 0
        before, self._handed_on_at = self.cycle, self.loop.time()
        super().on_headers_complete()
        if self.cycle is not before:  # no upgrade
            has_body = self.scope["method"] != "HEAD"
            closing = _LastWords(self.transport, self.finish_and_close, holds_head=has_body)
            self.cycle.transport = cast(asyncio.Transport, closing)
            self._look_who_calls()

    def on_body(self, body: bytes) -> None:
        """Keeps some of a body together before its reader is woken; the end wakes it, too."""
        cycle, now = self.cycle, self.loop.time()
        if cycle.response_complete or self.parser.should_upgrade():
            super().on_body(body)
            return
        cycle.body += body
        if len(cycle.body) >= BODY_PIECE_BYTES:
            self.flow.pause_reading()
        elif now - self._handed_on_at < BODY_WAKE_S:
            return
        self._handed_on_at = now
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        self._request_ended = True
        super().on_message_complete()
        if self._lingers:
            self.transport.close()

    def finish_and_close(self) -> None:
        """Closes once the request is whole too, or some time after the answer was given."""
        if not self._in_body:
            self.transport.close()
            return
        # uvicorn's time for the next request, or ours once more bytes come, ends this.
        self._lingers = True
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client has reset the connection
                self.transport.write_eof()
        if self._stopping:
            self.loop.call_later(LINGER_AT_STOP_S, self.timeout_keep_alive_handler)

    def shutdown(self) -> None:
        """The server stops: the answer that is still to come is the last one."""
        self._stopping = True
        super().shutdown()

    def handle_websocket_upgrade(self) -> None:
        """The connection is the hub's from here on."""
        self._stop_waiting()
        self._admission.leave(self)
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_waiting()
        self._admission.leave(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Ends the connection without another byte."""
        self.transport.abort()

    def _look_who_calls(self) -> None:
        """With its first good token a connection is no stranger any more."""
        if self._is_known:
            return
        caller = self._caller(self.scope)
        self._is_known = caller is not None and self._admission.admit(self, *caller) is None

    def _awaits_request(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(
            self._header_timeout_s, self.timeout_keep_alive_handler
        )

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


class _LastWords:
    """A transport for an answer: whoever closes it after the answer may have to wait a little.

    Its head waits for the first piece of its body, which uvicorn sends at once: one call of the
    kernel, one packet, and one wake-up of the client for both.
    """

    def __init__(
        self, transport: asyncio.Transport, close: Callable[[], None], *, holds_head: bool
    ) -> None:
        self._transport = transport
        self._close = close
        self._holds_head = holds_head
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Sends, or keeps a head for a moment."""
        if self._holds_head and not data.startswith(_INFORMS):
            self._holds_head, self._head = False, data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def close(self) -> None:
        """Sends what it kept, and closes."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._close()


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs it.

    Args:
        app: the API.
        settings: the server's.
        runner: the hub's, for the WebSockets.
        tls: for HTTPS; plain HTTP without.

    Attributes:
        listening: set once it takes connections.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: ServerSettings,
        runner: HubRunner,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.listening = asyncio.Event()
        self._app = app
        self._tls = tls
        self._admission = runner.admission
        self._is_awaited = runner.is_awaited
        self._proxies = runner.proxies
        self._tokens = runner.tokens
        self._http = partial(
            TimedHttp,
            header_timeout_s=settings.header_timeout_s,
            admission=runner.admission,
            caller=self._caller,
        )
        super().__init__(
            uvicorn.Config(
                app,
                # uvicorn only calls it, so anything that makes a protocol will do.
                http=cast(Any, self._http),
                ws=uvicorn_protocol(runner),
                lifespan="off",
                log_config=None,
                access_log=False,  # it would log query strings; the API logs requests itself
                server_header=False,
                proxy_headers=False,  # they would reach HTTP only: api/app.py and the hub read them
                timeout_graceful_shutdown=max(1, int(settings.stop_timeout_s) // 2),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen: as uvicorn does, and at a measured pace."""
        # uvicorn closes them as it would close asyncio's servers, and does nothing else with them.
        self.servers = [cast(Any, self._acceptor(listener)) for listener in sockets or ()]
        self.started = True
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops; a body that is not here in a moment is told to come again later."""
        ending = asyncio.get_running_loop().call_later(BODY_GRACE_S, self._end_bodies)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    def _acceptor(self, listener: socket.socket) -> Acceptor:
        made = self._new_connection
        return Acceptor(listener, made, self._admission, self._is_awaited, self._tls)

    def _new_connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self._http(
            config=self.config, server_state=self.server_state, app_state={}
        )
        return made

    def _caller(self, scope: Any) -> tuple[str, str] | None:
        """Address and token of a request, if the token is good."""
        request = Request(scope)
        token, tokens = token_of(request), self._tokens
        # Before a proxy's word on TLS is read: either cookie will do to count a connection.
        host, cookies = request.headers.get("host", ""), request.headers.getlist("cookie")
        cookie = session_cookie(cookies, host) if token is None else None
        if token is None and cookie is None and not tokens.open:  # most of what strangers send
            return None
        try:
            identity = tokens.authenticate_session(cookie) if cookie else tokens.authenticate(token)
        except Unauthorized:
            return None
        peer = request.client.host if request.client else ""
        forwarded = request.headers.getlist("x-forwarded-for")
        return self._proxies.client(peer, forwarded), identity.token_id

    def _end_bodies(self) -> None:
        for task in bodies_of(self._app):
            task.cancel()
