"""Rules, and how often they said what."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from objectclassification.errors import Conflict, NotFound
from objectclassification.receipts import Found, rfc3339
from objectclassification.rules import MOST_RULES, Counted, Rule
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import pictures, rules, verdict_counts

HOUR_S: Final = 3600
KEEP_COUNTS_S: Final = 400 * 24 * HOUR_S
"""A year, and the month before it to compare with."""

_JUDGE = (
    pictures.update()
    .where(pictures.c.id == bindparam("picture"))
    .values(verdict=bindparam("said"), judgements=bindparam("each"))
)
_COUNT = Prepared(
    verdict_counts.update()
    .where(
        verdict_counts.c.hour == bindparam("at"),
        verdict_counts.c.camera == bindparam("of"),
        verdict_counts.c.verdict == bindparam("said"),
    )
    .values(pictures=verdict_counts.c.pictures + 1)
)
_FIRST = Prepared(verdict_counts.insert(), *verdict_counts.c.keys())


def every(connection: Connection) -> list[Rule]:
    """All rules, by name."""
    query = select(rules.c.rule).order_by(rules.c.name)
    return [msgspec.convert(rule, Rule) for rule in connection.execute(query).scalars()]


def add(connection: Connection, rule: Rule, *, at: float) -> bool:
    """Adds a rule.

    Returns:
        False if the very same one is there.

    Raises:
        Conflict: another one has its name, or there are too many.
    """
    known = {other.name: other for other in every(connection)}
    if rule.name in known:
        if known[rule.name] == rule:
            return False
        raise Conflict(f"another rule is called {rule.name}: remove it, or choose another name")
    if len(known) >= MOST_RULES:
        raise Conflict(f"there are {MOST_RULES} rules already: remove one")
    written = msgspec.to_builtins(rule)
    connection.execute(rules.insert().values(name=rule.name, rule=written, added_at=at))
    return True


def remove(connection: Connection, name: str) -> None:
    """Removes a rule; what it said of pictures stays.

    Raises:
        NotFound: no such rule.
    """
    if connection.execute(rules.delete().where(rules.c.name == name)).rowcount == 0:
        raise NotFound(f"no rule is called {name}: `objectclassification rule list`")


def judged(
    connection: Connection,
    picture_id: str,
    camera: str | None,
    found: Found,
    *,
    at: float,
) -> None:
    """Notes what was said of a picture, and counts it.

    Args:
        connection: of the database.
        picture_id: the picture.
        camera: whose it is.
        found: on it, with a verdict.
        at: seconds since the epoch.
    """
    verdict, each = found.verdict, msgspec.to_builtins(found.judgements)
    connection.execute(_JUDGE, {"picture": picture_id, "said": verdict, "each": each})
    hour = int(at // HOUR_S)
    if _COUNT.run(connection, {"at": hour, "of": camera or "", "said": verdict}).rowcount == 0:
        first = {"hour": hour, "camera": camera or "", "verdict": verdict, "pictures": 1}
        _FIRST.run(connection, first)


def forget_old_counts(connection: Connection, *, at: float) -> None:
    """Deletes the counts of more than :data:`KEEP_COUNTS_S` ago."""
    oldest = int((at - KEEP_COUNTS_S) // HOUR_S)
    connection.execute(verdict_counts.delete().where(verdict_counts.c.hour < oldest))


def counts(
    connection: Connection, camera: str | None, *, since: float, until: float
) -> list[Counted]:
    """How many pictures had which verdict in each hour, oldest first; an hour without is left out.

    Args:
        connection: of the database.
        camera: only of this one; None is all.
        since: seconds since the epoch; the hour that it is in counts whole.
        until: the same; the hour that begins then does not count.
    """
    query = (
        select(
            verdict_counts.c.hour,
            verdict_counts.c.verdict,
            func.sum(verdict_counts.c.pictures).label("sum"),
        )
        .where(
            verdict_counts.c.hour >= int(since // HOUR_S),
            verdict_counts.c.hour * HOUR_S < until,
        )
        .group_by(verdict_counts.c.hour, verdict_counts.c.verdict)
        .order_by(verdict_counts.c.hour)
    )
    if camera is not None:
        query = query.where(verdict_counts.c.camera == camera)
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for hour, verdict, number in connection.execute(query):
        found[hour][verdict] = int(number)
    return [
        Counted(
            hour=rfc3339(hour * HOUR_S),
            ok=said.get("ok", 0),
            ng=said.get("ng", 0),
            unsure=said.get("unsure", 0),
        )
        for hour, said in found.items()
    ]
