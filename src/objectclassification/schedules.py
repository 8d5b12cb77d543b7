"""Schedules: snaps that the server asks for itself, by a line of cron. No I/O.

What a line means on a wall clock is cronsim's business, and what the wall clock shows is
zoneinfo's; here is when the one comes true by the other. It is as in Debian's cron(8), where clocks
are put forward and back, too:

- a line with fixed times (neither its minutes nor its hours begin with ``*``) runs once: right
  after the gap if its time is in it, and the first time if its time comes twice;
- any other goes on by what the clock shows: ``*/5`` runs every five minutes of a repeated hour.

cronsim knows zones itself; but where clocks are put forward or back by half an hour, as on Lord
Howe Island, its 2.8 leaves out the first half of some hours: it is asked about wall clocks only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import Meta

from objectclassification.bounds import check_small
from objectclassification.errors import BadMessage
from objectclassification.messages import (
    DEFAULT_DEADLINE_S,
    DEFAULT_UNTIL,
    DeadlineS,
    Name,
    Selector,
    SnapRequest,
    read_snap_request,
)
from objectclassification.receipts import Until

MOST_SCHEDULES: Final = 1_000
COMING: Final = 3
"""Next runs that are shown."""
CONTEXT_KEY: Final = "schedule"
"""Where a receipt's context has its schedule's name."""
PUT_BACK_S: Final = 60.0
"""A clock that is put back by less was only made exact: it repeats nothing."""
SET_S: Final = 3 * 3600.0
"""One that is put back by as much was wrong; by less, it is as if an hour came twice (cron(8))."""

_LINE = re.compile(r"[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4}\Z")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}\Z")
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)

Missed = Literal["once", "skip"]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cron: Annotated[str, Meta(max_length=128)]
    to: Annotated[tuple[Selector, ...], Meta(min_length=1, max_length=256)]
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    missed: Missed = "once"
    deadline_s: DeadlineS = DEFAULT_DEADLINE_S
    until: Until = DEFAULT_UNTIL
    context: dict[str, Any] = {}
    options: dict[str, Any] = {}


class ScheduleWanted(_Asked, frozen=True, kw_only=True):
    """A :class:`Schedule` that may have no name yet."""

    name: Name | None = None

    def named(self, name: str) -> Schedule:
        """The same with a name."""
        return Schedule(**{**msgspec.structs.asdict(self), "name": name})


class Schedule(_Asked, frozen=True, kw_only=True):
    """What is asked for, and when.

    Attributes:
        name: its own; receipts have it in their context.
        cron: minute, hour, day of the month, month, day of the week.
        to: ``*``, camera names and ``@group``.
        timezone: whose wall clock counts, as ``Europe/Berlin``.
        missed: what becomes of runs whose time came while the server was stopped: one is made for
            all of them (``once``), or none (``skip``).
        deadline_s: of each snap.
        until: of each snap.
        context: of each snap.
        options: of each snap.
    """

    name: Name

    def request(self, id_: str | None = None) -> SnapRequest:
        """The snap that it asks for, each time.

        Raises:
            BadMessage: context or options cannot be used.
        """
        if CONTEXT_KEY in self.context:
            raise BadMessage(f"the context's {CONTEXT_KEY!r} is the schedule's own name")
        context = {**self.context, CONTEXT_KEY: self.name}
        # Nested too deeply, it could not even be written.
        check_small("context", context, None)
        check_small("options", self.options, None)
        wanted = {
            "to": self.to,
            "deadline_s": self.deadline_s,
            "id": id_,
            "until": self.until,
            "context": context,
            "options": self.options,
        }
        return read_snap_request(msgspec.json.encode(wanted))

    def times(self, now: float) -> Times:
        """When it runs.

        Args:
            now: seconds since the epoch.

        Raises:
            BadMessage: its line or its zone cannot be used, or it never runs.
        """
        times = Times(self.cron, self.timezone)
        if times.after(now) is None:
            raise BadMessage(f"the cron line {self.cron!r} never fires: it has no such day")
        return times


class LastRun(msgspec.Struct, frozen=True):
    """What came of a schedule's last run.

    Attributes:
        at: when it was, RFC 3339, UTC.
        snap: whose receipt says more; None if there is none.
        done: whether that has ended; None if its receipt is gone, or there was none.
        answered: as in the receipt.
        failed: as in the receipt.
        missing: as in the receipt.
        code: why there was no snap: ``skipped``, or an error's code.
        detail: the same for a person.
    """

    at: str
    snap: str | None
    done: bool | None
    answered: int | None
    failed: int | None
    missing: int | None
    code: str | None
    detail: str | None


class ScheduleShown(Schedule, frozen=True, kw_only=True):
    """A schedule as the API answers it.

    Attributes:
        paused: whether it is.
        added_at: RFC 3339, UTC.
        next: its next runs, RFC 3339, UTC; none while it is paused.
        last: its last run; None before the first.
        warnings: what is odd about it now: selectors that mean nobody this server knows.
    """

    paused: bool
    added_at: str
    next: tuple[str, ...]
    last: LastRun | None
    warnings: tuple[str, ...]


class Times:
    """When a line of cron comes true.

    Args:
        cron: five fields.
        timezone: its wall clock's.

    Raises:
        BadMessage: one of the two cannot be used.

    Attributes:
        is_fixed: it has fixed times of the day: none of them is repeated in a repeated hour.
    """

    def __init__(self, cron: str, timezone: str) -> None:
        if not _LINE.match(cron):
            raise BadMessage(
                f"the cron line {cron[:128]!r} has not the five fields that it needs, as in "
                "'*/5 8-18 * * mon-fri': minute, hour, day of the month, month, day of the week"
            )
        self._cron = cron
        self._zone = _zone(timezone)
        minutes, hours = cron.split()[:2]
        self.is_fixed = not minutes.startswith("*") and not hours.startswith("*")
        try:
            CronSim(cron, datetime(2000, 1, 1))
        except CronSimError as exc:
            why = str(exc).replace("Bad ", "what it says of the ")
            raise BadMessage(f"the cron line {cron!r} never fires: {why} cannot be") from exc

    def after(self, at: float) -> float | None:
        """The first time after another.

        Args:
            at: seconds since the epoch.

        Returns:
            Seconds since the epoch; None if there is none in 50 years.
        """
        moment = datetime.fromtimestamp(int(at), UTC)
        found = self._fixed(moment) if self.is_fixed else self._going_on(moment)
        return None if found is None else found.timestamp()

    def coming(self, at: float) -> tuple[float, ...]:
        """The first few times after another, :data:`COMING` of them if there are so many."""
        found: list[float] = []
        while len(found) < COMING and (next_ := self.after(found[-1] if found else at)) is not None:
            found.append(next_)
        return tuple(found)

    def again(self, planned_at: float, now: float) -> bool:
        """Whether the next run is to be planned anew, for the clock was put back.

        Such a clock shows once more what it has shown. Fixed times are not repeated, unless it was
        put back by so much that it must have been wrong before.

        Args:
            planned_at: when the next run was planned.
            now: by the same clock.
        """
        return planned_at - now >= (SET_S if self.is_fixed else PUT_BACK_S)

    def _fixed(self, moment: datetime) -> datetime | None:
        for shown in self._shown_after(self._shown(moment)):
            # Of two moments that show the same it is the first.
            found = shown.replace(tzinfo=self._zone).astimezone(UTC)
            if self._shown(found) != shown:  # it is in a gap
                before = shown.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
                found = self._change(before, found) or found
            if found > moment:
                return found
        return None

    def _going_on(self, moment: datetime) -> datetime | None:
        while True:
            # While the offset stays, the wall clock goes as fast as time does.
            shown = self._shown(moment)
            wanted = next(self._shown_after(shown), None)
            # What a repeated hour shows may come again where the line has nothing more to come.
            found = None if wanted is None else moment + (wanted - shown)
            change = self._change(moment, found or moment + _DAY)
            if change is None:
                return found
            wanted = next(self._shown_after(self._shown(change) - _SECOND), None)
            if wanted is not None and wanted == self._shown(change):
                return change
            moment = change

    def _shown(self, moment: datetime) -> datetime:
        """What the wall clock shows."""
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _shown_after(self, shown: datetime) -> Iterator[datetime]:
        """What a wall clock shows next, by the line, if it is never put forward or back."""
        return CronSim(self._cron, shown)

    def _change(self, after: datetime, until: datetime) -> datetime | None:
        """The first moment of another offset, no later than a moment; None if there is none."""
        offset = self._offset(after)
        while after < until:
            day_on = min(after + _DAY, until)
            if self._offset(day_on) != offset:
                while day_on - after > _SECOND:
                    middle = after + timedelta(seconds=(day_on - after) // _SECOND // 2)
                    if self._offset(middle) == offset:
                        after = middle
                    else:
                        day_on = middle
                return day_on
            after = day_on
        return None

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self._zone).utcoffset()


def _zone(name: str) -> ZoneInfo:
    try:
        if _ZONE.match(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a folder of zones is an OSError
        pass
    raise BadMessage(
        f"no time zone {name[:64]!r}: they are called as in the IANA database, for example "
        "Europe/Berlin"
    )
