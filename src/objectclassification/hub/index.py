"""Which snaps are live, and which of them a camera owes a picture."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from objectclassification.errors import Busy
from objectclassification.hub.effects import NewSnap
from objectclassification.hub.sessions import Session, Sessions
from objectclassification.hub.snaps import LiveSnap, Phase
from objectclassification.hub.waiting import Waiting
from objectclassification.receipts import RANK, Receipt

MAX_OWN_SNAPS = 256
"""Open snaps that one camera may have made itself: each waits for its picture, and has rows.

Generous, because a camera that was away brings all its pictures at once.
"""
_CAPTURED = RANK["captured"]


class Index:
    """All live snaps.

    Those that wait for whoever is away may be many, and live for days: nothing that is done often
    goes through them all.

    Args:
        sessions: who is here.

    Attributes:
        by_id: all of them.
        waiting: those with a ``ttl_s``.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.by_id: dict[str, LiveSnap] = {}
        self.waiting = Waiting()
        self._brief: dict[str, LiveSnap] = {}
        self._own: Counter[str] = Counter()

    @property
    def brief(self) -> int:
        """How many there are that wait for nobody."""
        return len(self._brief)

    @property
    def to_settle(self) -> int:
        """How many a stop still has to see to: what waits does so in its rows."""
        return len(self._brief) + sum(
            snap.saving or snap.phase is not Phase.OPEN
            for id_, snap in self.by_id.items()
            if id_ not in self._brief
        )

    def check_room(self, new: NewSnap) -> None:
        """Raises Busy if a camera made too many of its own, or too many wait for one."""
        if new.origin == "camera":
            (camera,) = new.cameras
            if self._own[camera] >= MAX_OWN_SNAPS:
                raise Busy(f"{MAX_OWN_SNAPS} snaps of {camera!r}'s own are open: wait for them")
        if new.ttl_s is not None:
            self.waiting.check_room(new)

    def add(self, snap: LiveSnap) -> None:
        """Takes one in."""
        self._own.update(snap.new.cameras if snap.new.origin == "camera" else ())
        self.by_id[snap.new.id] = snap
        if snap.new.ttl_s is None:
            self._brief[snap.new.id] = snap
        else:
            self.waiting.add(snap)

    def remove(self, snap: LiveSnap) -> None:
        """It has ended."""
        del self.by_id[snap.new.id]
        if self._brief.pop(snap.new.id, None) is None:
            self.waiting.remove(snap)
        if snap.new.origin == "camera":
            (camera,) = snap.new.cameras
            self._own[camera] -= 1
            if not self._own[camera]:
                del self._own[camera]

    def owed(self, session: Session) -> list[tuple[LiveSnap, str]]:
        """Returns the snaps that a camera program owes a picture, with the camera's name."""
        brief = [
            (snap, name)
            for snap in self._brief.values()
            if snap.new.origin != "camera"
            for name in session.offers
            if (shot := snap.shots.get(name)) and not shot.ended and shot.rank < _CAPTURED
        ]
        return brief + [(snap, name) for name in session.offers for snap in self.waiting.owed(name)]

    def waiting_receipts(self, most: int) -> list[Receipt]:
        """Returns receipts of snaps that wait for cameras which are away, the oldest first."""
        here = self._sessions.by_camera
        found = (
            snap.receipt()
            for snap in self.waiting.snaps()
            if snap.phase is not Phase.STORING and snap.owed_by_other_than(here)
        )
        return list(islice(found, most))

    def waiting_for(self, camera: str) -> list[NewSnap]:
        """Returns the snaps that wait for one camera, the oldest first; none while it is here."""
        if camera in self._sessions.by_camera:
            return []
        owed = self.waiting.owed(camera)
        return [snap.new for snap in owed if snap.phase is not Phase.STORING]
