"""What cameras are told of a live snap: to take a picture, now or at its moment."""

from __future__ import annotations

from objectclassification.detection import for_cameras
from objectclassification.hub.sessions import Sessions
from objectclassification.hub.snaps import LiveSnap
from objectclassification.hub.spreading import spread_s
from objectclassification.messages import SnapOrder, encode
from objectclassification.receipts import RANK

_CAPTURED = RANK["captured"]


def order(snap: LiveSnap, camera: str, now: float, *, at: float | None = None) -> SnapOrder:
    """Returns the order for one of a snap's cameras.

    Args:
        snap: which.
        camera: its name.
        now: by the hub's clock.
        at: the snap's moment by the camera's clock, for a camera that is told ahead.
    """
    left_s = snap.left_s(now)
    # Pictures are sent after the moment: what is before it is no time for them.
    to_send_s = left_s if at is None else snap.new.deadline_s
    return SnapOrder(
        id=snap.new.id,
        camera=camera,
        deadline_s=left_s,
        options=for_cameras(snap.new.options),
        spread_s=spread_s(snap.open, snap.new.until, to_send_s),
        at=at,
    )


def is_owed(snap: LiveSnap, camera: str) -> bool:
    """Whether a camera is a target of the snap and has not taken its picture."""
    shot = snap.shots.get(camera)
    return shot is not None and not shot.ended and shot.rank < _CAPTURED


def late(snap: LiveSnap, camera: str, now: float) -> SnapOrder:
    """Returns the order for a camera that comes after the others were told."""
    options = for_cameras(snap.new.options)
    return SnapOrder(snap.new.id, camera, snap.left_s(now), options)


def fan_out(snap: LiveSnap, sessions: Sessions, now: float) -> tuple[tuple[int, list[bytes]], ...]:
    """Returns the frames for each session that serves a target and was not told ahead.

    Only the name differs between orders, so all but the name is built once.
    """
    # Neither an id nor the tag holds an @.
    head, tail = encode(order(snap, "@", now)).split(b"@", 1)
    payloads: dict[int, list[bytes]] = {}
    waiting = snap.shots.items()
    if snap.ordered:
        waiting = {name: shot for name, shot in waiting if name not in snap.ordered}.items()
    for name, shot in waiting:
        session = sessions.by_camera.get(name)
        # A session without its slots yet gets the order with its welcome.
        if session is not None and session.placed and not shot.ended:
            payload = b"%b%b%b" % (head, name.encode(), tail)
            payloads.setdefault(session.id, []).append(payload)
    return tuple(payloads.items())
