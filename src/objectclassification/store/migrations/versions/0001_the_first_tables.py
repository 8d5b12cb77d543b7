"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes them, and slot 1."""
    op.create_table(
        "cameras",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(length=256), nullable=False),
        sa.Column("agent", sa.String(length=256), nullable=False),
        sa.Column("version", sa.String(length=256), nullable=False),
        sa.Column("first_seen_at", sa.Float(), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=True),
        sa.Column("sleeps_until_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cameras")),
    )
    op.create_table(
        "shots",
        sa.Column("snap_id", sa.String(length=64), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("freshness", sa.String(length=16), nullable=True),
        sa.Column("elapsed_ms", sa.JSON(), nullable=False),
        sa.Column("camera_ms", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("error_code", sa.String(length=32), nullable=True),
        sa.Column("error_detail", sa.String(length=256), nullable=True),
        sa.Column("picture_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("snap_id", "camera", name=op.f("pk_shots")),
    )
    op.create_table(
        "snaps",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("server", sa.String(length=36), nullable=False),
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("to", sa.JSON(), nullable=False),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("until", sa.String(length=16), nullable=False),
        sa.Column("deadline_s", sa.Float(), nullable=False),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("accepted_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("answered", sa.Integer(), nullable=True),
        sa.Column("failed", sa.Integer(), nullable=True),
        sa.Column("missing", sa.Integer(), nullable=True),
        sa.Column("elapsed_ms", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snaps")),
    )
    op.create_index(op.f("ix_snaps_accepted_at"), "snaps", ["accepted_at"], unique=False)
    op.create_index(op.f("ix_snaps_ended_at"), "snaps", ["ended_at"], unique=False)
    op.create_table(
        "snippets",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=True),
        sa.Column("picture_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_snippets")),
        sa.UniqueConstraint("camera", name=op.f("uq_snippets_camera")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("cameras", sa.JSON(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_tokens_sha256")),
    )
    op.create_table(
        "pictures",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("snippet", sa.Integer(), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=True),
        sa.Column("snap_id", sa.String(length=64), nullable=True),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("captured_at", sa.Float(), nullable=False),
        sa.Column("captured_from", sa.String(length=16), nullable=False),
        sa.Column("captured_uncertainty_ms", sa.Float(), nullable=True),
        sa.Column("best_label", sa.String(length=256), nullable=True),
        sa.Column("best_score", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["snippet"], ["snippets.number"], name=op.f("fk_pictures_snippet")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pictures")),
    )
    op.create_index(
        op.f("ix_pictures_best_label_id"), "pictures", ["best_label", "id"], unique=False
    )
    op.create_index(op.f("ix_pictures_camera_id"), "pictures", ["camera", "id"], unique=False)
    op.create_index(op.f("ix_pictures_received_at"), "pictures", ["received_at"], unique=False)
    op.create_index(
        op.f("ix_pictures_snap_id_camera"), "pictures", ["snap_id", "camera"], unique=False
    )
    op.create_table(
        "snap_context",
        sa.Column("snap_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("value", sa.String(length=2048), nullable=False),
        sa.ForeignKeyConstraint(
            ["snap_id"], ["snaps.id"], name=op.f("fk_snap_context_snap_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("snap_id", "key", name=op.f("pk_snap_context")),
    )
    op.create_index(
        op.f("ix_snap_context_key_value"), "snap_context", ["key", "value"], unique=False
    )
    op.create_table(
        "embeddings",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_embeddings_picture_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("picture_id", "model_sha256", name=op.f("pk_embeddings")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("rendition_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("lease_until_at", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["picture_id"], ["pictures.id"], name=op.f("fk_jobs_picture_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("picture_id", name=op.f("uq_jobs_picture_id")),
    )
    op.create_index(
        op.f("ix_jobs_state_priority_id"), "jobs", ["state", "priority", "id"], unique=False
    )
    op.create_table(
        "predictions",
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(length=256), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("box", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("model_id", sa.String(length=256), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_predictions_picture_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("picture_id", "rank", name=op.f("pk_predictions")),
    )
    op.create_index(
        op.f("ix_predictions_label_picture_id"),
        "predictions",
        ["label", "picture_id"],
        unique=False,
    )
    op.create_table(
        "renditions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("picture_id", sa.String(length=36), nullable=False),
        sa.Column("snippet", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=256), nullable=True),
        sa.ForeignKeyConstraint(
            ["picture_id"],
            ["pictures.id"],
            name=op.f("fk_renditions_picture_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_renditions")),
        sa.UniqueConstraint("picture_id", "name", name=op.f("uq_renditions_picture_id_name")),
        sa.UniqueConstraint(
            "snippet", "idempotency_key", name=op.f("uq_renditions_snippet_idempotency_key")
        ),
    )
    # Slot 1 exists from the first start; the first camera takes it.
    op.execute("INSERT INTO snippets (number) VALUES (1)")
