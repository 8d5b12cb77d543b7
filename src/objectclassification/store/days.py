"""How many pictures there are a day, by best label.

Grouping 100,000 pictures sorts them all, which takes a sixth of a second. The page counts without a
filter each time it is opened: for each label and day the pictures are then counted where the index
of labels has them side by side, which sorts nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    case,
    cast,
    func,
    literal,
    select,
)

from objectclassification.store import pictures
from objectclassification.store.deletions import deleted_ids, is_deleted
from objectclassification.store.pictures import Filter
from objectclassification.store.tables import deletions
from objectclassification.store.tables import pictures as table

DAY_S: Final = 86_400
MOST_LOOKED_UP: Final = 20_000
"""Labels times days, each a microsecond or two; with more of them one sort is no slower."""


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


def counts(connection: Connection, wanted: Filter, *, zone_s: int) -> list[DayCount]:
    """Counts pictures by day and best label, the first day first.

    Args:
        connection: to read with.
        wanted: which pictures; it should say since when, and until when.
        zone_s: seconds by which the days' zone is ahead of UTC.
    """
    if wanted.since is not None and wanted.until is not None and _is_of_time_only(wanted):
        first, last = ((at + zone_s) // DAY_S for at in (wanted.since, wanted.until))
        if _labels_up_to(connection, MOST_LOOKED_UP) * (last - first + 1) <= MOST_LOOKED_UP:
            return _looked_up(connection, wanted.since, wanted.until, zone_s)
    query = select(*_by(zone_s), func.count().label("pictures")).group_by(*_by(zone_s))
    if deleted_ids(connection):  # mostly there are none, and looking for each costs as much again
        query = query.where(~is_deleted(table.c.id))
    return _sorted(_counted(connection, pictures.matching(connection, query, wanted)))


def _is_of_time_only(wanted: Filter) -> bool:
    return replace(wanted, since=None, until=None) == Filter()


def _by(zone_s: int) -> tuple[ColumnElement[Any], ...]:
    # Nothing here was captured before 1970, so that cutting off is rounding down.
    return cast((table.c.captured_at + zone_s) / DAY_S, Integer).label("day"), table.c.best_label


def _looked_up(connection: Connection, since: float, until: float, zone_s: int) -> list[DayCount]:
    """The counts of all pictures of some days, less those that were deleted."""
    labels, days = _labels(), _days(since, until, zone_s)
    found: Counter[tuple[int, str | None]] = Counter()
    named = select(days.c.day, labels.c.label, _between(table.c.best_label == labels.c.label, days))
    for query in (
        named.select_from(days.join(labels, labels.c.label.is_not(None))),
        select(days.c.day, literal(None), _between(table.c.best_label.is_(None), days)),
    ):
        found += _counted(connection, query)
    # "in", and not a join, for which SQLite would look for each picture among the deletions.
    within = (
        table.c.id.in_(select(deletions.c.picture_id)),
        table.c.captured_at >= since,
        table.c.captured_at < until,
    )
    gone = select(*_by(zone_s), func.count()).where(*within).group_by(*_by(zone_s))
    found -= _counted(connection, gone)
    return _sorted(found)


def _between(labelled: ColumnElement[bool], days: CTE) -> ColumnElement[int]:
    within = (table.c.captured_at >= days.c.from_at, table.c.captured_at < days.c.to_at)
    return select(func.count()).select_from(table).where(labelled, *within).scalar_subquery()


def _labels() -> CTE:
    """Every best label, each found in the index behind the one before it; then None."""
    first = select(func.min(table.c.best_label).label("label")).cte("labels", recursive=True)
    behind = select(func.min(table.c.best_label)).where(table.c.best_label > first.c.label)
    more = select(behind.correlate(first).scalar_subquery()).where(first.c.label.is_not(None))
    return first.union_all(more)


def _labels_up_to(connection: Connection, most: int) -> int:
    """How many labels there are, as far as that matters."""
    some = select(_labels().c.label).limit(most + 1).subquery()
    return int(connection.execute(select(func.count(some.c.label))).scalar_one())


def _days(since: float, until: float, zone_s: int) -> CTE:
    """The days of a time with where each begins and ends, seconds since the epoch."""
    numbers = select(literal(int((since + zone_s) // DAY_S), Integer).label("day")).cte(
        "numbers", recursive=True
    )
    last = int((until + zone_s) // DAY_S)
    numbers = numbers.union_all(select(numbers.c.day + 1).where(numbers.c.day < last))
    begins = cast(numbers.c.day, Float) * DAY_S - zone_s
    ends = begins + DAY_S
    return select(
        numbers.c.day,
        case((begins < since, since), else_=begins).label("from_at"),
        case((ends > until, until), else_=ends).label("to_at"),
    ).cte("days")


def _counted(connection: Connection, query: Select[Any]) -> Counter[tuple[int, str | None]]:
    return Counter(
        {(int(day), label): int(number) for day, label, number in connection.execute(query)}
    )


def _sorted(found: Counter[tuple[int, str | None]]) -> list[DayCount]:
    """By day, then by label, those without a label first; what is not there is left out."""
    order = sorted(found, key=lambda one: (one[0], one[1] is not None, one[1] or ""))
    return [DayCount(day, label, found[day, label]) for day, label in order if found[day, label]]
