"""Snaps that have a moment: every camera is sent it ahead, by its own clock.

A little before the moment, the clocks of the cameras are measured, and each gets its order at once
after that: its source has time to open, and the exposure waits for nobody's network. Whoever does
not know such orders, or did not answer, gets a plain one at the moment itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from objectclassification.hub import orders
from objectclassification.hub.clocks import Clocks
from objectclassification.hub.effects import SendEach
from objectclassification.hub.outbox import Outbox
from objectclassification.hub.sessions import Session, Sessions
from objectclassification.hub.snaps import LiveSnap
from objectclassification.messages import CLOCK, Clocked, ShotReport, encode
from objectclassification.skew import Skew

LEAD_S = 10.0
"""Before the moment, cameras are told: a device opens and warms up in less."""
_TOO_OLD = "taken when the order came: this camera's program does not wait for a moment"
_UNMEASURED = "taken when the order came: the camera's clock could not be measured"


class Appointments:
    """Every snap whose moment is still to come.

    Args:
        sessions: who is connected.
        out: where orders go.
        clock: seconds that only ever grow.
        wake: is told when :meth:`due` has something to do.
    """

    def __init__(
        self,
        sessions: Sessions,
        out: Outbox,
        clock: Callable[[], float],
        wake: Callable[[float], None],
    ) -> None:
        self._sessions = sessions
        self._out = out
        self._clock = clock
        self._wake = wake
        self._clocks = Clocks(sessions, out, clock, self._measured)
        self._waiting: dict[str, LiveSnap] = {}
        self._called: set[str] = set()
        self._next = math.inf

    @property
    def due_at(self) -> float:
        """When :meth:`due` has something to do; infinite if nothing waits."""
        return min(self._next, self._clocks.due_at)

    def add(self, snap: LiveSnap) -> None:
        """Takes a snap whose moment is to come."""
        snap.ordered = set()
        self._waiting[snap.new.id] = snap
        self._look()

    def remove(self, snap_id: str) -> None:
        """The snap ended before its moment, or was none of these."""
        self._waiting.pop(snap_id, None)
        self._called.discard(snap_id)

    def arrived(self, session: Session) -> None:
        """A camera program came, or came back: what it was told before may be lost with it."""
        if self._called:
            for id_ in self._called:
                self._waiting[id_].ordered.difference_update(session.offers)
            self._attend(session)
            self._wake(self.due_at)

    def answered(self, session: Session, answer: Clocked) -> None:
        """A camera says what its clock says."""
        self._clocks.answered(session, answer)
        self._wake(self.due_at)

    def left(self, session: int) -> None:
        """A connection is gone."""
        self._clocks.left(session)

    def skew(self, session: Session, report: ShotReport, snap: LiveSnap) -> Skew | None:
        """Returns how far from the snap's moment a picture was exposed; None if nobody can say."""
        sample = self._clocks.of(session.id)
        if sample is None or report.taken_at is None:
            return None
        half_ms = report.taken_within_ms / 2
        late_ms = (report.taken_at - sample.offset_s - snap.shoots_at) * 1000 + half_ms
        unsure_ms = sample.uncertainty_s(self._clock()) * 1000 + half_ms
        return Skew(ms=round(late_ms, 1), uncertainty_ms=round(unsure_ms, 1))

    def due(self) -> list[LiveSnap]:
        """Does what is due, and returns the snaps whose moment has come."""
        now = self._clock()
        if now < self.due_at:
            return []
        self._clocks.tick()
        come = [snap for snap in self._waiting.values() if snap.shoots_at <= now]
        for snap in come:
            self.remove(snap.new.id)
            self._explain(snap)
        self._look()
        return come

    def _look(self) -> None:
        """Calls on the cameras of snaps that are near, and finds what is next."""
        now = self._clock()
        self._next = math.inf
        for id_, snap in self._waiting.items():
            if id_ not in self._called and snap.shoots_at - LEAD_S <= now:
                self._called.add(id_)
                for session in self._of(snap):
                    self._attend(session)
            near = id_ in self._called
            self._next = min(self._next, snap.shoots_at - (0.0 if near else LEAD_S))
        self._wake(self.due_at)

    def _of(self, snap: LiveSnap) -> list[Session]:
        """The sessions that serve a snap's cameras, each once."""
        by_camera = self._sessions.by_camera
        found = {by_camera[name].id: by_camera[name] for name in snap.shots if name in by_camera}
        return [session for session in found.values() if session.placed]

    def _attend(self, session: Session) -> None:
        if self._clocks.is_fresh(session):
            self._measured(session)
        else:
            self._clocks.measure(session)

    def _measured(self, session: Session) -> None:
        """Sends a camera program its orders, each with the moment by its own clock."""
        owed = [
            (self._waiting[id_], name)
            for id_ in self._called
            for name in session.offers
            if orders.is_owed(self._waiting[id_], name) and name not in self._waiting[id_].ordered
        ]
        if not owed:
            return
        sample = self._clocks.of(session.id)
        if sample is None:  # it did not answer: once more, behind all others
            self._clocks.measure(session)
            return
        now = self._clock()
        frames = []
        for snap, name in owed:
            at = round(snap.shoots_at + sample.offset_s, 6)
            frames.append(encode(orders.order(snap, name, now, at=at)))
            snap.ordered.add(name)
        self._out.add(SendEach(((session.id, frames),)))

    def _explain(self, snap: LiveSnap) -> None:
        """Says of those who get a plain order now why they were not told ahead."""
        for name in snap.shots.keys() - snap.ordered:
            session = self._sessions.by_camera.get(name)
            if session is not None:
                snap.warn(name, _UNMEASURED if CLOCK in session.knows else _TOO_OLD)
