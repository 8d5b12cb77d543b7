"""Thresholds of models, and the labelled pictures that they are found on."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from objectclassification.errors import NotFound
from objectclassification.heads import NO_HEAD
from objectclassification.receipts import rfc3339
from objectclassification.store.models import SHIPPED
from objectclassification.store.tables import labels, models, pictures, predictions, thresholds
from objectclassification.sureness import CALIBRATIONS, Coverage, Threshold

MOST_PICTURES = 10_000
"""The newest labelled ones that a threshold is found on."""


def every(connection: Connection, shipped: str) -> list[Threshold]:
    """All thresholds, the one of the server's own model first.

    Args:
        connection: to read with.
        shipped: the SHA-256 of the server's own model.
    """
    rows = {row.model_sha256: row for row in connection.execute(select(thresholds))}
    added = connection.execute(select(models.c.id, models.c.sha256).order_by(models.c.id))
    found = []
    for name, sha256 in ((SHIPPED, shipped), *added):
        one = _threshold(name, sha256, rows.get(sha256))
        if one is not None:
            found.append(one)
    return found


def below(connection: Connection) -> dict[str, float]:
    """Each threshold by the SHA-256 of its model, whether that is there now or not."""
    known = {sha256: one.unsure_below for sha256, one in CALIBRATIONS.items()}
    query = select(thresholds.c.model_sha256, thresholds.c.below)
    return known | {sha256: value for sha256, value in connection.execute(query)}


def sha256_of(connection: Connection, model_id: str, shipped: str) -> str:
    """Which model file a name stands for.

    Raises:
        NotFound: no such model.
    """
    if model_id == SHIPPED:
        return shipped
    query = select(models.c.sha256).where(models.c.id == model_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no model is called {model_id}: `objectclassification models list`")
    return found


def known(connection: Connection, sha256: str) -> list[tuple[float, bool]]:
    """Of the labelled pictures that a model looked at: how sure it was, and whether it was right.

    A label is what an operator said without a head; it is right in capitals or not.
    """
    query = (
        select(pictures.c.confidence, labels.c["class"], predictions.c.label)
        .join(labels, (labels.c.picture_id == pictures.c.id) & (labels.c.head == NO_HEAD))
        .join(predictions, (predictions.c.picture_id == pictures.c.id) & (predictions.c.rank == 0))
        .where(predictions.c.model_sha256 == sha256, pictures.c.confidence.is_not(None))
        .order_by(pictures.c.id.desc())
        .limit(MOST_PICTURES)
    )
    rows = connection.execute(query)
    return [(sure, said.casefold() == best.casefold()) for sure, said, best in rows]


def put(
    connection: Connection,
    sha256: str,
    below: float,
    coverage: Coverage | None,
    *,
    at: float,
    token_id: str,
) -> None:
    """Sets a model's threshold, in place of the one it had.

    Args:
        connection: to write with.
        sha256: of the model's file.
        below: answers of less confidence are unsure.
        coverage: what that does on labelled pictures, if it was found on them.
        at: seconds since the epoch.
        token_id: whose word it is.
    """
    remove(connection, sha256)
    written = None if coverage is None else msgspec.to_builtins(coverage)
    values = {"below": below, "coverage": written, "set_at": at, "token_id": token_id}
    connection.execute(thresholds.insert().values(model_sha256=sha256, **values))


def remove(connection: Connection, sha256: str) -> None:
    """Has a model the threshold that comes with it again, or none."""
    connection.execute(thresholds.delete().where(thresholds.c.model_sha256 == sha256))


def _threshold(name: str, sha256: str, row: Row[Any] | None) -> Threshold | None:
    if row is not None:
        coverage = None if row.coverage is None else msgspec.convert(row.coverage, Coverage)
        return Threshold(name, sha256, row.below, coverage, rfc3339(row.set_at))
    calibration = CALIBRATIONS.get(sha256)
    return None if calibration is None else Threshold(name, sha256, calibration.unsure_below)
