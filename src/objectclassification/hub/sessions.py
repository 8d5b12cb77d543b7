"""Who is connected: sessions, the names they serve, and who hears what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import get_args

from objectclassification.auth import Identity
from objectclassification.errors import BadMessage, Forbidden
from objectclassification.hub.shots import LiveShot
from objectclassification.messages import CameraOffer, Hello, Role, Topic

BAD_MESSAGES = 20.0
"""A session may send this many bad messages at once, and this many more each 4 s."""
BAD_MESSAGES_PER_S = 5.0
KEPT_EVENTS = 64
"""Events kept for a watcher that does not read; older ones give way to newer ones."""


class Backlog:
    """What a session that does not read will be told once it reads again: the newest only."""

    __slots__ = ("events", "shots")

    def __init__(self) -> None:
        self.shots: dict[str, dict[str, LiveShot]] = {}
        self.events: deque[bytes] = deque(maxlen=KEPT_EVENTS)


class Session:
    """One connection.

    Attributes:
        id: given by the shell.
        identity: whose token.
        role: what it said in its ``hello``; None for a plain client.
        instance: from its ``hello``.
        offers: the cameras it serves, by name.
        knows: messages that came after the first ones, and that it answers.
        address: where it connects from.
        placed: its cameras have their slots and it was welcomed.
        heard_at: when it last answered a ping, or was welcomed; seconds since the epoch.
        latency_ms: from the last ping to its answer.
        dropped: messages of it that could not be used, and for it that gave way unread.
        topics: what it watches.
        backlog: set while its connection takes no more.
    """

    __slots__ = (
        "_bad_at",
        "_bad_left",
        "address",
        "agent",
        "backlog",
        "dropped",
        "heard_at",
        "id",
        "identity",
        "instance",
        "knows",
        "latency_ms",
        "offers",
        "placed",
        "role",
        "topics",
        "version",
    )

    def __init__(self, id_: int, identity: Identity, address: str) -> None:
        self.id = id_
        self.identity = identity
        self.address = address
        self.heard_at = 0.0
        self.latency_ms: float | None = None
        self.dropped = 0
        self.role: Role | None = None
        self.instance = ""
        self.agent = ""
        self.version = ""
        self.offers: dict[str, CameraOffer] = _NO_OFFERS
        self.knows: tuple[str, ...] = ()
        self.placed = False
        self.topics: frozenset[Topic] = frozenset()
        self.backlog: Backlog | None = None
        self._bad_left = BAD_MESSAGES
        self._bad_at = 0.0

    def may_err(self, now: float) -> bool:
        """Counts a bad message; False once there were too many."""
        left = self._bad_left + (now - self._bad_at) * BAD_MESSAGES_PER_S
        self._bad_left = min(BAD_MESSAGES, left) - 1
        self._bad_at = now
        return self._bad_left >= 0

    def must_serve(self, camera: str) -> None:
        """Forbidden, unless it is one of its cameras."""
        if camera not in self.offers:
            raise Forbidden(f"this connection does not serve the camera {camera!r}")

    def must_have_said_hello(self) -> None:
        """BadMessage for a plain client."""
        if self.role is None:
            raise BadMessage("say hello first, or send the text 'snap'")


_NO_OFFERS: dict[str, CameraOffer] = {}
"""Shared by all that serve nothing; never written to."""


class Sessions:
    """All sessions, and look-ups that cost the same however many there are.

    Attributes:
        by_camera: who serves a name now.
        plain: sessions that have not said ``hello``.
        listeners: sessions that hear every snap.
        watchers: sessions by topic.
    """

    def __init__(self) -> None:
        self._all: dict[int, Session] = {}
        self._by_instance: dict[tuple[str, str], Session] = {}
        self.by_camera: dict[str, Session] = {}
        # Dicts as ordered sets: those that came first are told first.
        self.plain: dict[int, None] = {}
        self.listeners: dict[int, None] = {}
        self.watchers: dict[Topic, dict[int, None]] = {topic: {} for topic in get_args(Topic)}

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def get(self, id_: int) -> Session | None:
        """Returns the session, or None when it is gone."""
        return self._all.get(id_)

    def add(self, id_: int, identity: Identity, address: str) -> None:
        """Takes a new connection in as a plain client."""
        self._all[id_] = Session(id_, identity, address)
        self.plain[id_] = None

    def remove(self, id_: int) -> Session | None:
        """Forgets a session and frees its names; returns it if it was there."""
        session = self._all.pop(id_, None)
        if session is not None:
            self.plain.pop(id_, None)
            self._leave(session)
        return session

    def same_instance(self, session: Session, instance: str) -> Session | None:
        """Returns the other connection of this instance under the same token."""
        return self._by_instance.get((session.identity.token_id, instance))

    def name_in_use(self, hello: Hello, *, but: Session | None) -> str | None:
        """Returns an offered name that somebody else serves."""
        for offer in hello.cameras:
            holder = self.by_camera.get(offer.name)
            if holder is not None and holder is not but:
                return offer.name
        return None

    def introduce(self, session: Session, hello: Hello) -> None:
        """Takes a ``hello`` that was found good; its names are its own from now on."""
        session.role = hello.role
        session.instance = hello.instance
        session.agent = hello.agent
        session.version = hello.version
        session.knows = hello.knows
        self._by_instance[(session.identity.token_id, hello.instance)] = session
        self.plain.pop(session.id, None)
        if hello.role == "listener":
            self.listeners[session.id] = None
        if hello.cameras:
            session.offers = {offer.name: offer for offer in hello.cameras}
            for name in session.offers:
                self.by_camera[name] = session

    def withdraw(self, session: Session) -> None:
        """Undoes :meth:`introduce`: a plain client again."""
        self._leave(session)
        session.role = None
        session.placed = False
        session.offers = _NO_OFFERS
        self.plain[session.id] = None

    def watch(self, session: Session, topics: tuple[Topic, ...]) -> None:
        """Replaces what a session watches."""
        for topic in session.topics:
            self.watchers[topic].pop(session.id, None)
        session.topics = frozenset(topics)
        for topic in session.topics:
            self.watchers[topic][session.id] = None

    def _leave(self, session: Session) -> None:
        self.listeners.pop(session.id, None)
        self.watch(session, ())
        key = (session.identity.token_id, session.instance)
        if self._by_instance.get(key) is session:
            del self._by_instance[key]
        for name in session.offers:
            if self.by_camera.get(name) is session:
                del self.by_camera[name]
