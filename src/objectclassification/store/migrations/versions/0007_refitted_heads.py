"""Versions of heads that were fitted anew for another model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns; of versions that are there, nobody knows whether a margin was chosen."""
    op.add_column("head_versions", sa.Column("abstain_chosen", sa.Boolean(), nullable=True))
    op.add_column("head_versions", sa.Column("refitted_from", sa.Integer(), nullable=True))
