"""Boxes: whether a camera's pictures get them, and what each one's crop was classified as."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column to each of the two."""
    op.add_column("cameras", sa.Column("detect", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("predictions", sa.Column("classified", sa.JSON(none_as_null=True), nullable=True))
