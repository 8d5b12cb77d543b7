"""A schedule as it is shown: its next runs, what came of its last, and what is odd about it."""

from __future__ import annotations

from objectclassification.errors import NotFound
from objectclassification.hub.selectors import LEAVE_OUT, choose
from objectclassification.receipts import rfc3339
from objectclassification.schedules import LastRun, Schedule, ScheduleShown
from objectclassification.store.schedules import Counts, Planned


def warnings_of(to: tuple[str, ...], known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Which selectors mean nobody now, or that all together do; a camera or a group may come."""
    found: list[str] = []
    for selector in to:
        if selector != "*":
            found += _nobody((selector.removeprefix(LEAVE_OUT),), known)
    if known and not found:
        found += _nobody(to, known)
    return tuple(found)


def _nobody(to: tuple[str, ...], known: dict[str, tuple[str, ...]]) -> list[str]:
    try:
        choose(to, known=known, connected=known)
    except NotFound as exc:
        return [exc.detail]
    return []


def as_shown(
    planned: Planned,
    coming: tuple[float, ...],
    counts: dict[str, Counts],
    warnings: tuple[str, ...],
) -> ScheduleShown:
    """A schedule with its next runs, and what came of the last.

    Args:
        planned: its row.
        coming: its next runs.
        counts: of snaps, by id; that of its last run may be among them.
        warnings: what is odd about it.
    """
    last = planned.last
    ran: LastRun | None = None
    if last is not None:
        count = counts.get(last.snap or "")
        ran = LastRun(
            at=rfc3339(last.at),
            snap=last.snap,
            done=count.done if count else None,
            answered=count.answered if count else None,
            failed=count.failed if count else None,
            missing=count.missing if count else None,
            code=last.code,
            detail=last.detail,
        )
    schedule = {name: getattr(planned.schedule, name) for name in Schedule.__struct_fields__}
    return ScheduleShown(
        **schedule,
        paused=planned.due_at is None,
        added_at=rfc3339(planned.added_at),
        next=tuple(map(rfc3339, coming)),
        last=ran,
        warnings=warnings,
    )
