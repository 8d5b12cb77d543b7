"""Labels of operators, heads that were taught, and their answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes their tables."""
    op.create_table(
        "crop_embeddings",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("crop", sa.String(length=32), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_crop_embeddings_picture_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "picture_id", "model_sha256", "crop", name=op.f("pk_crop_embeddings")
        ),
    )
    op.create_table(
        "labels",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("class", sa.String(length=64), nullable=False),
        sa.Column("labelled_at", sa.Float(), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"], ["pictures.id"], name=op.f("fk_labels_picture_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("picture_id", "head", name=op.f("pk_labels")),
    )
    op.create_index(
        op.f("ix_labels_head_class_picture_id"), "labels", ["head", "class", "picture_id"]
    )
    op.create_table(
        "head_versions",
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=True),
        sa.Column("crop", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("abstain", sa.Float(), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.Column("sharpness", sa.Float(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("head", "number", name=op.f("pk_head_versions")),
    )
    op.create_table(
        "head_activations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("activated_at", sa.Float(), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("undone_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["head", "number"],
            ["head_versions.head", "head_versions.number"],
            name=op.f("fk_head_activations_head_number"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_head_activations")),
    )
    op.create_index(op.f("ix_head_activations_head_id"), "head_activations", ["head", "id"])
    op.create_table(
        "answers",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("class", sa.String(length=64), nullable=True),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("margin", sa.Float(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("abstains", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["picture_id"], ["pictures.id"], name=op.f("fk_answers_picture_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("picture_id", "head", name=op.f("pk_answers")),
    )
    op.create_index(
        op.f("ix_answers_head_class_picture_id"), "answers", ["head", "class", "picture_id"]
    )
