"""What changed on pictures, and a camera's pictures by when they were captured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table and the index."""
    op.create_table(
        "changes",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("crop", sa.String(length=64), nullable=False),
        sa.Column("novelty", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("changed", sa.Boolean(), nullable=False),
        sa.Column("nearest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"], ["pictures.id"], name=op.f("fk_changes_picture_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("picture_id", "crop", name=op.f("pk_changes")),
    )
    op.create_index(
        op.f("ix_pictures_camera_captured_at"), "pictures", ["camera", "captured_at"], unique=False
    )
