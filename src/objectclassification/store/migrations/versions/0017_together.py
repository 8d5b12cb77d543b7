"""Groups by an operator's word, snaps with a quorum or a moment, late shots and their skew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns only."""
    op.add_column("cameras", sa.Column("groups_set", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("snaps", sa.Column("quorum", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("snaps", sa.Column("shoot_at", sa.Float(), nullable=True))
    op.add_column("snaps", sa.Column("in_s", sa.Float(), nullable=True))
    op.add_column("shots", sa.Column("late", sa.Boolean(), nullable=True))
    op.add_column("shots", sa.Column("skew_ms", sa.Float(), nullable=True))
    op.add_column("shots", sa.Column("skew_uncertainty_ms", sa.Float(), nullable=True))
