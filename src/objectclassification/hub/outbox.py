"""Effects on their way out, and what each session gets of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from objectclassification.hub.effects import Effect, Publish, Send
from objectclassification.hub.sessions import KEPT_EVENTS, Backlog, Session, Sessions
from objectclassification.hub.shots import LiveShot
from objectclassification.messages import (
    MAX_HUB_MESSAGE_BYTES,
    Event,
    HubMessage,
    Shots,
    Topic,
    encode,
)
from objectclassification.receipts import Shot

SHOTS_A_MESSAGE = 256
"""A message that would pass MAX_HUB_MESSAGE_BYTES with these many is split further."""


class Outbox:
    """Collects effects; frames are built once for all who get them.

    ``accepted``, ``error`` and ``done`` go out at once. A session that does not read gets the
    states of shots and the events it missed when it reads again, the newest of each only.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.effects: list[Effect] = []

    def take(self) -> list[Effect]:
        """Returns the effects since the last call."""
        effects, self.effects = self.effects, []
        return effects

    def add(self, effect: Effect) -> None:
        """Adds one."""
        self.effects.append(effect)

    def send(self, sessions: Iterable[int], message: HubMessage) -> None:
        """Sends a message."""
        receivers = tuple(sessions)
        if receivers:
            self.effects.append(Send(receivers, encode(message)))

    def text(self, sessions: Iterable[int], text: str) -> None:
        """Sends a plain message."""
        receivers = tuple(sessions)
        if receivers:
            self.effects.append(Send(receivers, text.encode()))

    def publish(
        self, topic: Topic, name: str, data: dict[str, Any], *, also: Iterable[int] = ()
    ) -> None:
        """Tells the watchers of a topic and the rest of the process."""
        self.event(topic, name, data, also=also)
        self.effects.append(Publish(topic, name, data))

    def event(
        self, topic: Topic, name: str, data: dict[str, Any], *, also: Iterable[int] = ()
    ) -> None:
        """Tells the watchers of a topic only."""
        receivers = dict.fromkeys([*self._sessions.watchers[topic], *also])
        if receivers:
            self._tell(receivers, encode(Event(topic=topic, name=name, data=data)))

    def shots(self, followers: list[int], snap_id: str, moved: list[LiveShot]) -> None:
        """Tells followers, and watchers of the topic ``shots``, which shots moved."""
        ready = []
        for id_ in followers:
            backlog = self._backlog(id_)
            if backlog is None:
                ready.append(id_)
            else:
                backlog.shots.setdefault(snap_id, {}).update((s.camera, s) for s in moved)
        watched = bool(self._sessions.watchers["shots"])
        if not (ready or watched):
            return
        shots = [shot.shot() for shot in moved]
        self.states(ready, snap_id, shots)
        if watched:
            for payload in _in_parts(shots, partial(_moved, snap_id)):
                self._tell(self._sessions.watchers["shots"], payload)

    def states(self, followers: Iterable[int], snap_id: str, shots: Sequence[Shot]) -> None:
        """Sends shots as they are, in as many messages as they need."""
        receivers = tuple(followers)
        if receivers:
            for payload in _in_parts(shots, partial(_shots, snap_id)):
                self.effects.append(Send(receivers, payload))

    def catch_up(self, session: Session) -> None:
        """Sends what a session missed while it did not read."""
        backlog, session.backlog = session.backlog, None
        if backlog is None:
            return
        for snap_id, shots in backlog.shots.items():
            self.shots([session.id], snap_id, list(shots.values()))
        for payload in backlog.events:
            self.effects.append(Send((session.id,), payload))

    def settle(self, followers: list[int], snap_id: str) -> None:
        """Before a snap's ``done``: sends the states that were held back for slow followers."""
        for id_ in followers:
            backlog = self._backlog(id_)
            held = backlog.shots.pop(snap_id, None) if backlog is not None else None
            if held:
                self.states([id_], snap_id, [shot.shot() for shot in held.values()])

    def _tell(self, receivers: Iterable[int], payload: bytes) -> None:
        ready = []
        for id_ in receivers:
            session = self._sessions.get(id_)
            backlog = session.backlog if session is not None else None
            if session is None or backlog is None:
                ready.append(id_)
            else:
                session.dropped += len(backlog.events) == KEPT_EVENTS
                backlog.events.append(payload)
        if ready:
            self.effects.append(Send(tuple(ready), payload))

    def _backlog(self, id_: int) -> Backlog | None:
        session = self._sessions.get(id_)
        return session.backlog if session is not None else None


def _shots(snap_id: str, shots: Sequence[Shot]) -> Shots:
    return Shots(snap=snap_id, shots=tuple(shots))


def _moved(snap_id: str, shots: Sequence[Shot]) -> Event:
    return Event(topic="shots", name="moved", data={"snap": snap_id, "shots": shots})


def _in_parts(
    shots: Sequence[Shot], message: Callable[[Sequence[Shot]], HubMessage]
) -> Iterator[bytes]:
    """Encodes shots into as few messages as clients can read; one shot always fits."""
    for start in range(0, len(shots), SHOTS_A_MESSAGE):
        part = shots[start : start + SHOTS_A_MESSAGE]
        payload = encode(message(part))
        if len(payload) <= MAX_HUB_MESSAGE_BYTES or len(part) == 1:
            yield payload
        else:
            half = len(part) // 2
            yield from _in_parts(part[:half], message)
            yield from _in_parts(part[half:], message)
