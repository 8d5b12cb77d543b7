"""Jobs whose model is at an engine elsewhere: a queue of their own.

An engine that is slow or away keeps those who ask it, and nobody else. So its jobs have a priority
of their own: whoever looks for jobs of this machine's models does not even see them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, case, exists, select

from objectclassification.messages import failure
from objectclassification.receipts import Receipt, Shot
from objectclassification.store import models
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import jobs, pictures

ELSEWHERE = 2
"""Is added to the priority of a job whose model is at an engine."""

_ADDRESS = Prepared(
    select(models.address_of_picture()).where(pictures.c.id == bindparam("picture"))
)


def added(connection: Connection, picture_id: str) -> int:
    """What to add to the priority of a picture's job."""
    found = _ADDRESS.first(connection, {"picture": picture_id})
    return ELSEWHERE if found is not None and found[0] is not None else 0


def sort_again(connection: Connection) -> None:
    """Puts jobs that wait into the queue of the model that their camera uses now."""
    address = models.address_of_picture()
    is_elsewhere = exists(
        select(1).where(pictures.c.id == jobs.c.picture_id, address.is_not(None)).correlate(jobs)
    )
    connection.execute(
        jobs.update()
        .where(jobs.c.state == "queued")
        .values(priority=jobs.c.priority % ELSEWHERE + case((is_elsewhere, ELSEWHERE), else_=0))
    )


def overdue(connection: Connection, receipt: Receipt, shots: Sequence[Shot]) -> Sequence[Shot]:
    """The shots of a snap at its deadline: who waits for an engine has failed for that reason.

    Their pictures are kept, and classified once the engine answers.
    """
    if receipt.until != "classified":
        return shots
    waiting = _waiting(
        connection, [shot.picture.id for shot in shots if shot.state == "uploaded" and shot.picture]
    )
    error = failure(
        "classify_failed",
        f"its model's engine gave no answer within {receipt.deadline_s:g} s; the picture is kept, "
        "and classified once it does",
    )
    return [
        msgspec.structs.replace(shot, state="failed", error=error)
        if shot.state == "uploaded" and shot.picture is not None and shot.picture.id in waiting
        else shot
        for shot in shots
    ]


def _waiting(connection: Connection, picture_ids: Collection[str]) -> set[str]:
    if not picture_ids:
        return set()
    query = select(jobs.c.picture_id).where(
        jobs.c.picture_id.in_(picture_ids),
        jobs.c.state.in_(("queued", "leased")),
        jobs.c.priority >= ELSEWHERE,
    )
    return set(connection.execute(query).scalars())
