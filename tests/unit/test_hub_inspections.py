"""Asking a camera how it is, on a bench: every way in which the answer comes, or does not."""

from __future__ import annotations

import msgspec
import pytest

from objectclassification.condition import (
    CameraReport,
    Condition,
    ProgramCondition,
    SourceCondition,
    SpoolCondition,
)
from objectclassification.errors import NotFound, ServerStopping
from objectclassification.hub.inspections import (
    INSPECT_S,
    CameraAway,
    CameraSilent,
    CannotBeAsked,
)
from objectclassification.messages import (
    INSPECT,
    CameraOffer,
    Hello,
    Inspect,
    Problem,
    Report,
    Sleep,
    Welcome,
)
from tests.hubs import Bench

CONDITION = Condition(
    program=ProgramCondition("0.1.0", "3.11.2", "4.10.0", "Debian, Linux", 12.5),
    source=SourceCondition("0", "warm"),
    spool=SpoolCondition(0, 0, 2**30, 10**10, 0, 0),
    clock="ntp",
)
WALL = 1.7e9
"""What a bench's clock on the wall says, always."""


def camera(bench: Bench, *names: str, knows: tuple[str, ...] = (INSPECT,)) -> int:
    session = bench.connect()
    offers = tuple(CameraOffer(name) for name in names)
    hello = Hello("camera", f"i{session}", version="0.1.0", cameras=offers, knows=knows)
    bench.say(session, hello)
    assert isinstance(bench.heard(session)[0], Welcome)
    return session


def ask(bench: Bench, name: str) -> str:
    question = bench.hub.inspect(name)
    bench.carry_out()
    return question


def test_an_answer_reaches_who_asked() -> None:
    bench = Bench()
    session = camera(bench, "door")
    question = ask(bench, "door")
    assert bench.heard(session) == [Inspect(question, "door")]
    assert question not in bench.inspected
    bench.now += 0.060
    bench.say(session, Report(question, WALL + 5.020, WALL + 5.050, CONDITION))
    assert bench.inspected[question] == CameraReport(
        camera="door",
        asked_at="2023-11-14T22:13:20.000Z",
        round_trip_ms=30.0,  # of the 60 ms the camera took 30 for itself
        clock_offset_ms=5005.0,  # (5.020 + 5.050 - 0.060) / 2
        clock_uncertainty_ms=15.0,
        condition=CONDITION,
    )
    assert bench.hub.due_at == float("inf")


def test_all_who_ask_at_the_same_time_share_one_question() -> None:
    bench = Bench()
    session = camera(bench, "door", "yard")
    assert ask(bench, "door") == ask(bench, "door") != ask(bench, "yard")
    assert len(bench.heard(session)) == 2


def test_silence_has_an_end() -> None:
    bench = Bench()
    session = camera(bench, "door")
    question = ask(bench, "door")
    bench.wait(INSPECT_S - 0.1)
    assert question not in bench.inspected
    bench.wait(0.1)
    assert isinstance(bench.inspected[question], CameraSilent)
    bench.say(session, Report(question, WALL, WALL, CONDITION))  # too late: counts for nothing
    assert isinstance(bench.inspected[question], CameraSilent)
    assert [m for m in bench.heard(session) if isinstance(m, Problem)] == []


def test_an_answer_of_another_counts_for_nothing() -> None:
    bench = Bench()
    camera(bench, "door")
    stranger = camera(bench, "yard")
    question = ask(bench, "door")
    bench.say(stranger, Report(question, WALL, WALL, CONDITION))
    assert question not in bench.inspected


def test_a_camera_that_goes_away_meanwhile() -> None:
    bench = Bench()
    session = camera(bench, "door")
    question = ask(bench, "door")
    bench.hub.disconnect(session)
    bench.carry_out()
    assert isinstance(bench.inspected[question], CameraAway)
    with pytest.raises(CameraAway, match="door is offline: is its program running"):
        bench.hub.inspect("door")


def test_a_camera_that_sleeps() -> None:
    bench = Bench()
    session = camera(bench, "door")
    bench.say(session, Sleep("door", WALL + 3600))
    ask(bench, "door")  # it is still there
    bench.hub.disconnect(session)
    with pytest.raises(CameraAway, match="door is asleep until 2023-11-14T23:13:20"):
        bench.hub.inspect("door")


def test_a_program_that_does_not_know_the_question() -> None:
    bench = Bench()
    session = camera(bench, "door", knows=())
    with pytest.raises(CannotBeAsked, match=r"\(0\.1\.0\) does not know .*: update it there"):
        bench.hub.inspect("door")
    bench.carry_out()
    assert bench.heard(session) == []


def test_an_unknown_camera() -> None:
    bench = Bench()
    with pytest.raises(NotFound, match="no camera named 'door': there is none"):
        bench.hub.inspect("door")
    camera(bench, "yard")
    with pytest.raises(NotFound, match="no camera named 'door': there is yard"):
        bench.hub.inspect("door")


def test_a_hub_that_stops() -> None:
    bench = Bench()
    camera(bench, "door")
    question = ask(bench, "door")
    bench.hub.stop()
    bench.carry_out()
    assert isinstance(bench.inspected[question], ServerStopping)
    with pytest.raises(ServerStopping):
        bench.hub.inspect("door")


@pytest.mark.parametrize(
    "wrong",
    [
        {"log": ["x"] * 41},
        {"log": ["x" * 301]},
        {"clock": "sundial"},
        {"spool": {**msgspec.to_builtins(CONDITION.spool), "pictures": -1}},
        {"temperature_c": "hot"},
    ],
)
def test_an_answer_out_of_bounds_is_a_bad_message(wrong: dict[str, object]) -> None:
    bench = Bench()
    session = camera(bench, "door")
    question = ask(bench, "door")
    bench.heard(session)
    report = {
        "type": "report",
        "id": question,
        "received_at": WALL,
        "sent_at": WALL,
        "condition": {**msgspec.to_builtins(CONDITION), **wrong},
    }
    bench.say(session, msgspec.json.encode(report).decode())
    (problem,) = bench.heard(session)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.re) == ("bad_message", question)
    assert question not in bench.inspected
