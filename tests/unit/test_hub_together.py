"""Snaps with a moment, on a bench: clocks are measured, orders go ahead, skew is reckoned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.errors import BadMessage
from objectclassification.hub.appointments import LEAD_S
from objectclassification.hub.clocks import AT_ONCE, EXCHANGES, FRESH_S, PATIENCE_S
from objectclassification.messages import (
    CLOCK,
    Accepted,
    Cancel,
    Clock,
    Clocked,
    HubMessage,
    Problem,
    ShotReport,
    SnapOrder,
    SnapRequest,
    Welcome,
    moment_of,
)
from objectclassification.receipts import Receipt, Shot
from objectclassification.skew import Skew, together
from tests.hubs import Bench

WALL = 1.7e9
T = "2023-11-14T22:13:32Z"
"""Twelve seconds after a bench's clock on the wall says that it is."""


class Camera:
    """A camera program whose clock shows something else, and whose network takes its time."""

    def __init__(self, bench: Bench, name: str, ahead_s: float, there_s: float = 0.004) -> None:
        self.bench, self.name, self.ahead_s = bench, name, ahead_s
        self.there_s = self.back_s = there_s
        self.session = bench.camera(name, knows=(CLOCK,))

    @property
    def now(self) -> float:
        """What its own clock says."""
        return self.bench.now + self.ahead_s

    def heard(self) -> list[HubMessage | str]:
        """What it was sent, but for the welcome, which has no order before the moment."""
        heard = self.bench.heard(self.session)
        assert all(message.pending == () for message in heard if isinstance(message, Welcome))
        return [message for message in heard if not isinstance(message, Welcome)]

    def answers(self) -> list[SnapOrder]:
        """Says the time as often as it is asked; returns the orders that came."""
        orders: list[SnapOrder] = []
        while heard := self.heard():
            for message in heard:
                if isinstance(message, Clock):
                    self.bench.now += self.there_s
                    said = Clocked(message.id, self.now, self.now + 0.001)
                    self.bench.now += 0.001 + self.back_s
                    self.bench.say(self.session, said)
                elif isinstance(message, SnapOrder):
                    orders.append(message)
        return orders

    def captured(self, taken_at: float | None, within_ms: float = 0.0) -> None:
        report = ShotReport(
            "snap-1", self.name, "captured", taken_at=taken_at, taken_within_ms=within_ms
        )
        self.bench.report(self.session, report)


def ask(bench: Bench, **wanted: object) -> int:
    """Asks for a snap that ends once all have captured; returns whom it is told to."""
    controller = bench.controller()
    bench.heard(controller)
    bench.say(controller, SnapRequest(to=("*",), until="captured", **wanted))  # type: ignore[arg-type]
    return controller


def receipt(bench: Bench) -> Receipt:
    (found,) = bench.finished.values()
    return found


@pytest.mark.parametrize("wanted", [{"at": T}, {"at": WALL + 12}, {"in_s": 12.0}], ids=str)
def test_each_camera_is_told_the_moment_by_its_own_clock(wanted: dict[str, object]) -> None:
    bench = Bench()
    cameras = [Camera(bench, "door", 5000.0), Camera(bench, "yard", -900.0)]
    moment = bench.now + 12
    controller = ask(bench, **wanted)
    assert bench.heard(controller) == [Accepted("snap-1", ("door", "yard"), 12.0)]
    assert [camera.answers() for camera in cameras] == [[], []]
    bench.wait(12 - LEAD_S)
    for camera in cameras:
        (order,) = camera.answers()
        assert order.at == pytest.approx(moment + camera.ahead_s, abs=1e-6)
        assert bench.now < moment
        assert order.deadline_s == pytest.approx(moment + 10 - bench.now, abs=0.02)
    bench.wait(moment - bench.now)
    assert [camera.answers() for camera in cameras] == [[], []]  # nobody is told twice
    bench.now += 0.05
    cameras[0].captured(moment + cameras[0].ahead_s + 0.010)
    cameras[1].captured(moment + cameras[1].ahead_s + 0.030)
    done = receipt(bench)
    assert (done.at, done.answered) == ("2023-11-14T22:13:32.000Z", 2)
    assert [shot.skew.ms for shot in done.shots if shot.skew] == [10.0, 30.0]
    assert done.skew is not None
    assert (done.skew.median_ms, done.skew.worst_ms, done.skew.spread_ms) == (20.0, 30.0, 20.0)
    assert done.skew.shots == 2
    assert done.skew.uncertainty_ms == pytest.approx(4 + 1, abs=0.5)  # half the way, and drift
    assert all(shot.warnings == () for shot in done.shots)


def test_the_exchange_with_the_least_delay_counts() -> None:
    bench = Bench()
    camera = Camera(bench, "door", 77.0)
    moment = bench.now + 5
    ask(bench, in_s=5.0)
    for number in range(EXCHANGES):
        (question,) = camera.heard()
        assert isinstance(question, Clock)
        # Four are held up on one way only, which spoils their offset; one is quick.
        late_s = 0.001 if number == 2 else 0.2
        bench.now += late_s
        said = Clocked(question.id, camera.now, camera.now)
        bench.now += 0.001
        bench.say(camera.session, said)
    (order,) = camera.heard()
    assert isinstance(order, SnapOrder)
    assert order.at == pytest.approx(moment + 77.0, abs=1e-6)


def test_no_jump_of_the_time_of_day_moves_the_moment() -> None:
    bench = Bench()
    camera = Camera(bench, "door", 3.0)
    moment = bench.now + 12
    ask(bench, at=T)
    bench.wall += 3600
    bench.wait(12 - LEAD_S)
    bench.wall -= 7200
    (order,) = camera.answers()
    assert order.at == pytest.approx(moment + 3.0, abs=1e-6)
    bench.wait(moment + 0.1 - bench.now)
    camera.captured(moment + 3.0 + 0.02)
    assert receipt(bench).shots[0].skew == Skew(20.0, receipt(bench).skew.uncertainty_ms)  # type: ignore[union-attr]


def test_an_older_program_shoots_at_the_moment_and_its_shot_says_so() -> None:
    bench = Bench()
    old = bench.camera("old")
    ask(bench, in_s=2.0)
    bench.heard(old)
    bench.wait(1.9)
    assert bench.heard(old) == []
    bench.wait(0.1)
    (order,) = bench.heard(old)
    assert isinstance(order, SnapOrder)
    assert (order.at, order.deadline_s) == (None, 10.0)
    bench.report(old, ShotReport("snap-1", "old", "captured"))
    (shot,) = receipt(bench).shots
    assert "does not wait for a moment" in shot.warnings[0]
    assert (shot.skew, receipt(bench).skew) == (None, None)


def test_a_camera_that_does_not_say_the_time_is_asked_again_and_shoots_at_the_moment() -> None:
    bench = Bench()
    camera = Camera(bench, "door", 5.0)
    ask(bench, in_s=4.5)
    bench.wait(4.4)
    questions = camera.heard()
    assert [type(question) for question in questions] == [Clock] * 5  # at once, and each second
    bench.wait(0.2)
    heard = camera.heard()
    assert [message.at for message in heard if isinstance(message, SnapOrder)] == [None]
    camera.captured(None)
    assert "could not be measured" in receipt(bench).shots[0].warnings[0]
    bench.wait(3 * PATIENCE_S)
    assert camera.heard() == []  # nobody wants to know any more


def test_who_comes_back_before_the_moment_is_told_and_who_does_not_is_offline() -> None:
    bench = Bench()
    camera, gone = Camera(bench, "door", 5.0), Camera(bench, "yard", 5.0)
    moment = bench.now + 6
    ask(bench, in_s=6.0)
    assert len(camera.answers()) == len(gone.answers()) == 1
    bench.hub.know({"attic": ()})
    bench.hub.disconnect(camera.session)
    bench.carry_out()
    bench.wait(1)
    again = Camera(bench, "door", 8000.0)  # its program was started anew
    (order,) = again.answers()
    assert order.at == pytest.approx(moment + 8000.0, abs=1e-6)
    bench.hub.disconnect(gone.session)
    bench.carry_out()
    bench.wait(moment + 0.1 - bench.now)
    # It has its order, and may come back with it.
    assert bench.hub.snaps.receipt("snap-1") is not None
    again.captured(moment + 8000.0)
    bench.wait(12)
    codes = {shot.camera: shot.error.code if shot.error else "" for shot in receipt(bench).shots}
    assert codes == {"door": "", "yard": "timeout"}


def test_a_name_that_is_away_has_until_the_moment_to_come() -> None:
    bench = Bench()
    bench.hub.know({"door": (), "attic": ()})
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("door", "attic"), until="captured", in_s=20.0))
    bench.wait(15)
    camera = Camera(bench, "door", 1.0)
    (order,) = camera.answers()
    assert order.at == pytest.approx(1021.0, abs=1e-6)
    bench.wait(1020 + 0.1 - bench.now)
    camera.captured(1021.0)
    shots = receipt(bench).shots
    assert [shot.error.code if shot.error else "" for shot in shots] == ["offline", ""]


def test_the_deadline_counts_from_the_moment() -> None:
    bench = Bench()
    bench.camera("door")
    ask(bench, in_s=30.0, deadline_s=2.0)
    bench.wait(31.9)
    assert not bench.finished
    bench.wait(0.2)
    assert receipt(bench).elapsed_ms == 32_000.0


def test_it_can_be_cancelled_before_its_moment() -> None:
    bench = Bench()
    camera = bench.camera("door")
    controller = ask(bench, in_s=30.0)
    bench.heard(camera)
    bench.say(controller, Cancel("snap-1"))
    assert receipt(bench).shots[0].state == "failed"
    bench.wait(60)
    assert bench.heard(camera) == []
    assert bench.hub.due_at == float("inf")


def test_clocks_are_measured_a_bounded_number_at_a_time_and_not_again_for_the_next_snap() -> None:
    bench = Bench()
    cameras = [Camera(bench, f"c{number:03}", float(number)) for number in range(AT_ONCE + 36)]
    ask(bench, in_s=9.0)
    asked = sum(
        any(isinstance(message, Clock) for message in bench.inbox[camera.session])
        for camera in cameras
    )
    assert asked == AT_ONCE
    moment = bench.hub.snaps.get("snap-1").shoots_at  # type: ignore[union-attr]
    for camera in cameras:
        (order,) = camera.answers()
        assert order.at == pytest.approx(moment + camera.ahead_s, abs=1e-6)
    bench.say(bench.controller(), SnapRequest(to=("*",), until="captured", in_s=5.0))
    for camera in cameras:
        (message,) = camera.heard()
        assert isinstance(message, SnapOrder)
    bench.wait(FRESH_S)
    bench.say(bench.controller(), SnapRequest(to=("c000",), until="captured", in_s=5.0))
    assert any(isinstance(message, Clock) for message in cameras[0].heard())


def test_answers_that_nobody_asked_for_count_for_nothing() -> None:
    bench = Bench()
    camera = Camera(bench, "door", 1.0)
    bench.say(camera.session, Clocked("1", 1.0, 1.0))
    bench.say(bench.controller(), Clocked("1", 1.0, 1.0))
    ask(bench, in_s=5.0)
    question = camera.heard()[-1]
    assert isinstance(question, Clock)
    bench.say(bench.controller(), Clocked(question.id, 1.0, 1.0))
    bench.say(camera.session, Clocked("0", 1.0, 1.0))
    assert camera.heard() == []


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"at": WALL - 3600}, "at is 3,600.0 s in the past by the server's clock, which said 2023"),
        ({"at": "2023-11-14T22:13:19Z"}, "at is 1.0 s in the past"),
        ({"at": "1700-01-01T00:00:00Z"}, "in the past"),
        ({"at": WALL + 90_000}, "at is 90,000 s away"),
        ({"at": "2023-11-14T22:13:32"}, "is no moment: write it like 2026-11-25T12:00:00Z"),
        ({"at": "tomorrow"}, "is no moment"),
        ({"at": T, "in_s": 1.0}, "give at or in_s, not both"),
    ],
    ids=str,
)
def test_moments_that_cannot_be_are_refused(wanted: dict[str, object], why: str) -> None:
    refused = Bench()
    refused.camera("door")
    controller = ask(refused, **wanted)
    said = refused.heard(controller)
    if isinstance(said[0], Accepted):  # a bench stores anything; real recorders look at it
        with pytest.raises(BadMessage, match=why):
            refused.stored["snap-1"].must_lie_ahead()
    else:
        assert isinstance(said[0], Problem)
        assert (said[0].code, why in said[0].detail) == ("bad_message", True), said


@given(st.floats(1e-3, 86_400), st.floats(1, 4e9))
def test_a_moment_is_the_same_however_it_is_said(ahead_s: float, now: float) -> None:
    later = moment_of(SnapRequest(to=("*",), in_s=ahead_s), now)
    assert later == now + ahead_s
    assert moment_of(SnapRequest(to=("*",), at=later), now) == later


def test_the_same_request_again_is_the_same_snap() -> None:
    bench = Bench()
    bench.camera("door")
    controller = ask(bench, in_s=5.0, id="x")
    bench.heard(controller)
    bench.wait(2)
    bench.wall += 2
    request = SnapRequest(to=("*",), until="captured", in_s=5.0, id="x")
    other = bench.controller()
    bench.heard(other)
    bench.say(other, request)
    assert bench.heard(other)[0] == Accepted("x", ("door",), 3.0)
    new = bench.stored["x"]
    assert new.asks_the_same(replace(new, shoot_at=WALL + 99))
    assert not new.asks_the_same(replace(new, in_s=6.0))
    assert not replace(new, in_s=None).asks_the_same(replace(new, in_s=None, shoot_at=WALL))


def test_one_that_a_killed_hub_left_goes_on_to_its_moment() -> None:
    first = Bench()
    first.camera("door")
    ask(first, at=T, id="x")
    left = first.hub.snaps.receipt("x")
    assert left is not None
    second = Bench()
    second.wall += 5  # so long nobody was there
    asked_now = replace(first.stored["x"], accepted_at="2023-11-14T22:13:25.000Z")
    second.hub.know({"door": ()}, [(asked_now, left)])
    camera = Camera(second, "door", 50.0)
    (order,) = camera.answers()
    assert order.at == pytest.approx(1000 + 7 + 50.0, abs=1e-6)


@given(st.lists(st.floats(-1000, 1000).map(lambda ms: round(ms, 1)), min_size=1, max_size=9))
def test_what_the_skews_come_to(values: list[float]) -> None:
    found = together([Skew(ms, abs(ms) / 2) for ms in values])
    assert found is not None
    assert found.worst_ms == max(map(abs, values)) >= found.median_ms >= 0
    assert found.spread_ms == pytest.approx(max(values) - min(values), abs=0.05)
    assert found.uncertainty_ms == found.worst_ms / 2
    assert found.shots == len(values)


def test_no_skew_is_none() -> None:
    assert together([]) is together([None]) is None


TELLS: list[tuple[str, Callable[[Bench, int, int], None]]] = [
    ("another's camera", lambda b, a, _: b.say(a, ShotReport("snap-1", "yard", "captured"))),
    ("another's snap", lambda b, _, y: b.say(y, ShotReport("snap-1", "yard", "captured"))),
    (
        "another's own snap",
        lambda b, _, y: b.say(y, ShotReport("snap-1", "yard", "captured", origin="camera")),
    ),
]


@pytest.mark.parametrize("tells", [tell for _, tell in TELLS], ids=[name for name, _ in TELLS])
def test_a_shot_that_is_not_the_cameras_to_report_is_refused(
    tells: Callable[[Bench, int, int], None],
) -> None:
    bench = Bench()
    door, yard = bench.camera("door"), bench.camera("yard")
    bench.say(bench.controller(), SnapRequest(to=("door",), until="captured"))
    before = bench.hub.snaps.receipt("snap-1")
    bench.heard(door), bench.heard(yard)
    tells(bench, door, yard)
    (problem,) = bench.heard(door) + bench.heard(yard)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.re) == ("forbidden", "snap-1")
    assert bench.hub.snaps.receipt("snap-1") == before
    assert before is not None
    assert before.shots == (Shot("door", "requested"),)


@pytest.mark.parametrize("state", ["requested", "uploaded", "classified", "done", ""])
def test_a_state_that_is_not_a_cameras_is_refused(state: str) -> None:
    bench = Bench()
    door = bench.camera("door")
    bench.say(bench.controller(), SnapRequest(to=("door",)))
    bench.heard(door)
    bench.say(door, f'{{"type": "shot", "snap": "snap-1", "camera": "door", "state": "{state}"}}')
    (problem,) = bench.heard(door)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.re) == ("bad_message", "snap-1")
    assert bench.hub.snaps.receipt("snap-1").shots[0].state == "requested"  # type: ignore[union-attr]
