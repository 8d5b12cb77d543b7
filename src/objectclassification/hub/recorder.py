"""The port through which the hub's shell keeps snaps, and a recorder in memory.

The contract is in the docstrings here and is tested over every recorder in
``tests/contract/test_recorder.py``.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from objectclassification.auth import Identity
from objectclassification.errors import Conflict
from objectclassification.hub.effects import Ended, NewSnap
from objectclassification.messages import CameraOffer, CameraPlace
from objectclassification.receipts import RANK, Receipt, Shot, moment_shown

KEPT_SNAPS = 200
"""Receipts that a hub alone remembers, so that the same id again gets the same answer."""


class Recorder(Protocol):
    """Where snaps, shots and cameras outlive the hub.

    Any method may raise :class:`~objectclassification.errors.StoreError`. Calls for different
    snaps run at the same time; for one snap the order is ``store``, ``save`` any number of times,
    ``reconcile`` at most once, ``save`` with the end once.
    """

    async def known(self) -> dict[str, tuple[str, ...]]:
        """Returns every camera ever registered with its groups; asked once, at the start."""

    async def register(
        self, offers: tuple[CameraOffer, ...], identity: Identity, *, agent: str, version: str
    ) -> dict[str, CameraPlace]:
        """Gives each camera its slot, the one it had if it had one.

        Args:
            offers: what a camera program serves.
            identity: whose token; it was checked that it may serve these names.
            agent: what the program runs on.
            version: of the program.

        Returns:
            A place for each offered name, with the groups that count.
        """

    async def store(self, snap: NewSnap) -> Receipt | None:
        """Makes a new snap durable, with one ``requested`` shot for each camera.

        Returns:
            None when it is stored now; the receipt when the same request was stored before
            (:meth:`~objectclassification.hub.effects.NewSnap.asks_the_same`).

        Raises:
            Conflict: the id belongs to another request, or to another caller.
            BadMessage: it is new, and its moment has passed.

        A call that is cancelled leaves nothing, or a snap that the recorder ends by itself.
        """

    async def save(self, snap_id: str, shots: tuple[Shot, ...], ended: Ended | None) -> None:
        """Writes shots and, with ``ended``, the end of the snap, in one transaction.

        A state is never lowered: where a row is further than its shot (a PUT was faster), only
        times and facts that the row lacks are filled in. ``failed`` is further than all others, so
        that the answer that was given stays the answer and the counts in ``ended`` sum.

        An end that could not be written, or whose call was cancelled, is written later by the
        recorder: the hub has told it and forgets the snap.
        """

    async def reconcile(self, snap_id: str) -> tuple[Shot, ...]:
        """Returns the shots as picture and job rows know them; those it knows nothing of may
        be left out.
        """


class MemoryRecorder:
    """The recorder of a hub alone: slots by arrival, the newest snaps, nothing on disk."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._groups: dict[str, tuple[str, ...]] = {}
        self._snaps: OrderedDict[str, _Kept] = OrderedDict()

    async def known(self) -> dict[str, tuple[str, ...]]:
        """See :class:`Recorder`."""
        return dict(self._groups)

    async def register(
        self, offers: tuple[CameraOffer, ...], identity: Identity, *, agent: str, version: str
    ) -> dict[str, CameraPlace]:
        """See :class:`Recorder`; there is nowhere to upload to."""
        places = {}
        for offer in offers:
            slot = self._slots.setdefault(offer.name, len(self._slots) + 1)
            self._groups[offer.name] = offer.groups
            places[offer.name] = CameraPlace(
                name=offer.name, snippet=slot, upload=None, groups=offer.groups
            )
        return places

    async def store(self, snap: NewSnap) -> Receipt | None:
        """See :class:`Recorder`."""
        kept = self._snaps.get(snap.id)
        if kept is not None:
            if not kept.snap.asks_the_same(snap):
                raise Conflict(f"the id {snap.id} belongs to another snap")
            return kept.receipt()
        snap.must_lie_ahead()
        self._snaps[snap.id] = _Kept(snap)
        if len(self._snaps) > KEPT_SNAPS:
            self._snaps.popitem(last=False)
        return None

    async def save(self, snap_id: str, shots: tuple[Shot, ...], ended: Ended | None) -> None:
        """See :class:`Recorder`."""
        kept = self._snaps.get(snap_id)
        if kept is not None:  # else more than KEPT_SNAPS came since
            kept.merge(shots)
            kept.ended = ended

    async def reconcile(self, snap_id: str) -> tuple[Shot, ...]:
        """See :class:`Recorder`; a hub alone has no other rows to ask."""
        kept = self._snaps.get(snap_id)
        return tuple(kept.shots.values()) if kept is not None else ()


@dataclass(slots=True)
class _Kept:
    """A snap as the memory recorder keeps it; shots that nothing is known of are left out."""

    snap: NewSnap
    shots: dict[str, Shot] = field(default_factory=dict)
    ended: Ended | None = None

    def merge(self, shots: tuple[Shot, ...]) -> None:
        for shot in shots:
            before = self.shots.get(shot.camera)
            if before is None or RANK[shot.state] >= RANK[before.state]:
                self.shots[shot.camera] = shot

    def receipt(self) -> Receipt:
        snap, ended = self.snap, self.ended
        shots = tuple(
            self.shots.get(name, Shot(camera=name, state="requested")) for name in snap.cameras
        )
        return Receipt(
            snap=snap.id,
            done=ended is not None,
            answered=ended.answered if ended else 0,
            failed=ended.failed if ended else 0,
            missing=ended.missing if ended else 0,
            elapsed_ms=ended.elapsed_ms if ended else None,
            context=snap.context,
            shots=shots,
            to=snap.to,
            until=snap.until,
            deadline_s=snap.deadline_s,
            origin=snap.origin,
            accepted_at=snap.accepted_at,
            ttl_s=snap.ttl_s,
            policy=snap.policy,
            quorum=snap.quorum,
            **moment_shown(snap.shoot_at, shots),
        )
