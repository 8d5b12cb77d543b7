"""The port through which the hub's shell keeps snaps, and a recorder in memory.

The contract is in the docstrings here and is tested over every recorder in
``tests/contract/test_recorder.py``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import msgspec

from objectclassification.auth import Identity
from objectclassification.errors import Conflict
from objectclassification.hub.effects import Ended, NewSnap
from objectclassification.messages import CameraOffer, CameraPlace
from objectclassification.receipts import RANK, Receipt, Shot

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
            A place for each offered name.
        """

    async def store(self, snap: NewSnap) -> Receipt | None:
        """Makes a new snap durable, with one ``requested`` shot for each camera.

        Returns:
            None when it is stored now; the receipt when the same request was stored before
            (:meth:`~objectclassification.hub.effects.NewSnap.asks_the_same`).

        Raises:
            Conflict: the id belongs to another request, or to another caller.
        """

    async def save(self, snap_id: str, shots: tuple[Shot, ...], ended: Ended | None) -> None:
        """Writes shots and, with ``ended``, the end of the snap, in one transaction.

        A state is never lowered: where a row is further than its shot (a PUT was faster), only
        times and facts that the row lacks are filled in. ``failed`` is further than all others, so
        that the answer that was given stays the answer and the counts in ``ended`` sum.
        """

    async def reconcile(self, snap_id: str) -> tuple[Shot, ...]:
        """Returns the shots as picture and job rows know them; those it knows nothing of may
        be left out.
        """


class MemoryRecorder:
    """The recorder of a hub alone: slots by arrival, the newest receipts, nothing on disk."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._groups: dict[str, tuple[str, ...]] = {}
        self._asked: OrderedDict[str, NewSnap] = OrderedDict()
        self._receipts: dict[str, Receipt] = {}

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
            places[offer.name] = CameraPlace(name=offer.name, snippet=slot, upload=None)
        return places

    async def store(self, snap: NewSnap) -> Receipt | None:
        """See :class:`Recorder`."""
        known = self._asked.get(snap.id)
        if known is not None:
            if not known.asks_the_same(snap):
                raise Conflict(f"the id {snap.id} belongs to another snap")
            return self._receipts[snap.id]
        self._asked[snap.id] = snap
        self._receipts[snap.id] = _opened(snap)
        if len(self._asked) > KEPT_SNAPS:
            oldest, _ = self._asked.popitem(last=False)
            del self._receipts[oldest]
        return None

    async def save(self, snap_id: str, shots: tuple[Shot, ...], ended: Ended | None) -> None:
        """See :class:`Recorder`."""
        receipt = self._receipts.get(snap_id)
        if receipt is None:  # over KEPT_SNAPS newer ones came; it was forgotten
            return
        kept = {shot.camera: shot for shot in receipt.shots}
        for shot in shots:
            if RANK[shot.state] >= RANK[kept[shot.camera].state]:
                kept[shot.camera] = shot
        receipt = msgspec.structs.replace(receipt, shots=tuple(kept.values()))
        if ended is not None:
            receipt = msgspec.structs.replace(
                receipt,
                done=True,
                answered=ended.answered,
                failed=ended.failed,
                missing=ended.missing,
                elapsed_ms=ended.elapsed_ms,
            )
        self._receipts[snap_id] = receipt

    async def reconcile(self, snap_id: str) -> tuple[Shot, ...]:
        """See :class:`Recorder`; a hub alone has no other rows to ask."""
        receipt = self._receipts.get(snap_id)
        return receipt.shots if receipt is not None else ()


def _opened(snap: NewSnap) -> Receipt:
    return Receipt(
        snap=snap.id,
        done=False,
        answered=0,
        failed=0,
        missing=0,
        elapsed_ms=None,
        context=snap.context,
        shots=tuple(Shot(camera=name, state="requested") for name in snap.cameras),
        to=snap.to,
        until=snap.until,
        deadline_s=snap.deadline_s,
        origin=snap.origin,
        accepted_at=snap.accepted_at,
    )
