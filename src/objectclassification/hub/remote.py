"""Whom a connection is from: its other end, or whom a proxy that we trust names.

The one place that reads ``X-Forwarded-For`` and ``X-Forwarded-Proto``, for HTTP and for WebSockets,
so that logs and limits agree about who is who. From anybody else these headers are not looked at:
they would make everyone who writes them whoever he likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from objectclassification.config.proxies import Network, parse_address, parse_networks


class TrustedProxies:
    """The proxies whose forwarded headers are believed.

    Args:
        addresses: comma-separated addresses and networks; none means nobody is believed.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, addresses: str = "") -> None:
        self._networks: tuple[Network, ...] = parse_networks(addresses)

    def trusts(self, address: str) -> bool:
        """Whether that is one of them: what it sends may be of many clients."""
        if not self._networks:
            return False
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Returns the address of the client that a request is of.

        Args:
            peer: the address of the connection's other end.
            forwarded_for: the values of all ``X-Forwarded-For`` headers, in their order.

        Returns:
            Each proxy appends whom it heard from: the last one that is no proxy of ours. What
            stands left of it, or of something that is no address, its sender has made up.
        """
        client = peer
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        while hops and self.trusts(client):
            address = parse_address(hops.pop())
            if address is None:
                break
            client = str(address)
        return client

    def scheme(self, peer: str, forwarded_proto: Sequence[str], default: str) -> str:
        """Returns ``http`` or ``https``: what the client spoke to the outermost proxy.

        Args:
            peer: the address of the connection's other end.
            forwarded_proto: the values of all ``X-Forwarded-Proto`` headers, in their order.
            default: what the peer itself speaks to us.
        """
        if not self.trusts(peer):
            return default
        said = [word.strip().lower() for value in forwarded_proto for word in value.split(",")]
        meant = {"ws": "http", "wss": "https"}.get(said[-1], said[-1]) if said else default
        return meant if meant in ("http", "https") else default

    def scheme_of(self, transport: asyncio.BaseTransport, forwarded_proto: Sequence[str]) -> str:
        """Returns the same of a connection, by what it is itself."""
        own = "https" if transport.get_extra_info("sslcontext") else "http"
        return self.scheme(host_of(transport.get_extra_info("peername")), forwarded_proto, own)


def host_of(peername: object) -> str:
    """Returns the address of a socket's ``peername``; empty if it has none, as a lost one."""
    return str(peername[0]) if isinstance(peername, tuple) and peername else ""
