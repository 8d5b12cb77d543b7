"""One simulated camera: an ``asyncio.Protocol`` around websockets' sans-I/O ``ClientProtocol``."""

from __future__ import annotations

import asyncio
import logging
import platform
import random
import socket
import time
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN

from objectclassification import __version__
from objectclassification.client.backoff import Backoff
from objectclassification.client.link import refusal
from objectclassification.client.simulation.uploads import Put
from objectclassification.errors import BadMessage, Forbidden, Unauthorized
from objectclassification.messages import (
    MAX_HUB_MESSAGE_BYTES,
    CameraOffer,
    ClientMessage,
    Hello,
    Problem,
    ShotReport,
    SnapOrder,
    Welcome,
    decode_hub,
    encode,
)

if TYPE_CHECKING:
    from objectclassification.client.simulation.fleet import Fleet

AGENT = f"simulated on {platform.system()} {platform.machine()}"
SOURCE = "simulated"
SLOW_PAUSE_S = 10.0
"""Between two looks of a slow reader at its connection: twice in a heartbeat, so that it stays."""
SLOW_BUFFER_BYTES = 4096
"""What the kernel keeps for a slow reader: the hub is to feel that it does not read."""

# At its debug level websockets logs headers, and these hold the token.
_wire_log = logging.getLogger("objectclassification.client.simulation.wire")
_wire_log.setLevel(logging.WARNING)


class SimulatedCamera(asyncio.Protocol):
    """A camera that answers each snap with the picture that all have.

    Args:
        fleet: which it is of.
        number: in the fleet.
        is_slow: it reads only once in a while.

    Attributes:
        number: in the fleet.
        name: by which the hub knows it.
        backoff: how long it waits before it comes back.
        began_at: when its connection was begun, by the loop's clock.
        heard_at: when something came last, by the same clock.
        is_welcomed: the hub has taken its ``hello`` on this connection.
        was_welcomed: it has on some connection.
    """

    __slots__ = (
        "_answered",
        "_fleet",
        "_is_slow",
        "_transport",
        "_upload",
        "_wire",
        "backoff",
        "began_at",
        "heard_at",
        "is_welcomed",
        "name",
        "number",
        "was_welcomed",
    )

    def __init__(self, fleet: Fleet, number: int, *, is_slow: bool) -> None:
        self.number = number
        self.name = fleet.plan.name(number)
        self.backoff = Backoff()
        self.began_at = self.heard_at = 0.0
        self.is_welcomed = self.was_welcomed = False
        self._fleet = fleet
        self._is_slow = is_slow
        self._transport: asyncio.Transport | None = None
        self._wire: ClientProtocol | None = None
        self._upload: str | None = None
        self._answered: tuple[str, bool] | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self.heard_at = self._fleet.now()
        if self._is_slow and (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        self._wire = ClientProtocol(
            self._fleet.uri, max_size=MAX_HUB_MESSAGE_BYTES, logger=_wire_log
        )
        request = self._wire.connect()
        request.headers.update(self._fleet.headers)
        self._wire.send_request(request)
        self._pump()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self.heard_at = self._fleet.now()
        if (wire := self._wire) is None:
            return
        wire.receive_data(data)
        for event in wire.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.TEXT and event.fin:  # the hub sends none in pieces
                    self._take(bytes(event.data))
            elif wire.handshake_exc is None:
                self._say(self._hello())
        self._pump()
        if self._is_slow and self.is_welcomed and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(SLOW_PAUSE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        wire, self._wire, self._transport = self._wire, None, None
        why = "the connection broke" if exc is not None else "the hub closed the connection"
        if wire is not None and wire.close_rcvd is not None:
            why = f"closed by the hub: {wire.close_rcvd.reason or wire.close_rcvd.code}"
            if wire.close_rcvd.code == CloseCode.SERVICE_RESTART:
                self.backoff.restarts(self._fleet.now())
        if wire is not None and isinstance(wire.handshake_exc, InvalidStatus):
            why = self._refused(wire.handshake_exc.response.status_code)
        was_welcomed, self.is_welcomed = self.is_welcomed, False
        self._fleet.lost(self, why, was_welcomed=was_welcomed)

    # Called by the fleet.

    def close(self) -> None:
        """Says goodbye, and ends the connection."""
        if self._wire is not None and self._wire.state is OPEN:
            self._wire.send_close(CloseCode.NORMAL_CLOSURE)
            self._pump()
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """Ends the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    # Inside.

    def _hello(self) -> Hello:
        fleet = self._fleet
        offer = CameraOffer(name=self.name, groups=fleet.plan.group(self.number), source=SOURCE)
        return Hello(
            role="camera",
            instance=f"{fleet.id}-{self.number}",
            version=__version__,
            agent=AGENT,
            cameras=(offer,),
        )

    def _take(self, frame: bytes) -> None:
        try:
            message = decode_hub(frame)
        except BadMessage as exc:  # a newer hub may know more messages than we do
            self._fleet.tally.error(exc.detail)
            return
        match message:
            case SnapOrder():
                self._take_order(message)
            case Welcome():
                self.is_welcomed = True
                self.backoff.welcomed()
                self._upload = message.cameras[0].upload if message.cameras else None
                self._fleet.welcomed(self, message.heartbeat_s)
                self.was_welcomed = True
                for order in message.pending:
                    self._take_order(order)
            case Problem() if not self.is_welcomed:
                self._fleet.refused(refusal(message, self._fleet.url, self._fleet.origin))
                self.close()
            case Problem():
                self._fleet.tally.error(f"the hub objects: {message.detail}")

    def _take_order(self, order: SnapOrder) -> None:
        fleet = self._fleet
        if self._answered is not None and self._answered[0] == order.id:
            if self._answered[1]:
                self._report(order.id)  # it is owed the word again, not another picture
            return
        fleet.tally.ordered(order.id, fleet.now())
        is_lost = fleet.plan.loses()
        self._answered = (order.id, not is_lost)
        if is_lost:
            fleet.tally.lost_shots += 1
        elif (delay_s := fleet.plan.delay_s()) > 0:
            asyncio.get_running_loop().call_later(delay_s, self._answer, order, delay_s)
        else:
            self._answer(order, 0.0)

    def _answer(self, order: SnapOrder, delay_s: float) -> None:
        """Says that it was captured; without a connection it says so when it is asked again."""
        self._report(order.id, delay_s)
        self._fleet.tally.shots += 1
        if self._upload is not None:
            now = time.monotonic()
            spread_s = random.uniform(0, order.spread_s)  # noqa: S311 - spreads; no secret
            due_at = now + spread_s + self._fleet.plan.delay_s()
            self._fleet.uploads.add(Put(self.name, self._upload, order.id, now, due_at))

    def _report(self, snap: str, delay_s: float = 0.0) -> None:
        if not self.is_welcomed:
            return
        took = {"total": round(delay_s * 1000, 1)}
        self._say(ShotReport(snap=snap, camera=self.name, state="delivered"))
        self._say(
            ShotReport(
                snap=snap, camera=self.name, state="captured", freshness="replay", camera_ms=took
            )
        )
        self._pump()

    def _say(self, message: ClientMessage) -> None:
        if self._wire is not None and self._wire.state is OPEN:
            self._wire.send_text(encode(message))

    def _pump(self) -> None:
        """Sends what ``ClientProtocol`` wants sent."""
        if self._wire is None or self._transport is None:
            return
        pieces = self._wire.data_to_send()
        if data := b"".join(pieces):
            self._transport.write(data)
        if self._wire.close_expected() or b"" in pieces:
            self._transport.close()

    def _look(self) -> None:
        """A slow reader reads once."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _refused(self, status: int) -> str:
        if status == 401:
            self._fleet.refused(
                Unauthorized(
                    f"the token is unknown, was revoked, or was not given{self._fleet.origin}"
                )
            )
        elif status == 403:
            self._fleet.refused(Forbidden(f"{self._fleet.url} refuses this client"))
        return f"no hub answers, but HTTP {status}"
