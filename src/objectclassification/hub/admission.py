"""How many connections there may be: of a token, of an address, and of strangers.

A stranger is a connection that has shown no good token yet. Whoever comes has a moment to show one;
when there are too many strangers, the one that has had the longest goes. So a crowd that only holds
connections open turns itself away, and whoever has a token comes through it.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from typing import Protocol

import structlog

from objectclassification.hub.counts import Counts
from objectclassification.hub.limits import Limits
from objectclassification.hub.pace import LONGEST_WAIT_S, MISUSES_PER_S, Pace, Refusals
from objectclassification.hub.remote import TrustedProxies

IPV6_PREFIX = 64
"""The network that one IPv6 customer has at the least: he picks any address of it."""
MISUSE = frozenset((1002, 1007, 1008, 1009))
"""Close codes (RFC 6455, section 7.4.1) that are for what came over the connection."""
CROWDED_S = 1.0
LOG_LINES_PER_S, LOG_LINES_AT_ONCE = 1.0, 20
"""Of what strangers do: they must not fill the log."""

_log = structlog.get_logger(__name__)


class Guest(Protocol):
    """A connection as far as it is counted here."""

    def abort(self) -> None:
        """Ends it without another byte."""


class Admission:
    """Counts the connections of one server, HTTP and WebSocket, and turns away what is too much.

    Args:
        limits: how many.
        counts: where what was turned away is counted.
        proxies: strangers that they bring count as strangers of no address.

    Attributes:
        most: connections of all kinds, by the files that this process may open.
    """

    def __init__(self, limits: Limits, counts: Counts, proxies: TrustedProxies) -> None:
        self.most = limits.strangers + limits.connections_per_token
        self._limits = limits
        self._counts = counts
        self._proxies = proxies
        # Dicts as ordered sets: the oldest first.
        self._strangers: dict[Guest, str] = {}
        self._of_address: dict[str, dict[Guest, None]] = {}
        self._known: dict[Guest, tuple[str, str]] = {}
        self._known_by_token: Counter[str] = Counter()
        self._known_by_address: Counter[str] = Counter()
        self._refusals = Refusals()
        self._misuse: dict[str, Pace] = {}
        self._crowded_until = 0.0
        self._log_pace = Pace(LOG_LINES_PER_S, LOG_LINES_AT_ONCE)

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    @property
    def strangers(self) -> int:
        """How many have shown no good token."""
        return len(self._strangers)

    def arrive(self, guest: Guest, address: str) -> bool:
        """Takes a stranger in; an older one may have to go for it.

        Args:
            guest: the connection.
            address: of its other end.

        Returns:
            Whether there is room at all; without it the guest must be ended by the caller.
        """
        key = "" if self._proxies.trusts(address) else _customer(address)
        mine = self._of_address.get(key, {})
        if key and len(mine) >= self._limits.strangers_per_address:
            self._turn_away(next(iter(mine)))
        elif self._strangers and (
            len(self._strangers) >= self._limits.strangers or len(self) >= self.most
        ):
            self._turn_away(next(iter(self._strangers)))
        if len(self) >= self.most:
            self._counts.dropped.crowded += 1
            return False
        self._strangers[guest] = key
        self._of_address.setdefault(key, {})[guest] = None
        return True

    def admit(self, guest: Guest, address: str, token_id: str) -> str | None:
        """A stranger has shown a good token.

        Args:
            guest: the connection.
            address: of the client, as a trusted proxy names it.
            token_id: whose token it is.

        Returns:
            None, or why it stays a stranger.
        """
        key = _customer(address)
        if self._known_by_token[token_id] >= self._limits.connections_per_token:
            return "this token has too many connections"
        if self._known_by_address[key] >= self._limits.connections_per_address:
            return "this address has too many connections"
        self._forget_stranger(guest)
        self._known[guest] = (key, token_id)
        self._known_by_address[key] += 1
        self._known_by_token[token_id] += 1
        return None

    def closed(self, guest: Guest, code: int, now: float) -> None:
        """A connection ends; if for what it sent, its token's next ones may have to wait."""
        known = self._known.get(guest)
        if known is None or code not in MISUSE:
            return
        most = self._limits.misuses_at_once
        pace = self._misuse.setdefault(known[1], Pace(MISUSES_PER_S, most))
        pace.take(1, now)

    def wait_s(self, token_id: str | None, now: float) -> float:
        """How long a handshake waits for its answer; None is one without a good token."""
        if token_id is None:
            return self._refusals.wait_s(now)
        pace = self._misuse.get(token_id)
        return min(LONGEST_WAIT_S, pace.take(0, now)) if pace is not None else 0.0

    def leave(self, guest: Guest) -> None:
        """A connection is gone; a second time does nothing."""
        self._forget_stranger(guest)
        known = self._known.pop(guest, None)
        if known is not None:
            _less(self._known_by_address, known[0])
            _less(self._known_by_token, known[1])

    def may_log(self, now: float) -> bool:
        """Whether another line about a stranger fits into the log now."""
        return self._log_pace.take(1, now) == 0

    @property
    def is_crowded(self) -> bool:
        """Whether strangers had to be turned away in the last second."""
        return time.monotonic() < self._crowded_until

    def _turn_away(self, guest: Guest) -> None:
        self._crowded_until = time.monotonic() + CROWDED_S
        self._forget_stranger(guest)
        self._counts.dropped.crowded += 1
        guest.abort()

    def _forget_stranger(self, guest: Guest) -> None:
        key = self._strangers.pop(guest, None)
        if key is None:
            return
        others = self._of_address[key]
        del others[guest]
        if not others:
            del self._of_address[key]


def _customer(address: str) -> str:
    """Whoever has this address: of IPv6, a whole network."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.ip_network((address.partition("%")[0], IPV6_PREFIX), strict=False)
    except ValueError:
        return address
    return str(network)


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
