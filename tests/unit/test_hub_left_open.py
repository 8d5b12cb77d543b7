"""A hub goes on with the snaps that a killed one left open, on a bench."""

from __future__ import annotations

from objectclassification.hub.effects import NewSnap
from objectclassification.messages import (
    Accepted,
    CameraOffer,
    Done,
    Hello,
    ShotReport,
    SnapOrder,
    SnapRequest,
    Welcome,
)
from objectclassification.receipts import Found, Origin, Prediction, Receipt, Shot, rfc3339
from tests.hubs import ADMIN, PICTURE, Bench

WALL = 1.7e9
"""What a bench's clock on the wall says, always."""


def left_open(
    *shots: Shot, ago_s: float = 4.0, origin: Origin = "controller"
) -> tuple[NewSnap, Receipt]:
    new = NewSnap(
        id="left",
        by=ADMIN.token_id,
        to=("door", "yard"),
        cameras=tuple(shot.camera for shot in shots),
        until="classified",
        deadline_s=10.0,
        options={"top": 3},
        origin=origin,
        accepted_at=rfc3339(WALL),
    )
    receipt = Receipt(
        snap="left",
        done=False,
        answered=0,
        failed=0,
        missing=0,
        elapsed_ms=None,
        context={},
        shots=shots,
        to=new.to,
        until=new.until,
        deadline_s=new.deadline_s,
        origin=origin,
        accepted_at=rfc3339(WALL - ago_s),
    )
    return new, receipt


def bench_with(snap: tuple[NewSnap, Receipt]) -> Bench:
    bench = Bench()
    bench.hub.know({"door": (), "yard": ()}, [snap])
    bench.carry_out()
    return bench


def welcome(bench: Bench, *names: str) -> Welcome:
    session = bench.connect()
    offers = tuple(CameraOffer(name) for name in names)
    bench.say(session, Hello("camera", f"i{session}", cameras=offers))
    first = bench.heard(session)[0]
    assert isinstance(first, Welcome)
    return first


UPLOADED = Shot(camera="door", state="uploaded", elapsed_ms={"uploaded": 90.0}, picture=PICTURE)
ASKED = Shot(camera="yard", state="requested")


def test_cameras_that_owe_a_picture_are_asked_again() -> None:
    bench = bench_with(left_open(UPLOADED, ASKED))
    assert welcome(bench, "door").pending == ()
    assert welcome(bench, "yard").pending == (SnapOrder("left", "yard", 6.0, {"top": 3}),)


def test_it_ends_with_its_last_answer() -> None:
    bench = bench_with(left_open(UPLOADED, ASKED))
    bench.now += 1
    bench.hub.snaps.classified("left", "door", Found((Prediction("cat", 0.9),)))
    bench.hub.snaps.uploaded("left", "yard", PICTURE)
    bench.carry_out()
    assert bench.finished == {}
    bench.hub.snaps.classified("left", "yard", Found())
    bench.carry_out()
    receipt = bench.finished["left"]
    assert (receipt.answered, receipt.missing, receipt.elapsed_ms) == (2, 0, 5000.0)
    door = receipt.shots[0]
    assert door.elapsed_ms == {"uploaded": 90.0, "classified": 5000.0}


def test_it_ends_at_its_deadline() -> None:
    bench = bench_with(left_open(UPLOADED, ASKED))
    bench.wait(5.9)
    assert bench.finished == {}
    bench.wait(0.2)
    receipt = bench.finished["left"]
    assert (receipt.answered, receipt.missing, receipt.elapsed_ms) == (0, 2, 10_000.0)


def test_one_that_only_lacked_its_end_gets_it() -> None:
    bench = bench_with(left_open(Shot(camera="door", state="classified", picture=PICTURE)))
    assert bench.finished["left"].answered == 1
    assert bench.hub.live_snaps == 0


def test_whoever_asked_follows_it_again() -> None:
    bench = bench_with(left_open(ASKED))
    controller = bench.controller()
    bench.heard(controller)
    again = SnapRequest(("door", "yard"), id="left", deadline_s=10.0, options={"top": 3})
    bench.say(controller, again)
    assert Accepted("left", ("yard",)) in bench.heard(controller)
    assert bench.stored == {}
    bench.hub.snaps.uploaded("left", "yard", PICTURE)
    bench.hub.snaps.classified("left", "yard", Found())
    bench.carry_out()
    assert bench.heard(controller)[-1] == Done("left", 1, 0, 0, 4000.0)


def test_nobody_asks_a_camera_for_a_picture_of_its_own() -> None:
    bench = bench_with(left_open(Shot(camera="door", state="requested"), origin="camera"))
    assert welcome(bench, "door").pending == ()
    bench.say(1, ShotReport("left", "door", "captured", origin="camera"))
    bench.hub.snaps.uploaded("left", "door", PICTURE)
    bench.hub.snaps.classified("left", "door", Found())
    bench.carry_out()
    assert bench.finished["left"].answered == 1


def test_a_clock_that_was_set_back_gives_no_more_time() -> None:
    bench = bench_with(left_open(ASKED, ago_s=-3600.0))
    bench.wait(10.1)
    assert bench.finished["left"].missing == 1
