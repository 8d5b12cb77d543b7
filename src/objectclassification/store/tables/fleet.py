"""Cameras, their slots, and what is asked of them."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table

from objectclassification.store.tables.base import metadata

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
    # A count, or a percentage as text.
    Column("quorum", JSON(none_as_null=True)),
    # The moment at which all were to expose; in_s, if the request said it as seconds from then.
    Column("shoot_at", Float),
    Column("in_s", Float),
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
    # Whether its picture, or what is on it, came after it had failed.
    Column("late", Boolean),
    # How far from the snap's moment it was exposed, plus or minus.
    Column("skew_ms", Float),
    Column("skew_uncertainty_ms", Float),
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
