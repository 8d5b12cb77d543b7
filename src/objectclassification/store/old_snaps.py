"""Which receipts go: those of snaps that ended and of which no picture is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, select, tuple_

from objectclassification.store.tables import pictures, shots, snaps

RECEIPT_S = 86_400.0
"""A receipt stays at least this long: who asked may come back for it, also when nothing came."""


@dataclass(frozen=True, slots=True)
class OldSnap:
    """A snap that ended.

    Attributes:
        id: the snap.
        accepted_at: seconds since the epoch.
        pictures: how many of it are stored.
    """

    id: str
    accepted_at: float
    pictures: int


def page(
    connection: Connection, *, before: float, after: OldSnap | None, limit: int
) -> list[OldSnap]:
    """Snaps that ended, oldest first.

    Args:
        connection: to read with.
        before: only those accepted earlier, seconds since the epoch.
        after: the last of the page before, or None.
        limit: the most to return.
    """
    left = select(func.count()).where(pictures.c.snap_id == snaps.c.id).scalar_subquery()
    query = select(snaps.c.id, snaps.c.accepted_at, left.label("left")).where(
        snaps.c.ended_at.is_not(None), snaps.c.accepted_at < before
    )
    if after is not None:
        last = tuple_(after.accepted_at, after.id)
        query = query.where(tuple_(snaps.c.accepted_at, snaps.c.id) > last)
    rows = connection.execute(query.order_by(snaps.c.accepted_at, snaps.c.id).limit(limit))
    return [OldSnap(row.id, row.accepted_at, int(row.left)) for row in rows]


def delete(connection: Connection, ids: Sequence[str]) -> int:
    """Deletes snaps with their shots, except of those that have a picture by now.

    Returns:
        How many went.
    """
    has_picture = exists().where(pictures.c.snap_id == snaps.c.id)
    free = select(snaps.c.id).where(
        snaps.c.id.in_(ids), snaps.c.ended_at.is_not(None), ~has_picture
    )
    going = list(connection.execute(free).scalars())
    connection.execute(shots.delete().where(shots.c.snap_id.in_(going)))
    connection.execute(snaps.delete().where(snaps.c.id.in_(going)))  # what is searched for follows
    return len(going)
