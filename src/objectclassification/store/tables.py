"""The tables, and nothing else.

Ids are UUIDv7 text, made by whoever makes the row, so that no table needs a coordinator and ``id``
sorts by time. Columns that end in ``_at`` hold seconds since the epoch, UTC. Only types that SQLite
and PostgreSQL share are used. Changes go through ``migrations/``; a test compares both.
"""

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
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

snippets = Table(
    "snippets",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    # None for slot 1 until the first camera takes it.
    Column("camera", String(64), unique=True),
    Column("picture_id", String(36)),
)

cameras = Table(
    "cameras",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("groups", JSON, nullable=False),
    Column("source", String(256), nullable=False),
    Column("agent", String(256), nullable=False),
    Column("version", String(256), nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float),
    Column("sleeps_until_at", Float),
    # The operator's word on its groups; None: what the camera says of itself, in ``groups``.
    Column("groups_set", JSON(none_as_null=True)),
    # Whether its pictures get boxes, where the snap does not say; None: no.
    Column("detect", JSON(none_as_null=True)),
)

# When cameras came and went, the newest of each.
presence = Table(
    "presence",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("camera", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    # When it was to be back, if it was to sleep.
    Column("sleeps_until_at", Float),
    Index(None, "camera", "id"),
)

snaps = Table(
    "snaps",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("origin", String(16), nullable=False),
    # The server that holds the snap while it is open.
    Column("server", String(36), nullable=False),
    Column("token_id", String(64), nullable=False),
    Column("to", JSON, nullable=False),
    Column("targets", JSON, nullable=False),
    Column("until", String(16), nullable=False),
    Column("deadline_s", Float, nullable=False),
    Column("context", JSON, nullable=False),
    Column("options", JSON, nullable=False),
    # How long it waits for cameras that are away; None: it does not.
    Column("ttl_s", Float),
    Column("policy", String(16), nullable=False, server_default="all"),
    Column("accepted_at", Float, nullable=False, index=True),
    Column("ended_at", Float, index=True),
    Column("answered", Integer),
    Column("failed", Integer),
    Column("missing", Integer),
    Column("elapsed_ms", Float),
)

snap_context = Table(
    "snap_context",
    metadata,
    Column("snap_id", ForeignKey("snaps.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("value", String(2048), nullable=False),
    Index(None, "key", "value"),
)

shots = Table(
    "shots",
    metadata,
    # No foreign key: a camera's own shot may be uploaded before the hub has stored its snap.
    Column("snap_id", String(64), primary_key=True),
    Column("camera", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("freshness", String(16)),
    Column("elapsed_ms", JSON, nullable=False),
    Column("camera_ms", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("error_code", String(32)),
    Column("error_detail", String(256)),
    Column("picture_id", String(36)),
)

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

rules = Table(
    "rules",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("rule", JSON, nullable=False),
    Column("added_at", Float, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("schedule", JSON, nullable=False),
    Column("added_at", Float, nullable=False),
    Column("token_id", String(64), nullable=False),
    Column("planned_at", Float, nullable=False),
    # None while it is paused.
    Column("due_at", Float),
    # The id of the next run's snap. No foreign key, here and below: receipts go when they are old.
    Column("snap", String(36), nullable=False),
    Column("last_at", Float),
    Column("last_snap", String(36)),
    Column("last_code", String(32)),
    Column("last_detail", String(256)),
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

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("cameras", JSON, nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

# Browsers that signed in.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("token_id", ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("agent", String(256), nullable=False),
    Column("address", String(64), nullable=False),
)

# Codes that become a camera's token once; the code itself is nowhere.
joins = Table(
    "joins",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("camera", String(64), nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)
