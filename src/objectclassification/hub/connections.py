"""The connections of a runner: their numbers, and what goes out to them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

from objectclassification.hub.connection import Connection
from objectclassification.hub.effects import Close, Send, SendEach
from objectclassification.hub.frames import text_frame


class Connections:
    """All connections, those in their handshake included.

    A frame is built once for all who get it, and each connection's writes of one turn of the loop
    go out together.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._all: dict[int, Connection] = {}
        self._writing: list[Connection] = []

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._all.values()))

    def add(self, connection: Connection) -> int:
        """Takes one in; returns its number."""
        number = next(self._numbers)
        self._all[number] = connection
        return number

    def remove(self, connection: Connection) -> None:
        """Its socket is closed."""
        self._all.pop(connection.number, None)

    def carry_out(self, effect: Send | SendEach | Close) -> None:
        """Does what the hub says; a connection that has gone is passed over."""
        match effect:
            case Send():
                frame = text_frame(effect.payload)
                for number in effect.sessions:
                    connection = self._all.get(number)
                    if connection is not None:
                        connection.send(frame)
            case SendEach():
                for number, payloads in effect.payloads:
                    connection = self._all.get(number)
                    if connection is not None:
                        connection.send_now(b"".join(map(text_frame, payloads)))
            case Close():
                connection = self._all.get(effect.session)
                if connection is not None:
                    connection.close(effect.code, effect.reason)

    def has_output(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """It has frames for the end of this turn of the loop."""
        if not self._writing:
            loop.call_soon(self._flush)
        self._writing.append(connection)

    def _flush(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.flush()
