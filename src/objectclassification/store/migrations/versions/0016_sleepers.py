"""Snaps that wait for cameras, and when cameras came and went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns, and makes one table."""
    op.add_column("snaps", sa.Column("ttl_s", sa.Float(), nullable=True))
    op.add_column(
        "snaps",
        sa.Column("policy", sa.String(length=16), server_default="all", nullable=False),
    )
    op.create_table(
        "presence",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("sleeps_until_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presence")),
    )
    op.create_index(op.f("ix_presence_camera_id"), "presence", ["camera", "id"], unique=False)
