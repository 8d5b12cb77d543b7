"""Which cameras there are, and whether they are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from objectclassification.hub.sessions import Session, Sessions
from objectclassification.messages import Role


@dataclass(frozen=True, slots=True)
class CameraPresence:
    """Whether a camera is there.

    Attributes:
        state: ``asleep`` is absent on purpose, until ``asleep_until``.
        groups: what it belongs to.
        asleep_until: seconds since the epoch, UTC.
        agent: what its program runs on, while it is connected.
        version: of its program, while it is connected.
    """

    state: Literal["online", "offline", "asleep"]
    groups: tuple[str, ...]
    asleep_until: float | None = None
    agent: str = ""
    version: str = ""

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


class Cameras:
    """Every camera ever registered.

    Args:
        sessions: who is connected.
        wall: seconds since the epoch.

    Attributes:
        groups: the groups of each, by name.
    """

    def __init__(self, sessions: Sessions, wall: Callable[[], float]) -> None:
        self.groups: dict[str, tuple[str, ...]] = {}
        self._asleep: dict[str, float] = {}
        self._sessions = sessions
        self._wall = wall

    def know(self, cameras: Mapping[str, tuple[str, ...]]) -> None:
        """Adds cameras that were registered before."""
        self.groups.update(cameras)

    def forget(self, name: str) -> None:
        """A camera is not known any more, until it comes again; one that is there stays."""
        if name in self._sessions.by_camera:
            return
        self.groups.pop(name, None)
        self._asleep.pop(name, None)

    def arrived(self, session: Session) -> None:
        """A session's cameras have their slots."""
        for name, offer in session.offers.items():
            self.groups[name] = offer.groups
            self._asleep.pop(name, None)

    def sleeps(self, name: str, until: float) -> None:
        """A camera will be absent on purpose; it counts once it is gone."""
        self._asleep[name] = until

    def presence(self, name: str) -> CameraPresence:
        """Returns whether a known camera is there."""
        groups = self.groups.get(name, ())
        session = self._sessions.by_camera.get(name)
        if session is not None and session.placed:
            return CameraPresence("online", groups, agent=session.agent, version=session.version)
        until = self._asleep.get(name)
        if until is not None and until > self._wall():
            return CameraPresence("asleep", groups, asleep_until=until)
        return CameraPresence("offline", groups)

    def population(self) -> Population:
        """Counts the cameras and the sessions; some 50 ns for each."""
        roles = Counter(session.role or "plain" for session in self._sessions)
        online = sum(session.placed for session in self._sessions.by_camera.values())
        now = self._wall()
        asleep = sum(
            until > now and name not in self._sessions.by_camera
            for name, until in self._asleep.items()
        )
        offline = max(0, len(self.groups) - online - asleep)
        return Population(
            {"online": online, "asleep": asleep, "offline": offline},
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
        }
