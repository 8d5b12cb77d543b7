"""Tokens, hashed."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, select

from objectclassification.auth import TokenRecord
from objectclassification.errors import Conflict, NotFound
from objectclassification.store import joins
from objectclassification.store.tables import sessions, tokens


def add(connection: Connection, record: TokenRecord, *, at: float) -> None:
    """Stores a token's record."""
    connection.execute(
        tokens.insert().values(
            id=record.id,
            sha256=record.sha256,
            role=record.role,
            cameras=list(record.cameras),
            name=record.name,
            created_at=at,
        )
    )


def good(connection: Connection) -> list[TokenRecord]:
    """Every token that was not revoked, oldest first."""
    query = select(tokens).where(tokens.c.revoked_at.is_(None)).order_by(tokens.c.id)
    return [
        TokenRecord(
            id=row.id,
            sha256=row.sha256,
            role=row.role,
            cameras=tuple(row.cameras),
            name=row.name,
            created_at=datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="seconds"),
        )
        for row in connection.execute(query)
    ]


def has_admin(connection: Connection, *, but: str = "") -> bool:
    """Whether an admin token is good, another than ``but``."""
    query = select(tokens.c.id).where(
        tokens.c.role == "admin", tokens.c.revoked_at.is_(None), tokens.c.id != but
    )
    return connection.execute(query.limit(1)).first() is not None


def add_again(connection: Connection, record: TokenRecord, *, at: float) -> bool:
    """Makes an admin token good when none is: whoever owns the data folder is never locked out.

    Returns:
        Whether it was needed.
    """
    if has_admin(connection):
        return False
    # Its revoked row would be in the way of the same hash.
    connection.execute(tokens.delete().where(tokens.c.sha256 == record.sha256))
    add(connection, record, at=at)
    return True


def revoke(connection: Connection, token_id: str, *, at: float) -> None:
    """Makes a token bad for good; its sessions end, and the codes that it made are void.

    Raises:
        NotFound: no good token has that id.
        Conflict: nobody could make tokens any more.
    """
    found = select(tokens.c.role).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
    role = connection.execute(found).scalar_one_or_none()
    if role == "admin" and not has_admin(connection, but=token_id):
        raise Conflict("this is the last admin token: make another one before you revoke it")
    changed = connection.execute(
        tokens.update()
        .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        .values(revoked_at=at)
    ).rowcount
    if changed == 0:
        raise NotFound(f"no token {token_id}")
    connection.execute(sessions.delete().where(sessions.c.token_id == token_id))
    joins.void(connection, token_id)
