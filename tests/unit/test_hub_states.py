"""Any order of messages, duplicates, late ones, disconnects, slow and failing stores.

What must hold: one ``done`` for each accepted snap, counts that sum to the number of targets, ranks
that never fall, nobody given up before a quorum is there, and no order without its time before the
snap's moment.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeGuard

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from objectclassification.errors import RequestError
from objectclassification.messages import (
    CLOCK,
    Accepted,
    Cancel,
    Clock,
    Clocked,
    Done,
    ShotReport,
    Shots,
    SnapOrder,
    SnapRequest,
    answers_needed,
    failure,
)
from objectclassification.receipts import RANK, Failure, Found, Prediction, Shot, Until, tally
from tests.hubs import OPERATOR, PICTURE, Bench, store_error

NAMES = ("a", "b", "c")
AHEAD_S = 5000.0
"""A camera's clock shows so much more than the hub's."""
cameras = st.sampled_from(NAMES)
own_ids = st.sampled_from(["x", "y"])
snap_ids = own_ids | st.sampled_from(["snap-1", "snap-2", "snap-3"])
codes: st.SearchStrategy[Failure] = st.sampled_from(["dark", "timeout", "capture_failed"])
untils: st.SearchStrategy[Until] = st.sampled_from(["captured", "uploaded", "classified"])


class HubMachine(RuleBasedStateMachine):
    """Drives a hub whose recorder answers when the machine says so."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(patient=True)
        self.bench.hub.know({name: ("all",) for name in NAMES})
        self.sessions: list[int] = []
        self.controllers = [self.bench.controller(), self.bench.controller()]
        self.shots: dict[tuple[str, str], Shot] = {}
        self.accepted: Counter[tuple[int, str]] = Counter()
        self.done: Counter[tuple[int, str]] = Counter()
        self.knowing: set[int] = set()
        self.clocks: dict[int, Clock] = {}

    @rule(name=cameras, instance=st.sampled_from(["one", "two"]), knows=st.booleans())
    def camera_connects(self, name: str, instance: str, knows: bool) -> None:
        known = (CLOCK,) if knows else ()
        session = self.bench.camera(name, instance=f"{instance}-{name}", knows=known)
        self.sessions.append(session)
        if knows:
            self.knowing.add(session)

    @initialize(knows=st.booleans())
    def somebody_is_there(self, knows: bool) -> None:
        self.camera_connects("a", "one", knows=True)
        self.camera_connects("b", "one", knows=knows)
        self.recorder_is_quick()

    @precondition(lambda self: self.clocks)
    @rule(data=st.data(), times=st.integers(1, 5))
    def camera_says_the_time(self, data: st.DataObject, times: int) -> None:
        self.answers_clocks(data.draw(st.sampled_from(sorted(self.clocks))), times)

    def answers_clocks(self, session: int, times: int) -> None:
        for _ in range(times):  # each answer but the last brings the next question
            if (question := self.clocks.pop(session, None)) is not None:
                now = self.bench.now + AHEAD_S
                self.bench.say(session, Clocked(question.id, now, now))
                self.orders_before_the_moment_have_it_by_the_cameras_own_clock()

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def camera_disconnects(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        self.sessions.remove(session)
        self.bench.hub.disconnect(session)
        self.bench.carry_out()

    @rule(
        which=st.integers(0, 1),
        to=st.lists(st.sampled_from(["*", "@all", *NAMES]), min_size=1, max_size=3),
        id_=st.none() | own_ids,
        until=untils,
        deadline_s=st.sampled_from([0.5, 3.0]),
        quorum=st.sampled_from([None, None, 1, 2, "50%", "100%"]),
        in_s=st.sampled_from([None, None, 0.5, 12.0]),
    )
    def snaps(
        self,
        which: int,
        to: list[str],
        id_: str | None,
        until: Until,
        deadline_s: float,
        quorum: int | str | None,
        in_s: float | None,
    ) -> None:
        request = SnapRequest(
            to=tuple(to), id=id_, until=until, deadline_s=deadline_s, quorum=quorum, in_s=in_s
        )
        self.bench.say(self.controllers[which], request)

    @rule(in_s=st.sampled_from([0.5, 9.0]), times=st.integers(3, 5), quick=st.booleans())
    def snaps_together(self, in_s: float, times: int, quick: bool) -> None:
        """What it takes to be told ahead, which single rules in any order seldom come to."""
        request = SnapRequest(to=("a", "b", "c"), until="captured", in_s=in_s)
        self.bench.say(self.controllers[0], request)
        if quick and self.bench.questions:
            self.recorder_is_quick()
        self.orders_before_the_moment_have_it_by_the_cameras_own_clock()
        for session in sorted(self.clocks):
            self.answers_clocks(session, times)

    @rule(to=cameras, id_=st.none() | own_ids)
    def snaps_over_http(self, to: str, id_: str | None) -> None:
        try:
            self.bench.hub.snap(SnapRequest(to=(to,), id=id_), OPERATOR)
        except RequestError:
            assert id_ is not None  # all names are known: only an id can be refused
        self.bench.carry_out()

    @rule(text=st.sampled_from(["snap", "hello", "{", '{"type":"snap"}']))
    def says_plainly(self, text: str) -> None:
        session = self.bench.connect()
        self.bench.say(session, text)
        self.bench.hub.disconnect(session)

    @precondition(lambda self: self.sessions)
    @rule(
        data=st.data(),
        snap=snap_ids,
        camera=cameras,
        state=st.sampled_from(["delivered", "captured", "failed"]),
        code=codes,
        own=st.booleans(),
        taken_at=st.sampled_from([None, AHEAD_S + 1001.0]),
    )
    def camera_reports(
        self,
        data: st.DataObject,
        snap: str,
        camera: str,
        state: str,
        code: Failure,
        own: bool,
        taken_at: float | None,
    ) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        report = ShotReport(
            snap=snap,
            camera=camera,
            state=state,  # type: ignore[arg-type]
            error=failure(code, "drawn") if state == "failed" else None,
            origin="camera" if own and not snap.startswith("snap-") else "controller",
            taken_at=taken_at,
        )
        self.bench.say(session, report)

    @rule(snap=snap_ids, camera=cameras, what=st.sampled_from(["upload", "classify", "fail"]))
    def server_reports(self, snap: str, camera: str, what: str) -> None:
        if what == "upload":
            self.bench.hub.snaps.uploaded(snap, camera, PICTURE)
        elif what == "classify":
            self.bench.hub.snaps.classified(snap, camera, Found((Prediction("cat", 0.9),)))
        else:
            self.bench.hub.snaps.classify_failed(snap, camera, "drawn")
        self.bench.carry_out()

    @rule(snap=snap_ids, camera=cameras, state=st.sampled_from(["uploaded", "classified"]))
    def rows_know_more(self, snap: str, camera: str, state: str) -> None:
        self.bench.rows[snap] = (Shot(camera=camera, state=state),)  # type: ignore[arg-type]

    @rule(which=st.integers(0, 1), snap=snap_ids)
    def cancels(self, which: int, snap: str) -> None:
        self.bench.say(self.controllers[which], Cancel(snap))

    @precondition(lambda self: self.bench.questions)
    @rule(data=st.data(), fails=st.booleans())
    def recorder_answers(self, data: st.DataObject, fails: bool) -> None:
        # Any order between snaps; for one snap the hub asks one question at a time.
        index = data.draw(st.integers(0, len(self.bench.questions) - 1))
        error = store_error() if fails else None
        self.bench.answer(self.bench.questions.pop(index), error)

    @precondition(lambda self: self.bench.questions)
    @rule()
    def recorder_is_quick(self) -> None:
        while self.bench.questions:
            self.bench.answer(self.bench.questions.pop(0))

    @rule(which=st.integers(0, 1), pauses=st.booleans())
    def controller_stops_or_starts_reading(self, which: int, pauses: bool) -> None:
        if pauses:
            self.bench.hub.pause(self.controllers[which])
        else:
            self.bench.hub.resume(self.controllers[which])
        self.bench.carry_out()

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.7, 4.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.wait(seconds)

    @invariant()
    def ranks_never_fall(self) -> None:
        live = [self.bench.hub.snaps.receipt(id_) for id_ in self.bench.stored]
        for receipt in [*live, *self.bench.finished.values()]:
            for shot in receipt.shots if receipt is not None else ():
                key = (receipt.snap, shot.camera) if receipt else ("", "")
                before = self.shots.get(key, shot)
                assert RANK[shot.state] >= RANK[before.state]
                if before.state in ("classified", "failed"):
                    assert shot.state == before.state
                assert (shot.error is not None) == (shot.state == "failed")
                assert before.elapsed_ms.items() <= shot.elapsed_ms.items()
                self.shots[key] = shot

    @invariant()
    def counts_sum(self) -> None:
        for receipt in self.bench.finished.values():
            targets = self.bench.stored[receipt.snap].cameras
            counts = (receipt.answered, receipt.failed, receipt.missing)
            assert sum(counts) == len(targets) == len(receipt.shots)
            assert counts == tally(receipt.shots, receipt.until)

    @invariant()
    def nobody_is_given_up_before_the_quorum_is_there(self) -> None:
        for receipt in self.bench.finished.values():
            codes = [shot.error.code for shot in receipt.shots if shot.error is not None]
            if "not_awaited" in codes:
                assert receipt.quorum is not None
                assert receipt.answered >= answers_needed(receipt.quorum, len(receipt.shots))

    @invariant()
    def orders_before_the_moment_have_it_by_the_cameras_own_clock(self) -> None:
        for session in self.sessions:
            for message in self.bench.heard(session):
                if isinstance(message, Clock):
                    assert session in self.knowing
                    self.clocks[session] = message
                snap = self.bench.hub.snaps.get(message.id) if _is_order(message) else None
                if snap is None or not _is_order(message):
                    continue
                if message.at is None:
                    assert self.bench.now >= snap.shoots_at
                else:
                    assert session in self.knowing
                    # Half of the longest delay: an answer that takes longer is not waited for.
                    assert abs(message.at - AHEAD_S - snap.shoots_at) <= 0.5

    @invariant()
    def nothing_is_told_of_a_snap_but_between_accepted_and_done(self) -> None:
        for session in self.controllers:
            for message in self.bench.heard(session):
                if isinstance(message, Accepted):
                    self.accepted[session, message.snap] += 1
                elif isinstance(message, Done):
                    self.done[session, message.snap] += 1
                    assert self.done[session, message.snap] == self.accepted[session, message.snap]
                elif isinstance(message, Shots):
                    key = (session, message.snap)
                    assert self.accepted[key] > self.done[key]

    def teardown(self) -> None:
        """Every accepted snap ends, however the rest went."""
        for _ in range(20):
            self.recorder_is_quick()
            self.bench.wait(30.0)
        self.nothing_is_told_of_a_snap_but_between_accepted_and_done()
        assert self.bench.hub.live_snaps == 0
        assert self.bench.finished.keys() == self.bench.stored.keys()
        assert self.done == self.accepted
        for receipt in self.bench.finished.values():
            saved = [end for _, end in self.bench.saved[receipt.snap] if end is not None]
            assert len(saved) == 1
        self.counts_sum()


def _is_order(message: object) -> TypeGuard[SnapOrder]:
    return isinstance(message, SnapOrder)


TestHubStates = HubMachine.TestCase
TestHubStates.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
