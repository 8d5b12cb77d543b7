"""Schedules on a real server: their snaps, missed runs, clocks that are set, and a kill."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from typer.testing import CliRunner

from objectclassification.auth import SCHEDULES
from objectclassification.cli import build_app
from objectclassification.errors import Conflict
from objectclassification.receipts import rfc3339
from objectclassification.scheduler import Scheduler
from objectclassification.schedules import MOST_SCHEDULES, Schedule, ScheduleShown, ScheduleWanted
from objectclassification.store import schedules as stored
from objectclassification.store.folder import DATABASE
from objectclassification.store.schedules import Planned
from objectclassification.store.tables import schedules as table
from tests.serving import Address, Served, ServeProcess, until

NOON = datetime(2026, 11, 25, 12, tzinfo=ZoneInfo("UTC")).timestamp()
HOUR_S = 3600.0
NOBODY = "a snap to nobody: door, !door leaves out everybody whom it means"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("lab") / "data") as served:
        served.new_token("camera", "door")
        yield served


@dataclass
class Clock:
    """A wall clock that is set by hand."""

    now: float = NOON


class Room:
    """A scheduler beside a server's own, on its hub and its database, with a clock of its own."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self.clock = Clock()
        self.begin()

    def begin(self) -> None:
        """Starts it, as after a stop."""
        snap = self._server.system.runner.snap
        self._scheduler = Scheduler(
            self._server.parts.database, snap, wall=lambda: self.clock.now, settle_s=0
        )
        self._server.run(self._scheduler.load())

    def add(self, cron: str, *to: str, **more: Any) -> ScheduleShown:
        wanted = ScheduleWanted(cron=cron, to=to, **more)
        return self._server.run(self._scheduler.add(wanted, token_id="test"))[0]

    def pause(self, name: str, paused: bool) -> ScheduleShown:
        return self._server.run(self._scheduler.pause(name, paused))

    def look(self, after_s: float = 0) -> None:
        """Looks at the clock, some time later."""
        self.clock.now += after_s
        self._server.run(self._scheduler.look())

    def shown(self, name: str) -> ScheduleShown:
        every = self._server.run(self._scheduler.every())
        return next(one for one in every if one.name == name)

    def snaps(self, name: str) -> list[dict[str, Any]]:
        """The receipts of a schedule, newest first."""
        return receipts(self._server, name)


def receipts(server: Address, name: str) -> list[dict[str, Any]]:
    answer = server.call("GET", f"/api/snaps?context=schedule={name}")
    found: list[dict[str, Any]] = answer.json()["snaps"]
    return found


@pytest.fixture
def room(lab: Served) -> Iterator[Room]:
    yield Room(lab)
    lab.run(lab.parts.database.write(lambda c: c.execute(table.delete())))


class TestARun:
    def test_it_is_a_snap_as_any_other(self, lab: Served, room: Room) -> None:
        with lab.camera("door") as camera:
            room.add(
                "*/5 * * * *",
                "door",
                name="fives",
                until="uploaded",
                deadline_s=20,
                context={"order": 7},
                options={"detect": True},
            )
            room.look(299)
            assert room.snaps("fives") == []
            room.look(1)
            order = camera.answer()
            assert order.deadline_s > 19
            until(lambda: bool(room.snaps("fives")[0]["done"]))
        (receipt,) = room.snaps("fives")
        assert receipt["origin"] == "schedule"
        assert receipt["context"] == {"order": 7, "schedule": "fives"}
        assert (receipt["until"], receipt["answered"]) == ("uploaded", 1)
        shown = room.shown("fives")
        assert shown.next[0] == rfc3339(NOON + 600)
        assert shown.last is not None
        assert (shown.last.snap, shown.last.done, shown.last.answered) == (order.id, True, 1)

    def test_nobody_there_is_seen_and_costs_nothing_else(self, lab: Served, room: Room) -> None:
        room.add("0 * * * *", "*", name="to-all")
        room.add("0 * * * *", "@nowhere", name="to-a-group")
        room.add("0 * * * *", "door", name="to-door", deadline_s=0.2)
        room.look(HOUR_S)
        last = room.shown("to-all").last
        assert last is not None and last.code == "not_found"
        assert "no camera that is connected" in (last.detail or "")
        last = room.shown("to-a-group").last
        assert last is not None and last.detail == "no group '@nowhere': there is none"
        # Who was named and is not there is in the receipt.
        until(lambda: bool(room.snaps("to-door")[0]["done"]))
        (receipt,) = room.snaps("to-door")
        assert receipt["missing"] == 1
        assert room.shown("to-all").next[0] == rfc3339(NOON + 2 * HOUR_S)

    def test_while_it_is_paused_nothing_runs_and_nothing_is_made_up_for(self, room: Room) -> None:
        room.add("0 * * * *", "door", name="paused")
        assert room.pause("paused", True).next == ()
        room.look(3 * HOUR_S)
        room.begin()
        assert room.shown("paused").paused
        assert room.pause("paused", False).next[0] == rfc3339(NOON + 4 * HOUR_S)
        room.look()
        assert room.snaps("paused") == []


class TestAClockThatIsSet:
    def runs(self, room: Room, name: str) -> int:
        return len(room.snaps(name))

    def test_an_hour_forward_is_one_run_each(self, room: Room) -> None:
        room.add("*/5 * * * *", "door", name="forward-on", deadline_s=0.1, missed="skip")
        room.add("30 12 * * *", "door", name="forward-fixed", deadline_s=0.1, missed="skip")
        room.look(HOUR_S)
        room.look(1)
        assert (self.runs(room, "forward-on"), self.runs(room, "forward-fixed")) == (1, 1)
        assert room.shown("forward-on").next[0] == rfc3339(NOON + HOUR_S + 300)
        assert room.shown("forward-fixed").next[0] == rfc3339(NOON + HOUR_S / 2 + 24 * HOUR_S)

    def test_an_hour_back_repeats_no_fixed_time_and_stops_nothing(self, room: Room) -> None:
        room.add("*/5 * * * *", "door", name="back-on", deadline_s=0.1)
        room.add("30 12 * * *", "door", name="back-fixed", deadline_s=0.1)
        room.look(HOUR_S / 2)
        assert (self.runs(room, "back-on"), self.runs(room, "back-fixed")) == (1, 1)
        room.look(-HOUR_S)
        room.look(300)
        assert self.runs(room, "back-on") == 2
        room.begin()  # nor does a restart
        for _ in range(12):
            room.look(300)
        assert self.runs(room, "back-fixed") == 1
        assert self.runs(room, "back-on") == 14

    def test_a_second_back_runs_nothing_twice(self, room: Room) -> None:
        room.add("* * * * *", "door", name="exact", deadline_s=0.1)
        room.look(60)
        room.look(-1)
        room.look(1)
        assert self.runs(room, "exact") == 1

    def test_one_that_was_wrong_by_years_is_believed_again(self, room: Room) -> None:
        room.clock.now += 4 * 366 * 24 * HOUR_S
        room.add("30 12 * * *", "door", name="years", deadline_s=0.1)
        room.look(-4 * 366 * 24 * HOUR_S)
        assert room.shown("years").next[0] == rfc3339(NOON + HOUR_S / 2)


class TestAStop:
    @pytest.mark.parametrize(("missed", "expected"), [("once", 1), ("skip", 0)])
    def test_what_was_missed_is_run_once_or_left_out(
        self, room: Room, missed: Any, expected: int
    ) -> None:
        name = f"missed-{missed}"
        room.add("*/5 * * * *", "door", name=name, deadline_s=0.1, missed=missed)
        room.clock.now += 9 * HOUR_S + 90
        room.begin()
        room.look()
        room.look(1)
        assert len(room.snaps(name)) == expected
        shown = room.shown(name)
        assert shown.next[0] == rfc3339(NOON + 9 * HOUR_S + 300)
        if missed == "skip":
            assert shown.last is not None and shown.last.code == "skipped"
            assert "2026-11-25T12:05" in (shown.last.detail or "")

    def test_less_than_a_minute_late_is_not_missed(self, room: Room) -> None:
        room.add("0 * * * *", "door", name="late", deadline_s=0.1, missed="skip")
        room.clock.now += HOUR_S + 59
        room.begin()
        room.look()
        assert len(room.snaps("late")) == 1

    def test_a_kill_after_the_snap_and_before_its_note_makes_no_second(
        self, lab: Served, room: Room
    ) -> None:
        room.add("0 * * * *", "door", name="noted", deadline_s=0.1)
        (row,) = lab.run(lab.parts.database.read(stored.every))
        request = row.schedule.request(row.snap)
        lab.run(lab.system.runner.snap(request, SCHEDULES, origin="schedule"))
        room.clock.now += HOUR_S
        room.begin()
        room.look()
        assert [one["snap"] for one in room.snaps("noted")] == [row.snap]
        last = room.shown("noted").last
        assert last is not None and last.snap == row.snap

    def test_a_zone_that_is_gone_stops_one_schedule_only(self, lab: Served, room: Room) -> None:
        room.add("0 * * * *", "door", name="good", deadline_s=0.1)
        gone = Schedule(name="gone", cron="0 * * * *", to=("door",), timezone="Europe/Atlantis")
        lab.run(
            lab.parts.database.write(
                lambda c: stored.add(c, Planned(gone, NOON, "test", NOON, NOON, "an-id"))
            )
        )
        room.begin()
        room.look(HOUR_S)
        assert len(room.snaps("good")) == 1
        last = room.shown("gone").last
        assert last is not None and "Atlantis" in (last.detail or "")


class TestOneNightInTheLab:
    """The clocks are put, and the server looks each minute."""

    @pytest.mark.parametrize(
        ("zone", "date"), [("Europe/Berlin", "2026-10-25"), ("Australia/Lord_Howe", "2026-10-04")]
    )
    def test_each_night_has_one_fixed_run(self, room: Room, zone: str, date: str) -> None:
        midnight = datetime.fromisoformat(date).replace(tzinfo=ZoneInfo(zone)).timestamp()
        room.clock.now = midnight
        name = zone.partition("/")[2]
        room.add("15 2 * * *", "door", name=name, timezone=zone, deadline_s=0.1)
        for _ in range(5 * 6):
            room.look(600)
        assert len(room.snaps(name)) == 1


def test_many_at_the_same_minute_all_run(lab: Served, room: Room) -> None:
    schedule = Schedule(name="a", cron="0 * * * *", to=("*",), until="captured", deadline_s=5)
    rows = [
        Planned(
            msgspec.structs.replace(schedule, name=f"many-{number}"),
            NOON,
            "test",
            NOON,
            NOON + HOUR_S,
            f"snap-{number}",
        )
        for number in range(MOST_SCHEDULES)
    ]

    def add(connection: Any) -> None:
        for row in rows:
            stored.add(connection, row)

    lab.run(lab.parts.database.write(add))
    room.begin()
    with pytest.raises(Conflict, match="1000 schedules already"):
        room.add("0 * * * *", "door", name="one-more")
    began = time.monotonic()
    room.look(HOUR_S)  # nobody is connected: each says so
    assert time.monotonic() - began < 30
    assert {room.shown(f"many-{number}").last is not None for number in (0, 999)} == {True}


class TestTheApi:
    def test_a_schedule_comes_and_goes(self, lab: Served) -> None:
        operator, viewer = lab.new_token("operator"), lab.new_token("viewer")
        wanted = {"cron": "*/5 8-18 * * mon-fri", "to": ["door"], "timezone": "Europe/Berlin"}
        made = lab.call("POST", "/api/schedules", json=wanted, token=operator)
        assert made.status_code == 201
        shown = made.json()
        assert (shown["name"], shown["missed"], shown["paused"]) == ("schedule-1", "once", False)
        assert (len(shown["next"]), shown["last"], shown["warnings"]) == (3, None, [])
        named = {**wanted, "name": "schedule-1"}
        assert lab.call("POST", "/api/schedules", json=named).status_code == 200
        assert lab.call("POST", "/api/schedules", json=wanted).json()["name"] == "schedule-2"
        other = lab.call("POST", "/api/schedules", json={**named, "missed": "skip"})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        listed = lab.call("GET", "/api/schedules", token=viewer).json()
        assert [one["name"] for one in listed] == ["schedule-1", "schedule-2"]
        for name in ("schedule-1", "schedule-2"):
            assert lab.call("DELETE", f"/api/schedules/{name}", token=operator).status_code == 204
        assert lab.call("GET", "/api/schedules").json() == []

    def test_whom_the_server_does_not_know_is_a_warning(self, lab: Served) -> None:
        wanted = {"name": "odd", "cron": "0 0 1 1 *", "to": ["door", "gate", "@lab", "*"]}
        made = lab.call("POST", "/api/schedules", json=wanted).json()
        assert made["warnings"] == [
            "no camera named 'gate': there is door",
            "no group '@lab': there is none",
        ]
        assert lab.call("DELETE", "/api/schedules/odd").status_code == 204

    @pytest.mark.parametrize(
        ("to", "warnings"),
        [
            (["*", "!gate"], ["no camera named 'gate': there is door"]),
            (
                ["door", "!door"],
                ["a snap to nobody: door, !door leaves out everybody whom it means"],
            ),
            (["*"], []),
        ],
        ids=str,
    )
    def test_who_is_left_out_is_looked_at_too(
        self, lab: Served, to: list[str], warnings: list[str]
    ) -> None:
        wanted = {"name": "but", "cron": "0 0 1 1 *", "to": to}
        assert lab.call("POST", "/api/schedules", json=wanted).json()["warnings"] == warnings
        assert lab.call("DELETE", "/api/schedules/but").status_code == 204

    @pytest.mark.parametrize(
        ("wanted", "why"),
        [
            ({"cron": "0 0 30 2 *"}, "never fires"),
            ({"timezone": "Europe/Atlantis"}, "no time zone"),
            ({"to": []}, "length >= 1"),
            ({"to": ["a b"]}, "$.to"),
            ({"deadline_s": -1}, "$.deadline_s"),
            ({"missed": "twice"}, "$.missed"),
            ({"context": {"schedule": "mine"}}, "own name"),
            ({"options": {"detect": "boxes"}}, "detect"),
            ({"name": "no/name"}, "$.name"),
            ({"every": 5}, "unknown field"),
            ({"context": {"x": [[[[[[[[[1]]]]]]]]]}}, "nested"),
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused(self, lab: Served, wanted: dict[str, Any], why: str) -> None:
        asked = {"cron": "* * * * *", "to": ["door"], **wanted}
        answer = lab.call("POST", "/api/schedules", json=asked)
        assert answer.status_code == 422, answer.text
        assert why in answer.json()["detail"]


class TestTheCommands:
    def run(self, server: Served, *words: str, code: int = 0) -> str:
        env = {
            "OBJECTCLASSIFICATION_SERVER": server.url,
            "OBJECTCLASSIFICATION_TOKEN": str(server.token),
            "COLUMNS": "200",
        }
        result = CliRunner().invoke(build_app(), ["schedule", *words], env=env)
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    def test_all_of_them(self, lab: Served) -> None:
        said = self.run(
            lab,
            *("add", "30 7 * * *", "door", "--name", "mornings", "--timezone", "Europe/Berlin"),
            *("--context", "order=7", "--missed", "skip", "--options", '{"detect": true}'),
        )
        assert said.startswith("mornings runs next at 20") and " 07:30 CE" in said
        (made,) = json.loads(self.run(lab, "list", "--json"))
        assert (made["context"], made["options"]) == ({"order": "7"}, {"detect": True})
        listed = self.run(lab, "list")
        assert "mornings" in listed and "none yet" in listed and "Europe/Berlin" in listed
        assert self.run(lab, "pause", "mornings") == "mornings is paused\n"
        assert "paused" in self.run(lab, "list")
        assert self.run(lab, "resume", "mornings").startswith("mornings runs next at ")
        self.run(lab, "remove", "mornings")
        assert json.loads(self.run(lab, "list", "--json")) == []

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("add", "* * * * *"), "or give --all"),
            (("add", "* * * * *", "a", "--all"), "not both"),
            (("add", "* * * * *", "a", "--context", "x"), "KEY=VALUE"),
            (("add", "* * * * *", "a", "--options", "{"), "no JSON"),
            (("add", "* * * * *", "a", "--options", "3"), "JSON object"),
        ],
        ids=str,
    )
    def test_a_mistake_is_said_in_words(self, words: tuple[str, ...], said: str) -> None:
        result = CliRunner().invoke(build_app(), ["schedule", *words])
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.long
def test_missed_runs_survive_a_kill(tmp_path: Path) -> None:
    """``kill -9``, an hour later a start: one run is made up for, the other is left out."""
    with ServeProcess(tmp_path) as server:
        server.new_token("camera", "door")
        for missed in ("once", "skip"):
            wanted = {"name": missed, "cron": "*/5 * * * *", "to": ["door"], "missed": missed}
            made = server.call("POST", "/api/schedules", json={**wanted, "deadline_s": 0.5})
            assert made.status_code == 201
        server.process.kill()
        server.process.wait()
    with closing(sqlite3.connect(server.data / DATABASE)) as database, database:
        database.execute("UPDATE schedules SET due_at = due_at - 3600, planned_at = due_at - 3600")
    with ServeProcess(tmp_path) as again:
        shown = {one["name"]: one for one in again.call("GET", "/api/schedules").json()}
        assert shown["skip"]["last"]["code"] == "skipped"
        until(lambda: len(receipts(again, "once")) == 1 and receipts(again, "once")[0]["done"])
        last = {one["name"]: one for one in again.call("GET", "/api/schedules").json()}["once"]
        assert last["last"]["missing"] == 1
        assert receipts(again, "skip") == []
        assert again.stop() == 0
