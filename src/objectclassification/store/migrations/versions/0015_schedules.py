"""Snaps that the server asks for itself, by the clock."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes one table."""
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("schedule", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.Float(), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("planned_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("snap", sa.String(length=36), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=True),
        sa.Column("last_snap", sa.String(length=36), nullable=True),
        sa.Column("last_code", sa.String(length=32), nullable=True),
        sa.Column("last_detail", sa.String(length=256), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
