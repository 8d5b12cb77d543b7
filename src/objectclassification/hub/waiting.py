"""The snaps that wait for cameras: found by camera, bounded, and giving way to newer ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from objectclassification.errors import Busy
from objectclassification.hub.effects import NewSnap
from objectclassification.hub.snaps import LiveSnap, Phase
from objectclassification.receipts import RANK

MAX_WAITING_OF_CAMERA = 64
"""Snaps that wait for one camera: it takes a picture for each of them when it comes back."""
MAX_WAITING_SHOTS = 50_000
"""Shots that wait in all, some 300 bytes each."""
_CAPTURED = RANK["captured"]


class Waiting:
    """Live snaps with a ``ttl_s``, by the cameras that owe them a picture, the oldest first.

    Shots that were answered stay in the index until somebody looks: the way of a shot is busy.
    """

    def __init__(self) -> None:
        self._by_camera: dict[str, dict[str, LiveSnap]] = {}
        self._shots = 0

    def check_room(self, new: NewSnap) -> None:
        """Raises Busy if too many wait already."""
        for camera in new.cameras:
            staying = sum(not _gives_way(snap, camera, new.by) for snap in self.owed(camera))
            if staying >= MAX_WAITING_OF_CAMERA:
                raise Busy(
                    f"{staying} snaps wait for the camera {camera!r} already: cancel some, or "
                    "send them with the policy latest"
                )
        if self._shots + len(new.cameras) > MAX_WAITING_SHOTS:
            for camera in list(self._by_camera):
                for _ in self.owed(camera):
                    pass  # forgets those that were answered
            if self._shots + len(new.cameras) > MAX_WAITING_SHOTS:
                raise Busy(f"{self._shots} shots wait already: cancel some snaps")

    def add(self, snap: LiveSnap) -> None:
        """Takes a snap in, behind those that are there."""
        for camera in snap.shots:
            self._by_camera.setdefault(camera, {})[snap.new.id] = snap
        self._shots += len(snap.shots)

    def remove(self, snap: LiveSnap) -> None:
        """A snap has ended."""
        for camera in snap.shots:
            self._drop(camera, snap.new.id)

    def owed(self, camera: str) -> Iterator[LiveSnap]:
        """Gives the snaps that a camera owes a picture, the oldest first."""
        for snap in list(self._by_camera.get(camera, {}).values()):
            shot = snap.shots.get(camera)
            if shot is None or shot.ended or shot.rank >= _CAPTURED:
                self._drop(camera, snap.new.id)
            else:
                yield snap

    def snaps(self) -> Iterable[LiveSnap]:
        """Returns each of them once, the oldest first."""
        found = {snap.new.id: snap for snaps in self._by_camera.values() for snap in snaps.values()}
        return sorted(found.values(), key=lambda snap: snap.started)

    def give_way(self, to: LiveSnap, now: float) -> list[LiveSnap]:
        """Ends waiting shots of the sender of a snap that waits as well, where a newer one does.

        Returns:
            The snaps of which a shot ended.
        """
        changed: dict[str, LiveSnap] = {}
        for camera in to.new.cameras:
            *older, newest = [snap for snap in self.owed(camera) if _waits(snap, camera, to)] or [
                to
            ]
            for snap in older:
                if snap.new.policy == "latest":
                    detail = f"the same sender's snap {newest.new.id} came after it"
                    snap.fail(camera, "superseded", detail, now)
                    changed[snap.new.id] = snap
        return list(changed.values())

    def _drop(self, camera: str, snap_id: str) -> None:
        snaps = self._by_camera.get(camera)
        if snaps is not None and snaps.pop(snap_id, None) is not None:
            self._shots -= 1
            if not snaps:
                del self._by_camera[camera]


def _waits(snap: LiveSnap, camera: str, to: LiveSnap) -> bool:
    return (
        snap.new.by == to.new.by
        and snap.phase is not Phase.STORING
        and snap.shots[camera].state == "waiting"
    )


def _gives_way(snap: LiveSnap, camera: str, by: str) -> bool:
    """Whether a newer one of that sender would take its place."""
    return (
        snap.new.policy == "latest" and snap.new.by == by and snap.shots[camera].state == "waiting"
    )
