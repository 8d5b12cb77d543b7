"""Schedules at work: asks for their snaps when their times come, as a controller would.

A run is planned, with the id of its snap, before its time comes: whatever is killed in between, the
same run begun again is the same snap. What clocks do to plans is in
:mod:`objectclassification.schedules`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from sqlalchemy import Connection
from uuid_utils import uuid7

from objectclassification.auth import SCHEDULES, Identity
from objectclassification.errors import (
    BadMessage,
    Conflict,
    NotFound,
    ObjectClassificationError,
    ServerStopping,
    StoreError,
)
from objectclassification.messages import SnapRequest
from objectclassification.receipts import Origin, Receipt, rfc3339
from objectclassification.scheduler.shown import as_shown, warnings_of
from objectclassification.schedules import (
    COMING,
    MOST_SCHEDULES,
    ScheduleShown,
    ScheduleWanted,
    Times,
)
from objectclassification.store import schedules as stored
from objectclassification.store import snippets
from objectclassification.store.schedules import Planned, Ran
from objectclassification.store.writer import Database

SETTLE_S = 10.0
"""After a start nothing runs for so long: the cameras are still coming back."""
PUNCTUAL_S = 60.0
"""A run that is less late was not missed: a line of cron knows no less than a minute."""
LOOK_S = 1.0
"""How long a clock that was set may go unseen."""
AT_ONCE = 16
"""Snaps that are asked for at the same time."""

log = structlog.get_logger(__name__)


class Snap(Protocol):
    """Starts a snap; :meth:`objectclassification.hub.runner.HubRunner.snap` is one."""

    def __call__(
        self, request: SnapRequest, identity: Identity, *, origin: Origin
    ) -> Awaitable[Receipt]:
        """Returns its receipt once it is accepted."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A schedule in memory.

    Attributes:
        planned: its row.
        coming: its next runs, the one that is planned first.
        times: when it runs; None if that is not known any more.
    """

    planned: Planned
    coming: tuple[float, ...]
    times: Times | None

    @property
    def due_at(self) -> float | None:
        return self.planned.due_at

    def is_shown_again(self, now: float) -> bool:
        """Whether the clock was put back, so that its next run is to be planned anew."""
        if self.times is None or self.due_at is None:
            return False
        return self.times.again(self.planned.planned_at, now)


class Scheduler:
    """Keeps schedules, and runs them.

    Args:
        database: where they are kept.
        snap: how a snap is asked for.
        wall: seconds since the epoch, by a clock that may be set.
        settle_s: how long nothing runs after the start.
    """

    def __init__(
        self,
        database: Database,
        snap: Snap,
        *,
        wall: Callable[[], float] = time.time,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._database = database
        self._snap = snap
        self._wall = wall
        self._settle_s = settle_s
        self._all: dict[str, _Waiting] = {}
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Reads the schedules; what was missed is left out where that is wished.

        Raises:
            StoreError: the database refused.
        """
        now = self._wall()
        rows = await self._database.read(stored.every)
        begun = await self._database.read(lambda c: stored.counts(c, (row.snap for row in rows)))
        moved: list[Planned] = []
        for row in rows:
            one = self._all[row.name] = _taken_up(row, now, has_begun=row.snap in begun)
            if one.planned is not row:
                moved.append(one.planned)
        if moved:
            await self._database.write(lambda c: stored.put(c, moved))

    async def every(self) -> list[ScheduleShown]:
        """All schedules, by name.

        Raises:
            StoreError: the database refused.
        """
        return await self._shown(sorted(self._all.values(), key=lambda one: one.planned.name))

    async def add(self, wanted: ScheduleWanted, *, token_id: str) -> tuple[ScheduleShown, bool]:
        """Runs one more schedule from now on.

        Args:
            wanted: without a name it gets one.
            token_id: whose word it is.

        Returns:
            The schedule, and False if the very same one was there already.

        Raises:
            BadMessage: it cannot be used, or never runs.
            Conflict: another one has its name, or there are too many.
            StoreError: the database refused.
        """
        now = self._wall()
        async with self._changing:
            schedule = wanted.named(wanted.name or self._free_name())
            schedule.request()  # whether it can be used
            new = _planned_anew(Planned(schedule, now, token_id, now, None, ""), now)
            there = self._all.get(schedule.name)
            if there is None:
                if len(self._all) >= MOST_SCHEDULES:
                    raise Conflict(f"there are {MOST_SCHEDULES} schedules already: remove one")
                await self._database.write(lambda c: stored.add(c, new.planned))
                self._keep(new)
            elif there.planned.schedule != schedule:
                raise Conflict(
                    f"another schedule is called {schedule.name}: remove it, or choose another name"
                )
        (shown,) = await self._shown([self._all[schedule.name]])
        return shown, there is None

    async def remove(self, name: str) -> None:
        """Runs a schedule no more; its receipts stay.

        Raises:
            NotFound: no such schedule.
            StoreError: the database refused.
        """
        async with self._changing:
            await self._database.write(lambda c: stored.remove(c, name))
            self._all.pop(name, None)

    async def pause(self, name: str, paused: bool) -> ScheduleShown:
        """Leaves out the runs of a schedule from now on, or runs it again.

        Raises:
            NotFound: no such schedule.
            StoreError: the database refused.
        """
        now = self._wall()
        async with self._changing:
            one = self._all.get(name)
            if one is None:
                raise NotFound(
                    f"no schedule is called {name}: `objectclassification schedule list`"
                )
            if paused != (one.due_at is None):
                one = _paused(one) if paused else _planned_anew(one.planned, now)
                changed = one.planned
                await self._database.write(lambda c: stored.put(c, [changed]))
                self._keep(one)
        (shown,) = await self._shown([one])
        return shown

    async def run(self) -> None:
        """Runs what is due, for ever."""
        await asyncio.sleep(self._settle_s)
        while True:
            await self.look()
            await self._wait()

    async def look(self) -> None:
        """Runs what is due now, each schedule once, and plans anew after the clock was put back."""
        now = self._wall()
        again = [one for one in self._all.values() if one.is_shown_again(now)]
        await self._move([(one, one.planned.last) for one in again], now)
        due = [one for one in self._all.values() if one.due_at is not None and one.due_at <= now]
        for start in range(0, len(due), AT_ONCE):
            batch = due[start : start + AT_ONCE]
            ran = await asyncio.gather(*map(self._run, batch))
            done = [(one, last) for one, last in zip(batch, ran, strict=True) if last is not None]
            await self._move(done, self._wall())

    async def _run(self, one: _Waiting) -> Ran | None:
        """Asks for the snap of a run; None leaves it to the next start, which finds it due."""
        planned, began = one.planned, self._wall()
        try:
            request = planned.schedule.request(planned.snap)
            receipt = await self._snap(request, SCHEDULES, origin="schedule")
            return Ran(began, receipt.snap)
        except ServerStopping:
            return None
        except ObjectClassificationError as exc:
            log.warning(
                "a schedule has no snap", schedule=planned.name, code=exc.code, why=exc.detail
            )
            return _none(began, exc)
        except Exception:  # a bug of ours: it costs this run, no other
            log.exception("a schedule's run failed", schedule=planned.name)
            return Ran(began, None, "internal", "the server failed; its log says why")

    async def _move(self, ran: Sequence[tuple[_Waiting, Ran | None]], now: float) -> None:
        """Plans the next runs of schedules, unless they were changed or removed meanwhile."""
        async with self._changing:
            there = [(one, last) for one, last in ran if self._all.get(one.planned.name) is one]
            new = [_planned_anew(replace(one.planned, last=last), now) for one, last in there]
            for one in new:
                self._keep(one)
            if not new:
                return
            try:
                await self._database.write(lambda c: stored.put(c, [one.planned for one in new]))
            except StoreError as exc:
                # A restart would find them due: the same snaps, which are not repeated.
                log.error("runs of schedules are not noted", schedules=len(new), why=exc.detail)

    def _keep(self, one: _Waiting) -> None:
        self._all[one.planned.name] = one
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        due = [one.due_at for one in self._all.values() if one.due_at is not None]
        # What is still due was left for the next start: the server stops.
        wait_s = (min(LOOK_S, max(0.0, min(due) - self._wall())) or LOOK_S) if due else None
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _free_name(self) -> str:
        names = (f"schedule-{number}" for number in itertools.count(1))
        return next(name for name in names if name not in self._all)

    async def _shown(self, ones: list[_Waiting]) -> list[ScheduleShown]:
        ran = [one.planned.last.snap for one in ones if one.planned.last and one.planned.last.snap]

        def read(connection: Connection) -> list[ScheduleShown]:
            counts = stored.counts(connection, ran)
            known = {row.name: row.groups for row in snippets.all_cameras(connection)}
            warnings = {
                to: warnings_of(to, known) for to in {one.planned.schedule.to for one in ones}
            }
            return [
                as_shown(one.planned, one.coming, counts, warnings[one.planned.schedule.to])
                for one in ones
            ]

        return await self._database.read(read)


@asynccontextmanager
async def scheduling(scheduler: Scheduler) -> AsyncIterator[None]:
    """Runs schedules beside whatever runs inside."""
    await scheduler.load()
    task = asyncio.create_task(scheduler.run(), name="schedules")
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})  # how it ended was reported


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("schedules do not run any more", exc_info=task.exception())


def _taken_up(row: Planned, now: float, *, has_begun: bool) -> _Waiting:
    """A schedule as a server finds it at its start.

    Args:
        row: as the server before left it.
        now: seconds since the epoch.
        has_begun: the run that was planned has its snap already.
    """
    if row.due_at is None:
        return _Waiting(row, (), None)
    try:
        times = row.schedule.times(now)
    except BadMessage as exc:  # its zone may be gone from the system
        log.error("a schedule cannot run any more", schedule=row.name, why=exc.detail)
        return _Waiting(replace(row, due_at=None, last=_none(now, exc)), (), None)
    if has_begun:
        return _planned_anew(replace(row, last=Ran(row.due_at, row.snap)), now)
    if times.again(row.planned_at, now):
        return _planned_anew(row, now)
    if row.due_at < now - PUNCTUAL_S and row.schedule.missed == "skip":
        due = rfc3339(row.due_at)
        log.info("a schedule's runs were missed", schedule=row.name, since=due)
        left_out = Ran(now, None, "skipped", f"the server was stopped at {due}")
        return _planned_anew(replace(row, last=left_out), now)
    return _Waiting(row, (row.due_at, *times.coming(row.due_at)[: COMING - 1]), times)


def _planned_anew(row: Planned, now: float) -> _Waiting:
    """The next run after now, with an id of its own."""
    times = row.schedule.times(now)
    coming = times.coming(now)
    planned = replace(row, planned_at=now, due_at=coming[0], snap=str(uuid7()))
    return _Waiting(planned, coming, times)


def _paused(one: _Waiting) -> _Waiting:
    return _Waiting(replace(one.planned, due_at=None), (), None)


def _none(at: float, exc: ObjectClassificationError) -> Ran:
    return Ran(at, None, exc.code, exc.detail[:256])
