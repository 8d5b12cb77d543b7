"""The history as a whole: what is beside a picture, and how scores go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, func, select

from objectclassification.errors import TooLarge
from objectclassification.store import pictures
from objectclassification.store.deletions import is_deleted
from objectclassification.store.pictures import Filter
from objectclassification.store.tables import pictures as table
from objectclassification.store.tables import predictions

MOST_EXPORTED: Final = 20_000
"""Pictures in one export: with half a megabyte each, ten gigabytes."""


@dataclass(frozen=True, slots=True)
class Score:
    """What score a label had on a picture."""

    picture_id: str
    captured_at: float
    score: float


def neighbours(
    connection: Connection, wanted: Filter, picture_id: str
) -> tuple[str | None, str | None]:
    """The ids of the next newer and the next older picture that a filter leaves."""
    newer = pictures.ids(connection, wanted, after=picture_id, limit=1)
    older = pictures.ids(connection, wanted, before=picture_id, limit=1)
    return (newer[0] if newer else None, older[0] if older else None)


def ids(connection: Connection, wanted: Filter) -> list[str]:
    """All that a filter leaves, newest first: 36 bytes each, and at most :data:`MOST_EXPORTED`.

    Raises:
        TooLarge: there are more.
    """
    found = pictures.ids(connection, wanted, limit=MOST_EXPORTED + 1)
    if len(found) > MOST_EXPORTED:
        raise TooLarge(
            f"more than {MOST_EXPORTED} pictures match: export them in parts, by time or camera",
            limit=MOST_EXPORTED,
            unit="pictures",
        )
    return found


def scores(
    connection: Connection, wanted: Filter, *, before: str | None, limit: int
) -> list[Score]:
    """The scores of the filter's label, newest first; of several on one picture the best.

    Args:
        connection: to read with.
        wanted: which pictures; it has a label.
        before: the last id of the page before, or None.
        limit: the most to return.
    """
    columns = (predictions.c.picture_id, func.max(table.c.captured_at).label("captured_at"))
    best = func.max(predictions.c.score).label("score")
    id_, query = pictures.of_label(select(*columns, best), wanted)
    if before is not None:
        query = query.where(id_ < before)
    rest = replace(wanted, label=None, min_score=None)
    query = pictures.matching(connection, query.where(~is_deleted(id_)), rest)
    rows = connection.execute(query.order_by(id_.desc()).limit(limit))
    return [Score(row.picture_id, row.captured_at, row.score) for row in rows]
