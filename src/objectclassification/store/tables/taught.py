"""What people say of pictures, and what is made of it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from objectclassification.store.tables.base import metadata

labels = Table(
    "labels",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    # Empty for what just is on the picture; no head need have been taught yet.
    Column("head", String(64), primary_key=True),
    Column("class", String(64), nullable=False),
    Column("labelled_at", Float, nullable=False),
    Column("token_id", String(64), nullable=False),
    Index(None, "head", "class", "picture_id"),
)

head_versions = Table(
    "head_versions",
    metadata,
    Column("head", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("classes", JSON, nullable=False),
    Column("camera", String(64)),
    Column("crop", JSON(none_as_null=True)),
    Column("abstain", Float, nullable=False),
    # Whether a person chose it, and not the fit.
    Column("abstain_chosen", Boolean),
    # The version that this one replaces for another model; None if a person taught it.
    Column("refitted_from", Integer),
    Column("model_sha256", String(64), nullable=False),
    # float32, little endian: a row for each dimension of the embedding, then the intercepts.
    Column("weights", LargeBinary, nullable=False),
    Column("sharpness", Float, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("token_id", String(64), nullable=False),
)

# The version that answers is the newest row of a head that was not undone.
head_activations = Table(
    "head_activations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("head", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("activated_at", Float, nullable=False),
    Column("token_id", String(64), nullable=False),
    Column("undone_at", Float),
    ForeignKeyConstraint(["head", "number"], ["head_versions.head", "head_versions.number"]),
    Index(None, "head", "id"),
)

answers = Table(
    "answers",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    Column("head", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
    # None when the head abstained.
    Column("class", String(64)),
    Column("score", Float, nullable=False),
    Column("margin", Float, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("abstains", String(16)),
    Index(None, "head", "class", "picture_id"),
)

# Models that were added; their files are blobs, each under its hash.
models = Table(
    "models",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("size_bytes", Integer, nullable=False),
    Column("added_at", Float, nullable=False),
    Column("task", String(16), nullable=False, server_default="classification"),
    # Of a model at an engine elsewhere, whose blob is its card; None: the blob is the model.
    Column("address", String(512)),
)

model_uses = Table(
    "model_uses",
    metadata,
    # Empty: every camera that has no row of its own for that task.
    Column("camera", String(64), primary_key=True),
    Column("task", String(16), primary_key=True),
    # None: the shipped one, or the one of the settings.
    Column("model_id", ForeignKey("models.id")),
)

# From when on the answers of a model count; one without a row has what comes with it, or nothing.
thresholds = Table(
    "thresholds",
    metadata,
    Column("model_sha256", String(64), primary_key=True),
    Column("below", Float, nullable=False),
    # What it does on labelled pictures; None if it was not found on them.
    Column("coverage", JSON(none_as_null=True)),
    Column("set_at", Float, nullable=False),
    Column("token_id", String(64), nullable=False),
)

rules = Table(
    "rules",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("rule", JSON, nullable=False),
    Column("added_at", Float, nullable=False),
)

# They outlive their pictures.
verdict_counts = Table(
    "verdict_counts",
    metadata,
    # Hours since the epoch.
    Column("hour", Integer, primary_key=True, autoincrement=False),
    # Empty: of a slot without a camera.
    Column("camera", String(64), primary_key=True),
    Column("verdict", String(8), primary_key=True),
    Column("pictures", Integer, nullable=False),
)
