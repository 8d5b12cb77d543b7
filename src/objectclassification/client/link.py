"""A connection to the hub that comes back: what every client of ours stands on."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode

from objectclassification.client import heartbeat
from objectclassification.client.backoff import Backoff
from objectclassification.client.outage import Outage
from objectclassification.config import split_token
from objectclassification.errors import (
    EXIT_CONFIGURATION,
    BadMessage,
    ConfigurationError,
    Conflict,
    Forbidden,
    ObjectClassificationError,
    ServerUnreachable,
    Unauthorized,
)
from objectclassification.messages import (
    MAX_HUB_MESSAGE_BYTES,
    ClientMessage,
    Hello,
    HubMessage,
    Problem,
    Welcome,
    decode_hub,
    encode,
)
from objectclassification.trust import Trust, UntrustedServer

HANDSHAKE_TIMEOUT_S = 10.0
REPLACED = "replaced"
"""The reason the hub gives to a connection when the same instance opened another."""

_log = structlog.get_logger(__name__)


def websocket_url(url: str) -> str:
    """Returns where the hub of a server is: ``http://host:8000`` → ``ws://host:8000/ws``.

    Raises:
        ConfigurationError: it is not an http, https, ws or wss address.
    """
    plain, _ = split_token(url)
    return f"ws{plain.removeprefix('http')}/ws"


class WrongRelease(ServerUnreachable):
    """The hub does not take this program's release; ``code`` on the wire: too_old or too_new.

    It may after the next update of the server, so whoever is patient tries on.
    """

    code = "wrong_release"
    exit_code = EXIT_CONFIGURATION


class Link:
    """Says ``hello`` on every new connection and yields what the hub sends, over all of them.

    ::

        async with Link(url, hello, token=token) as link:
            async for message in link:  # a Welcome first, and after each new connection
                ...

    Args:
        url: ``http(s)://`` or ``ws(s)://``; a ``?token=`` in it is taken out of it.
        hello: who this is.
        token: sent as ``Authorization: Bearer``.
        ca: certificates to trust instead of the system's, or of a pin.
        pins: whether a server of an unknown authority is believed at the first connection.
        patience_s: how long to try without a ``welcome`` before giving up; None is for ever, 0 is
            one try.
        origin: of the token, as errors about it end.
        tell: takes each line for the person at the screen: why there is no connection, whom the
            first one trusts; without it they go to the log.

    Attributes:
        outage: why it is not connected now.

    Raises:
        ConfigurationError: the address or the certificates cannot be used.
    """

    def __init__(
        self,
        url: str,
        hello: Hello,
        *,
        token: str | None = None,
        ca: Path | None = None,
        pins: bool = False,
        patience_s: float | None = None,
        origin: str = "",
        tell: Callable[[str], None] | None = None,
    ) -> None:
        plain, found = split_token(url)
        self.url = plain
        self._hello = hello
        self._token = token or found
        self._origin = origin
        self._address = websocket_url(plain)
        self._trust = Trust(plain, ca, pins=pins, tell=tell)
        self.outage = Outage(plain, tell, gives_up=patience_s is not None)
        self._patience_s = patience_s
        self._socket: ClientConnection | None = None
        self._watching: asyncio.Task[None] | None = None
        self._welcomed = False
        self._backoff = Backoff()
        self._alone_since: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[HubMessage]:
        while True:
            yield await self.receive()

    async def receive(self) -> HubMessage:
        """Returns the next message, connecting anew as often as it takes.

        Raises:
            Unauthorized: the token is unknown or was revoked.
            Forbidden: the token was not made for this.
            Conflict: another program serves one of the cameras, or has taken this one's place.
            WrongRelease: the hub did not take this release for longer than ``patience_s``.
            ServerUnreachable: no welcome for that long, for another reason.
        """
        while True:
            if self._socket is None:
                await self._connect()
                continue
            try:
                # Whatever answers must say welcome soon; after that a quiet hub is a good one.
                async with asyncio.timeout(None if self._welcomed else HANDSHAKE_TIMEOUT_S):
                    frame = await self._socket.recv(decode=False)
            except (ConnectionClosed, TimeoutError) as exc:
                await self._lost(exc)
                continue
            try:
                message = self._read(frame)
            except ServerUnreachable as exc:  # the server's trouble, not ours
                await self._pause(exc, exc.detail)
                continue
            if message is not None:
                return message

    async def send(self, message: ClientMessage) -> None:
        """Sends a message on the connection there is.

        Raises:
            ServerUnreachable: there is none now; say it again after the next ``welcome``.
        """
        if self._socket is None or not self._welcomed:
            raise ServerUnreachable(f"not connected to {self.url}", url=self.url)
        try:
            await self._socket.send(encode(message), text=True)
        except ConnectionClosed as exc:
            raise ServerUnreachable(f"the connection to {self.url} broke", url=self.url) from exc

    async def close(self) -> None:
        """Closes the connection."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if self._socket is not None:
            socket, self._socket = self._socket, None
            await socket.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        if self._alone_since is None:
            self._alone_since = loop.time()
        try:
            self._socket = await self._open()
            await self._socket.send(encode(self._hello), text=True)
        except InvalidStatus as exc:
            status = exc.response.status_code
            if status == 401:
                raise Unauthorized(self._refused_token()) from exc
            if status == 403:
                raise Forbidden(f"{self.url} refuses this client") from exc
            await self._pause(exc, f"no hub answers at {self.url}, but HTTP {status}")
        except InvalidURI as exc:
            raise ConfigurationError(f"not a server address: {self.url}") from exc
        except ssl.SSLError as exc:
            await self._settle(exc)
        except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed, EOFError) as exc:
            await self._pause(exc, await self._unanswered(exc))

    def _refused_token(self) -> str:
        if self._token:
            return f"the token is unknown or was revoked{self._origin}"
        return (
            f"{self.url} asks for a token, and none was given: run `objectclassification login "
            f"{self.url}`, or give --token-file"
        )

    async def _unanswered(self, failed: Exception) -> str:
        """Why there was no answer; who did answer something may want TLS."""
        nobody = isinstance(failed, ConnectionRefusedError | socket.gaierror | TimeoutError)
        if not nobody and await asyncio.to_thread(self._trust.is_elsewhere):
            return f"{self.url} speaks TLS: its address is https://…"
        return f"no server answers at {self.url} ({_why(failed)})"

    async def _settle(self, failed: ssl.SSLError) -> None:
        """After a handshake that failed: tries again at once if the server was only new."""
        try:
            if not await asyncio.to_thread(self._trust.settle):
                await self._pause(failed, await self._unanswered(failed))
        except UntrustedServer as exc:
            if self._patience_s is not None:
                raise
            # A camera waits for somebody to put it right; it may also be in a hotel's network.
            await self._pause(exc, exc.detail)
        except ServerUnreachable as exc:
            await self._pause(exc, exc.detail)

    async def _open(self) -> ClientConnection:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
        return await _Connect(
            self._address,
            additional_headers=headers,
            compression=None,  # messages are small, and a deflate window costs the hub 32 kB
            max_size=MAX_HUB_MESSAGE_BYTES,
            open_timeout=HANDSHAKE_TIMEOUT_S,
            ping_interval=None,  # ours go at the hub's own pace
            ssl=self._trust.context,
        )

    async def _lost(self, exc: ConnectionClosed | TimeoutError) -> None:
        await self.close()
        was_welcomed, self._welcomed = self._welcomed, False
        goodbye = exc.rcvd if isinstance(exc, ConnectionClosed) else None
        if goodbye is not None and goodbye.reason == REPLACED:
            raise Conflict("another program with this one's instance has taken its place") from exc
        if goodbye is not None and goodbye.code == CloseCode.SERVICE_RESTART:
            self._backoff.restarts(asyncio.get_running_loop().time())
        if was_welcomed:
            self._alone_since = asyncio.get_running_loop().time()
        await self._pause(exc, f"the connection to {self.url} broke ({_why(exc)})")

    async def _pause(self, exc: Exception, why: str) -> None:
        """Waits before the next try: longer each time, and never in step with other clients."""
        await self.close()
        pause_s = self._backoff.next_pause_s(asyncio.get_running_loop().time())
        if self._patience_s is not None and self._alone_since is not None:
            left_s = self._alone_since + self._patience_s - asyncio.get_running_loop().time()
            if left_s <= 0 and isinstance(exc, WrongRelease):
                raise exc
            if left_s <= 0:
                raise ServerUnreachable(why, url=self.url) from exc
            pause_s = min(pause_s, left_s)
        self.outage.note(why, pause_s)
        await asyncio.sleep(pause_s)

    def _read(self, frame: bytes) -> HubMessage | None:
        try:
            message = decode_hub(frame)
        except BadMessage as exc:  # a newer hub may know more messages than we do
            _log.warning("a message we do not know", detail=exc.detail)
            return None
        if isinstance(message, str):  # plain messages are not for those who said hello
            return None
        if isinstance(message, Welcome):
            self._welcomed = True
            self._backoff.welcomed()
            self._alone_since = None
            self.outage.over()
            self._watch(message.heartbeat_s)
        elif isinstance(message, Problem) and not self._welcomed:
            raise refusal(message, self.url, self._origin)
        return message

    def _watch(self, heartbeat_s: float) -> None:
        if self._socket is not None and self._watching is None:
            self._watching = asyncio.create_task(heartbeat.watch(self._socket, heartbeat_s))


class _Connect(connect):
    """Follows no redirect: it could carry the token to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Takes every redirect for the failure that it is."""
        return exc


def refusal(problem: Problem, url: str, origin: str) -> ObjectClassificationError:
    """Returns the error of a ``hello`` that was not taken; ServerUnreachable if it may be later."""
    match problem.code:
        case "forbidden":
            return Forbidden(problem.detail + origin)
        case "name_in_use":
            return Conflict(problem.detail)
        case "too_old" | "too_new":
            return WrongRelease(problem.detail, url=url)
        case "bad_message":
            return ConfigurationError(f"the hub refused: {problem.detail}")
        case _:  # it is stopping, or its disk is full
            return ServerUnreachable(f"the hub cannot welcome us: {problem.detail}", url=url)


def _why(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return f"nothing within {HANDSHAKE_TIMEOUT_S:g} s"
    if isinstance(exc, ssl.SSLError):  # its errno is OpenSSL's, not the system's
        return exc.strerror or str(exc)
    if isinstance(exc, OSError) and exc.errno and exc.errno > 0:
        return os.strerror(exc.errno)  # asyncio's own text says less
    return str(exc) or type(exc).__name__
