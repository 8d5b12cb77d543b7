"""The life of a snap: store, accept, fan out, collect, reconcile, save, ``done``."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable

from objectclassification.errors import Conflict, ObjectClassificationError
from objectclassification.hub import orders
from objectclassification.hub.appointments import Appointments
from objectclassification.hub.effects import (
    Finished,
    NewSnap,
    Reconcile,
    SaveShots,
    SendEach,
    Store,
)
from objectclassification.hub.index import Index
from objectclassification.hub.outbox import Outbox
from objectclassification.hub.selectors import means_all
from objectclassification.hub.sessions import Session, Sessions
from objectclassification.hub.snaps import LiveSnap, Phase
from objectclassification.messages import (
    PLAIN_SNAP,
    Accepted,
    Done,
    Problem,
    SnapOrder,
)
from objectclassification.receipts import Found, PictureRef, Receipt, Shot

FLUSH_S = 0.05
"""Followers are told at most this often, so that an acknowledgement costs no message of its own."""
SAVE_S = 1.0
"""Shots that ended are written at most this often while others of their snap are still open."""


class LiveSnaps:
    """All snaps between their acceptance and their ``done``.

    Attributes:
        due_at: when :meth:`tick` has something to do, by the clock; infinite if nothing waits.
        index: which there are.
        appointments: those whose moment is to come.
    """

    def __init__(self, sessions: Sessions, outbox: Outbox, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._out = outbox
        self._clock = clock
        self.index = Index(sessions)
        self._live = self.index.by_id
        self._moved: dict[str, LiveSnap] = {}
        self._unsaved: dict[str, LiveSnap] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._flush_at = self._save_at = math.inf
        self._stopping = False
        self.due_at = math.inf
        self.appointments = Appointments(sessions, outbox, clock, self._wake)

    def __len__(self) -> int:
        return len(self._live)

    def get(self, snap_id: str) -> LiveSnap | None:
        """Returns the snap while it is live."""
        return self._live.get(snap_id)

    def receipt(self, snap_id: str) -> Receipt | None:
        """Returns the receipt of a snap between its acceptance and its ``done``."""
        snap = self.get(snap_id)
        return snap.receipt() if snap is not None and snap.phase is not Phase.STORING else None

    def begin(self, new: NewSnap, *, follower: int | None, relayed: bool = False) -> LiveSnap:
        """Takes a new snap in and has it stored.

        Raises:
            Busy: a camera made too many of its own, or too many wait for one.
        """
        self.index.check_room(new)
        snap = LiveSnap(new, started=self._clock(), relayed=relayed)
        if follower is not None:
            snap.followers.append(follower)
        self.index.add(snap)
        self._out.add(Store(new))
        return snap

    def adopt(self, new: NewSnap, receipt: Receipt) -> None:
        """Goes on with a snap that an earlier hub left open; whoever asked may ask again for it.

        Its cameras get it with their welcome, as far as they owe a picture.
        """
        snap = LiveSnap(new, started=self._clock())
        snap.resume(receipt)
        self.index.add(snap)
        if new.ttl_s is not None:
            self._let_wait(snap)
        heapq.heappush(self._deadlines, (snap.deadline, new.id))
        self._wake(snap.deadline)
        if snap.shoots_at > self._clock():
            self.appointments.add(snap)
        self.changed(snap)

    def join(self, snap: LiveSnap, new: NewSnap, follower: int | None) -> None:
        """Takes the same request again.

        Raises:
            Conflict: the id belongs to another request, or to another caller.
        """
        if not snap.new.asks_the_same(new):
            raise Conflict(f"the id {new.id} belongs to another snap")
        if follower is None or follower in snap.followers:
            return
        here = [id_ for id_ in snap.followers if self._sessions.get(id_) is not None]
        snap.followers = [*here, follower]
        if snap.phase is not Phase.STORING:
            left_s = _left_s(snap, self._clock())
            self._tell_all([follower], snap.receipt(), left_s)

    def uploaded(self, snap_id: str, camera: str, picture: PictureRef) -> None:
        """The API stored a picture; nothing happens if the snap has ended."""
        self.apply(snap_id, lambda snap, now: snap.upload(camera, picture, now))

    def classified(self, snap_id: str, camera: str, found: Found) -> None:
        """The worker knows what is on a picture; nothing happens if the snap has ended."""
        self.apply(snap_id, lambda snap, now: snap.classify(camera, found, now))

    def classify_failed(self, snap_id: str, camera: str, detail: str) -> None:
        """A picture cannot be classified; nothing happens if the snap has ended."""
        self.apply(snap_id, lambda snap, now: snap.classify_failed(camera, detail, now))

    def stored(self, snap_id: str) -> None:
        """The snap is durable: tells who asked, and its cameras."""
        snap = self._live[snap_id]
        snap.phase = Phase.OPEN
        now = self._clock()
        if snap.new.ttl_s is not None:
            self._let_wait(snap)
        self._announce(snap, now)
        if snap.shoots_at > now:
            self.appointments.add(snap)
        else:
            self._call(snap, now)
        if self._stopping and snap.new.ttl_s is None:
            snap.fail_open("cancelled", "the server stopped", now)
        heapq.heappush(self._deadlines, (snap.deadline, snap_id))
        self._wake(snap.deadline)
        self.changed(snap)

    def exists(self, snap_id: str, receipt: Receipt) -> None:
        """The same request was stored before: its followers get that receipt.

        One that nobody ended, because its server was killed or the store failed over it, ends now
        as far as its rows say it came.
        """
        snap = self._live[snap_id]
        if not receipt.done:
            snap.resume(receipt)
            self._out.send(snap.followers, Accepted(snap=snap_id, cameras=snap.new.cameras))
            snap.fail_open("timeout", "the server lost it before it came to its end", self._clock())
            self.changed(snap)
            return
        self._forget(snap)
        self._tell_all(snap.followers, receipt)
        done = Done(
            snap=snap_id,
            answered=receipt.answered,
            failed=receipt.failed,
            missing=receipt.missing,
            elapsed_ms=receipt.elapsed_ms or 0.0,
        )
        self._out.send(snap.followers, done)

    def store_failed(self, snap_id: str, error: ObjectClassificationError) -> None:
        """The snap is not durable: it never was."""
        snap = self._live[snap_id]
        self._forget(snap)
        self._out.send(snap.followers, Problem(code=error.code, detail=error.detail, re=snap_id))

    def apply(self, snap_id: str, change: Callable[[LiveSnap, float], None]) -> None:
        """Has a transition done now; nothing happens if the snap is not live."""
        snap = self._live.get(snap_id)
        if snap is not None:
            change(snap, self._clock())
            self.changed(snap)

    def changed(self, snap: LiveSnap) -> None:
        """After every transition: remembers what is to be told, and moves the snap on."""
        if snap.phase is Phase.STORING:  # nothing is told of it before it is accepted
            return
        if snap.moved and snap.new.id not in self._moved:
            self._moved[snap.new.id] = self._unsaved[snap.new.id] = snap
            now = self._clock()
            if self._flush_at == math.inf:
                self._flush_at = now + FLUSH_S
                self._wake(self._flush_at)
            if self._save_at == math.inf:
                self._save_at = now + SAVE_S
                self._wake(self._save_at)
        if snap.phase is Phase.OPEN and not snap.saving and (snap.owed <= 0 or self._is_over(snap)):
            self._move_on(snap)

    def saved(self, snap_id: str) -> None:
        """The last ``SaveShots`` of the snap is done with."""
        snap = self._live[snap_id]
        snap.saving = False
        if snap.phase is Phase.ENDING:
            self._end(snap)
        else:
            self.changed(snap)

    def save_failed(self, snap_id: str, error: ObjectClassificationError) -> None:
        """Its followers are told, and the snap goes on: ``done`` is owed all the same.

        What was not written is written with the end; an end the recorder tries again by itself.
        """
        snap = self._live[snap_id]
        snap.save_again()
        self._out.send(snap.followers, Problem(code=error.code, detail=error.detail, re=snap_id))
        self.saved(snap_id)

    def reconciled(self, snap_id: str, known: Iterable[Shot]) -> None:
        """The rows have spoken; whatever has still not ended is too late."""
        snap = self._live[snap_id]
        now = self._clock()
        snap.merge(known, now)
        snap.run_out(now)
        snap.phase = Phase.OPEN
        self.changed(snap)

    def stop(self) -> None:
        """Ends every open snap; those being stored end once they are.

        One that waits for whoever is away goes on with the next start.
        """
        self._stopping = True
        for snap in list(self._live.values()):
            if snap.new.ttl_s is not None:
                self._save_some(snap)
            elif snap.phase in (Phase.OPEN, Phase.RECONCILING):
                snap.fail_open("cancelled", "the server stopped", self._clock())
                self.changed(snap)

    def pending(self, session: Session) -> tuple[SnapOrder, ...]:
        """Returns the orders a camera program still owes a picture for."""
        now = self._clock()
        owed = []
        for snap, name in self.index.owed(session):
            # Those whose moment is to come are the appointments'.
            if snap.phase is Phase.OPEN and snap.deadline > now and snap.shoots_at <= now:
                owed.append(orders.late(snap, name, now))
                snap.deliver(name, now)
                self.changed(snap)
        return tuple(owed)

    def tick(self) -> None:
        """Does what is due by now."""
        now = self._clock()
        if now >= self._flush_at:
            self._flush_at = math.inf
            moved, self._moved = self._moved, {}
            for snap in moved.values():
                self._flush(snap)
        if now >= self._save_at:
            self._save_at = math.inf
            unsaved, self._unsaved = self._unsaved, {}
            for snap in unsaved.values():
                self._save_some(snap)
        while self._deadlines and self._deadlines[0][0] <= now:
            _, snap_id = heapq.heappop(self._deadlines)
            late = self._live.get(snap_id)
            if late is not None:
                self.changed(late)
        for come in self.appointments.due():
            self._call(come, now)
            self.changed(come)
        first = self._deadlines[0][0] if self._deadlines else math.inf
        self.due_at = min(self._flush_at, self._save_at, first, self.appointments.due_at)

    def _let_wait(self, snap: LiveSnap) -> None:
        """Has the shots wait whose cameras are away; older ones give way to them."""
        for name in snap.shots:
            if name not in self._sessions.by_camera:
                snap.wait(name)
        for other in self.index.waiting.give_way(snap, self._clock()):
            if other is not snap:  # that one is moved on by the caller
                self.changed(other)

    def _announce(self, snap: LiveSnap, now: float) -> None:
        new = snap.new
        accepted = Accepted(new.id, new.cameras, _left_s(snap, now))
        self._out.send(snap.followers, accepted)
        self._out.publish(
            "snaps",
            "accepted",
            {"snap": new.id, "to": new.to, "cameras": new.cameras, "origin": new.origin},
            also=self._sessions.listeners,
        )
        if not snap.relayed and means_all(new.to):
            self._out.text(self._sessions.plain, PLAIN_SNAP)

    def _call(self, snap: LiveSnap, now: float) -> None:
        """Fails whoever is away, and orders from the others, but for those who have their order."""
        for name in snap.shots if snap.new.ttl_s is None else ():
            if name not in self._sessions.by_camera and name not in snap.ordered:
                snap.fail(name, "offline", "the camera is not connected", now)
        if snap.new.origin != "camera" and (frames := orders.fan_out(snap, self._sessions, now)):
            self._out.add(SendEach(frames))

    def _move_on(self, snap: LiveSnap) -> None:
        if snap.owed <= 0 and snap.open > 0:
            snap.close_early(self._clock())
        if snap.open > 0:
            snap.expired = True
            snap.phase = Phase.RECONCILING
            self._out.add(Reconcile(snap.new.id))
            return
        snap.phase = Phase.ENDING
        snap.saving = True
        self._flush(snap)
        self._out.add(SaveShots(snap.new.id, snap.unsaved(), snap.end(self._clock())))

    def _end(self, snap: LiveSnap) -> None:
        snap_id = snap.new.id
        self._forget(snap)
        ended = snap.end(self._clock())  # the counts that were saved
        self._flush(snap)
        self._out.settle(snap.followers, snap_id)
        self._out.send(
            snap.followers,
            Done(
                snap=snap_id,
                answered=ended.answered,
                failed=ended.failed,
                missing=ended.missing,
                elapsed_ms=ended.elapsed_ms,
            ),
        )
        data = {
            "snap": snap_id,
            "answered": ended.answered,
            "failed": ended.failed,
            "missing": ended.missing,
            "elapsed_ms": ended.elapsed_ms,
        }
        self._out.publish("snaps", "done", data)
        self._out.add(Finished(snap.receipt(ended)))

    def _forget(self, snap: LiveSnap) -> None:
        self.index.remove(snap)
        self.appointments.remove(snap.new.id)
        self._moved.pop(snap.new.id, None)
        self._unsaved.pop(snap.new.id, None)

    def _flush(self, snap: LiveSnap) -> None:
        moved = snap.take_moved()
        if moved:
            self._out.shots(snap.followers, snap.new.id, moved)

    def _save_some(self, snap: LiveSnap) -> None:
        if snap.saving:
            self._unsaved[snap.new.id] = snap
        elif snap.phase is Phase.OPEN:
            shots = snap.unsaved()
            if shots:
                snap.saving = True
                self._out.add(SaveShots(snap.new.id, shots, None))

    def _tell_all(self, followers: list[int], receipt: Receipt, left_s: float = 0.0) -> None:
        cameras = tuple(shot.camera for shot in receipt.shots)
        self._out.send(followers, Accepted(receipt.snap, cameras, left_s))
        self._out.states(followers, receipt.snap, receipt.shots)

    def _is_over(self, snap: LiveSnap) -> bool:
        return snap.open == 0 or (not snap.expired and snap.deadline <= self._clock())

    def _wake(self, at: float) -> None:
        self.due_at = min(self.due_at, at)


def _left_s(snap: LiveSnap, now: float) -> float:
    """Seconds until its moment; 0 without one."""
    return max(0.0, round(snap.shoots_at - now, 3))
