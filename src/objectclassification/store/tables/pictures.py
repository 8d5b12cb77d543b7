"""Pictures, and what was found on them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from objectclassification.store.tables.base import metadata

pictures = Table(
    "pictures",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("snippet", ForeignKey("snippets.number"), nullable=False),
    Column("camera", String(64)),
    Column("snap_id", String(64)),
    Column("received_at", Float, nullable=False, index=True),
    Column("captured_at", Float, nullable=False),
    # Where captured_at comes from: ``age`` (the camera said how old it was) or ``arrival``.
    Column("captured_from", String(16), nullable=False),
    # None when it comes from the arrival: it may be any age.
    Column("captured_uncertainty_ms", Float),
    Column("best_label", String(256)),
    Column("best_score", Float),
    # Of the best label; both are None where its model says nothing, or said it before it could.
    Column("confidence", Float),
    Column("unsure", Boolean),
    Column("verdict", String(8)),
    Column("judgements", JSON(none_as_null=True)),
    Index(None, "camera", "id"),
    Index(None, "camera", "captured_at"),
    Index(None, "snap_id", "camera"),
    Index(None, "best_label", "captured_at"),
    Index(None, "verdict", "id"),
)

# Pictures that somebody deleted: hidden at once, and swept when it cannot be undone any more.
deletions = Table(
    "deletions",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    # Pictures that were deleted together.
    Column("id", String(36), nullable=False, index=True),
    Column("deleted_at", Float, nullable=False),
    Column("token_id", String(64), nullable=False),
)

renditions = Table(
    "renditions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), nullable=False),
    Column("snippet", Integer, nullable=False),
    Column("name", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("media_type", String(32), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("idempotency_key", String(256)),
    UniqueConstraint("picture_id", "name"),
    UniqueConstraint("snippet", "idempotency_key"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column(
        "picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), nullable=False, unique=True
    ),
    Column("rendition_id", String(36), nullable=False),
    Column("state", String(16), nullable=False),
    # Lower ones are done first: 0 when the picture answers a snap, else 1.
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(64)),
    Column("lease_until_at", Float),
    Column("error", Text),
    Index(None, "state", "priority", "id"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    Column("rank", Integer, primary_key=True, autoincrement=False),
    Column("label", String(256), nullable=False),
    Column("score", Float, nullable=False),
    Column("box", JSON(none_as_null=True)),
    # What a classifier says of the box alone.
    Column("classified", JSON(none_as_null=True)),
    Column("model_id", String(256), nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Index(None, "label", "picture_id"),
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    Column("model_sha256", String(64), primary_key=True),
    # float16, little endian, as many as the model's last layer has.
    Column("vector", LargeBinary, nullable=False),
)

crop_embeddings = Table(
    "crop_embeddings",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    Column("model_sha256", String(64), primary_key=True),
    # Left, top, right, bottom, as ``store/embeddings.py`` writes them.
    Column("crop", String(32), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    # Empty for the whole picture; else a rectangle that has a past of its own.
    Column("crop", String(64), primary_key=True),
    Column("novelty", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("changed", Boolean, nullable=False),
    # The past pictures that are most like it, in JSON; some may be deleted since.
    Column("nearest", Text, nullable=False),
)
