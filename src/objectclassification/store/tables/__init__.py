"""The tables, and nothing else.

Ids are UUIDv7 text, made by whoever makes the row, so that no table needs a coordinator and ``id``
sorts by time. Columns that end in ``_at`` hold seconds since the epoch, UTC. Only types that SQLite
and PostgreSQL share are used. Changes go through ``migrations/``; a test compares both.
"""

from __future__ import annotations

from objectclassification.store.tables.access import joins, sessions, tokens
from objectclassification.store.tables.base import metadata
from objectclassification.store.tables.fleet import (
    cameras,
    presence,
    schedules,
    shots,
    snap_context,
    snaps,
    snippets,
)
from objectclassification.store.tables.pictures import (
    changes,
    crop_embeddings,
    deletions,
    embeddings,
    jobs,
    pictures,
    predictions,
    renditions,
)
from objectclassification.store.tables.taught import (
    answers,
    head_activations,
    head_versions,
    labels,
    model_uses,
    models,
    rules,
    thresholds,
    verdict_counts,
)

__all__ = [
    "answers",
    "cameras",
    "changes",
    "crop_embeddings",
    "deletions",
    "embeddings",
    "head_activations",
    "head_versions",
    "jobs",
    "joins",
    "labels",
    "metadata",
    "model_uses",
    "models",
    "pictures",
    "predictions",
    "presence",
    "renditions",
    "rules",
    "schedules",
    "sessions",
    "shots",
    "snap_context",
    "snaps",
    "snippets",
    "thresholds",
    "tokens",
    "verdict_counts",
]
