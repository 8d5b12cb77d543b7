"""The history as a whole: what is beside a picture, how many there are a day, how scores go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Integer, cast, func, select

from objectclassification.errors import TooLarge
from objectclassification.store import pictures
from objectclassification.store.deletions import deleted_ids, is_deleted
from objectclassification.store.pictures import Filter
from objectclassification.store.tables import pictures as table
from objectclassification.store.tables import predictions

DAY_S: Final = 86_400
MOST_EXPORTED: Final = 20_000
"""Pictures in one export: with half a megabyte each, ten gigabytes."""


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many pictures of one day have one label.

    Attributes:
        day: since the epoch, in the zone that was asked for.
        label: the best one; None of a picture that has none.
        pictures: how many.
    """

    day: int
    label: str | None
    pictures: int


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


def counts(connection: Connection, wanted: Filter, *, zone_s: int) -> list[DayCount]:
    """Counts pictures by day and best label, the first day first.

    Args:
        connection: to read with.
        wanted: which pictures; it should say since when.
        zone_s: seconds by which the days' zone is ahead of UTC.
    """
    # Nothing here was captured before 1970, so that cutting off is rounding down.
    day = cast((table.c.captured_at + zone_s) / DAY_S, Integer).label("day")
    by = (day, table.c.best_label)
    query = select(*by, func.count().label("pictures")).group_by(*by).order_by(*by)
    if deleted_ids(connection):  # mostly there are none, and looking for each costs as much again
        query = query.where(~is_deleted(table.c.id))
    rows = connection.execute(pictures.matching(connection, query, wanted))
    return [DayCount(int(row.day), row.best_label, int(row.pictures)) for row in rows]


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
