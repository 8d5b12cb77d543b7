"""Codes that join a phone: each becomes a camera's token, once and soon."""

from __future__ import annotations

from sqlalchemy import Connection, and_, or_, select

from objectclassification.errors import Conflict, NotFound
from objectclassification.store.tables import joins

REMEMBERED_S = 86_400.0
"""For how long after its end a code is told from one that never was."""


class JoinUsed(Conflict):
    """A code that has become a token already."""

    code = "join_used"


class JoinExpired(Conflict):
    """A code that nobody used in time."""

    code = "join_expired"


def add(
    connection: Connection, sha256: str, camera: str, *, made_by: str, at: float, expires_at: float
) -> None:
    """Stores a code's hash; an older code for the same camera is good no more.

    Args:
        connection: in a transaction.
        sha256: of the code, hexadecimal.
        camera: whose token it becomes.
        made_by: id of the token of whoever made it.
        at: now, seconds since the epoch.
        expires_at: the same, until when it is good.
    """
    replaced = and_(joins.c.camera == camera, joins.c.used_at.is_(None))
    connection.execute(joins.delete().where(or_(replaced, joins.c.expires_at < at - REMEMBERED_S)))
    connection.execute(
        joins.insert().values(sha256=sha256, camera=camera, made_by=made_by, expires_at=expires_at)
    )


def good(connection: Connection, sha256: str, *, at: float) -> str:
    """Returns the camera of a code that is good now.

    Raises:
        NotFound: there is no such code, or a newer one for its camera.
        JoinUsed: it has become a token.
        JoinExpired: its time is over.
    """
    found = connection.execute(select(joins).where(joins.c.sha256 == sha256)).first()
    if found is None:
        raise NotFound("this code is unknown, or a newer one was made: ask for a new one")
    if found.used_at is not None:
        raise JoinUsed("this code was used already, and a code works once: ask for a new one")
    if found.expires_at < at:
        raise JoinExpired("this code is too old: ask for a new one")
    camera: str = found.camera
    return camera


def use(connection: Connection, sha256: str, *, at: float) -> str:
    """Uses a code up, and returns its camera. The errors are those of :func:`good`."""
    camera = good(connection, sha256, at=at)
    connection.execute(joins.update().where(joins.c.sha256 == sha256).values(used_at=at))
    return camera


def void(connection: Connection, made_by: str) -> None:
    """Forgets the codes that a token made and nobody has used."""
    connection.execute(joins.delete().where(joins.c.made_by == made_by, joins.c.used_at.is_(None)))
