"""Requests for snaps, made into snaps."""

from __future__ import annotations

from collections.abc import Callable

from objectclassification.auth import Identity
from objectclassification.hub.effects import NewSnap
from objectclassification.messages import ShotReport, SnapRequest, answers_needed, moment_of
from objectclassification.receipts import RANK, Origin, Until, rfc3339

CAMERA_SNAP_DEADLINE_S = 60.0
"""How long a snap that a camera made itself waits for its picture."""


class Requests:
    """Fills in what a request leaves open.

    Args:
        wall: seconds since the epoch, for ``accepted_at``.
        new_id: makes an id for a request that came without one.
        until: no snap goes further than this.
    """

    def __init__(self, wall: Callable[[], float], new_id: Callable[[], str], until: Until) -> None:
        self._wall = wall
        self._new_id = new_id
        self._until: Until = until

    def snap(
        self,
        request: SnapRequest,
        identity: Identity,
        cameras: tuple[str, ...],
        *,
        origin: Origin = "controller",
    ) -> NewSnap:
        """Returns the snap that a request asks for, of these cameras.

        Raises:
            BadMessage: its quorum is none or more than these cameras, or its moment is none.
        """
        now = self._wall()
        answers_needed(request.quorum, len(cameras), request.id)
        return NewSnap(
            id=request.id if request.id is not None else self._new_id(),
            by=identity.token_id,
            to=request.to,
            cameras=cameras,
            until=min(request.until, self._until, key=RANK.__getitem__),
            deadline_s=request.deadline_s,
            context=request.context,
            options=request.options,
            origin=origin,
            accepted_at=rfc3339(now),
            ttl_s=request.ttl_s,
            policy=request.policy,
            quorum=request.quorum,
            shoot_at=moment_of(request, now),
            in_s=request.in_s,
        )

    def own(self, report: ShotReport, identity: Identity) -> NewSnap:
        """Returns the snap of a shot that a camera took by itself."""
        request = SnapRequest(
            to=(report.camera,), id=report.snap, deadline_s=CAMERA_SNAP_DEADLINE_S
        )
        return self.snap(request, identity, (report.camera,), origin="camera")
