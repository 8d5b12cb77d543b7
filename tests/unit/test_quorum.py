"""How many answers end a snap early: what a quorum is, and what the hub does with it."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.errors import BadMessage
from objectclassification.hub.counts import Counts
from objectclassification.messages import (
    Done,
    Problem,
    ShotReport,
    SnapRequest,
    answers_needed,
    decode_client,
)
from objectclassification.receipts import Receipt
from tests.hubs import PICTURE, Bench

targets = st.integers(1, 10_000)


@given(targets, st.integers(1, 100_000))
def test_a_percentage_is_rounded_up(many: int, thousandths: int) -> None:
    text = f"{thousandths // 1000}.{thousandths % 1000:03}%"
    assert answers_needed(text, many) == ceil(Fraction(thousandths * many, 100_000))


@given(targets, targets)
def test_a_count_is_itself_as_long_as_there_are_as_many(count: int, many: int) -> None:
    if count <= many:
        assert answers_needed(count, many) == count
    else:
        with pytest.raises(BadMessage, match=f"a quorum of {count}, but the snap is for {many}"):
            answers_needed(count, many)


def test_without_one_all_are_waited_for() -> None:
    assert answers_needed(None, 7) == 7


@pytest.mark.parametrize(
    ("quorum", "why"),
    [
        (0, "it is 1 at the least"),
        (-1, "it is 1 at the least"),
        ("150%", "is no quorum: give a count such as 3, or a percentage up to 100"),
        ("0%", "is no quorum"),
        ("-5%", "is no quorum"),
        ("nan%", "is no quorum"),
        ("80", "is no quorum"),
        ("½%", "is no quorum"),
        ("", "is no quorum"),
    ],
)
def test_what_is_none_is_refused_and_says_why(quorum: int | str, why: str) -> None:
    with pytest.raises(BadMessage, match=re.escape(why)):
        answers_needed(quorum, 3)


@pytest.mark.parametrize("quorum", ["1.5", "NaN", "true", "[]", '"' + "9" * 17 + '"', "9" * 5000])
def test_what_cannot_even_be_one_is_no_message(quorum: str) -> None:
    with pytest.raises(BadMessage):
        decode_client(b'{"type": "snap", "to": ["*"], "quorum": %b}' % quorum.encode())


def ended(bench: Bench) -> Receipt:
    (receipt,) = bench.finished.values()
    assert (receipt.answered, receipt.failed, receipt.missing) == tuple(
        map(len, _sorted(receipt).values())
    )
    return receipt


def _sorted(receipt: Receipt) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"answered": [], "failed": [], "missing": []}
    for shot in receipt.shots:
        code = shot.error.code if shot.error else None
        missing = code in ("offline", "timeout", "not_awaited")
        found["answered" if code is None else "missing" if missing else "failed"].append(
            shot.camera
        )
    return found


def test_a_snap_ends_with_its_quorum_and_says_who_was_not_awaited() -> None:
    bench = Bench()
    cameras = {name: bench.camera(name) for name in "abc"}
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("*",), until="captured", quorum="60%", deadline_s=60))
    bench.report(cameras["a"], ShotReport("snap-1", "a", "captured"))
    assert not bench.finished
    bench.report(cameras["c"], ShotReport("snap-1", "c", "captured"))
    receipt = ended(bench)
    assert _sorted(receipt) == {"answered": ["a", "c"], "failed": [], "missing": ["b"]}
    assert receipt.quorum == "60%"
    error = receipt.shots[1].error
    assert error is not None
    assert (error.code, error.detail) == (
        "not_awaited",
        "the snap ended before it, with 2 of 3 answered",
    )
    done = bench.heard(controller)[-1]
    assert isinstance(done, Done)
    assert (done.answered, done.failed, done.missing) == (2, 0, 1)
    bench.report(cameras["b"], ShotReport("snap-1", "b", "captured"))  # too late, and harmless
    assert bench.hub.live_snaps == 0
    counts = Counts()
    counts.ended(receipt)
    assert (counts.snaps["answered"], counts.shots["not_awaited"]) == (1, 1)


def test_who_failed_is_no_answer() -> None:
    bench = Bench()
    cameras = {name: bench.camera(name) for name in "abc"}
    bench.say(bench.controller(), SnapRequest(to=("*",), until="uploaded", quorum=2))
    bench.hub.snaps.apply("snap-1", lambda snap, now: snap.fail("a", "dark", "covered", now))
    bench.report(cameras["b"], ShotReport("snap-1", "b", "captured"))
    assert not bench.finished
    for name in "bc":
        bench.hub.snaps.uploaded("snap-1", name, PICTURE)
    bench.carry_out()
    assert _sorted(ended(bench)) == {"answered": ["b", "c"], "failed": ["a"], "missing": []}


def test_one_that_is_out_of_reach_waits_for_the_deadline() -> None:
    bench = Bench()
    camera = bench.camera("a")
    bench.camera("b")
    bench.say(bench.controller(), SnapRequest(to=("a", "b"), until="captured", quorum=2))
    bench.report(camera, ShotReport("snap-1", "a", "captured"))
    bench.wait(10)
    assert _sorted(ended(bench)) == {"answered": ["a"], "failed": [], "missing": ["b"]}
    counts = Counts()
    counts.ended(ended(bench))
    assert counts.snaps["partly"] == 1


def test_more_than_there_are_cameras_starts_nothing() -> None:
    bench = Bench()
    bench.camera("a")
    controller = bench.controller()
    bench.heard(controller)
    bench.say(controller, SnapRequest(to=("*",), quorum=2, id="x"))
    (problem,) = bench.heard(controller)
    assert problem == Problem("bad_message", "a quorum of 2, but the snap is for 1 camera", "x")
    assert bench.hub.live_snaps == 0


def test_another_quorum_is_another_request() -> None:
    bench = Bench()
    bench.camera("a")
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("a",), id="x", quorum=1))
    bench.heard(controller)
    bench.say(controller, SnapRequest(to=("a",), id="x", quorum="100%"))
    (problem,) = bench.heard(controller)
    assert isinstance(problem, Problem)
    assert problem.code == "conflict"
