"""Pictures that somebody deleted, until it cannot be undone any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes one table, and the index that counts by day read."""
    op.create_table(
        "deletions",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_deletions_picture_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("picture_id", name=op.f("pk_deletions")),
    )
    op.create_index(op.f("ix_deletions_id"), "deletions", ["id"], unique=False)
