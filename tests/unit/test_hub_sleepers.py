"""Snaps that wait for cameras which are away, on a bench."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from objectclassification.auth import Identity
from objectclassification.errors import BadMessage, Busy
from objectclassification.hub.effects import LeftOpen, Store
from objectclassification.hub.greeting import MOST_PENDING
from objectclassification.hub.waiting import MAX_WAITING_OF_CAMERA
from objectclassification.messages import (
    Accepted,
    Done,
    ShotReport,
    SnapOrder,
    SnapRequest,
    Welcome,
    decode_client,
    read_snap_request,
)
from objectclassification.receipts import Policy, Receipt, Shot, rfc3339
from tests.hubs import ADMIN, OPERATOR, Bench

HOUR = 3600.0


def bench_with(*names: str, groups: tuple[str, ...] = ()) -> Bench:
    bench = Bench(until="captured")
    bench.hub.know(dict.fromkeys(names, groups))
    return bench


def waits(
    bench: Bench,
    *to: str,
    ttl_s: float = HOUR,
    policy: Policy = "all",
    by: Identity = OPERATOR,
    deadline_s: float = 10.0,
) -> str:
    request = SnapRequest(to=to, ttl_s=ttl_s, policy=policy, deadline_s=deadline_s)
    id_ = bench.hub.snap(request, by)
    bench.carry_out()
    return id_


def comes(bench: Bench, name: str) -> tuple[int, tuple[SnapOrder, ...]]:
    """A camera connects; returns its session, and what it is asked."""
    session = bench.camera(name, instance=f"i-{name}")
    first, *more = bench.heard(session)
    assert isinstance(first, Welcome)
    return session, (*first.pending, *(order for order in more if isinstance(order, SnapOrder)))


def goes(bench: Bench, session: int) -> None:
    bench.hub.disconnect(session)
    bench.carry_out()


def captures(bench: Bench, session: int, order: SnapOrder) -> None:
    bench.report(session, ShotReport(order.id, order.camera, "captured"))


def states(bench: Bench, snap: str) -> dict[str, str]:
    receipt = bench.hub.snaps.receipt(snap) or bench.finished[snap]
    return {shot.camera: shot.error.code if shot.error else shot.state for shot in receipt.shots}


def test_a_snap_waits_and_is_delivered_when_its_camera_is_back() -> None:
    bench = bench_with("door")
    snap = waits(bench, "door", deadline_s=5)
    assert states(bench, snap) == {"door": "waiting"}
    bench.wait(1800)
    session, (order,) = comes(bench, "door")
    assert (order.id, order.camera, order.deadline_s) == (snap, "door", 5.0)
    assert states(bench, snap) == {"door": "requested"}
    captures(bench, session, order)
    receipt = bench.finished[snap]
    assert (receipt.answered, receipt.failed, receipt.missing) == (1, 0, 0)
    assert receipt.shots[0].elapsed_ms["requested"] == 1_800_000.0
    assert (receipt.ttl_s, receipt.policy) == (HOUR, "all")


def test_one_that_is_there_is_asked_at_once() -> None:
    bench = bench_with("door", "yard")
    session, _ = comes(bench, "door")
    snap = waits(bench, "*")
    (order,) = bench.heard(session)
    assert isinstance(order, SnapOrder)
    assert states(bench, snap) == {"door": "requested", "yard": "waiting"}


def test_all_and_groups_are_all_that_are_known() -> None:
    bench = bench_with("door", "yard", groups=("field",))
    assert states(bench, waits(bench, "*")).keys() == {"door", "yard"}
    assert states(bench, waits(bench, "@field")).keys() == {"door", "yard"}


def test_it_expires() -> None:
    bench = bench_with("door")
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("door",), id="x", ttl_s=60, deadline_s=5))
    bench.wait(59.9)
    assert bench.finished == {}
    bench.wait(0.2)
    assert states(bench, "x") == {"door": "expired"}
    heard = bench.heard(controller)
    assert Accepted("x", ("door",)) in heard
    assert heard[-1] == Done("x", 0, 0, 1, 60_000.0)
    assert comes(bench, "door")[1] == ()


def test_one_that_goes_without_a_word_is_asked_again() -> None:
    bench = bench_with("door")
    snap = waits(bench, "door", ttl_s=100)
    session, first = comes(bench, "door")
    goes(bench, session)
    bench.wait(50)
    session, second = comes(bench, "door")
    assert [order.id for order in first] == [order.id for order in second] == [snap]
    assert states(bench, snap) == {"door": "requested"}
    captures(bench, session, second[0])
    assert states(bench, snap) == {"door": "captured"}
    assert comes(bench, "door")[1] == ()


def test_one_that_was_asked_and_says_nothing_is_too_late() -> None:
    bench = bench_with("door")
    snap = waits(bench, "door", ttl_s=60)
    session, _ = comes(bench, "door")
    goes(bench, session)
    bench.wait(61)
    assert states(bench, snap) == {"door": "timeout"}


def test_a_camera_that_comes_late_has_what_is_left() -> None:
    bench = bench_with("door")
    waits(bench, "door", ttl_s=60, deadline_s=30)
    bench.wait(55)
    _, (order,) = comes(bench, "door")
    assert order.deadline_s == 5.0


@pytest.mark.parametrize(
    ("first", "then", "by", "left"),
    [
        ("latest", "latest", OPERATOR, ["second"]),
        ("latest", "all", OPERATOR, ["second"]),
        ("all", "latest", OPERATOR, ["first", "second"]),
        ("latest", "latest", ADMIN, ["first", "second"]),
    ],
)
def test_the_latest_of_a_sender(first: Policy, then: Policy, by: Identity, left: list[str]) -> None:
    bench = bench_with("door", "yard")
    snaps = {"first": waits(bench, "door", "yard", policy=first)}
    bench.wait(1)
    snaps["second"] = waits(bench, "door", policy=then, by=by)
    _, orders = comes(bench, "door")
    assert [order.id for order in orders] == [snaps[name] for name in left]
    older = states(bench, snaps["first"])
    assert older["yard"] == "waiting", "only the camera gives way that the newer one is for"
    assert (older["door"] == "superseded") == (left == ["second"])


def test_what_was_delivered_gives_way_no_more() -> None:
    bench = bench_with("door")
    first = waits(bench, "door", policy="latest")
    session, _ = comes(bench, "door")
    goes(bench, session)
    waits(bench, "door", policy="latest")
    assert states(bench, first) == {"door": "requested"}


def test_the_order_is_that_of_asking_whatever_the_store_does() -> None:
    bench = Bench(until="captured", patient=True)
    bench.hub.know({"door": ()})
    snaps = [waits(bench, "door", policy="latest") for _ in range(3)]
    for question in reversed(bench.questions[:]):
        assert isinstance(question, Store)
        bench.questions.remove(question)
        bench.answer(question)
    assert [states(bench, snap)["door"] for snap in snaps] == [
        "superseded",
        "superseded",
        "waiting",
    ]


def test_too_many_for_one_camera() -> None:
    bench = bench_with("door", "yard")
    for _ in range(MAX_WAITING_OF_CAMERA):
        waits(bench, "door")
    with pytest.raises(Busy, match="64 snaps wait for the camera 'door'"):
        waits(bench, "*")
    waits(bench, "yard")
    session, orders = comes(bench, "door")
    for order in orders:
        captures(bench, session, order)
    goes(bench, session)
    waits(bench, "*")


def test_the_latest_needs_no_room() -> None:
    bench = bench_with("door")
    for _ in range(MAX_WAITING_OF_CAMERA - 1):
        waits(bench, "door")
    for _ in range(5):
        waits(bench, "door", policy="latest")
    assert len(comes(bench, "door")[1]) == MAX_WAITING_OF_CAMERA


def test_too_many_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectclassification.hub.waiting.MAX_WAITING_SHOTS", 4)
    bench = bench_with("door", "yard")
    waits(bench, "*")
    waits(bench, "*")
    with pytest.raises(Busy, match="4 shots wait already"):
        waits(bench, "door")
    session, (order, _) = comes(bench, "door")
    captures(bench, session, order)
    waits(bench, "door")


def test_a_welcome_that_clients_can_read() -> None:
    names = [f"cam-{number}" for number in range(6)]
    bench = bench_with(*names)
    for _ in range(MAX_WAITING_OF_CAMERA):
        waits(bench, "*")
    session = bench.camera(*names)
    welcome, *more = bench.heard(session)
    assert isinstance(welcome, Welcome)
    assert len(welcome.pending) == MOST_PENDING
    assert len(more) == len(names) * MAX_WAITING_OF_CAMERA - MOST_PENDING


def test_who_waits_is_listed() -> None:
    bench = bench_with("door", "yard")
    first, second = waits(bench, "door"), waits(bench, "yard")
    session, (order,) = comes(bench, "door")
    index = bench.hub.snaps.index
    listed, of = index.waiting_receipts, index.waiting_for
    assert [one.snap for one in listed(9)] == [second], "door is here, and was asked"
    assert of("door") == []
    goes(bench, session)
    assert [one.snap for one in listed(9)] == [first, second]
    assert [one.snap for one in listed(1)] == [first]
    assert [one.id for one in of("yard")] == [second]
    session, _ = comes(bench, "door")
    captures(bench, session, order)
    goes(bench, session)
    assert of("door") == []


def test_one_that_waits_is_cancelled() -> None:
    bench = bench_with("door")
    snap = waits(bench, "door")
    bench.hub.cancel(snap, OPERATOR)
    bench.carry_out()
    assert states(bench, snap) == {"door": "cancelled"}
    assert comes(bench, "door")[1] == ()


def test_nobody_is_kept_waiting_by_what_waits() -> None:
    bench = bench_with("door")
    waits(bench, "door")
    assert (bench.hub.live_snaps, bench.hub.snaps.index.brief) == (1, 0)


def left_open(bench: Bench) -> list[LeftOpen]:
    """What a killed hub's rows say: the shots that were saved, and the others as requested."""
    found = []
    for snap in bench.stored.values():
        if snap.id in bench.finished:
            continue
        saved = {shot.camera: shot for shots, _ in bench.saved[snap.id] for shot in shots}
        shots = tuple(saved.get(name, Shot(name, "requested")) for name in snap.cameras)
        receipt = Receipt(
            snap=snap.id,
            done=False,
            answered=0,
            failed=0,
            missing=0,
            elapsed_ms=None,
            context={},
            shots=shots,
            to=snap.to,
            until=snap.until,
            deadline_s=snap.deadline_s,
            origin=snap.origin,
            accepted_at=snap.accepted_at,
            ttl_s=snap.ttl_s,
            policy=snap.policy,
        )
        found.append((snap, receipt))
    return found


def restarted(bench: Bench, names: Iterable[str], *, ago_s: float = 0.0) -> Bench:
    """The hub that goes on with what another one left, which was killed so long ago."""
    again = Bench(until="captured")
    again.now, again.wall = bench.now + ago_s, bench.wall + ago_s
    open_ = left_open(bench)
    again.stored = {snap.id: snap for snap, _ in open_}
    taken = [
        (type(snap)(**{**fields(snap), "accepted_at": rfc3339(again.wall)}), receipt)
        for snap, receipt in reversed(open_)  # in whatever order they come
    ]
    again.hub.know(dict.fromkeys(names, ()), taken)
    again.carry_out()
    return again


def fields(snap: Any) -> dict[str, Any]:
    return {name: getattr(snap, name) for name in snap.__dataclass_fields__}


def test_they_survive_a_stop_and_a_start() -> None:
    bench = bench_with("door", "yard")
    snap = waits(bench, "*", ttl_s=100)
    session, (order,) = comes(bench, "door")
    captures(bench, session, order)
    bench.hub.stop()
    bench.carry_out()
    assert bench.hub.snaps.index.to_settle == 0
    assert bench.finished == {}
    again = restarted(bench, ["door", "yard"], ago_s=30)
    assert states(again, snap) == {"door": "captured", "yard": "waiting"}
    assert comes(again, "door")[1] == ()
    session, (order,) = comes(again, "yard")
    captures(again, session, order)
    assert (again.finished[snap].answered, again.finished[snap].elapsed_ms) == (2, 30_000.0)


def test_after_a_start_the_latest_is_still_the_latest() -> None:
    bench = bench_with("door")
    snaps = []
    for _ in range(3):
        snaps.append(waits(bench, "door", policy="latest"))
        bench.wall += 1
    bench.saved.clear()  # it was killed before it could write who gave way
    bench.finished.clear()
    again = restarted(bench, ["door"])
    assert [states(again, snap)["door"] for snap in snaps] == [
        "superseded",
        "superseded",
        "waiting",
    ]


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR])
def test_a_clock_that_is_set_changes_nothing(jump_s: float) -> None:
    bench = bench_with("door")
    snap = waits(bench, "door", ttl_s=600)
    bench.wall += jump_s
    bench.wait(599)
    assert states(bench, snap) == {"door": "waiting"}
    _, (order,) = comes(bench, "door")
    assert order.id == snap
    bench.wait(2)
    assert states(bench, snap) == {"door": "timeout"}


@pytest.mark.parametrize("ttl_s", ["0", "-1", "NaN", "1e12", '"2h"', "2592001", "5"])
def test_times_that_are_none(ttl_s: str) -> None:
    with pytest.raises(BadMessage):
        read_snap_request(b'{"to": ["door"], "ttl_s": %b}' % ttl_s.encode())


def test_a_policy_is_for_what_waits() -> None:
    with pytest.raises(BadMessage, match="give ttl_s"):
        read_snap_request(b'{"to": ["door"], "policy": "latest"}')
    with pytest.raises(BadMessage):
        read_snap_request(b'{"to": ["door"], "ttl_s": 60, "policy": "newest"}')
    with pytest.raises(BadMessage, match="until a time or in_s"):
        decode_client(b'{"type": "sleep", "camera": "door"}')
    with pytest.raises(BadMessage, match="until a time or in_s"):
        decode_client(b'{"type": "sleep", "camera": "door", "until": 1, "in_s": 1}')


NAMES = ("a", "b")


class SleepersMachine(RuleBasedStateMachine):
    """Cameras that come, go and are killed; a hub that is killed, with what its rows say of it."""

    @initialize()
    def begin(self) -> None:
        self.bench = bench_with(*NAMES)
        self.sessions: dict[str, int] = {}
        self.orders: dict[str, list[SnapOrder]] = {name: [] for name in NAMES}
        self.answered: set[tuple[str, str]] = set()
        self.ended: dict[str, Receipt] = {}
        self.asked: list[str] = []

    @rule(name=st.sampled_from(NAMES))
    def comes(self, name: str) -> None:
        if name in self.sessions:
            goes(self.bench, self.sessions[name])
        session, orders = comes(self.bench, name)
        self.sessions[name] = session
        assert len({order.id for order in orders}) == len(orders)
        assert not {(order.id, name) for order in orders} & self.answered
        self.orders[name] = list(orders)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.sessions)))
        goes(self.bench, self.sessions.pop(name))

    @rule(
        to=st.sampled_from(["*", "*", *NAMES]),
        ttl_s=st.sampled_from([5.0, 60.0]),
        policy=st.sampled_from(["latest", "all"]),
        by=st.sampled_from([ADMIN, OPERATOR]),
    )
    def snaps(self, to: str, ttl_s: float, policy: Policy, by: Identity) -> None:
        id_ = f"s{len(self.asked)}"
        request = SnapRequest(to=(to,), id=id_, ttl_s=ttl_s, policy=policy, deadline_s=1.0)
        self.bench.wall += 0.001
        self.bench.hub.snap(request, by)
        self.bench.carry_out()
        self.asked.append(id_)
        self.hears()

    @precondition(lambda self: any(self.orders[name] for name in self.sessions))
    @rule(data=st.data(), says=st.booleans())
    def takes(self, data: st.DataObject, says: bool) -> None:
        """A camera takes a picture; it may be gone before it says so."""
        owing = sorted(name for name in self.sessions if self.orders[name])
        name = data.draw(st.sampled_from(owing))
        order = self.orders[name].pop(0)
        if says:
            captures(self.bench, self.sessions[name], order)
            self.answered.add((order.id, name))
        else:
            goes(self.bench, self.sessions.pop(name))

    @rule(ago_s=st.sampled_from([0.0, 3.0, 30.0]))
    def hub_is_killed(self, ago_s: float) -> None:
        self.collect()
        self.bench = restarted(self.bench, NAMES, ago_s=ago_s)
        self.sessions.clear()
        self.answered.clear()  # what it could not write down it asks again

    @rule(seconds=st.sampled_from([0.01, 0.1, 2.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.wait(seconds)
        self.bench.wall += seconds

    @rule(jump_s=st.sampled_from([0.5, 1.0]))
    def clock_is_set(self, jump_s: float) -> None:
        self.bench.wall += jump_s

    def hears(self) -> None:
        for name, session in self.sessions.items():
            for message in self.bench.heard(session):
                if isinstance(message, SnapOrder):
                    self.orders[name].append(message)

    @invariant()
    def collect(self) -> None:
        """Each snap ends once, in whichever hub."""
        for id_, receipt in self.bench.finished.items():
            assert self.ended.setdefault(id_, receipt) is receipt
            assert receipt.answered + receipt.failed + receipt.missing == len(receipt.shots)

    @invariant()
    def nobody_who_is_here_is_waited_for(self) -> None:
        for receipt in self.live():
            for shot in receipt.shots:
                if shot.state == "waiting":
                    assert shot.camera not in self.sessions

    @invariant()
    def of_a_sender_only_the_newest_waits(self) -> None:
        for name in NAMES:
            waiting: dict[str, list[Receipt]] = {}
            for receipt in self.live():
                by = self.bench.stored[receipt.snap].by
                if {shot.camera: shot.state for shot in receipt.shots}.get(name) == "waiting":
                    waiting.setdefault(by, []).append(receipt)
            for receipts in waiting.values():
                assert all(receipt.policy == "all" for receipt in receipts[:-1])

    def live(self) -> list[Receipt]:
        found = (self.bench.hub.snaps.receipt(id_) for id_ in self.asked)
        return [receipt for receipt in found if receipt is not None]

    def teardown(self) -> None:
        """Whoever took a picture comes back once more; then all has ended, once."""
        for name in NAMES:
            if name not in self.sessions:
                self.comes(name)
            for order in self.orders[name]:
                captures(self.bench, self.sessions[name], order)
        self.bench.wait(61.0)
        self.collect()
        assert sorted(self.ended) == sorted(self.asked)
        assert self.bench.hub.live_snaps == 0


TestSleepers = SleepersMachine.TestCase
TestSleepers.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
