"""How sure answers are, and from when on they count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes a table; pictures that are there say nothing of how sure they are."""
    op.create_table(
        "thresholds",
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("below", sa.Float(), nullable=False),
        sa.Column("coverage", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("set_at", sa.Float(), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("model_sha256", name=op.f("pk_thresholds")),
    )
    op.add_column("pictures", sa.Column("confidence", sa.Float(), nullable=True))
    op.add_column("pictures", sa.Column("unsure", sa.Boolean(), nullable=True))
