"""Who may come in."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, String, Table

from objectclassification.store.tables.base import metadata

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("cameras", JSON, nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

# Browsers that signed in.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("token_id", ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("agent", String(256), nullable=False),
    Column("address", String(64), nullable=False),
)

# Codes that become a camera's token once; the code itself is nowhere.
joins = Table(
    "joins",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("camera", String(64), nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)
