"""Questions to cameras of how they are, from ``inspect`` to the ``report`` or its absence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from objectclassification.condition import CameraReport
from objectclassification.errors import (
    Conflict,
    NotFound,
    ObjectClassificationError,
    ServerStopping,
    TimedOut,
)
from objectclassification.hub.effects import Inspected
from objectclassification.hub.outbox import Outbox
from objectclassification.hub.presence import Cameras
from objectclassification.hub.sessions import Session, Sessions
from objectclassification.messages import INSPECT, Inspect, Report
from objectclassification.receipts import rfc3339

INSPECT_S = 5.0
"""A camera program answers in milliseconds; one that is busy opening sources, in a second."""


class CameraAway(Conflict):
    """The camera is not connected, so it cannot be asked."""

    code = "offline"


class CannotBeAsked(Conflict):
    """The camera's program does not know the question."""

    code = "too_old"


class CameraSilent(TimedOut):
    """The camera is connected and did not answer."""

    code = "silent"


@dataclass(frozen=True, slots=True)
class _Open:
    camera: str
    session: int
    asked: float
    asked_wall: float


class Inspections:
    """The questions that are open: one a camera at the most, which all who ask share.

    Args:
        sessions: who is connected.
        cameras: which there are.
        out: where messages and effects go.
        clock: seconds that only ever grow.
        wall: seconds since the epoch.
        new_id: makes ids.
    """

    def __init__(
        self,
        sessions: Sessions,
        cameras: Cameras,
        out: Outbox,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._sessions = sessions
        self._cameras = cameras
        self._out = out
        self._clock = clock
        self._wall = wall
        self._new_id = new_id
        self._open: dict[str, _Open] = {}

    @property
    def due_at(self) -> float:
        """When the oldest question is given up; infinite if none is open."""
        for first in self._open.values():  # in the order in which they were asked
            return first.asked + INSPECT_S
        return math.inf

    def begin(self, camera: str) -> str:
        """Asks a camera; returns the question's id, for the effect that ends it.

        Raises:
            NotFound: no such camera.
            CameraAway: it is offline or asleep.
            CannotBeAsked: its program does not know the question.
        """
        session = self._asked_session(camera)
        for id_, question in self._open.items():
            if question.camera == camera and question.session == session.id:
                return id_
        id_ = self._new_id()
        self._open[id_] = _Open(camera, session.id, self._clock(), self._wall())
        self._out.send([session.id], Inspect(id=id_, camera=camera))
        return id_

    def answered(self, session: Session, report: Report) -> None:
        """Takes a camera's answer; one that comes too late, or from another, counts for nothing."""
        question = self._open.get(report.id)
        if question is None or question.session != session.id:
            return
        del self._open[report.id]
        elapsed_s = self._clock() - question.asked
        back_wall = question.asked_wall + elapsed_s  # the clock may have been set meanwhile
        # As NTP does it (RFC 5905, section 8), from the four moments of one exchange.
        offset_s = ((report.received_at - question.asked_wall) + (report.sent_at - back_wall)) / 2
        round_trip_s = max(0.0, elapsed_s - max(0.0, report.sent_at - report.received_at))
        answer = CameraReport(
            camera=question.camera,
            asked_at=rfc3339(question.asked_wall),
            round_trip_ms=round(round_trip_s * 1000, 1),
            clock_offset_ms=round(offset_s * 1000, 1),
            clock_uncertainty_ms=round(round_trip_s * 500, 1),
            condition=report.condition,
        )
        self._out.add(Inspected(report.id, answer))

    def left(self, session: int) -> None:
        """A connection is gone: its questions will not be answered."""
        gone = [id_ for id_, question in self._open.items() if question.session == session]
        for id_ in gone:
            self._fail(id_, CameraAway(f"{self._open[id_].camera} went away while it was asked"))

    def tick(self) -> None:
        """Gives up what is due."""
        now = self._clock()
        for id_ in [i for i, each in self._open.items() if each.asked + INSPECT_S <= now]:
            camera = self._open[id_].camera
            detail = (
                f"{camera} is connected and did not answer in {INSPECT_S:g} s: "
                "its program hangs, or its network does"
            )
            self._fail(id_, CameraSilent(detail, after_s=INSPECT_S))

    def stop(self) -> None:
        """The hub stops: nobody is waited for."""
        for id_ in list(self._open):
            self._fail(id_, ServerStopping("the server is stopping"))

    def _fail(self, id_: str, error: ObjectClassificationError) -> None:
        del self._open[id_]
        self._out.add(Inspected(id_, error))

    def _asked_session(self, camera: str) -> Session:
        known = self._cameras.groups
        session = self._sessions.by_camera.get(camera)
        if camera not in known and session is None:
            there = f"there is {', '.join(sorted(known)[:8])}" if known else "there is none"
            raise NotFound(f"no camera named {camera[:64]!r}: {there}")
        presence = self._cameras.presence(camera)
        if presence.state == "asleep" and presence.asleep_until is not None:
            raise CameraAway(f"{camera} is asleep until {rfc3339(presence.asleep_until)}")
        if session is None or not session.placed:
            raise CameraAway(f"{camera} is offline: is its program running, and its network up?")
        if INSPECT not in session.knows:
            raise CannotBeAsked(
                f"{camera}'s program ({session.version or session.agent or 'it gives no version'}) "
                "does not know this question: update it there"
            )
        return session
