"""The history as a whole: what is beside a picture, how many there are a day, how scores go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Integer, Select, cast, func, select

from objectclassification.errors import TooLarge
from objectclassification.store.deletions import is_deleted
from objectclassification.store.pictures import Filter, matching
from objectclassification.store.tables import pictures, predictions

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
    shown = _shown(connection, select(pictures.c.id), wanted).limit(1)
    newer = shown.where(pictures.c.id > picture_id).order_by(pictures.c.id)
    older = shown.where(pictures.c.id < picture_id).order_by(pictures.c.id.desc())
    return (
        connection.execute(newer).scalar_one_or_none(),
        connection.execute(older).scalar_one_or_none(),
    )


def ids(connection: Connection, wanted: Filter) -> list[str]:
    """All that a filter leaves, newest first: 36 bytes each, and at most :data:`MOST_EXPORTED`.

    Raises:
        TooLarge: there are more.
    """
    query = _shown(connection, select(pictures.c.id), wanted).order_by(pictures.c.id.desc())
    found = list(connection.execute(query.limit(MOST_EXPORTED + 1)).scalars())
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
    day = cast((pictures.c.captured_at + zone_s) / DAY_S, Integer).label("day")
    by = (day, pictures.c.best_label)
    query = select(*by, func.count().label("pictures")).group_by(*by).order_by(*by)
    rows = connection.execute(_shown(connection, query, wanted))
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
    id_ = predictions.c.picture_id
    query = (
        select(id_, pictures.c.captured_at, func.max(predictions.c.score).label("score"))
        .join(pictures, pictures.c.id == id_)
        .where(predictions.c.label == wanted.label)
        .group_by(id_, pictures.c.captured_at)
        .order_by(id_.desc())
        .limit(limit)
    )
    if wanted.min_score is not None:
        query = query.where(predictions.c.score >= wanted.min_score)
    if before is not None:
        query = query.where(id_ < before)
    rest = replace(wanted, label=None, min_score=None)
    rows = connection.execute(_shown(connection, query, rest))
    return [Score(row.picture_id, row.captured_at, row.score) for row in rows]


def _shown(connection: Connection, query: Select[Any], wanted: Filter) -> Select[Any]:
    return matching(connection, query.where(~is_deleted(pictures.c.id)), wanted)
