"""The controller's side of a measurement, as plain as can be: its own work is in no figure."""

from __future__ import annotations

import json
import socket
from abc import ABC, abstractmethod
from typing import Any

TIMEOUT_S = 60.0
BUFFER_BYTES = 4 * 2**20
ORDER = json.dumps(
    {
        "type": "snap",
        "id": "0198c2f1-02c4-7d5a-9a6e-0f7f8c1f5a10",
        "camera": "load-00000",
        "deadline_s": 30.0,
    }
).encode()
"""What an order of ours looks like, for those who cannot make one."""


class Controller(ABC):
    """A connection that asks for snaps and waits for what comes of them.

    Args:
        port: of the hub, on this machine.
        token: for those hubs that want one.
        instance: what it calls itself.
    """

    def __init__(self, port: int, token: str = "", instance: str = "benchmark") -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(("127.0.0.1", port))
        self._buffer = bytearray()
        self._port, self._token, self._instance = port, token, instance
        self._greet()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    @abstractmethod
    def snap(self, to: str, cameras: int) -> None:
        """Asks for pictures: of ``*``, or of one camera by its name."""

    @abstractmethod
    def wait(self, cameras: int) -> None:
        """Waits until all of them have been told of."""

    @abstractmethod
    def give_up(self) -> None:
        """Ends a snap that nobody answers."""

    @abstractmethod
    def _greet(self) -> None: ...

    def _more(self) -> None:
        data = self._socket.recv(BUFFER_BYTES)
        if not data:
            raise SystemExit("the hub closed the controller's connection")
        self._buffer += data


class WebSocketController(Controller):
    """At a hub that only passes frames on: it counts them."""

    def snap(self, to: str, cameras: int) -> None:
        """Sends any frame."""
        self._say(b'{"type":"snap"}')

    def wait(self, cameras: int) -> None:
        """Reads a frame for each camera."""
        for _ in range(cameras):
            self._frame()

    def give_up(self) -> None:
        """Nothing is waited for."""

    def _greet(self) -> None:
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {self._token}\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        hello = {"type": "hello", "role": "controller", "instance": self._instance}
        self._say(json.dumps(hello).encode())
        assert b"welcome" in self._frame()

    def _say(self, payload: bytes) -> None:
        size = len(payload)
        head = b"\x81%c" % (0x80 | size) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self._socket.sendall(head + bytes(4) + payload)  # a mask of zeros

    def _frame(self) -> bytes:
        """Returns the next text frame; a ping is answered."""
        while True:
            opcode, payload = self._any_frame()
            if opcode == 9:
                self._socket.sendall(b"\x8a\x80" + bytes(4))
            elif opcode == 1:
                return payload
            else:
                raise SystemExit(f"the hub ended it: {payload!r}")

    def _any_frame(self) -> tuple[int, bytes]:
        self._need(2)
        head, size = 2, self._buffer[1] & 127
        if size > 125:
            head = 4 if size == 126 else 10
            self._need(head)
            size = int.from_bytes(self._buffer[2:head], "big")
        self._need(head + size)
        opcode, payload = self._buffer[0] & 15, bytes(self._buffer[head : head + size])
        del self._buffer[: head + size]
        return opcode, payload

    def _need(self, size: int) -> None:
        while len(self._buffer) < size:
            self._more()


class OurController(WebSocketController):
    """At our hub: a snap ends with its ``done``."""

    def snap(self, to: str, cameras: int) -> None:
        """Asks for pictures."""
        self._say(
            json.dumps({"type": "snap", "to": [to], "until": "captured", "deadline_s": 30}).encode()
        )
        accepted = json.loads(self._frame())
        assert len(accepted["cameras"]) == cameras, accepted
        self._snap = accepted["snap"]

    def wait(self, cameras: int) -> None:
        """Reads up to ``done``; whatever comes before it are shots."""
        while not (frame := self._frame()).startswith(b'{"type":"done"'):
            assert frame.startswith(b'{"type":"shots"'), frame[:200]
        done = json.loads(frame)
        assert done["answered"] == cameras, done

    def shots(self, cameras: int) -> list[dict[str, Any]]:
        """Reads up to ``done``, and returns the last word on each shot."""
        newest: dict[str, dict[str, Any]] = {}
        while (message := json.loads(self._frame()))["type"] != "done":
            newest.update((shot["camera"], shot) for shot in message["shots"])
        assert message["answered"] == cameras, message
        return list(newest.values())

    def watch(self, *topics: str) -> None:
        """Asks for events."""
        self._say(json.dumps({"type": "watch", "topics": topics}).encode())

    def narrow(self, size: int) -> None:
        """Has the kernel keep next to nothing, so that who does not read is soon felt."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def give_up(self) -> None:
        """Cancels it, and reads up to ``done``."""
        self._say(json.dumps({"type": "cancel", "snap": self._snap}).encode())
        while not self._frame().startswith(b'{"type":"done"'):
            pass


class MqttController(Controller):
    """At an MQTT 3.1.1 broker: it publishes, and counts what is published."""

    def snap(self, to: str, cameras: int) -> None:
        """Publishes to what all cameras hear, or to what only one does."""
        self._send(0x30, _string("snap" if to == "*" else f"snap/{to}") + ORDER)

    def wait(self, cameras: int) -> None:
        """Reads a PUBLISH for each camera."""
        for _ in range(cameras):
            assert self._packet() == 3

    def give_up(self) -> None:
        """Nothing is waited for."""

    def _greet(self) -> None:
        self._send(0x10, b"\x00\x04MQTT\x04\x02\x00\x00" + _string("controller"))
        assert self._packet() == 2
        self._send(0x82, b"\x00\x01" + _string("shots") + b"\x00")
        assert self._packet() == 9

    def _send(self, kind: int, body: bytes) -> None:
        size, digits = len(body), bytearray()
        while True:
            size, digit = divmod(size, 128)
            digits.append(digit | (128 if size else 0))
            if not size:
                break
        self._socket.sendall(bytes([kind]) + digits + body)

    def _packet(self) -> int:
        """Returns the type of the next packet."""
        size = shift = 0
        head = 1
        while True:
            while len(self._buffer) <= head:
                self._more()
            digit = self._buffer[head]
            size |= (digit & 127) << shift
            head, shift = head + 1, shift + 7
            if not digit & 128:
                break
        while len(self._buffer) < head + size:
            self._more()
        kind = self._buffer[0] >> 4
        del self._buffer[: head + size]
        return kind


def _string(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()
