"""What a model does, and one model of a camera for each of these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every model that is there classifies, and is used for that."""
    op.add_column(
        "models",
        sa.Column("task", sa.String(length=16), server_default="classification", nullable=False),
    )
    used = op.get_bind().execute(sa.text("SELECT camera, model_id FROM model_uses")).all()
    # The key is another, which SQLite cannot change in a table that is there.
    op.drop_table("model_uses")
    table = op.create_table(
        "model_uses",
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("task", sa.String(length=16), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_uses_model_id")),
        sa.PrimaryKeyConstraint("camera", "task", name=op.f("pk_model_uses")),
    )
    rows = [
        {"camera": camera, "task": "classification", "model_id": model} for camera, model in used
    ]
    op.bulk_insert(table, rows)
