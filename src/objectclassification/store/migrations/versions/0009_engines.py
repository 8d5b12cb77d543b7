"""Models at an address."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; models that are there are files."""
    op.add_column("models", sa.Column("address", sa.String(length=512), nullable=True))
