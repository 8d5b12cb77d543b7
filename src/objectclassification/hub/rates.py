"""How much may come with one token: snaps a minute, and messages a second over all its connections.

Both are the bucket of :mod:`.pace`, which is smaller than what a library has for it, has no clock
of its own, and needs no store. Snaps over the rate are refused; messages are only read later, so
that none is lost. Cameras' connections have no token's bucket: a fleet may share one token, and
answers a snap all at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from objectclassification.auth import SCHEDULES, Identity
from objectclassification.errors import RateLimited
from objectclassification.hub.limits import Limits
from objectclassification.hub.pace import Pace
from objectclassification.messages import Problem

LIGHT_PER_S, LIGHT_AT_ONCE = 20.0, 100
"""Messages of a connection that never wait for what others send with its token."""


class SnapRates:
    """Counts the snaps of each token.

    Args:
        per_minute: for each token, and what it may ask for in one go after a minute's rest; None:
            any number.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._per_minute = per_minute
        self._paces: dict[str, Pace] = {}

    def check(self, identity: Identity, now: float) -> None:
        """Sees that there is room for one more.

        Raises:
            RateLimited: there is none, and when there will be.
        """
        if self._per_minute is None or identity is SCHEDULES:
            return
        pace = self._paces.get(identity.token_id)
        if pace is None:
            pace = Pace(self._per_minute / 60, max(1, self._per_minute))
            self._paces[identity.token_id] = pace
        wait_s = pace.wait_s(1, now)
        if wait_s > 0:
            raise RateLimited(
                f"more than {self._per_minute:g} snaps a minute with this token: wait "
                f"{math.ceil(wait_s)} s, or ask several cameras with one snap",
                retry_after_s=wait_s,
            )

    def take(self, identity: Identity, now: float) -> None:
        """Counts one more.

        Raises:
            RateLimited: there is no room for it.
        """
        self.check(identity, now)
        pace = self._paces.get(identity.token_id)
        if pace is not None:
            pace.take(1, now)


def too_fast(limits: Limits) -> Problem:
    """What a client is told, once, that is read more slowly from then on."""
    detail = (
        f"more than {limits.messages_per_s:g} messages a second, or "
        f"{limits.messages_per_s_per_token:g} with this token: you are read no faster"
    )
    return Problem(code="too_fast", detail=detail)


class Reading(Protocol):
    """How long a connection waits before it is read on."""

    def take(self, amount: float, now: float) -> float:
        """Counts frames that came; returns how many seconds to wait for the next."""


class MessageRates:
    """Gives each connection the pace at which it is read."""

    def __init__(self) -> None:
        self._shared: dict[str, Pace] = {}

    def with_token(
        self,
        own: Reading,
        identity: Identity,
        limits: Limits,
        serves_cameras: Callable[[], bool],
    ) -> Reading:
        """A connection's own pace with that of all that its token sends.

        Args:
            own: how it was read until now.
            identity: whose token it has.
            limits: of a token.
            serves_cameras: whether it has said that it does.
        """
        if identity.role == "camera":
            return own
        shared = self._shared.get(identity.token_id)
        if shared is None:
            shared = Pace(limits.messages_per_s_per_token, limits.messages_at_once)
            self._shared[identity.token_id] = shared
        return _Together(own, shared, serves_cameras)


class _Together:
    __slots__ = ("_light", "_own", "_serves_cameras", "_shared")

    def __init__(self, own: Reading, shared: Pace, serves_cameras: Callable[[], bool]) -> None:
        self._own = own
        self._light = Pace(LIGHT_PER_S, LIGHT_AT_ONCE)
        self._shared: Pace | None = shared
        self._serves_cameras = serves_cameras

    def take(self, amount: float, now: float) -> float:
        """See :class:`Reading`."""
        own_s = self._own.take(amount, now)
        if self._shared is None:
            return own_s
        if self._serves_cameras():
            self._shared = None
            return own_s
        shared_s = self._shared.take(amount, now)
        return own_s if self._light.take(amount, now) == 0 else max(own_s, shared_s)
