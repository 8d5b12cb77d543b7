"""Which proxies stand before a server: their addresses, read from a setting."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_networks(text: str) -> tuple[Network, ...]:
    """Reads ``127.0.0.1, 10.0.0.0/8, ::1``.

    Raises:
        ValueError: something in it is neither an address nor a network.
    """
    networks: list[Network] = []
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError as exc:
            raise ValueError(
                f"{word!r} is no address of a proxy: 127.0.0.1 or 10.0.0.0/8 would be"
            ) from exc
    return tuple(networks)


def parse_address(text: str) -> Address | None:
    """Reads an address, with a port or without; None if it is none.

    An IPv4 address that IPv6 carries (``::ffff:192.0.2.1``) is that IPv4 address.
    """
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
