"""The hub alone on its own port, as the seed's ``server_echo.py``: shots end at ``captured``.

``python -m objectclassification.hub.server_echo`` is ``objectclassification server``.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import TracebackType
from typing import Self

import structlog

from objectclassification.auth import Tokens
from objectclassification.config import is_loopback
from objectclassification.errors import ConfigurationError
from objectclassification.hub.acceptor import Acceptor, bind
from objectclassification.hub.connection import Connection
from objectclassification.hub.hub import Hub
from objectclassification.hub.limits import raise_file_limit
from objectclassification.hub.recorder import MemoryRecorder, Recorder
from objectclassification.hub.remote import TrustedProxies
from objectclassification.hub.runner import HubRunner

DEFAULT_PORT = 8765

_log = structlog.get_logger(__name__)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Gives an event that SIGTERM or SIGINT sets; enter it before anyone can know of the server."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    try:
        yield asked
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class Server:
    """A hub on a port of its own.

    As an async context manager it serves inside the block; :meth:`run` serves until a signal.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        tokens: who may connect; ``Tokens(open=True)`` lets everyone in, on loopback only.
        recorder: where snaps are kept; in memory unless given.
        heartbeat_s: seconds between pings.
        proxies: who may say whom a connection is from.

    Attributes:
        port: the one it listens on, once it serves.
        tls: for ``wss://``; None is plain ``ws://``. To be set before it serves.
        runner: for those who snap from inside the process.

    Raises:
        ConfigurationError: open to everyone, but not on loopback.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        tokens: Tokens,
        recorder: Recorder | None = None,
        heartbeat_s: float = 20.0,
        proxies: TrustedProxies | None = None,
    ) -> None:
        if tokens.open and not is_loopback(host):
            raise ConfigurationError(
                f"without tokens only this machine may connect: --no-auth goes with "
                f"--host 127.0.0.1, not {host}"
            )
        self.host = host
        self.port = port
        self.runner = HubRunner(
            Hub(until="captured", heartbeat_s=heartbeat_s),
            recorder or MemoryRecorder(),
            tokens,
            proxies=proxies,
        )
        self.tls: ssl.SSLContext | None = None
        self._listening: Acceptor | None = None

    async def start(self) -> None:
        """Listens.

        Raises:
            ConfigurationError: the address cannot be used, or another program has the port.
        """
        raise_file_limit()
        await self.runner.start()
        try:
            listener = bind(self.host, self.port)
        except ConfigurationError:
            await self.runner.stop()
            raise
        self._listening = Acceptor(
            listener,
            lambda: Connection(self.runner),
            self.runner.admission,
            self.runner.is_awaited,
            self.tls,
        )
        self.port = listener.getsockname()[1]
        _log.info("serving", host=self.host, port=self.port)

    async def stop(self) -> None:
        """Stops listening, ends open snaps, and closes all connections with 1012."""
        if self._listening is not None:
            self._listening.close()
        await self.runner.stop()
        _log.info("stopped")

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT.

        Raises:
            ConfigurationError: the address cannot be used, or another program has the port.
        """

        async def serve() -> None:
            with stop_signals() as asked:
                async with self:
                    await asked.wait()

        asyncio.run(serve())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


if __name__ == "__main__":
    # The command line stands above the hub, so it is looked up only when it was asked for.
    sys.argv.insert(1, "server")
    import_module("objectclassification.cli").main()
