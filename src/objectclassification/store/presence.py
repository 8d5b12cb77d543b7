"""When cameras came and went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select
from uuid_utils import uuid7

from objectclassification.store.tables import cameras, presence

KEPT_OF_CAMERA = 100
"""Comings and goings of each camera; older ones give way."""

_SEEN = (
    cameras.update()
    .where(cameras.c.name == bindparam("camera"))
    .values(last_seen_at=bindparam("at"), sleeps_until_at=bindparam("sleeps_until_at"))
)
_OLDEST_KEPT = (
    select(presence.c.id)
    .where(presence.c.camera == bindparam("camera"))
    .order_by(presence.c.id.desc())
    .limit(1)
    .offset(KEPT_OF_CAMERA - 1)
    .scalar_subquery()
)
_PRUNE = presence.delete().where(
    presence.c.camera == bindparam("camera"), presence.c.id < _OLDEST_KEPT
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A camera came or went.

    Attributes:
        camera: which.
        at: when, in seconds since the epoch.
        state: what it is since.
        sleeps_until_at: when it was to be back, if it was to sleep.
    """

    camera: str
    at: float
    state: str
    sleeps_until_at: float | None = None


def note(connection: Connection, moved: Sequence[Moved]) -> None:
    """Writes down who came and went, in that order; of each camera the newest are kept."""
    rows = [
        {
            "id": str(uuid7()),
            "camera": one.camera,
            "at": one.at,
            "state": one.state,
            "sleeps_until_at": one.sleeps_until_at,
        }
        for one in moved
    ]
    connection.execute(presence.insert(), rows)
    last = {row["camera"]: row for row in rows}
    connection.execute(_SEEN, list(last.values()))
    connection.execute(_PRUNE, [{"camera": camera} for camera in last])


def history(connection: Connection, camera: str) -> list[Moved]:
    """Returns a camera's comings and goings, the newest first."""
    query = select(presence).where(presence.c.camera == camera).order_by(presence.c.id.desc())
    return [
        Moved(row.camera, row.at, row.state, row.sleeps_until_at)
        for row in connection.execute(query)
    ]


def forget(connection: Connection, camera: str) -> None:
    """Deletes what is noted of a camera's comings and goings."""
    connection.execute(presence.delete().where(presence.c.camera == camera))


def asleep(connection: Connection, *, at: float) -> dict[str, float]:
    """Returns until when the cameras sleep that said so, as far as that is still to come."""
    query = select(cameras.c.name, cameras.c.sleeps_until_at).where(cameras.c.sleeps_until_at > at)
    return {row.name: row.sleeps_until_at for row in connection.execute(query)}
