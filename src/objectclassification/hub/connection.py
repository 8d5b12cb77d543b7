"""One client's socket: an ``asyncio.Protocol`` around websockets' sans-I/O ``ServerProtocol``.

RFC 6455 (parsing, handshake, masking, close) is in ``websockets``; sessions and snaps are in the
hub. There is no task, no queue and no timer for each connection: the runner has one of each.

The same class serves in two ways: under ``loop.create_server`` for the hub alone, and, through
:mod:`.upgraded`, as what uvicorn hands an upgraded request to.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import structlog
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, OPEN, SEND_EOF

from objectclassification.auth import Identity
from objectclassification.hub.frames import PlainFrames, text_frame
from objectclassification.hub.handshake import Handshaking, identify
from objectclassification.hub.pace import Pace
from objectclassification.hub.rates import Reading, too_fast
from objectclassification.hub.remote import host_of
from objectclassification.messages import MAX_MESSAGE_BYTES, encode

if TYPE_CHECKING:
    from objectclassification.hub.runner import HubRunner

LOW_WATER_BYTES = 65_536
"""Above this many unsent bytes a connection is slow: states of shots replace each other."""
HANDSHAKE_TIMEOUT_S = 10.0
"""How long the opening handshake may take, and the closing one."""
FAREWELL_S = 1.0
"""How long somebody may read why he has to go who does not stop to send."""
PIECE_BYTES = 512
"""What is parsed of one client in one go: of the smallest frames, 85 and most of a millisecond."""
HANDSHAKE_PIECE_BYTES = 4096
"""The same, of a handshake: it is one message, and hardly any is longer."""
FRAGMENT_BYTES = 16
"""A message may come in one frame for each so many bytes of the longest message: 1,024 of them.
``ServerProtocol`` bounds their bytes, but some have none."""

_log = structlog.get_logger(__name__)
# At its debug level websockets logs request lines, and these may hold a token.
_wire_log = logging.getLogger("objectclassification.hub.wire")
_wire_log.setLevel(logging.WARNING)


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
        "_held",
        "_is_leaving",
        "_max_message_bytes",
        "_out",
        "_pace",
        "_parts",
        "_paused",
        "_plain",
        "_runner",
        "_told_to_slow_down",
        "_transport",
        "_waits",
        "_wire",
        "is_open",
        "number",
        "since",
    )

    def __init__(self, runner: HubRunner, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._runner = runner
        self._max_message_bytes = max_message_bytes
        self._wire = Handshaking(max_size=max_message_bytes, logger=_wire_log)
        self._pace: Reading = Pace(runner.limits.messages_per_s, runner.limits.messages_at_once)
        self._plain = PlainFrames(max_message_bytes)
        self._told_to_slow_down = False
        self._held: memoryview | None = None
        self._client: str | None = None
        self._out: list[bytes] | None = None
        self._parts: list[bytes] | None = None
        self._paused = self._waits = self._is_leaving = False
        self.is_open = False
        self.since = 0.0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=LOW_WATER_BYTES)
        self.since = self._runner.now()
        self.number = self._runner.made(self)
        if not self._runner.admission.arrive(self, self.peer):
            self.abort()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._runner.counts.received_bytes += len(data)
        if self._closes_on(data):
            return
        if self._held is not None:  # reading is paused, but TLS may have had some more
            self._held = memoryview(bytes(self._held) + data)
        elif len(data) <= (PIECE_BYTES if self.is_open else HANDSHAKE_PIECE_BYTES):
            self._take_or_drop(data)
        else:
            self._held = memoryview(data)
            self._transport.pause_reading()
            self.work_on()

    def eof_received(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._wire.receive_eof()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._out = None
        self._held = None
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

    def work_on(self) -> None:
        """Takes a piece of what came; the rest has its turn after others had theirs."""
        held, self._waits = self._held, False
        if held is not None:
            if self._closes_on(held):
                return
            self._held = held[PIECE_BYTES:] or None
            self._take_or_drop(bytes(held[:PIECE_BYTES]))
        if self._waits or self._transport.is_closing():
            return
        if self._held is not None:
            self._runner.turns.add(self)
        else:
            self._transport.resume_reading()

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
            self._write(frames)

    def flush(self) -> None:
        """Hands what was sent in this loop turn to the transport, in one write."""
        out, self._out = self._out, None
        if out is not None and not self._transport.is_closing():
            self._write(out[0] if len(out) == 1 else b"".join(out))

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
    def peer(self) -> str:
        """The client's address: the other end's, or after the handshake whom a proxy names."""
        return self._client or host_of(self._transport.get_extra_info("peername"))

    # Inside.

    def _closes_on(self, data: bytes | memoryview) -> bool:
        """Whether this is more than a farewell, after the close has begun: no more is read then.

        Who floods is still flooding when he is told to go; only to read that would fill the loop.
        """
        if self.is_open or self._wire.state is CONNECTING:
            return False
        if self._held is None and len(data) <= PIECE_BYTES:
            return False
        self._held = None
        if not self._is_leaving:
            self._is_leaving = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(FAREWELL_S, self._transport.abort)
        return True

    def _take_or_drop(self, data: bytes) -> None:
        try:
            self._take_data(data)
        except Exception as exc:  # noqa: BLE001 - a bug of ours: it costs this client, no other
            _log.exception("dropped: what it sent could not be handled", peer=self.peer)
            self._runner.counts.dropped.failed += 1
            self.abort()
            # Before uvicorn has handed the transport over, asyncio would not tell us.
            self.connection_lost(exc)

    def _take_data(self, data: bytes) -> None:
        texts = self._plain.read(data) if self.is_open and self._parts is None else None
        if texts is not None:
            self._take_texts(texts)
            return
        self._wire.receive_data(data)
        # A pong goes before what answers the frames behind its ping (RFC 6455, section 5.5.2: as
        # soon as is practical). An answer to a close does not: the frames before it still count.
        if self._wire.writes and self._wire.state is OPEN:
            self._pump()
        events = self._wire.events_received()
        if self.is_open and events:  # half a frame is no sign of life
            self._heard(len(events))
        for event in events:
            if isinstance(event, Frame):
                self._take_frame(event)
            elif isinstance(event, Request):
                self._take_handshake(event)
        if self._wire.writes:
            self._pump()

    def _take_texts(self, texts: list[bytes | None]) -> None:
        self._heard(len(texts))
        for text in texts:
            if text is not None:
                self._take_text(text)

    def _heard(self, frames: int) -> None:
        self.since = self._runner.now()
        wait_s = self._pace.take(frames, self.since)
        if wait_s == 0:
            return
        self._runner.counts.limited += 1
        if not self._told_to_slow_down:
            self._told_to_slow_down = True
            _log.warning("sends too much: is read more slowly", peer=self.peer)
            self.send(text_frame(encode(too_fast(self._runner.limits))))
        if not self._waits:
            self._waits = True
            self._transport.pause_reading()
            self._runner.turns.add_later(self, wait_s)

    def _write(self, data: bytes) -> None:
        self._runner.counts.sent_bytes += len(data)
        self._transport.write(data)
        unsent = self._transport.get_write_buffer_size() if self._paused else 0
        if self._paused and unsent > self._runner.bound(self):
            _log.warning("dropped: does not read", peer=self.peer, unsent=unsent)
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
        elif frame.opcode is Opcode.PONG:
            self._runner.ponged(self, bytes(frame.data))

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

    def _take_handshake(self, request: Request, *, has_waited: bool = False) -> None:
        if self._transport.is_closing() or self._wire.state is not CONNECTING:
            return  # it did not wait
        if not has_waited and (hops := request.headers.get_all("X-Forwarded-For")):
            self._client = self._runner.proxies.client(self.peer, hops)
        told = request.headers.get_all("X-Forwarded-Proto")
        scheme = self._runner.proxies.scheme_of(self._transport, told)
        identity, refused = identify(
            request, self._runner.tokens, scheme=scheme, is_stopping=self._runner.is_stopping
        )
        admission, now = self._runner.admission, self._runner.now()
        if not has_waited and (
            wait_s := admission.wait_s(identity.token_id if identity else None, now)
        ):
            again = partial(self._take_handshake, request, has_waited=True)
            asyncio.get_running_loop().call_later(wait_s, again)
            return
        if identity is not None:
            crowd = admission.admit(self, self.peer, identity.token_id)
            if crowd is not None:
                refused = (HTTPStatus.TOO_MANY_REQUESTS, f"{crowd}: close some")
        if refused is None:
            response = self._wire.accept(request)
        else:
            status, detail = refused
            response = self._wire.reject(status, f"{detail}\n")
            if status is HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = "Bearer"
            if admission.may_log(now):
                _log.info("refused", peer=self.peer, status=int(status), detail=detail)
        self._answer(response, identity)

    def _answer(self, response: Response, identity: Identity | None) -> None:
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._runner.counts.refused[response.status_code] += 1
        self._wire.send_response(response)
        self._pump()
        if identity is not None and self._wire.state is OPEN:
            self.is_open = True
            self._pace = self._runner.reading(self, self._pace, identity)
            self._plain.is_between = not self._wire.reader.buffer
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
            if self._wire.close_sent is not None:
                self._runner.admission.closed(self, self._wire.close_sent.code, self.since)

    def _end(self) -> None:
        """Closes the socket; after a failure only our side of it, until the client closes too.

        A full close while the client still sends would reset the connection, and destroy the close
        frame on its way.
        """
        if self._wire.close_rcvd is None and self._transport.can_write_eof():
            if not self._transport.is_closing():
                with suppress(OSError):  # the client has reset the connection
                    self._transport.write_eof()
        else:
            self._transport.close()
