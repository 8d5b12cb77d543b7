"""One client's socket: an ``asyncio.Protocol`` around websockets' sans-I/O ``ServerProtocol``.

RFC 6455 (parsing, handshake, masking, close) is in ``websockets``; sessions and snaps are in the
hub. There is no task, no queue and no timer for each connection: the runner has one of each.

The same class serves in two ways: under ``loop.create_server`` for the hub alone, and, through
:mod:`.upgraded`, as what uvicorn hands an upgraded request to.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import structlog
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SEND_EOF
from websockets.server import ServerProtocol

from objectclassification.auth import Identity
from objectclassification.errors import Unauthorized
from objectclassification.hub.handshake import refusal, token_of
from objectclassification.hub.remote import host_of
from objectclassification.messages import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from objectclassification.hub.runner import HubRunner

LOW_WATER_BYTES = 65_536
"""Above this many unsent bytes a connection is slow: states of shots replace each other."""
HANDSHAKE_TIMEOUT_S = 10.0
"""How long the opening handshake may take, and the closing one."""
PING = b"\x89\x00"
FRAGMENT_BYTES = 16
"""A message may come in one frame for each so many bytes of the longest message: 1,024 of them.
``ServerProtocol`` bounds their bytes, but some have none."""

_log = structlog.get_logger(__name__)
# At its debug level websockets logs request lines, and these may hold a token.
_wire_log = logging.getLogger("objectclassification.hub.wire")
_wire_log.setLevel(logging.WARNING)


def text_frame(payload: bytes) -> bytes:
    """Returns an unmasked, unfragmented text frame (RFC 6455, section 5.2).

    Built here and not by ``ServerProtocol`` so that one frame serves all its receivers.
    """
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), payload)


class Connection(asyncio.Protocol):
    """One client.

    Args:
        runner: whom it serves.
        max_message_bytes: the longest message it reads.

    Attributes:
        number: its session in the hub, once the handshake is done.
        is_open: between a good handshake and the first step of the close.
        since: when it was last heard of; before the handshake and while it closes, when that began.
    """

    __slots__ = (
        "_client",
        "_max_message_bytes",
        "_out",
        "_parts",
        "_paused",
        "_runner",
        "_transport",
        "_wire",
        "is_open",
        "number",
        "since",
    )

    def __init__(self, runner: HubRunner, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._runner = runner
        self._max_message_bytes = max_message_bytes
        self._wire = ServerProtocol(max_size=max_message_bytes, logger=_wire_log)
        self._client: str | None = None
        self._out: list[bytes] | None = None
        self._parts: list[bytes] | None = None
        self._paused = False
        self.is_open = False
        self.since = 0.0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=LOW_WATER_BYTES)
        self.since = self._runner.now()
        self.number = self._runner.made(self)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        try:
            self._take_data(data)
        except Exception as exc:  # noqa: BLE001 - a bug of ours: it costs this client, no other
            _log.exception("dropped: what it sent could not be handled", peer=self.peer)
            self._runner.counts.dropped.failed += 1
            self.abort()
            # Before uvicorn has handed the transport over, asyncio would not tell us.
            self.connection_lost(exc)

    def eof_received(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._wire.receive_eof()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._out = None
        self.is_open = False
        self._runner.lost(self)

    def pause_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._paused = True
        self._runner.paused(self)

    def resume_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._paused = False
        self._runner.resumed(self)

    # Called by the runner.

    def send(self, frame: bytes) -> None:
        """Sends an encoded frame together with whatever else goes out in this loop turn."""
        if self._out is not None:
            self._out.append(frame)
        elif self.is_open:
            self._out = [frame]
            self._runner.has_output(self)

    def send_now(self, frames: bytes) -> None:
        """Sends encoded frames at once, behind what this loop turn has for it already."""
        if self._out is not None:
            self._out.append(frames)
        elif self.is_open:
            self._runner.counts.sent_bytes += len(frames)
            self._transport.write(frames)
            if self._paused:
                self._check_bound()

    def flush(self) -> None:
        """Hands what was sent in this loop turn to the transport, in one write."""
        out, self._out = self._out, None
        if out is None or self._transport.is_closing():
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        self._runner.counts.sent_bytes += len(data)
        self._transport.write(data)
        if self._paused:
            self._check_bound()

    def close(self, code: int, reason: str) -> None:
        """Starts the closing handshake; the runner's sweep ends it if the client does not."""
        if self._wire.state is OPEN:
            self.flush()
            self._wire.send_close(code, reason)
            self._pump()
        elif not self.is_open:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection without another byte."""
        self.is_open = False
        self._transport.abort()

    @property
    def unsent_bytes(self) -> int:
        """What the transport still holds."""
        return self._transport.get_write_buffer_size()

    @property
    def peer(self) -> str:
        """The client's address: the other end's, or after the handshake whom a proxy names."""
        return self._client or host_of(self._transport.get_extra_info("peername"))

    # Inside.

    def _take_data(self, data: bytes) -> None:
        if self.is_open:
            self.since = self._runner.now()
        self._runner.counts.received_bytes += len(data)
        self._wire.receive_data(data)
        # A pong goes before what answers the frames behind its ping (RFC 6455, section 5.5.2: as
        # soon as is practical). An answer to a close does not: the frames before it still count.
        if self._wire.writes and self._wire.state is OPEN:
            self._pump()
        for event in self._wire.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
            elif isinstance(event, Request):
                self._take_handshake(event)
        if self._wire.writes:
            self._pump()

    def _check_bound(self) -> None:
        if self.unsent_bytes > self._runner.bound(self):
            _log.warning("dropped: does not read", peer=self.peer, unsent=self.unsent_bytes)
            self._runner.counts.dropped.unread += 1
            self.abort()

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._take_text(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT or (
            frame.opcode is Opcode.CONT and self._parts is not None
        ):
            self._take_fragment(frame)
        elif frame.opcode is Opcode.BINARY:
            self._runner.received_binary(self)

    def _take_fragment(self, frame: Frame) -> None:
        if self._parts is None:
            self._parts = []
        self._parts.append(bytes(frame.data))
        most = self._max_message_bytes // FRAGMENT_BYTES
        if len(self._parts) > most:
            self._parts = None  # what is left of the message is dropped
            self._fail(CloseCode.POLICY_VIOLATION, f"a message of over {most} fragments")
        elif frame.fin:
            message, self._parts = b"".join(self._parts), None
            self._take_text(message)

    def _take_text(self, message: bytes) -> None:
        if not self.is_open:  # frames behind a refused handshake or a close
            return
        if not message.isascii():
            try:
                message.decode()
            except UnicodeDecodeError as exc:
                self._fail(CloseCode.INVALID_DATA, f"{exc.reason} at position {exc.start}")
                return
        self._runner.received(self, message)

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self._wire.state is OPEN:
            self._runner.counts.dropped.protocol += 1
            self._wire.fail(code, reason)
            self._pump()

    def _take_handshake(self, request: Request) -> None:
        forwarded = request.headers.get_all("X-Forwarded-For")
        if forwarded:
            self._client = self._runner.proxies.client(self.peer, forwarded)
        identity: Identity | None = None
        refused = refusal(request, without_tokens=self._runner.tokens.open)
        if refused is None and self._runner.is_stopping:
            refused = (HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping")
        if refused is None:
            try:
                identity = self._runner.tokens.authenticate(token_of(request))
            except Unauthorized as exc:
                refused = (HTTPStatus.UNAUTHORIZED, exc.detail)
        if refused is not None:
            status, detail = refused
            response = self._wire.reject(status, f"{detail}\n")
            if status is HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = "Bearer"
            _log.info("refused", peer=self.peer, status=int(status), detail=detail)
        else:
            response = self._wire.accept(request)
        self._answer(response, identity)

    def _answer(self, response: Response, identity: Identity | None) -> None:
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._runner.counts.refused[response.status_code] += 1
        self._wire.send_response(response)
        self._pump()
        if identity is not None and self._wire.state is OPEN:
            self.is_open = True
            self._runner.opened(self, identity)

    def _pump(self) -> None:
        """Sends what ``ServerProtocol`` wants sent."""
        for data in self._wire.data_to_send():
            if data == SEND_EOF:
                self.flush()
                self._end()
            elif self._out is not None:
                self._out.append(data)
            else:
                self._out = [data]
                self._runner.has_output(self)
        if self.is_open and self._wire.state is not OPEN:
            self.flush()
            self.is_open = False
            self.since = self._runner.now()

    def _end(self) -> None:
        """Closes the socket; after a failure only our side of it, until the client closes too.

        A full close while the client still sends would reset the connection, and destroy the close
        frame on its way.
        """
        if self._wire.close_rcvd is None and self._transport.can_write_eof():
            if not self._transport.is_closing():
                self._transport.write_eof()
        else:
            self._transport.close()
