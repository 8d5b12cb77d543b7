"""Which cameras there are, and whether they are there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from objectclassification.hub.sessions import Session, Sessions
from objectclassification.messages import CameraPlace, Role

PresenceState = Literal["online", "reconnecting", "asleep", "offline"]
GRACE_S = 5.0
"""A camera that is back within this time was not away: it is more than a restart of its program
takes, and less than anybody waits."""


class CameraPresence(msgspec.Struct, frozen=True):
    """Whether a camera is there.

    Attributes:
        state: ``reconnecting`` is gone since a moment; ``asleep`` is absent on purpose, until
            ``asleep_until``.
        groups: what it belongs to.
        since: when the state began, in seconds since the epoch, UTC; None if that was before the
            hub did.
        last_seen: when it was last heard of, to within a heartbeat; None likewise.
        asleep_until: when it is expected, seconds since the epoch, UTC.
        address: where it connects from; kept while it is away.
        agent: what its program runs on, while it is connected.
        version: of its program, while it is connected.
        latency_ms: from the last ping to its answer.
        dropped: messages of it that could not be used, and for it that it did not read in time,
            since the hub began; of its whole program, if that serves several cameras.
    """

    state: PresenceState
    groups: tuple[str, ...]
    since: float | None = None
    last_seen: float | None = None
    asleep_until: float | None = None
    address: str = ""
    agent: str = ""
    version: str = ""
    latency_ms: float | None = None
    dropped: int = 0

    @property
    def online(self) -> bool:
        """Whether it is connected."""
        return self.state == "online"


@dataclass(frozen=True, slots=True)
class Population:
    """How many there are.

    Attributes:
        cameras: known ones, by state.
        sessions: those behind a good handshake, by role; ``plain`` have said no ``hello``.
    """

    cameras: dict[str, int]
    sessions: dict[str, int]


@dataclass(slots=True)
class _Seen:
    """What is kept of a camera from connection to connection; times are of the clock on the wall,
    but for ``away_at``."""

    since: float
    last_seen: float
    address: str = ""
    dropped: int = 0
    away_at: float = math.inf


class Cameras:
    """Every camera ever registered.

    Args:
        sessions: who is connected.
        clock: seconds that only ever grow.
        wall: seconds since the epoch.
        grace_s: who is back within this time was not away.

    Attributes:
        groups: the groups of each, by name.
    """

    def __init__(
        self,
        sessions: Sessions,
        clock: Callable[[], float],
        wall: Callable[[], float],
        grace_s: float = GRACE_S,
    ) -> None:
        self.groups: dict[str, tuple[str, ...]] = {}
        self._asleep: dict[str, float] = {}
        self._seen: dict[str, _Seen] = {}
        self._leaving: dict[str, _Seen] = {}  # whose absence is not told yet, the first first
        self._sessions = sessions
        self._clock = clock
        self._wall = wall
        self._grace_s = grace_s

    @property
    def due_at(self) -> float:
        """When the next absence is to be told, by the clock; infinite if there is none."""
        for first in self._leaving.values():
            return first.away_at
        return math.inf

    def know(self, cameras: Mapping[str, tuple[str, ...]], asleep: Mapping[str, float]) -> None:
        """Adds cameras that were registered before, and until when some of them sleep."""
        self.groups.update(cameras)
        self._asleep.update(asleep)

    def forget(self, name: str) -> None:
        """A camera is not known any more, until it comes again; one that is there stays."""
        if name in self._sessions.by_camera:
            return
        for kept in (self.groups, self._asleep, self._seen, self._leaving):
            kept.pop(name, None)

    def arrived(self, session: Session, places: Mapping[str, CameraPlace]) -> list[str]:
        """A session's cameras have their slots.

        Returns:
            Those that were away.
        """
        now, came = self._wall(), []
        session.heard_at = now
        for name in session.offers:
            self.groups[name] = places[name].groups
            self._asleep.pop(name, None)
            seen = self._seen.setdefault(name, _Seen(since=now, last_seen=now))
            seen.address = session.address
            if self._leaving.pop(name, None) is None:
                seen.since = now
                came.append(name)
        return came

    def regroup(self, name: str, groups: tuple[str, ...]) -> None:
        """A known camera is in these groups from now on; snaps that are under way keep theirs."""
        if name in self.groups:
            self.groups[name] = groups

    def left(self, session: Session) -> list[str]:
        """A session is gone.

        Returns:
            The cameras that are away now: those that said so. Others have a moment to come back.
        """
        went = []
        for name in session.offers:
            seen = self._seen[name]
            seen.last_seen = self._wall()
            seen.dropped += session.dropped
            if self._grace_s == 0 or name in self._asleep:
                seen.since = seen.last_seen
                went.append(name)
            else:
                seen.away_at = self._clock() + self._grace_s
                self._leaving[name] = seen
        return went

    def overdue(self) -> list[str]:
        """Returns the cameras that did not come back within the grace; they are away now."""
        now, went = self._clock(), []
        for name, seen in self._leaving.items():
            if seen.away_at > now:
                break
            seen.since = seen.last_seen
            went.append(name)
        for name in went:
            del self._leaving[name]
        return went

    def stop(self) -> list[str]:
        """Whoever leaves from now on is away at once; returns those who just left."""
        self._grace_s = 0
        for seen in self._leaving.values():
            seen.away_at = -math.inf
        return self.overdue()

    def sleeps(self, name: str, *, until: float | None, in_s: float | None) -> None:
        """A camera will be absent on purpose; it counts once it is gone."""
        self._asleep[name] = until if until is not None else self._wall() + (in_s or 0.0)

    def presence(self, name: str) -> CameraPresence:
        """Returns whether a known camera is there."""
        groups = self.groups.get(name, ())
        seen = self._seen.get(name)
        session = self._sessions.by_camera.get(name)
        if session is not None and session.placed and seen is not None:
            return CameraPresence(
                "online",
                groups,
                since=seen.since,
                last_seen=session.heard_at,
                address=session.address,
                agent=session.agent,
                version=session.version,
                latency_ms=session.latency_ms,
                dropped=seen.dropped + session.dropped,
            )
        state: PresenceState = "offline"
        until = self._asleep.get(name)
        since = seen.since if seen else None
        if name in self._leaving:
            state, since = "reconnecting", self._leaving[name].last_seen
        elif until is not None and until > self._wall():
            state = "asleep"
        return CameraPresence(
            state,
            groups,
            since=since,
            last_seen=seen.last_seen if seen else None,
            asleep_until=until if state == "asleep" else None,
            address=seen.address if seen else "",
            dropped=seen.dropped if seen else 0,
        )

    def population(self) -> Population:
        """Counts the cameras and the sessions; some 50 ns for each."""
        roles = Counter(session.role or "plain" for session in self._sessions)
        online = sum(session.placed for session in self._sessions.by_camera.values())
        now = self._wall()
        asleep = sum(
            until > now and name not in self._sessions.by_camera
            for name, until in self._asleep.items()
        )
        reconnecting = sum(name not in self._sessions.by_camera for name in self._leaving)
        offline = max(0, len(self.groups) - online - asleep - reconnecting)
        return Population(
            {
                "online": online,
                "reconnecting": reconnecting,
                "asleep": asleep,
                "offline": offline,
            },
            {role: roles[role] for role in (*get_args(Role), "plain")},
        )

    def event_data(self, name: str) -> dict[str, Any]:
        """Returns what an event of the topic ``cameras`` says."""
        presence = self.presence(name)
        return {
            "camera": name,
            "state": presence.state,
            "groups": presence.groups,
            "until": presence.asleep_until,
            "since": presence.since,
        }
