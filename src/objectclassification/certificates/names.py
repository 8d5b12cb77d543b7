"""By which names and addresses this machine can be called."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection

import psutil
import structlog

from objectclassification.config.tls import Name

_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[\w.-]+))(:\d*)?", re.ASCII)

_log = structlog.get_logger(__name__)


def machine_names(host: str) -> frozenset[Name]:
    """Returns the names of this machine and its addresses, those of loopback included.

    Args:
        host: what a server listens on: a name is one more, and so is an address.
    """
    hostname = socket.gethostname().lower()
    short = hostname.partition(".")[0]
    names: set[Name] = {"localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    # `.local` is how others find it without a DNS server (RFC 6762).
    names |= {name for name in (hostname, short, f"{short}.local") if _can_be_shown(name)}
    names |= _addresses()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names.add(host.lower())
    else:
        names |= set() if address.is_unspecified else {address}
    return frozenset(names)


def is_among(host: str, names: Collection[Name]) -> bool:
    """Whether a ``Host`` header, port or not, is one of some names.

    A name ``*.example.org`` stands for all with one label in that place (RFC 9525, section 6.3).
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found["address"] or found["name"]
    try:
        return ipaddress.ip_address(name) in names
    except ValueError:
        return name in names or f"*.{name.partition('.')[2]}" in names


def _addresses() -> set[Name]:
    try:
        interfaces = psutil.net_if_addrs()
    except OSError as exc:  # where a sandbox forbids netlink
        _log.warning("the addresses of this machine are not known", why=exc.strerror)
        return set()
    found: set[Name] = set()
    for entry in (entry for entries in interfaces.values() for entry in entries):
        if entry.family not in (socket.AF_INET, socket.AF_INET6):
            continue
        address = ipaddress.ip_address(entry.address)
        if not address.is_link_local:  # its zone has a meaning on one machine only
            found.add(address)
    return found


def _can_be_shown(name: str) -> bool:
    """Whether a certificate can hold it."""
    return name.isascii() and 0 < len(name) <= 253 and not name.startswith(".")
