"""How many jobs wait, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from objectclassification.store.elsewhere import ELSEWHERE
from objectclassification.store.tables import jobs, pictures


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs that are not done.

    Attributes:
        queued: jobs that wait for a worker.
        leased: jobs that a worker has.
        oldest_at: when the picture of the oldest of both arrived, seconds since the epoch; None if
            there is none.
    """

    queued: int
    leased: int
    oldest_at: float | None


def queue(connection: Connection) -> Queue:
    """Counts the jobs that are not done; reads nothing but them."""
    counted = {
        state: int(
            connection.execute(select(func.count()).where(jobs.c.state == state)).scalar_one()
        )
        for state in ("queued", "leased")
    }
    oldest = [
        connection.execute(
            select(pictures.c.received_at)
            .join(jobs, jobs.c.picture_id == pictures.c.id)
            .where(jobs.c.state == state, jobs.c.priority == priority)
            .order_by(jobs.c.id)
            .limit(1)
        ).scalar_one_or_none()
        for state in counted
        for priority in range(2 * ELSEWHERE)
        if counted[state]
    ]
    oldest_at = min((at for at in oldest if at is not None), default=None)
    return Queue(**counted, oldest_at=oldest_at)
