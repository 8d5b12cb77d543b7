"""What the hub does with each message, on a bench."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import pytest

from objectclassification.auth import Identity
from objectclassification.errors import Conflict, Forbidden, NotFound, ServerStopping
from objectclassification.hub.effects import SaveShots
from objectclassification.hub.index import MAX_OWN_SNAPS
from objectclassification.messages import (
    Accepted,
    CameraOffer,
    Cancel,
    Done,
    Event,
    Hello,
    HubMessage,
    Problem,
    ShotReport,
    Shots,
    Sleep,
    SnapOrder,
    SnapRequest,
    Watch,
    Welcome,
    failure,
)
from objectclassification.receipts import Found, Prediction, Shot, ShotError
from tests.hubs import ADMIN, DOOR, OPERATOR, PICTURE, VIEWER, Bench, store_error

T = TypeVar("T")


def only(kind: type[T], messages: list[HubMessage | str]) -> T:
    """The one message of that kind."""
    found = [message for message in messages if isinstance(message, kind)]
    assert len(found) == 1, messages
    return found[0]


def test_a_snap_is_stored_then_accepted_then_ordered() -> None:
    bench = Bench(patient=True)
    camera = bench.camera("door")
    bench.answer(bench.questions.pop())
    controller = bench.controller()
    bench.heard(camera), bench.heard(controller)
    bench.say(controller, SnapRequest(to=("door",), deadline_s=4, options={"top": 3}))
    assert bench.heard(camera) == bench.heard(controller) == []

    bench.answer(bench.questions.pop())
    assert bench.heard(controller) == [Accepted("snap-1", ("door",))]
    assert bench.heard(camera) == [SnapOrder("snap-1", "door", 4.0, {"top": 3})]


def test_a_whole_snap_to_its_done() -> None:
    bench = Bench()
    camera, controller = bench.camera("door"), bench.controller()
    bench.say(controller, SnapRequest(to=("door",), context={"order": "A7"}))
    bench.report(camera, ShotReport("snap-1", "door", "delivered"))
    bench.now += 0.1
    bench.report(
        camera,
        ShotReport("snap-1", "door", "captured", camera_ms={"grab": 12.0}, freshness="proven"),
    )
    bench.hub.snaps.uploaded("snap-1", "door", PICTURE)
    bench.hub.snaps.classified("snap-1", "door", Found((Prediction("cat", 0.9),)))
    bench.carry_out()

    heard = bench.heard(controller)
    shot = [m for m in heard if isinstance(m, Shots)][-1].shots[0]
    assert shot.state == "classified"
    assert shot.freshness == "proven"
    assert shot.camera_ms == {"grab": 12.0}
    assert shot.picture == PICTURE
    assert shot.predictions == (Prediction("cat", 0.9),)
    assert shot.elapsed_ms == {
        "delivered": 0.0, "captured": 150.0, "uploaded": 200.0, "classified": 200.0
    }  # fmt: skip
    assert heard[-1] == Done("snap-1", answered=1, failed=0, missing=0, elapsed_ms=200.0)
    receipt = bench.finished["snap-1"]
    assert receipt.done
    assert receipt.context == {"order": "A7"}
    assert receipt.shots == (shot,)
    assert bench.saved["snap-1"][-1][0] == (shot,)
    assert bench.hub.live_snaps == 0


def test_an_acknowledgement_costs_no_message_of_its_own() -> None:
    bench = Bench()
    names = [f"c{number:03}" for number in range(200)]
    cameras = [bench.camera(name) for name in names]
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("*",), until="captured"))
    bench.heard(controller)
    before = bench.sends
    for name, camera in zip(names, cameras, strict=True):
        bench.say(camera, ShotReport("snap-1", name, "delivered"))
    assert bench.sends == before
    bench.wait(0.05)
    told = only(Shots, bench.heard(controller))
    assert [shot.state for shot in told.shots] == ["delivered"] * 200


def test_states_of_a_large_fleet_fit_the_messages_a_client_reads() -> None:
    bench = Bench()
    names = [f"c{number:04}" for number in range(600)]
    cameras = [bench.camera(*names[start : start + 60]) for start in range(0, 600, 60)]
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("*",), until="captured"))
    for start, camera in enumerate(cameras):
        for name in names[60 * start : 60 * start + 60]:
            bench.say(camera, ShotReport("snap-1", name, "captured", warnings=("w" * 256,) * 8))
    parts = [m for m in bench.heard(controller) if isinstance(m, Shots)]
    assert sum(len(part.shots) for part in parts) == 600
    assert len(parts) > 1


def test_what_one_camera_says_is_bounded() -> None:
    bench = Bench()
    names = tuple(f"c{number:02}" for number in range(60))
    camera, controller = bench.camera(*names), bench.controller()
    bench.say(controller, SnapRequest(to=("*",), until="captured"))
    long = {f"{'k' * 29}{number:03}": 1.7976931348623157e308 for number in range(16)}
    bad = ["\x01" * 255 + str(number) for number in range(8)]
    for name in names:
        report = ShotReport("snap-1", name, "delivered", camera_ms=long, warnings=tuple(bad))
        bench.say(camera, report)
        error = ShotError("cancelled", "\x01" * 1000)
        bench.say(camera, ShotReport("snap-1", name, "failed", error=error))
    assert bench.finished["snap-1"].failed == 60
    for shot in bench.finished["snap-1"].shots:
        assert shot.error is not None
        assert shot.error.code == "capture_failed"  # who cancels is not for a camera to say
        assert len(shot.error.detail) == 256
        assert shot.warnings == tuple(bad[:1])
        assert len(msgspec.json.encode(shot)) < 8_000


@pytest.mark.parametrize("key", ["", "k" * 33, "a b", "1st", "\x01", "grab\n"])
def test_a_stage_has_a_short_plain_name(key: str) -> None:
    bench = Bench()
    camera, controller = bench.camera("door"), bench.controller()
    bench.say(controller, SnapRequest(to=("door",), until="captured"))
    bench.heard(camera)
    bench.say(camera, ShotReport("snap-1", "door", "captured", camera_ms={key: 1.0}))
    problem = only(Problem, bench.heard(camera))
    assert (problem.code, problem.re) == ("bad_message", "snap-1")
    assert bench.hub.live_snaps == 1


def test_states_are_split_by_their_size_too() -> None:
    bench = Bench()
    watcher, controller = bench.controller(), bench.controller()
    bench.say(watcher, Watch(("shots",)))
    names = [f"c{number:03}" for number in range(250)]
    bench.hub.know({name: () for name in names})
    for start in range(0, 250, 50):
        bench.camera(*names[start : start + 50])
    bench.say(controller, SnapRequest(to=("*",)))
    many = tuple(Prediction("\x01" * 250, 0.5) for _ in range(5))
    for name in names:
        bench.hub.snaps.uploaded("snap-1", name, PICTURE)
        bench.hub.snaps.classified("snap-1", name, Found(many))
    bench.carry_out()
    parts = [m for m in bench.heard(controller) if isinstance(m, Shots)]  # read as clients read
    assert [shot.camera for part in parts for shot in part.shots] == names
    assert len(parts) > 1
    events = [m for m in bench.heard(watcher) if isinstance(m, Event)]
    assert [shot["camera"] for event in events for shot in event.data["shots"]] == names


def test_a_lower_state_that_comes_late_only_fills_in_its_time() -> None:
    bench = Bench()
    camera = bench.camera("door")
    snap = bench.hub.snap(SnapRequest(to=("door",)), ADMIN)
    bench.carry_out()
    bench.hub.snaps.uploaded(snap, "door", PICTURE)
    bench.now += 1
    bench.say(camera, ShotReport(snap, "door", "captured", freshness="estimated"))
    bench.say(camera, ShotReport(snap, "door", "delivered"))
    receipt = bench.hub.snaps.receipt(snap)
    assert receipt is not None
    shot = receipt.shots[0]
    assert shot.state == "uploaded"
    assert shot.freshness == "estimated"
    assert shot.elapsed_ms == {"uploaded": 0.0, "captured": 1000.0, "delivered": 1000.0}


def test_a_camera_that_doubts_its_upload_does_not_undo_it() -> None:
    bench = Bench()
    camera = bench.camera("door")
    snap = bench.hub.snap(SnapRequest(to=("door",)), ADMIN)
    bench.carry_out()
    bench.hub.snaps.uploaded(snap, "door", PICTURE)
    bench.say(
        camera, ShotReport(snap, "door", "failed", error=failure("upload_failed", "no answer"))
    )
    receipt = bench.hub.snaps.receipt(snap)
    assert receipt is not None
    assert receipt.shots[0].state == "uploaded"


def test_nothing_fails_after_it_was_answered() -> None:
    bench = Bench()
    camera, other = bench.camera("door"), bench.camera("yard")
    snap = bench.hub.snap(SnapRequest(to=("door", "yard"), until="captured"), ADMIN)
    bench.carry_out()
    bench.say(camera, ShotReport(snap, "door", "captured"))
    bench.say(camera, ShotReport(snap, "door", "failed", error=failure("dark", "covered")))
    bench.say(other, ShotReport(snap, "yard", "failed", error=failure("dark", "covered")))
    receipt = bench.finished[snap]
    assert [shot.state for shot in receipt.shots] == ["captured", "failed"]
    assert (receipt.answered, receipt.failed, receipt.missing) == (1, 1, 0)


def test_a_known_camera_that_is_not_there_is_missing_at_once() -> None:
    bench = Bench()
    bench.hub.know({"yard": ("outside",)})
    bench.camera("door")
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("yard",)))
    done = only(Done, bench.heard(controller))
    assert (done.answered, done.failed, done.missing) == (0, 0, 1)
    error = bench.finished["snap-1"].shots[0].error
    assert error is not None
    assert error.code == "offline"


@pytest.mark.parametrize("to", ["gate", "@inside", "@outside", "*"])
def test_a_snap_to_nobody_is_refused_by_name(to: str) -> None:
    bench = Bench()
    bench.hub.know({"yard": ("outside",)})
    with pytest.raises(NotFound) as refused:
        bench.hub.snap(SnapRequest(to=(to,)), ADMIN)
    assert to in refused.value.detail
    assert bench.hub.live_snaps == 0


def test_groups_and_names_join() -> None:
    bench = Bench()
    bench.camera("a", "b", groups=("line",))
    bench.camera("c")
    snap = bench.hub.snap(SnapRequest(to=("@line", "c", "a")), ADMIN)
    bench.carry_out()
    assert bench.stored[snap].cameras == ("a", "b", "c")


def test_a_deadline_asks_the_rows_before_it_says_timeout() -> None:
    bench = Bench()
    bench.camera("door", "yard")
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("door", "yard"), deadline_s=2))
    bench.rows["snap-1"] = (
        Shot(
            camera="door",
            state="classified",
            picture=PICTURE,
            predictions=(Prediction("cat", 0.9),),
            elapsed_ms={"uploaded": 900.0},
        ),
    )
    bench.wait(1.9)
    assert not any(isinstance(m, Done) for m in bench.heard(controller))
    bench.wait(0.2)
    done = only(Done, bench.heard(controller))
    assert (done.answered, done.failed, done.missing) == (1, 0, 1)
    assert done.elapsed_ms == 2000.0
    door, yard = bench.finished["snap-1"].shots
    assert door.predictions
    assert yard.error is not None
    assert yard.error.code == "timeout"


def test_a_deadline_that_passes_while_the_snap_is_stored_still_ends_in_done() -> None:
    bench = Bench(patient=True)
    bench.camera("door")
    bench.answer(bench.questions.pop())
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("door",), deadline_s=1))
    bench.wait(5)
    bench.answer(bench.questions.pop())
    while bench.questions:
        bench.answer(bench.questions.pop())
    heard = bench.heard(controller)
    assert only(Accepted, heard).snap == only(Done, heard).snap == "snap-1"


def test_ended_shots_are_written_while_others_are_open() -> None:
    bench = Bench()
    camera = bench.camera("door", "yard")
    snap = bench.hub.snap(SnapRequest(to=("*",), until="captured"), ADMIN)
    bench.carry_out()
    bench.say(camera, ShotReport(snap, "door", "captured"))
    bench.wait(1.1)
    [(shots, ended)] = bench.saved[snap]
    assert [shot.camera for shot in shots] == ["door"]
    assert ended is None
    bench.say(camera, ShotReport(snap, "yard", "captured"))
    shots, ended = bench.saved[snap][-1]
    assert [shot.camera for shot in shots] == ["yard"]
    assert ended is not None
    assert ended.answered == 2


def test_a_snap_that_cannot_be_stored_never_was() -> None:
    bench = Bench(patient=True)
    camera = bench.camera("door")
    bench.answer(bench.questions.pop())
    controller = bench.controller()
    bench.heard(camera), bench.heard(controller)
    bench.say(controller, SnapRequest(to=("door",)))
    bench.answer(bench.questions.pop(), store_error())
    assert only(Problem, bench.heard(controller)).code == "store_failed"
    assert bench.heard(camera) == []
    assert bench.hub.live_snaps == 0


def test_done_is_owed_even_if_its_rows_cannot_be_written() -> None:
    bench = Bench(patient=True)
    camera = bench.camera("door")
    bench.answer(bench.questions.pop())
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("door",), until="captured"))
    bench.answer(bench.questions.pop())
    bench.say(camera, ShotReport("snap-1", "door", "captured"))
    assert not any(isinstance(m, Done) for m in bench.heard(controller))
    bench.answer(bench.questions.pop(), store_error())
    heard = bench.heard(controller)
    assert only(Problem, heard).code == "store_failed"
    assert only(Done, heard).answered == 1


def test_shots_that_could_not_be_written_are_written_with_the_end() -> None:
    bench = Bench(patient=True)
    camera = bench.camera("door", "yard")
    bench.answer(bench.questions.pop())
    bench.hub.snap(SnapRequest(to=("door", "yard"), until="captured"), ADMIN)
    bench.carry_out()
    bench.answer(bench.questions.pop())
    bench.say(camera, ShotReport("snap-1", "door", "captured"))
    bench.wait(1.1)
    bench.answer(bench.questions.pop(), store_error())
    bench.say(camera, ShotReport("snap-1", "yard", "captured"))
    end = bench.questions.pop()
    assert isinstance(end, SaveShots)
    assert [shot.camera for shot in end.shots] == ["door", "yard"]
    assert end.ended is not None


def test_the_same_id_again_is_the_same_snap() -> None:
    bench = Bench()
    camera = bench.camera("door")
    first, second = bench.controller(), bench.controller()
    request = SnapRequest(to=("door",), id="mine", until="captured")
    bench.say(first, request)
    bench.say(second, request)
    assert only(Accepted, bench.heard(second)).snap == "mine"
    bench.say(camera, ShotReport("mine", "door", "captured"))
    assert only(Done, bench.heard(first)) == only(Done, bench.heard(second))

    third = bench.controller()  # after its end the store knows it
    bench.say(third, request)
    heard = bench.heard(third)
    assert only(Accepted, heard).snap == "mine"
    assert only(Shots, heard).shots[0].state == "captured"
    assert only(Done, heard).answered == 1
    assert len(bench.stored) == 1


def test_the_same_id_for_something_else_is_a_conflict() -> None:
    bench = Bench()
    bench.camera("door")
    bench.hub.snap(SnapRequest(to=("door",), id="mine"), ADMIN)
    bench.carry_out()
    with pytest.raises(Conflict):
        bench.hub.snap(SnapRequest(to=("door",), id="mine", deadline_s=3), ADMIN)
    with pytest.raises(Conflict):
        bench.hub.snap(SnapRequest(to=("door",), id="mine"), OPERATOR)


def test_cancel_ends_a_snap_for_its_maker_or_an_admin_only() -> None:
    bench = Bench()
    bench.camera("door")
    first, second = bench.controller(OPERATOR), bench.controller(VIEWER)
    bench.say(first, SnapRequest(to=("door",)))
    bench.say(second, Cancel("snap-1"))
    assert only(Problem, bench.heard(second)[1:]).code == "forbidden"
    bench.say(first, Cancel("snap-1"))
    done = only(Done, bench.heard(first))
    assert (done.failed, done.missing) == (1, 0)
    error = bench.finished["snap-1"].shots[0].error
    assert error is not None
    assert error.code == "cancelled"
    with pytest.raises(NotFound):
        bench.hub.cancel("snap-1", ADMIN)


def test_stop_refuses_new_snaps_and_ends_the_open_ones() -> None:
    bench = Bench()
    bench.camera("door")
    controller = bench.controller()
    bench.say(controller, SnapRequest(to=("door",)))
    bench.hub.stop()
    bench.carry_out()
    assert only(Done, bench.heard(controller)).failed == 1
    with pytest.raises(ServerStopping):
        bench.hub.snap(SnapRequest(to=("door",)), ADMIN)
    assert bench.hub.live_snaps == 0


def test_a_hub_alone_ends_at_captured() -> None:
    bench = Bench(until="captured")
    camera = bench.camera("door")
    snap = bench.hub.snap(SnapRequest(to=("door",), until="classified"), ADMIN)
    bench.carry_out()
    bench.say(camera, ShotReport(snap, "door", "captured"))
    assert bench.finished[snap].until == "captured"
    assert bench.finished[snap].answered == 1


def test_the_same_instance_replaces_its_connection_and_gets_its_open_snaps() -> None:
    bench = Bench()
    old = bench.camera("door", "yard", instance="pi")
    snap = bench.hub.snap(SnapRequest(to=("*",), deadline_s=10, options={"q": 1}), ADMIN)
    bench.carry_out()
    bench.say(old, ShotReport(snap, "yard", "captured"))
    bench.now += 4
    new = bench.camera("door", "yard", instance="pi")
    assert bench.closed[old] == (1000, "replaced")
    welcome = only(Welcome, bench.heard(new))
    assert [place.name for place in welcome.cameras] == ["door", "yard"]
    assert welcome.pending == (SnapOrder(snap, "door", 6.0, {"q": 1}),)
    bench.hub.disconnect(old)
    assert bench.hub.cameras()["door"].online


def test_an_order_that_is_due_while_slots_are_given_comes_with_the_welcome() -> None:
    bench = Bench(patient=True)
    camera = bench.camera("door")
    register = bench.questions.pop()
    bench.hub.snap(SnapRequest(to=("door",)), ADMIN)
    bench.carry_out()
    bench.answer(bench.questions.pop())
    assert bench.heard(camera) == []
    bench.answer(register)
    [welcome] = bench.heard(camera)
    assert isinstance(welcome, Welcome)
    assert [order.id for order in welcome.pending] == ["snap-1"]


def test_another_instance_with_a_name_in_use_is_refused_and_stays_connected() -> None:
    bench = Bench()
    bench.camera("door", instance="one")
    other = bench.camera("door", instance="two")
    assert only(Problem, bench.heard(other)).code == "name_in_use"
    assert other not in bench.closed
    bench.say(other, Hello(role="camera", instance="two", cameras=(CameraOffer("gate"),)))
    assert only(Welcome, bench.heard(other)).cameras[0].name == "gate"


def test_a_stolen_instance_id_does_not_replace_another_tokens_connection() -> None:
    bench = Bench()
    old = bench.camera("door", instance="pi", identity=ADMIN)
    other = bench.camera("door", instance="pi", identity=DOOR)
    assert only(Problem, bench.heard(other)).code == "name_in_use"
    assert old not in bench.closed


def test_a_token_serves_only_the_names_it_was_made_for() -> None:
    bench = Bench()
    session = bench.camera("gate", identity=DOOR)
    problem = only(Problem, bench.heard(session))
    assert problem.code == "forbidden"
    assert "gate" in problem.detail
    assert bench.camera("door", "yard", identity=DOOR) not in bench.closed
    assert bench.hub.cameras()["door"].online


def test_a_registration_that_fails_frees_the_names() -> None:
    bench = Bench(patient=True)
    first = bench.camera("door")
    bench.answer(bench.questions.pop(), store_error())
    assert only(Problem, bench.heard(first)).code == "store_failed"
    second = bench.camera("door")
    bench.answer(bench.questions.pop())
    assert only(Welcome, bench.heard(second)).cameras


def test_a_camera_reports_only_for_its_own() -> None:
    bench = Bench()
    bench.camera("door")
    other = bench.camera("yard")
    snap = bench.hub.snap(SnapRequest(to=("door",)), ADMIN)
    bench.carry_out()
    bench.heard(other)
    bench.say(other, ShotReport(snap, "door", "captured"))
    problem = only(Problem, bench.heard(other))
    assert (problem.code, problem.re) == ("forbidden", snap)


def test_a_camera_that_went_away_may_come_back_before_the_deadline() -> None:
    bench = Bench()
    camera = bench.camera("door", instance="pi")
    snap = bench.hub.snap(SnapRequest(to=("door",), until="captured"), ADMIN)
    bench.carry_out()
    bench.hub.disconnect(camera)
    bench.carry_out()
    assert bench.hub.live_snaps == 1
    camera = bench.camera("door", instance="pi")
    assert only(Welcome, bench.heard(camera)).pending[0].id == snap
    bench.say(camera, ShotReport(snap, "door", "captured"))
    assert bench.finished[snap].answered == 1


def test_a_camera_may_originate_a_shot() -> None:
    bench = Bench()
    camera, listener = bench.camera("door"), bench.listener()
    bench.heard(camera), bench.heard(listener)
    bench.say(camera, ShotReport("own-1", "door", "captured", origin="camera"))
    assert bench.stored["own-1"].origin == "camera"
    assert bench.stored["own-1"].to == ("door",)
    assert bench.heard(camera) == []  # it is not asked for what it brings
    assert only(Event, bench.heard(listener)).data["origin"] == "camera"
    bench.hub.snaps.uploaded("own-1", "door", PICTURE)
    bench.hub.snaps.classified("own-1", "door", Found())
    bench.carry_out()
    assert bench.finished["own-1"].answered == 1


def test_a_cameras_own_snaps_are_bounded() -> None:
    bench = Bench()
    camera = bench.camera("door", "yard")
    bench.heard(camera)

    def brings(name: str, id_: str) -> list[HubMessage | str]:
        bench.say(camera, ShotReport(id_, name, "captured", origin="camera"))
        return bench.heard(camera)

    for number in range(MAX_OWN_SNAPS):
        assert brings("door", f"own-{number}") == []
    problem = only(Problem, brings("door", "too-much"))
    assert (problem.code, problem.re) == ("busy", "too-much")
    assert "too-much" not in bench.stored
    assert brings("door", "own-0") == []  # what it brought already goes on
    assert brings("yard", "other") == []
    error = failure("capture_failed", "torn")
    bench.say(camera, ShotReport("own-0", "door", "failed", error=error, origin="camera"))
    assert brings("door", "next") == []


def test_predictions_without_a_picture_are_no_answer() -> None:
    bench = Bench()
    camera, controller = bench.camera("door"), bench.controller()
    bench.say(controller, SnapRequest(to=("door",)))
    bench.hub.snaps.classified("snap-1", "door", Found((Prediction("cat", 0.9),)))
    bench.hub.snaps.classify_failed("snap-1", "door", "of another picture")
    bench.say(camera, ShotReport("snap-1", "door", "captured"))
    assert bench.hub.live_snaps == 1
    bench.hub.snaps.uploaded("snap-1", "door", PICTURE)
    bench.hub.snaps.classified("snap-1", "door", Found((Prediction("dog", 0.8),)))
    bench.carry_out()
    shot = bench.finished["snap-1"].shots[0]
    assert shot.picture == PICTURE
    assert shot.predictions == (Prediction("dog", 0.8),)


def test_a_picture_that_came_before_its_own_snap_answers_it() -> None:
    bench = Bench()
    camera = bench.camera("door")
    cat = (Prediction("cat", 0.9),)
    bench.rows["own-1"] = (Shot("door", "classified", picture=PICTURE, predictions=cat),)
    bench.say(camera, ShotReport("own-1", "door", "captured", origin="camera"))
    bench.hub.snaps.classified("own-1", "door", Found(cat))
    bench.wait(0.1)
    shot = bench.finished["own-1"].shots[0]
    assert (shot.picture, shot.predictions) == (PICTURE, cat)


def test_a_picture_from_before_a_controllers_snap_is_accepted_does_not_answer_it() -> None:
    bench = Bench(patient=True)
    bench.camera("door")
    bench.answer(bench.questions.pop())
    bench.hub.snap(SnapRequest(to=("door",), until="uploaded"), ADMIN)
    bench.carry_out()
    bench.hub.snaps.uploaded("snap-1", "door", PICTURE)
    bench.answer(bench.questions.pop())
    bench.wait(0.1)
    receipt = bench.hub.snaps.receipt("snap-1")
    assert receipt is not None
    assert receipt.shots[0].state == "requested"


def test_a_report_for_a_snap_that_ended_is_no_mistake() -> None:
    bench = Bench()
    camera = bench.camera("door")
    bench.heard(camera)
    bench.say(camera, ShotReport("long-gone", "door", "captured"))
    assert bench.heard(camera) == []
    assert bench.hub.live_snaps == 0


def test_sleep_is_an_absence_on_purpose() -> None:
    bench = Bench()
    camera = bench.camera("door")
    bench.say(camera, Sleep("door", until=1.7e9 + 600))
    assert bench.hub.cameras()["door"].state == "online"
    bench.hub.disconnect(camera)
    presence = bench.hub.cameras()["door"]
    assert (presence.state, presence.asleep_until) == ("asleep", 1.7e9 + 600)
    bench.camera("door")
    assert bench.hub.cameras()["door"].state == "online"


def test_plain_messages_go_to_every_other_plain_client() -> None:
    bench = Bench()
    camera, sender, other = bench.camera("door"), bench.connect(), bench.connect()
    bench.heard(camera)
    bench.say(sender, "hello there")
    assert bench.heard(other) == ["hello there"]
    assert bench.heard(sender) == bench.heard(camera) == []


def test_the_text_snap_is_relayed_and_snaps_all_cameras() -> None:
    bench = Bench()
    camera, sender, other = bench.camera("door"), bench.connect(), bench.connect()
    listener = bench.listener()
    bench.heard(camera), bench.heard(listener)
    bench.say(sender, "snap")
    assert bench.heard(other) == ["snap"]
    assert isinstance(bench.heard(camera)[0], SnapOrder)
    assert only(Event, bench.heard(listener)).name == "accepted"
    assert bench.heard(sender) == []  # no JSON to a client that has not said hello
    bench.wait(20)
    assert bench.heard(sender) == []
    assert bench.heard(other) == []


def test_the_text_snap_without_cameras_is_still_heard() -> None:
    bench = Bench()
    sender, other, listener = bench.connect(), bench.connect(), bench.listener()
    bench.heard(listener)
    bench.say(sender, "snap")
    assert bench.heard(other) == ["snap"]
    assert bench.heard(sender) == []
    event = only(Event, bench.heard(listener))
    assert (event.topic, event.name) == ("snaps", "relayed")


def test_the_text_snap_needs_the_right_to_snap() -> None:
    bench = Bench()
    camera, sender, other = bench.camera("door"), bench.connect(VIEWER), bench.connect()
    bench.heard(camera)
    bench.say(sender, "snap")
    assert bench.heard(other) == bench.heard(camera) == []
    assert only(Problem, bench.heard(sender)).code == "forbidden"


def test_a_snap_to_all_is_also_the_text_snap_for_plain_clients() -> None:
    bench = Bench()
    bench.camera("door")
    plain = bench.connect()
    bench.hub.snap(SnapRequest(to=("door",)), ADMIN)
    bench.carry_out()
    assert bench.heard(plain) == []
    bench.hub.snap(SnapRequest(to=("*",)), ADMIN)
    bench.carry_out()
    assert bench.heard(plain) == ["snap"]


def test_watching_needs_the_right_to_read() -> None:
    bench = Bench()
    bench.camera("door")
    watcher = bench.controller(VIEWER)
    bench.say(watcher, Watch(("snaps", "shots", "cameras")))
    bench.heard(watcher)
    bench.camera("yard")
    assert only(Event, bench.heard(watcher)).data["camera"] == "yard"
    bench.hub.publish("pictures", "uploaded", {"picture": "p1"})
    bench.carry_out()
    assert bench.heard(watcher) == []
    bench.say(watcher, Watch(("pictures",)))
    bench.hub.publish("pictures", "uploaded", {"picture": "p1"})
    bench.carry_out()
    assert only(Event, bench.heard(watcher)).name == "uploaded"

    blind = bench.camera("gate", identity=Identity("gate-token", "camera", frozenset({"gate"})))
    bench.heard(blind)
    bench.say(blind, Watch(("snaps",)))
    assert only(Problem, bench.heard(blind)).code == "forbidden"


def test_who_may_not_snap_is_told_which_of_its_messages_it_was() -> None:
    bench = Bench()
    bench.camera("door")
    viewer = bench.controller(VIEWER)
    bench.heard(viewer)
    bench.say(viewer, SnapRequest(to=("door",), id="mine"))
    problem = only(Problem, bench.heard(viewer))
    assert (problem.code, problem.re) == ("forbidden", "mine")
    with pytest.raises(Forbidden):
        bench.hub.snap(SnapRequest(to=("door",)), VIEWER)


def test_json_needs_a_hello_first() -> None:
    bench = Bench()
    bench.camera("door")
    plain = bench.connect()
    bench.say(plain, SnapRequest(to=("door",)))
    assert only(Problem, bench.heard(plain)).code == "bad_message"
    assert bench.hub.live_snaps == 0


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type": "hello", "role": "camera"',
        b"{" * 9000,
        b'{"type": "snap", "to": [' + b"[" * 8000,
        b'{"type":"hello","role":"camera","instance":"i","cameras":[{"name":"a/b"}]}',
        b'{"type":"nonsense"}',
        b'{"type":"snap","to":["*"],"context":{"a":"' + b"x" * 3000 + b'"}}',
        b"x" * 17_000,
        b"\xff\xfe",
    ],
)
def test_bad_input_is_answered_and_closes_nothing(frame: bytes) -> None:
    bench = Bench()
    session = bench.connect()
    bench.hub.receive(session, frame)
    bench.carry_out()
    assert only(Problem, bench.heard(session)).code == "bad_message"
    assert session not in bench.closed


def test_a_flood_of_bad_messages_closes_the_connection_a_trickle_does_not() -> None:
    bench = Bench()
    trickle, flood = bench.connect(), bench.connect()
    for _ in range(100):
        bench.say(trickle, "{")
        bench.now += 0.25
    assert trickle not in bench.closed
    for _ in range(30):
        bench.say(flood, "{")
    assert bench.closed[flood] == (1008, "too many bad messages")


def test_a_revoked_token_closes_its_connections_only() -> None:
    bench = Bench()
    mine, theirs = bench.controller(OPERATOR), bench.controller(ADMIN)
    bench.hub.revoke("operator")
    bench.carry_out()
    assert bench.closed == {mine: (1008, "the token was revoked")}
    bench.heard(theirs)


def test_a_controller_that_does_not_read_gets_the_newest_state_of_each_shot_later() -> None:
    bench = Bench()
    camera, controller = bench.camera("door"), bench.controller()
    bench.say(controller, SnapRequest(to=("door",)))
    bench.heard(controller)
    bench.hub.pause(controller)
    bench.report(camera, ShotReport("snap-1", "door", "delivered"))
    bench.report(camera, ShotReport("snap-1", "door", "captured"))
    assert bench.heard(controller) == []
    bench.hub.resume(controller)
    bench.carry_out()
    assert only(Shots, bench.heard(controller)).shots[0].state == "captured"


def test_a_controller_that_does_not_read_still_gets_the_last_states_before_done() -> None:
    bench = Bench()
    camera, controller = bench.camera("door"), bench.controller()
    bench.say(controller, SnapRequest(to=("door",), until="captured"))
    bench.heard(controller)
    bench.hub.pause(controller)
    bench.report(camera, ShotReport("snap-1", "door", "delivered"))
    bench.report(camera, ShotReport("snap-1", "door", "captured"))
    shots, done = bench.heard(controller)
    assert isinstance(shots, Shots)
    assert isinstance(done, Done)
    assert shots.shots[0].state == "captured"
    bench.hub.resume(controller)
    bench.carry_out()
    assert bench.heard(controller) == []


def test_a_watcher_that_does_not_read_loses_the_oldest_events_first() -> None:
    bench = Bench()
    watcher = bench.controller()
    bench.say(watcher, Watch(("pictures",)))
    bench.heard(watcher)
    bench.hub.pause(watcher)
    for number in range(100):
        bench.hub.publish("pictures", "uploaded", {"number": number})
    bench.hub.resume(watcher)
    bench.carry_out()
    numbers = [m.data["number"] for m in bench.heard(watcher) if isinstance(m, Event)]
    assert numbers == list(range(36, 100))
