"""What happened to a simulated fleet, counted; bounded however long it runs."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

import msgspec

_STEP = math.log(1.02)
"""Durations within 2 % of each other are one: a quantile is no better than that."""
_LEAST_S = 1e-6
MOST_SNAPS = 1024
"""Snaps whose first order is remembered; the oldest give way."""
MOST_ERRORS = 32
"""Different texts of errors that are kept apart."""


class Durations:
    """Durations, of which only quantiles are asked."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Counts one."""
        self._counts[round(math.log(max(seconds, _LEAST_S)) / _STEP)] += 1

    def quantile_ms(self, share: float) -> float | None:
        """Returns the duration that this share of all is no longer than, in ms; None of none."""
        rank = math.ceil(share * self._counts.total())
        for step in sorted(self._counts):
            rank -= self._counts[step]
            if rank <= 0:
                return round(math.exp(step * _STEP) * 1000, 3)
        return None

    def spread(self) -> Spread:
        """Returns the quantiles that are told."""
        return Spread(self.quantile_ms(0.5), self.quantile_ms(0.99), self.quantile_ms(1.0))


class Spread(msgspec.Struct, frozen=True):
    """Milliseconds: the median, the 99th percentile, and the longest."""

    p50: float | None
    p99: float | None
    longest: float | None


class Summary(msgspec.Struct, frozen=True):
    """What ``simulate --json`` prints.

    Attributes:
        cameras: how many there were to be.
        connected: how many are connected now, or were when it ended.
        welcomed: how many were welcomed at least once.
        connections: welcomes, those of cameras that came back included.
        cut: connections that the churn cut.
        broken: connections that ended otherwise, and tries that failed.
        snaps: different snaps that were heard.
        orders: one for each camera and snap.
        shots: answers that were sent: ``captured``.
        lost_shots: answers that were lost on purpose.
        puts: pictures that the API stored.
        puts_again: PUTs that were told to come later, or did not get through.
        most_again: the most tries of one picture that were.
        lost_puts: pictures that were lost on purpose.
        failed_puts: pictures that the API refused for good.
        waiting_puts: pictures that are still to be sent.
        welcome_ms: from the start of a connection to its welcome.
        order_ms: from a snap's first order to each of its orders, over the fleet.
        put_ms: a PUT that was stored, from its first byte to its answer.
        held_ms: what a PUT waited here because too many were under way.
        seconds: how long it ran.
        errors: texts, with how often each came.
    """

    cameras: int
    connected: int
    welcomed: int
    connections: int
    cut: int
    broken: int
    snaps: int
    orders: int
    shots: int
    lost_shots: int
    puts: int
    puts_again: int
    most_again: int
    lost_puts: int
    failed_puts: int
    waiting_puts: int
    welcome_ms: Spread
    order_ms: Spread
    put_ms: Spread
    held_ms: Spread
    seconds: float
    errors: dict[str, int]


@dataclass(slots=True)
class Tally:
    """The counts of a run; :class:`Summary` says what each is."""

    connected: int = 0
    welcomed: int = 0
    connections: int = 0
    cut: int = 0
    broken: int = 0
    snaps: int = 0
    orders: int = 0
    shots: int = 0
    lost_shots: int = 0
    puts: int = 0
    puts_again: int = 0
    most_again: int = 0
    lost_puts: int = 0
    failed_puts: int = 0
    waiting_puts: int = 0
    welcome: Durations = field(default_factory=Durations)
    order: Durations = field(default_factory=Durations)
    put: Durations = field(default_factory=Durations)
    held: Durations = field(default_factory=Durations)
    errors: Counter[str] = field(default_factory=Counter)
    _first: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def ordered(self, snap: str, now: float) -> None:
        """Counts an order, and its snap if it is the first of it."""
        self.orders += 1
        first = self._first.get(snap)
        if first is None:
            self.snaps += 1
            self._first[snap] = first = now
            if len(self._first) > MOST_SNAPS:
                self._first.popitem(last=False)
        self.order.add(now - first)

    def again(self, tries: int) -> None:
        """Counts a PUT that has to be sent again, for the so-manieth time."""
        self.puts_again += 1
        self.most_again = max(self.most_again, tries)

    def error(self, text: str) -> None:
        """Counts an error; when there are too many different ones, among others."""
        if text not in self.errors and len(self.errors) >= MOST_ERRORS:
            text = "other errors"
        self.errors[text] += 1

    def summary(self, cameras: int, seconds: float) -> Summary:
        """Returns it for a person or a machine."""
        counts = {
            name: getattr(self, name)
            for name in Summary.__struct_fields__
            if isinstance(getattr(self, name, None), int)
        }
        return Summary(
            **counts,
            cameras=cameras,
            welcome_ms=self.welcome.spread(),
            order_ms=self.order.spread(),
            put_ms=self.put.spread(),
            held_ms=self.held.spread(),
            seconds=round(seconds, 3),
            errors=dict(self.errors.most_common()),
        )
