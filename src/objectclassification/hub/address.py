"""This machine's address, which host names mean this machine only, and which origin is ours."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from objectclassification.config import is_loopback

# RFC 5737 documentation address: connecting a UDP socket to it picks a route and sends nothing.
_SOMEWHERE = ("192.0.2.1", 9)


@dataclass(frozen=True, slots=True)
class MachineAddress:
    """Where this machine is found.

    Attributes:
        hostname: its name.
        address: the address it uses towards other machines; ``127.0.0.1`` without a network.
    """

    hostname: str
    address: str


def machine_address() -> MachineAddress:
    """Returns this machine's name and outward address; no traffic is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
            address: str = probe.getsockname()[0]
        except OSError:  # no route: a machine without a network
            address = "127.0.0.1"
    return MachineAddress(hostname=socket.gethostname(), address=address)


def is_own_name(host: str) -> bool:
    """Whether a ``Host`` header, port or not, is a name that only this machine has."""
    name = host.strip().lower()
    if name.startswith("["):
        name, closed, port = name[1:].partition("]")
        return bool(closed) and _is_port(port) and is_loopback(name)
    if name.count(":") == 1:
        name, colon, port = name.partition(":")
        return _is_port(colon + port) and is_loopback(name)
    return is_loopback(name)


def is_own_origin(origin: str, host: str, scheme: str) -> bool:
    """Whether an ``Origin`` header, which browsers write, is that of this server's own pages.

    Args:
        origin: the header.
        host: the request's ``Host`` header.
        scheme: of the request, as far as it is known: ``https`` is, by our own TLS or the word of a
            proxy that we trust, and then a page of plain http, which anybody on the way may have
            written, is another's. ``http`` may be TLS that a proxy nobody told us of has ended.
    """
    of, separator, authority = origin.lower().partition("://")
    schemes = ("https",) if scheme == "https" else ("http", "https")
    return bool(separator and authority) and authority == host.lower() and of in schemes


def _is_port(text: str) -> bool:
    return text in ("", ":") or (text[0] == ":" and text[1:].isdecimal())
