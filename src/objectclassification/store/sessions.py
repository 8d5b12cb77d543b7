"""Browsers' sessions, hashed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, select

from objectclassification.auth import SessionRecord
from objectclassification.store.tables import sessions, tokens

MOST_OF_A_TOKEN: Final = 64
"""Sessions; who signs in once more ends the one that was seen last the longest ago."""


def add(connection: Connection, record: SessionRecord) -> list[str]:
    """Stores a session, and forgets those that have ended by themselves.

    Returns:
        The ids of those that had to end for it.
    """
    connection.execute(sessions.delete().where(sessions.c.expires_at <= record.created_at))
    connection.execute(sessions.insert().values(**asdict(record)))
    query = (
        select(sessions.c.id)
        .where(sessions.c.token_id == record.token_id)
        .order_by(sessions.c.seen_at.desc(), sessions.c.id.desc())
        .offset(MOST_OF_A_TOKEN)
    )
    ended = list(connection.scalars(query))
    connection.execute(sessions.delete().where(sessions.c.id.in_(ended)))
    return ended


def good(connection: Connection, *, at: float) -> list[SessionRecord]:
    """Every session that has not ended, the newest first."""
    query = (
        select(sessions)
        .join(tokens, tokens.c.id == sessions.c.token_id)
        .where(tokens.c.revoked_at.is_(None), sessions.c.expires_at > at)
        .order_by(sessions.c.id.desc())
    )
    return [SessionRecord(**row) for row in connection.execute(query).mappings()]


def seen(connection: Connection, session_id: str, *, at: float, expires_at: float) -> None:
    """Notes that it is used, which puts its end off."""
    connection.execute(
        sessions.update()
        .where(sessions.c.id == session_id)
        .values(seen_at=at, expires_at=expires_at)
    )


def end(connection: Connection, session_id: str) -> None:
    """Ends one; twice does nothing."""
    connection.execute(sessions.delete().where(sessions.c.id == session_id))
