"""When schedules run: lines of cron on wall clocks that are put forward and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from objectclassification.errors import BadMessage
from objectclassification.schedules import Schedule, ScheduleWanted, Times

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400
MINUTE = timedelta(minutes=1)

NIGHTS = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
    "America/Santiago": ("2026-09-06", "2026-04-05"),
    "Europe/Dublin": ("2026-03-29", "2026-10-25"),
    "Pacific/Apia": ("2011-12-30", "2011-12-29"),
}
"""Zones, the date on which their clocks are put forward, and back; Samoa left a whole day out."""


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def runs(cron: str, zone: str, date: str, days: float = 1) -> list[str]:
    """All runs of a local date, as the clock on the wall and its distance from UTC show them."""
    moment, end = at(date, zone) - 1, at(date, zone) + days * DAY_S
    times, found = Times(cron, zone), []
    while (after := times.after(moment)) is not None and after < end:
        moment = after
        found.append(datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%H:%M%z"))
    return found


class TestClocksThatArePutForward:
    @pytest.mark.parametrize(
        ("zone", "cron", "expected"),
        [
            ("Europe/Berlin", "30 2 * * *", ["03:00+0200"]),
            ("America/New_York", "30 2 * * *", ["03:00-0400"]),
            ("Australia/Lord_Howe", "15 2 * * *", ["02:30+1100"]),
            # All that was in the gap is one run.
            ("Europe/Berlin", "0,15,30 2,3 * * *", ["03:00+0200", "03:15+0200", "03:30+0200"]),
            ("America/Santiago", "0 0 * * *", ["01:00-0300"]),
        ],
    )
    def test_a_fixed_time_in_the_gap_runs_once(
        self, zone: str, cron: str, expected: list[str]
    ) -> None:
        assert runs(cron, zone, NIGHTS[zone][0], 0.9) == expected

    def test_what_goes_on_leaves_nothing_out(self) -> None:
        assert runs("*/30 1-3 * * *", "Europe/Berlin", NIGHTS["Europe/Berlin"][0]) == [
            "01:00+0100",
            "01:30+0100",
            "03:00+0200",
            "03:30+0200",
        ]


class TestClocksThatArePutBack:
    @pytest.mark.parametrize(
        ("zone", "cron", "expected"),
        [
            ("Europe/Berlin", "30 2 * * *", ["02:30+0200"]),
            ("America/New_York", "30 1 * * *", ["01:30-0400"]),
            ("Australia/Lord_Howe", "45 1 * * *", ["01:45+1100"]),
            ("Europe/Berlin", "0 1-3 * * *", ["01:00+0200", "02:00+0200", "03:00+0100"]),
        ],
    )
    def test_a_fixed_time_that_comes_twice_runs_once(
        self, zone: str, cron: str, expected: list[str]
    ) -> None:
        assert runs(cron, zone, NIGHTS[zone][1]) == expected

    def test_what_goes_on_runs_in_both_hours(self) -> None:
        assert runs("*/20 2 * * *", "Europe/Berlin", NIGHTS["Europe/Berlin"][1]) == [
            "02:00+0200",
            "02:20+0200",
            "02:40+0200",
            "02:00+0100",
            "02:20+0100",
            "02:40+0100",
        ]

    def test_half_an_hour_too(self) -> None:
        assert runs("*/20 1-2 * * *", "Australia/Lord_Howe", NIGHTS["Australia/Lord_Howe"][1]) == [
            "01:00+1100",
            "01:20+1100",
            "01:40+1100",
            "01:40+1030",
            "02:00+1030",
            "02:20+1030",
            "02:40+1030",
        ]


minutes = st.sampled_from(["*", "*/5", "*/7", "*/30", "0", "30", "59", "0,15,45", "10-20/5"])
hours = st.sampled_from(["*", "*/2", "*/3", "0", "1", "2", "3", "1-3", "0,2,23", "8-18"])
days = st.sampled_from(["*", "1", "*/2", "28-31"])
weekdays = st.sampled_from(["*", "sun", "1-5", "0,6"])
lines = st.tuples(minutes, hours, days, st.just("*"), weekdays).map(" ".join)
nights = st.sampled_from(
    [(zone, date) for zone, dates in NIGHTS.items() for date in dates if zone != "Pacific/Apia"]
)


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def reading(cron: str) -> Callable[[datetime], bool]:
    """Whether a line means a minute, as crontab(5) has it."""
    fields = cron.replace("sun", "0").split()
    bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    minutes, hours, days, _, weekdays = (
        _values(field, *two) for field, two in zip(fields, bounds, strict=True)
    )
    both = fields[2].startswith("*") or fields[4].startswith("*")

    def means(shown: datetime) -> bool:
        if shown.minute not in minutes or shown.hour not in hours:
            return False
        fits = (shown.day in days, shown.isoweekday() % 7 in weekdays)
        return all(fits) if both else any(fits)

    return means


@settings(deadline=None, max_examples=40)  # each looks at the wall 2,880 times
@given(lines, nights, st.integers(-DAY_S, DAY_S))
def test_it_is_what_a_clock_that_is_looked_at_each_minute_shows(
    cron: str, night: tuple[str, str], offset: int
) -> None:
    """Against a cron that looks at the wall each minute, and does what was to be done since."""
    zone, date = night
    wall, begin = ZoneInfo(zone), int(at(date, zone)) + offset
    last = datetime.fromtimestamp(begin, wall)
    assume(not last.fold)  # or it would have to know what was shown before
    last = last.replace(second=0, tzinfo=None)
    times, means = Times(cron, zone), reading(cron)
    expected: list[float] = []
    for moment in range(begin - begin % 60 + 60, begin + 2 * DAY_S, 60):
        shown = datetime.fromtimestamp(moment, wall).replace(tzinfo=None)
        if not times.is_fixed:
            if means(shown):
                expected.append(moment)
            continue
        since = range(1, (shown - last) // MINUTE + 1)  # none while an hour is repeated
        if any(means(last + number * MINUTE) for number in since):
            expected.append(moment)
        last = max(last, shown)
    found, after = [], times.after(begin)
    while after is not None and after < begin + 2 * DAY_S:
        found.append(after)
        after = times.after(after)
    assert found == expected


@given(lines, st.sampled_from(sorted(NIGHTS)), st.floats(0, 4e9))
def test_times_rise_and_are_whole_minutes(cron: str, zone: str, now: float) -> None:
    coming = Times(cron, zone).coming(now)
    assert all(one > now and one % 60 == 0 for one in coming)
    assert list(coming) == sorted(set(coming)) and len(coming) == 3


class TestAClockThatIsSet:
    FIXED, GOING_ON = Times("30 2 * * *", "UTC"), Times("*/5 * * * *", "UTC")

    @pytest.mark.parametrize(
        ("back_s", "fixed", "going_on"),
        [
            (-3600, False, False),
            (0, False, False),
            (30, False, False),
            (3600, False, True),
            (4 * 3600, True, True),
            (365 * DAY_S, True, True),
        ],
    )
    def test_put_back(self, back_s: float, fixed: bool, going_on: bool) -> None:
        assert self.FIXED.again(NOW, NOW - back_s) is fixed
        assert self.GOING_ON.again(NOW, NOW - back_s) is going_on


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        ("cron", "why"),
        [
            ("0 0 30 2 *", "never fires: what it says of the day-of-month cannot be"),
            ("0 0 31 4,6 *", "never fires"),
            ("* * */20 * 1L", "never fires"),
            ("60 * * * *", "what it says of the minute cannot be"),
            ("* 24 * * *", "what it says of the hour cannot be"),
            ("* * * * mon-fry", "what it says of the day-of-week cannot be"),
            ("* * * *", "five fields"),
            ("* * * * * *", "five fields"),
            ("@daily", "five fields"),
            ("", "five fields"),
            ("*/0 * * * *", "cannot be"),
            ("٣ * * * *", "five fields"),
            ("* * * * *\n", "five fields"),
            ("5L#/-, * * * *", "cannot be"),
        ],
    )
    def test_a_line(self, cron: str, why: str) -> None:
        with pytest.raises(BadMessage, match=why):
            Schedule(name="a", cron=cron, to=("*",)).times(NOW)

    @given(st.text(st.sampled_from("0123456789*/,-#LWmonjan \n٣"), max_size=40))
    def test_any_line_is_used_or_refused(self, cron: str) -> None:
        try:
            Schedule(name="a", cron=cron, to=("*",)).times(NOW)
        except BadMessage as exc:
            assert "cron line" in exc.detail

    @pytest.mark.parametrize(
        "zone", ["Europe/Atlantis", "Europe", "", "../../etc/passwd", "/etc/localtime", "a\0b", "é"]
    )
    def test_a_zone(self, zone: str) -> None:
        with pytest.raises(BadMessage, match="no time zone"):
            Times("* * * * *", zone)

    def test_a_context_that_says_which_schedule_it_is(self) -> None:
        with pytest.raises(BadMessage, match="own name"):
            Schedule(name="a", cron="* * * * *", to=("*",), context={"schedule": "b"}).request()

    def test_options_that_no_snap_may_have(self) -> None:
        with pytest.raises(BadMessage):
            Schedule(name="a", cron="* * * * *", to=("*",), options={"detect": 3}).request()
        with pytest.raises(BadMessage, match="at most 2048"):
            Schedule(name="a", cron="* * * * *", to=("*",), context={"x": "y" * 3000}).request()


def test_the_snap_has_all_that_was_asked_for() -> None:
    wanted = ScheduleWanted(
        cron="0 0 29 2 *",
        to=("door", "@lab"),
        deadline_s=3,
        until="captured",
        context={"order": 7},
        options={"detect": True},
    )
    request = wanted.named("leap").request("an-id")
    assert request.id == "an-id"
    assert (request.to, request.deadline_s, request.until) == (("door", "@lab"), 3, "captured")
    assert request.context == {"order": 7, "schedule": "leap"}
    assert request.options == {"detect": True}
    assert Times(wanted.cron, "UTC").after(NOW) == at("2028-02-29", "UTC")
