"""Effects on their way out, and what each session gets of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from objectclassification.hub.effects import Effect, Publish, Send
from objectclassification.hub.sessions import Backlog, Session, Sessions
from objectclassification.hub.snaps import LiveShot
from objectclassification.messages import (
    Event,
    HubMessage,
    Shots,
    Topic,
    encode,
)

SHOTS_A_MESSAGE = 256
"""A shot has at most some 3.5 kB, so that a full message stays below MAX_HUB_MESSAGE_BYTES."""


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
        if not receivers:
            return
        payload = encode(Event(topic=topic, name=name, data=data))
        ready = []
        for id_ in receivers:
            backlog = self._backlog(id_)
            if backlog is None:
                ready.append(id_)
            else:
                backlog.events.append(payload)
        if ready:
            self.effects.append(Send(tuple(ready), payload))

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
        for part in _parts(moved):
            self.send(ready, Shots(snap=snap_id, shots=tuple(s.shot() for s in part)))
            if watched:
                data = {"snap": snap_id, "shots": [s.shot() for s in part]}
                self.event("shots", "moved", data)

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
            for part in _parts(list(held.values()) if held else []):
                self.send([id_], Shots(snap=snap_id, shots=tuple(s.shot() for s in part)))

    def _backlog(self, id_: int) -> Backlog | None:
        session = self._sessions.get(id_)
        return session.backlog if session is not None else None


def _parts(shots: list[LiveShot]) -> Iterable[list[LiveShot]]:
    rest = iter(shots)
    while part := list(islice(rest, SHOTS_A_MESSAGE)):
        yield part
