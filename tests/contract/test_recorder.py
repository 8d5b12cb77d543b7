"""What :class:`~objectclassification.hub.recorder.Recorder` promises, over every recorder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from objectclassification.auth import Identity
from objectclassification.errors import BadMessage, Conflict
from objectclassification.hub.effects import Ended, NewSnap
from objectclassification.hub.recorder import MemoryRecorder, Recorder
from objectclassification.messages import CameraOffer, Event, failure
from objectclassification.receipts import Receipt, Shot, rfc3339
from objectclassification.recorder import DatabaseRecorder, PresenceRows
from objectclassification.skew import Skew, Together
from objectclassification.store import jobs, snaps, uploads
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import Database, open_database

ADMIN = Identity("admin-token", "admin")
SNAP = NewSnap(
    id="snap-1",
    by="token-1",
    to=("*",),
    cameras=("door", "yard"),
    until="classified",
    deadline_s=10.0,
    context={"order": 42},
    options={"flash": True},
    accepted_at="2026-01-02T03:04:05.678Z",
)


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    database.start()
    yield database
    database.close()


@pytest.fixture(params=["memory", "database"])
def recorder(request: pytest.FixtureRequest, database: Database) -> Recorder:
    if request.param == "memory":
        return MemoryRecorder()
    return DatabaseRecorder(database, "server-1")


async def register(recorder: Recorder, *names: str, groups: tuple[str, ...] = ()) -> dict[str, int]:
    offers = tuple(CameraOffer(name=name, groups=groups) for name in names)
    places = await recorder.register(offers, ADMIN, agent="test", version="1")
    assert {name: place.name for name, place in places.items()} == {name: name for name in names}
    return {name: place.snippet for name, place in places.items()}


async def receipt(recorder: Recorder) -> Receipt:
    """The stored receipt, as the same request gets it."""
    found = await recorder.store(SNAP)
    assert found is not None
    return found


async def shots(recorder: Recorder) -> dict[str, Shot]:
    return {shot.camera: shot for shot in await recorder.reconcile("snap-1")}


async def test_at_first_no_camera_is_known(recorder: Recorder) -> None:
    assert await recorder.known() == {}


async def test_a_camera_keeps_its_slot_and_its_newest_groups(recorder: Recorder) -> None:
    assert await register(recorder, "door", "yard") == {"door": 1, "yard": 2}
    assert await register(recorder, "roof") == {"roof": 3}
    assert await register(recorder, "yard", "door", groups=("front",)) == {"door": 1, "yard": 2}
    assert await recorder.known() == {"door": ("front",), "yard": ("front",), "roof": ()}


async def test_a_new_snap_has_a_requested_shot_for_each_camera(recorder: Recorder) -> None:
    assert await recorder.store(SNAP) is None
    found = await receipt(recorder)
    assert found == Receipt(
        snap="snap-1",
        done=False,
        answered=0,
        failed=0,
        missing=0,
        elapsed_ms=None,
        context={"order": 42},
        shots=(Shot(camera="door", state="requested"), Shot(camera="yard", state="requested")),
        to=("*",),
        until="classified",
        deadline_s=10.0,
        origin="controller",
        accepted_at="2026-01-02T03:04:05.678Z",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"by": "token-2"},
        {"to": ("door",)},
        {"until": "captured"},
        {"deadline_s": 11.0},
        {"context": {}},
        {"options": {}},
        {"origin": "camera"},
        {"quorum": 1},
        {"in_s": 5.0},
        {"shoot_at": 1767323045.678 + 9},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_another_request_with_the_same_id_is_a_conflict(
    recorder: Recorder, change: dict[str, Any]
) -> None:
    await recorder.store(SNAP)
    with pytest.raises(Conflict, match="snap-1"):
        await recorder.store(replace(SNAP, **change))
    assert not (await receipt(recorder)).done


async def test_a_receipt_has_the_quorum_and_the_moment(recorder: Recorder) -> None:
    wanted = replace(SNAP, quorum="80%", shoot_at=1767323050.0, in_s=4.322)
    await recorder.store(wanted)
    skewed = Shot("door", "captured", skew=Skew(12.5, 0.5))
    await recorder.save("snap-1", (skewed,), None)
    again = await recorder.store(replace(wanted, shoot_at=1767323099.0))  # in_s is what was said
    assert again is not None
    assert (again.quorum, again.at) == ("80%", "2026-01-02T03:04:10.000Z")
    assert again.shots[0].skew == Skew(12.5, 0.5)
    assert again.skew == Together(12.5, 12.5, 0.0, 0.5, 1)


async def test_a_moment_that_has_passed_is_refused_unless_it_is_the_same_again(
    recorder: Recorder,
) -> None:
    late = replace(SNAP, shoot_at=1767323045.0)
    with pytest.raises(BadMessage, match=r"at is 0\.7 s in the past"):
        await recorder.store(late)
    in_time = replace(late, accepted_at="2026-01-02T03:04:00.000Z")
    assert await recorder.store(in_time) is None
    assert await recorder.store(late) is not None


async def test_the_same_request_at_another_time_is_the_same(recorder: Recorder) -> None:
    await recorder.store(SNAP)
    later = replace(SNAP, accepted_at="2026-01-02T04:00:00.000Z", cameras=("door",))
    found = await recorder.store(later)
    assert found is not None
    assert found.accepted_at == SNAP.accepted_at
    assert [shot.camera for shot in found.shots] == ["door", "yard"]


async def test_shots_and_the_end_are_saved(recorder: Recorder) -> None:
    await recorder.store(SNAP)
    door = Shot(
        camera="door",
        state="captured",
        freshness="proven",
        elapsed_ms={"delivered": 1.5, "captured": 20.0},
        camera_ms={"warmup": 3.0},
        warnings=("slow",),
    )
    await recorder.save("snap-1", (door,), None)
    found = await receipt(recorder)
    assert not found.done
    assert found.shots == (door, Shot(camera="yard", state="requested"))
    yard = Shot(
        camera="yard",
        state="failed",
        elapsed_ms={"failed": 10_000.0},
        error=failure("timeout", "nothing after 10 s"),
    )
    await recorder.save("snap-1", (yard,), Ended(0, 1, 1, 10_001.5))
    found = await receipt(recorder)
    assert (found.done, found.answered, found.failed, found.missing) == (True, 0, 1, 1)
    assert found.elapsed_ms == 10_001.5
    assert found.shots == (door, yard)


async def test_a_state_is_never_lowered(recorder: Recorder) -> None:
    await recorder.store(SNAP)
    await recorder.save("snap-1", (Shot(camera="door", state="captured"),), None)
    await recorder.save("snap-1", (Shot(camera="door", state="delivered"),), None)
    assert (await shots(recorder))["door"].state == "captured"


async def test_a_failure_is_further_than_all_others(recorder: Recorder) -> None:
    await recorder.store(SNAP)
    error = failure("dark", "covered")
    failed = Shot(camera="door", state="failed", error=error)
    await recorder.save("snap-1", (Shot(camera="door", state="classified"),), None)
    await recorder.save("snap-1", (failed,), None)
    await recorder.save("snap-1", (Shot(camera="door", state="classified"),), None)
    found = (await shots(recorder))["door"]
    assert (found.state, found.error) == ("failed", error)


async def test_reconciling_an_unknown_snap_finds_nothing(recorder: Recorder) -> None:
    assert await recorder.reconcile("never") == ()


class TestDatabase:
    """What only a recorder with rows can do."""

    async def test_abandoned_snaps_are_ended_truthfully(self, database: Database) -> None:
        recorder = DatabaseRecorder(database, "server-1")
        stale = replace(SNAP, until="uploaded", cameras=("a", "b", "c", "d"))
        await recorder.store(stale)
        dark = failure("dark", "covered")
        await recorder.save(
            "snap-1",
            (
                Shot(camera="a", state="classified"),
                Shot(camera="b", state="failed", error=dark),
                Shot(camera="c", state="captured", elapsed_ms={"captured": 5.0}),
            ),
            None,
        )
        after = DatabaseRecorder(database, "server-1")
        assert await after.take_over() == []
        found = await database.read(lambda c: snaps.receipt(c, "snap-1"))
        assert (found.done, found.answered, found.failed, found.missing) == (True, 1, 1, 2)
        assert found.elapsed_ms == stale.deadline_s * 1000  # years ago, and yet no longer
        by_camera = {shot.camera: shot for shot in found.shots}
        assert by_camera["a"].state == "classified"
        assert by_camera["b"].error == dark
        assert by_camera["c"].elapsed_ms == {"captured": 5.0}
        for name in ("c", "d"):
            error = by_camera[name].error
            assert error
            assert error.code == "timeout"
        assert await after.take_over() == []
        assert await database.read(lambda c: snaps.receipt(c, "snap-1")) == found

    async def test_snaps_that_still_have_time_are_taken_over(self, database: Database) -> None:
        now = rfc3339(time.time())
        open_ = replace(SNAP, accepted_at=now, deadline_s=60.0)
        recorder = DatabaseRecorder(database, "server-1")
        await recorder.store(open_)
        ((new, receipt),) = await DatabaseRecorder(database, "server-1").take_over()
        assert new.asks_the_same(open_)
        assert new.cameras == open_.cameras
        assert (receipt.done, receipt.accepted_at) == (False, now)
        found = await database.read(lambda c: snaps.receipt(c, "snap-1"))
        assert not found.done

    async def test_snaps_that_wait_are_taken_over_until_their_time_is_over(
        self, database: Database
    ) -> None:
        recorder = DatabaseRecorder(database, "server-1")
        kept = {"deadline_s": 5.0, "policy": "latest"}
        ago = rfc3339(time.time() - 60)
        waits = replace(SNAP, accepted_at=ago, ttl_s=600.0, **kept)  # type: ignore[arg-type]
        over = replace(waits, id="snap-2", ttl_s=30.0)
        for snap in (waits, over):
            await recorder.store(snap)
        ((new, receipt),) = await DatabaseRecorder(database, "server-1").take_over()
        assert new.asks_the_same(waits)
        assert (receipt.ttl_s, receipt.policy) == (600.0, "latest")
        ended = await database.read(lambda c: snaps.receipt(c, "snap-2"))
        assert (ended.done, ended.missing) == (True, 2)
        assert {shot.error.code for shot in ended.shots if shot.error} == {"expired"}

    async def test_who_sleeps_still_does_after_a_start(self, database: Database) -> None:
        recorder = DatabaseRecorder(database, "server-1")
        await register(recorder, "door", "yard")
        rows = PresenceRows(database)
        until = time.time() + 600
        for camera, wakes in (("door", until), ("yard", time.time() - 1)):
            data = {"camera": camera, "state": "asleep", "since": 1.0, "until": wakes}
            rows.watch(Event(topic="cameras", name="disconnected", data=data))
        await rows.finish()
        assert await recorder.asleep() == {"door": until}

    async def test_a_snap_from_the_future_is_taken_over(self, database: Database) -> None:
        """The clock was set back an hour while nobody served."""
        ahead = replace(SNAP, accepted_at=rfc3339(time.time() + 3600), deadline_s=60.0)
        await DatabaseRecorder(database, "server-1").store(ahead)
        ((new, receipt),) = await DatabaseRecorder(database, "server-1").take_over()
        assert (new.id, receipt.done) == (ahead.id, False)

    async def test_one_that_waits_for_its_moment_is_taken_over(self, database: Database) -> None:
        now = time.time()
        waiting = replace(
            SNAP, accepted_at=rfc3339(now), deadline_s=0.001, shoot_at=now + 60, in_s=60.0
        )
        await DatabaseRecorder(database, "server-1").store(waiting)
        await asyncio.sleep(0.002)  # its deadline would be over, if it counted from acceptance
        ((new, _),) = await DatabaseRecorder(database, "server-1").take_over()
        assert new.asks_the_same(waiting)
        assert new.shoot_at == waiting.shoot_at

    @pytest.mark.parametrize(
        ("origin", "states"),
        [("controller", ["requested", "requested"]), ("camera", ["uploaded", "failed"])],
    )
    async def test_only_a_cameras_own_snap_has_a_picture_from_before_it(
        self, database: Database, origin: Literal["controller", "camera"], states: list[str]
    ) -> None:
        recorder = DatabaseRecorder(database, "server-1")
        await register(recorder, "door")
        early = uploads.Upload(
            id="early",
            snippet=1,
            snap="snap-1",
            name="full",
            sha256="0" * 64,
            size_bytes=1000,
            media_type="image/jpeg",
            width=640,
            height=427,
            idempotency_key=None,
            received_at=1.0,
            age_ms=None,
            uncertainty_ms=None,
        )
        await database.write(lambda c: uploads.take(c, early))
        await recorder.store(replace(SNAP, cameras=("door",), origin=origin))
        found = [(await shots(recorder))["door"].state]

        def give_up(connection: Connection) -> bool:
            job = jobs.lease(connection, "worker", now=2.0, lease_s=10.0)
            assert job is not None
            error = failure("classify_failed", "broken")
            return jobs.give_up(connection, job, "worker", error).stored

        assert await database.write(give_up)  # its job goes on, whether it answers or not
        found.append((await shots(recorder))["door"].state)
        assert found == states
