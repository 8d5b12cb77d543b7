"""Groups by an operator's word."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds one column."""
    op.add_column("cameras", sa.Column("groups_set", sa.JSON(none_as_null=True), nullable=True))
