"""Schedules, when they run next, and what came of their last run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from objectclassification.errors import NotFound
from objectclassification.schedules import Schedule
from objectclassification.store.tables import schedules, snaps


@dataclass(frozen=True, slots=True)
class Ran:
    """A schedule's last run.

    Attributes:
        at: seconds since the epoch.
        snap: its snap; None if there was none.
        code: why there was none.
        detail: the same for a person.
    """

    at: float
    snap: str | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule with its place in time.

    Attributes:
        schedule: what is asked for, and when.
        added_at: seconds since the epoch.
        token_id: whose word it is.
        planned_at: when the next run was planned, by a clock that may be put back.
        due_at: when that is to be; None while it is paused.
        snap: the id of the next run's snap: a run that was begun twice is one.
        last: None before the first.
    """

    schedule: Schedule
    added_at: float
    token_id: str
    planned_at: float
    due_at: float | None
    snap: str
    last: Ran | None = None

    @property
    def name(self) -> str:
        """The schedule's."""
        return self.schedule.name


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a snap is."""

    done: bool
    answered: int
    failed: int
    missing: int


def every(connection: Connection) -> list[Planned]:
    """All schedules, by name."""
    query = select(schedules).order_by(schedules.c.name)
    return [_planned(row) for row in connection.execute(query)]


def add(connection: Connection, new: Planned) -> None:
    """Adds one, whose name is free."""
    written = msgspec.to_builtins(new.schedule)
    connection.execute(
        schedules.insert().values(
            name=new.name,
            schedule=written,
            added_at=new.added_at,
            token_id=new.token_id,
            **_moving(new),
        )
    )


def put(connection: Connection, changed: Iterable[Planned]) -> None:
    """Writes down when schedules run next, and what came of their last run."""
    for one in changed:
        connection.execute(
            schedules.update().where(schedules.c.name == one.name).values(**_moving(one))
        )


def remove(connection: Connection, name: str) -> None:
    """Removes one; its receipts stay.

    Raises:
        NotFound: no such schedule.
    """
    if connection.execute(schedules.delete().where(schedules.c.name == name)).rowcount == 0:
        raise NotFound(unknown(name))


def unknown(name: str) -> str:
    """What is said to who names a schedule that is not there."""
    return f"no schedule is called {name}: `objectclassification schedule list`"


def counts(connection: Connection, snap_ids: Iterable[str]) -> dict[str, Counts]:
    """How far snaps are; those without a receipt, or without one any more, are left out."""
    columns = (snaps.c.id, snaps.c.ended_at, snaps.c.answered, snaps.c.failed, snaps.c.missing)
    found = connection.execute(select(*columns).where(snaps.c.id.in_(list(snap_ids))))
    return {
        row.id: Counts(
            row.ended_at is not None, row.answered or 0, row.failed or 0, row.missing or 0
        )
        for row in found
    }


def _planned(row: Row[Any]) -> Planned:
    last = None
    if row.last_at is not None:
        last = Ran(row.last_at, row.last_snap, row.last_code, row.last_detail)
    return Planned(
        schedule=msgspec.convert(row.schedule, Schedule),
        added_at=row.added_at,
        token_id=row.token_id,
        planned_at=row.planned_at,
        due_at=row.due_at,
        snap=row.snap,
        last=last,
    )


def _moving(one: Planned) -> dict[str, Any]:
    last = one.last
    return {
        "planned_at": one.planned_at,
        "due_at": one.due_at,
        "snap": one.snap,
        "last_at": None if last is None else last.at,
        "last_snap": None if last is None else last.snap,
        "last_code": None if last is None else last.code,
        "last_detail": None if last is None else last.detail,
    }
