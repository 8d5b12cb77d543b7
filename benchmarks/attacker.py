"""A hostile client, as a process of its own: one kind of attack on one server, until it is ended.

Standard library only, and what is sent is made once, so that it is quick. It prints ``attacking``
once it is at it. ``python -m benchmarks.attacker KIND HOST PORT``; the token of the attacks that
need one comes on standard input.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

NICENESS = 10
"""It stands for other machines: it must not take the server's processor."""
BUFFER_BYTES = 65_536
MASK = bytes(4)
"""A mask of zeros leaves the payload as it is."""
FLOODERS = 8
CROWD = 10_000
DRIPPERS = 1000
DRIP_S = 1.0


class Target:
    """The server that is attacked."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self.host, self.port, self.token = host, port, token

    def connect(self) -> socket.socket:
        """A connection without a word."""
        return socket.create_connection((self.host, self.port), timeout=10)

    def upgraded(self) -> socket.socket:
        """A WebSocket with a good token."""
        sock = self.connect()
        sock.sendall(self.handshake(f"?token={self.token}"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = sock.recv(4096)
            if not piece:
                raise ConnectionError
            answer += piece
        return sock

    def handshake(self, query: str = "", more: str = "") -> bytes:
        """The bytes of an upgrade."""
        return (
            f"GET /ws{query} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{more}\r\n"
        ).encode()

    def get(self, path: str, more: str = "") -> bytes:
        """The bytes of a request."""
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{more}\r\n".encode()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A masked frame with a short payload (RFC 6455, section 5.2)."""
    return bytes([fin << 7 | rsv1 << 6 | opcode, 0x80 | len(payload)]) + MASK + payload


def flood(unit: bytes, first: bytes = b"", *, reads: bool = True) -> Callable[[Target], None]:
    """Several WebSockets with a good token, each sending a unit over and over."""
    buffer = unit * (BUFFER_BYTES // len(unit))

    def run(target: Target) -> None:
        _in_threads(FLOODERS, lambda: _pour(target.upgraded(), first, buffer, reads=reads))

    return run


def http_flood(request: Callable[[Target], bytes]) -> Callable[[Target], None]:
    """Several connections, each sending requests behind one another without waiting."""

    def run(target: Target) -> None:
        unit = request(target)
        buffer = unit * (BUFFER_BYTES // len(unit))
        _in_threads(FLOODERS, lambda: _pour(target.connect(), b"", buffer, reads=True))

    return run


def ask(request: Callable[[Target], bytes]) -> Callable[[Target], None]:
    """Several clients, each a new connection for each request, as soon as the last is answered."""

    def run(target: Target) -> None:
        unit = request(target)

        def once() -> None:
            with target.connect() as sock:
                sock.sendall(unit)
                sock.recv(4096)

        _in_threads(FLOODERS, once)

    return run


def crowd(count: int, first: bytes = b"", drip: bytes = b"") -> Callable[[Target], None]:
    """That many connections at the same time, made anew when they end, that send next to nothing.

    Args:
        count: of them.
        first: what each sends at the beginning.
        drip: what each sends every second.
    """

    def run(target: Target) -> None:
        connections: set[socket.socket] = set()
        with selectors.DefaultSelector() as selector:
            dripped = time.monotonic()
            while True:
                for _ in range(min(200, count - len(connections))):
                    _join(selector, connections, target, first)
                for key, _ in selector.select(0.01):
                    _look(selector, connections, key.fileobj)
                if drip and time.monotonic() - dripped > DRIP_S:
                    dripped = time.monotonic()
                    for sock in connections:
                        with suppress(OSError):
                            sock.send(drip)

    return run


def _join(
    selector: selectors.BaseSelector,
    connections: set[socket.socket],
    target: Target,
    first: bytes,
) -> None:
    sock = socket.socket()
    try:
        sock.settimeout(1)
        sock.connect((target.host, target.port))
        sock.setblocking(False)
        if first:
            sock.send(first)
    except OSError:
        sock.close()
        return
    connections.add(sock)
    selector.register(sock, selectors.EVENT_READ)


def _look(selector: selectors.BaseSelector, connections: set[socket.socket], sock: object) -> None:
    assert isinstance(sock, socket.socket)
    try:
        if sock.recv(4096):
            return
    except OSError:
        pass
    selector.unregister(sock)
    connections.discard(sock)
    sock.close()


def _in_threads(count: int, once: Callable[[], None]) -> None:
    def over_and_over() -> None:
        while True:
            try:
                once()
            except OSError:
                time.sleep(0.01)

    threads = [threading.Thread(target=over_and_over, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _pour(sock: socket.socket, first: bytes, buffer: bytes, *, reads: bool) -> None:
    """Sends until the server ends it."""
    with sock:
        sock.setblocking(False)
        rest = memoryview(first + buffer)
        events = selectors.EVENT_WRITE | (selectors.EVENT_READ if reads else 0)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, events)
            for ready in _for_ever(selector):
                if ready & selectors.EVENT_READ and not sock.recv(BUFFER_BYTES):
                    return
                if ready & selectors.EVENT_WRITE:
                    rest = rest[sock.send(rest) :] or memoryview(buffer)


def _for_ever(selector: selectors.BaseSelector) -> Iterator[int]:
    while True:
        for _, ready in selector.select():
            yield ready


def compute(target: Target) -> None:
    """No attack: a neighbour that takes as much of the processor as it can get."""
    while True:
        sum(range(10_000))


def rest(target: Target) -> None:
    """No attack at all."""
    while True:
        time.sleep(60)


TEXT, BINARY, PING, PONG = 1, 2, 9, 10
HALF_A_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
HALF_A_FRAME = b"\x81\xfe\x3f\xff" + MASK
WRONG = "Authorization: Bearer oc_wrong\r\n"

ATTACKS: dict[str, Callable[[Target], None]] = {
    "none": rest,
    "none, but a neighbour that computes": compute,
    "tiny text frames": flood(frame(TEXT, b"x")),
    "tiny binary frames": flood(frame(BINARY, b"x")),
    "bad JSON": flood(frame(TEXT, b"{")),
    "fragments without end": flood(frame(0, fin=False), frame(TEXT, fin=False)),
    "binary fragments without end": flood(frame(0, fin=False), frame(BINARY, fin=False)),
    "pings": flood(frame(PING)),
    "long pings, pongs not read": flood(frame(PING, bytes(125)), reads=False),
    "pongs": flood(frame(PONG)),
    "10,000 silent connections": crowd(CROWD),
    "1,000 slow HTTP headers": crowd(DRIPPERS, HALF_A_REQUEST, b"a"),
    "handshakes without a token": ask(lambda target: target.handshake()),
    "requests with a wrong token": ask(lambda target: target.get("/api/cameras", WRONG)),
    "requests without waiting": http_flood(lambda target: target.get("/healthz")),
}


def slow_frames(target: Target) -> None:
    """A thousand WebSockets with a good token, each in the middle of a frame, byte by byte."""
    crowd(DRIPPERS, target.handshake(f"?token={target.token}") + HALF_A_FRAME, b"a")(target)


ATTACKS["1,000 slow WebSocket frames"] = slow_frames


def main() -> None:
    """Attacks."""
    kind, host, port = sys.argv[1:]
    target = Target(host, int(port), sys.stdin.readline().strip())
    os.nice(NICENESS)
    print("attacking", flush=True)
    ATTACKS[kind](target)


if __name__ == "__main__":
    main()
