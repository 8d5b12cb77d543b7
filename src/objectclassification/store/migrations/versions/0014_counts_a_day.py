"""The index that counts a day are read from."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Puts it in the place of one that nothing reads: labels are looked for among predictions."""
    op.drop_index(op.f("ix_pictures_best_label_id"), "pictures")
    op.create_index(
        op.f("ix_pictures_best_label_captured_at"),
        "pictures",
        ["best_label", "captured_at"],
        unique=False,
    )
