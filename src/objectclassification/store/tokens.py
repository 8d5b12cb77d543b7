"""Tokens, hashed."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, select

from objectclassification.auth import TokenRecord
from objectclassification.errors import NotFound
from objectclassification.store.tables import tokens


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


def revoke(connection: Connection, token_id: str, *, at: float) -> None:
    """Makes a token bad for good.

    Raises:
        NotFound: no good token has that id.
    """
    changed = connection.execute(
        tokens.update()
        .where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        .values(revoked_at=at)
    ).rowcount
    if changed == 0:
        raise NotFound(f"no token {token_id}")
