"""Takes new connections at a measured pace, so that a crowd at the door is nobody's burden inside.

asyncio's own servers take as many connections in one turn of the loop as the kernel queues, and all
else waits meanwhile; they also let a TLS handshake take a minute.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from objectclassification.errors import ConfigurationError
from objectclassification.hub.admission import Admission
from objectclassification.hub.limits import BACKLOG, TLS_GOODBYE_S

AT_ONCE: Final = 2
"""Connections taken in one turn of the loop, about a millisecond with their handshakes; a snap
takes some twenty turns."""
PAUSE_S: Final = 0.001
"""After such a turn, while somebody waits for a snap, or while strangers are turned away, who come
back as fast as they are taken."""
FULL_PAUSE_S: Final = 1.0
"""When the operating system gives no more: no file or no memory is left."""
MOST_TLS_HANDSHAKES: Final = 256
"""At the same time; for one more the oldest ends: those that never begin must keep nobody out."""
TLS_HANDSHAKE_TIMEOUT_S: Final = 10.0

_log = structlog.get_logger(__name__)


class Acceptor:
    """Serves a listening socket, on the running loop.

    Args:
        listener: it listens already.
        protocol: makes what serves a connection.
        admission: says whether there is a crowd.
        is_awaited: whether somebody waits for a snap now.
        tls: for connections with TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        admission: Admission,
        is_awaited: Callable[[], bool],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._admission = admission
        self._is_awaited = is_awaited
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connecting: dict[asyncio.Task[None], None] = {}  # as an ordered set
        self._paused: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Takes no more connections, and closes the listening socket; twice does nothing."""
        if self._listener.fileno() < 0:
            return
        if self._paused is not None:
            self._paused.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    async def wait_closed(self) -> None:
        """Ends the TLS handshakes that are under way."""
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _resume(self) -> None:
        self._paused = None
        self._loop.add_reader(self._listener, self._accept)

    def _pause(self, pause_s: float) -> None:
        self._loop.remove_reader(self._listener)
        self._paused = self._loop.call_later(pause_s, self._resume)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                _log.error("no connection can be taken", reason=exc.strerror)
                self._pause(FULL_PAUSE_S)
                return
            if self._tls is not None and len(self._connecting) >= MOST_TLS_HANDSHAKES:
                self._end(next(iter(self._connecting)))
            task = self._loop.create_task(self._connect(sock))
            self._connecting[task] = None
            task.add_done_callback(self._forget)
        if self._is_awaited() or self._admission.is_crowded:
            self._pause(PAUSE_S)

    def _end(self, connecting: asyncio.Task[None]) -> None:
        connecting.cancel()
        self._forget(connecting)

    def _forget(self, connecting: asyncio.Task[None]) -> None:
        self._connecting.pop(connecting, None)

    async def _connect(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_S if self._tls else None,
                ssl_shutdown_timeout=TLS_GOODBYE_S if self._tls else None,
            )
        except OSError:  # it went, or its TLS is none: ssl.SSLError is one, too
            sock.close()


def bind(host: str, port: int) -> socket.socket:
    """Takes the port before anything else is started.

    Raises:
        ConfigurationError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Accepted sockets inherit it. asyncio sets it only where the protocol's number is known,
        # and an answer of two writes would wait 40 ms for the client's delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OverflowError as exc:
        raise ConfigurationError(f"cannot listen on {host}:{port}: no such port") from exc
    except OSError as exc:
        # Python adds the address to the text of the error a second time.
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {reason}; choose another with --port"
        ) from exc
