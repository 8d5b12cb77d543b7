"""Rules, and what they said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes two tables; pictures that are there have no verdict."""
    op.create_table(
        "rules",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("added_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rules")),
    )
    op.create_table(
        "verdict_counts",
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "camera", "verdict", name=op.f("pk_verdict_counts")),
    )
    op.add_column("pictures", sa.Column("verdict", sa.String(length=8), nullable=True))
    op.add_column("pictures", sa.Column("judgements", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(op.f("ix_pictures_verdict_id"), "pictures", ["verdict", "id"], unique=False)
