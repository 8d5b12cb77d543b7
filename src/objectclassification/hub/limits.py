"""What the operating system allows a server, and what a server allows its clients."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from objectclassification.config import ServerSettings

BACKLOG = 4096
"""Connections the kernel queues: a fleet that reconnects at once must not be refused."""
TLS_GOODBYE_S = 1.0
"""How long a TLS connection that we close waits for the other side's goodbye; a client that only
looks at its socket when it needs it next would hold up every stop."""
OTHER_FILES = 256
"""What a server has open beside its connections: database, pictures, pipes to its children."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of a hub.

    Attributes:
        connections_per_token: with one token, at the same time. A fleet may share one: 5,000
            cameras with a WebSocket and an upload each, and half of them still there from before.
        connections_per_address: from one address with good tokens; a fleet may be behind one NAT.
        strangers: connections that have not shown a good token yet.
        strangers_per_address: the same, from one address.
        messages_per_s: frames a connection may send, of any kind, over a long time.
        messages_at_once: frames it may send in one go: a camera program may have thousands of
            shots to report when it comes back.
        messages_per_s_per_token: the same over all connections of a token, those that serve cameras
            apart, over a long time; ``messages_at_once`` in one go.
        snaps_per_minute: snaps with one token; None is any number.
        misuses_at_once: connections of a token that may end for what they sent, one after the
            other, before its next ones have to wait.
    """

    connections_per_token: int = 16_384
    connections_per_address: int = 16_384
    strangers: int = 2048
    strangers_per_address: int = 512
    messages_per_s: float = 500
    messages_at_once: int = 20_000
    messages_per_s_per_token: float = 1000
    snaps_per_minute: float | None = None
    misuses_at_once: int = 200

    @classmethod
    def of(cls, settings: ServerSettings) -> Limits:
        """The limits that a server's settings say."""
        return cls(
            connections_per_token=settings.max_connections_per_token,
            connections_per_address=settings.max_connections_per_address,
            strangers=settings.max_strangers,
            strangers_per_address=settings.max_strangers_per_address,
            messages_per_s=settings.max_messages_per_s,
            messages_at_once=settings.max_messages_at_once,
            messages_per_s_per_token=settings.max_messages_per_s_per_token,
            snaps_per_minute=settings.max_snaps_per_minute,
        )


def most_connections() -> int:
    """How many connections this process can have open, by its limit on open files."""
    return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_FILES)


def raise_file_limit() -> int:
    """Raises the soft limit on open files to the hard one; returns what it is now.

    Each connection is an open file, and the usual soft limit is 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
