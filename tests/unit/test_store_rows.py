"""What uploads, snaps and jobs write, on a real database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from objectclassification.errors import KeyReused, NotFound
from objectclassification.messages import failure
from objectclassification.receipts import Found, Model, Prediction, Shot
from objectclassification.store import jobs, pictures, renditions, snaps, snippets, tables, uploads
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import open_database

MODEL = Model("test-model", "a" * 64)
RESULT = jobs.Result(
    found=Found((Prediction("cat", 0.7), Prediction("dog", 0.2, box=(0.0, 0.1, 0.5, 1.0)))),
    model=MODEL,
    embedding=bytes(2560),
    embedded_by=MODEL.sha256,
    thumbnail=renditions.Made("thumb-1", "b" * 64, 900, 320, 213),
    at=1.0,
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    with database.engine.begin() as connection:
        snippets.register(connection, "door", at=1.0)
        yield connection
    database.close()


def upload(id_: str, **changes: Any) -> uploads.Upload:
    plain = uploads.Upload(
        id=id_,
        snippet=1,
        snap=None,
        name="full",
        sha256=id_[0] * 64,
        size_bytes=1000,
        media_type="image/jpeg",
        width=640,
        height=427,
        idempotency_key=None,
        received_at=1000.0,
        age_ms=None,
        uncertainty_ms=None,
    )
    return replace(plain, **changes)


def new_snap(id_: str = "s1", **changes: Any) -> snaps.NewSnap:
    plain = snaps.NewSnap(
        id=id_,
        origin="controller",
        server="server-1",
        token_id="token-1",
        to=("*",),
        targets=("door", "yard"),
        until="classified",
        deadline_s=10.0,
        context={"order": 42, "ok": True, "none": None, "deep": {"x": 1}, "serial": "A-1"},
        options={},
        accepted_at=500.0,
    )
    return replace(plain, **changes)


def count(connection: Connection, name: str) -> int:
    table = tables.metadata.tables[name]
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


class TestSlots:
    def test_the_first_camera_takes_slot_1_and_keeps_it(self, connection: Connection) -> None:
        assert snippets.register(connection, "yard", at=2.0).number == 2
        assert snippets.register(connection, "door", at=3.0, groups=("front",)).number == 1
        rows = {row.name: row for row in snippets.all_cameras(connection)}
        assert (rows["door"].groups, rows["door"].last_seen_at) == (("front",), 3.0)

    def test_a_camera_that_comes_back_as_it_was_or_as_another(self, connection: Connection) -> None:
        about: dict[str, Any] = {"source": "0", "agent": "Linux", "version": "1"}
        for at, groups in ((2.0, ("a", "ä")), (3.0, ("a", "ä")), (4.0, ())):
            placed = snippets.register(connection, "yard", at=at, groups=groups, **about)
            assert placed == snippets.Placed(2, groups)
            row = next(row for row in snippets.all_cameras(connection) if row.name == "yard")
            assert (row.groups, row.last_seen_at) == (groups, at)
        snippets.set_groups(connection, "yard", ("lab",))
        again = snippets.register(connection, "yard", at=5.0, **about)
        assert again.groups == ("lab",)
        moved = snippets.register(connection, "yard", at=6.0, source="1")
        assert moved == snippets.Placed(2, ("lab",))
        row = next(row for row in snippets.all_cameras(connection) if row.name == "yard")
        assert (row.source, row.agent, row.last_seen_at) == ("1", "", 6.0)

    def test_a_reserved_camera_was_never_seen(self, connection: Connection) -> None:
        assert snippets.reserve(connection, "roof", at=2.0) == 2
        assert snippets.reserve(connection, "roof", at=3.0) == 2
        rows = {row.name: row for row in snippets.all_cameras(connection)}
        assert rows["roof"].last_seen_at is None
        assert snippets.register(connection, "roof", at=4.0).number == 2

    @pytest.mark.parametrize("number", [-1, 0, 2, 2**31, 2**63, 10**30])
    def test_no_such_slot(self, connection: Connection, number: int) -> None:
        with pytest.raises(NotFound, match=f"no snippet {number}"):
            snippets.slot(connection, number)


class TestUploads:
    def test_a_new_picture_is_in_its_slot_with_a_job(self, connection: Connection) -> None:
        taken = uploads.take(connection, upload("1"))
        assert taken.new
        assert taken.picture_is_new
        assert taken.picture.state == "queued"
        assert snippets.slot(connection, 1).picture_id == taken.picture.id
        assert jobs.waiting(connection) == 1

    def test_the_same_key_makes_one_picture(self, connection: Connection) -> None:
        first = uploads.take(connection, upload("1", idempotency_key="k", sha256="f" * 64))
        again = uploads.take(connection, upload("2", idempotency_key="k", sha256="f" * 64))
        assert again.picture.id == first.picture.id
        assert not again.new
        assert (count(connection, "renditions"), jobs.waiting(connection)) == (1, 1)
        with pytest.raises(KeyReused):
            uploads.take(connection, upload("3", idempotency_key="k", sha256="0" * 64))

    def test_a_key_is_a_slots_own(self, connection: Connection) -> None:
        snippets.register(connection, "yard", at=1.0)
        first = uploads.take(connection, upload("1", idempotency_key="k"))
        other = uploads.take(connection, upload("2", idempotency_key="k", snippet=2))
        assert first.picture.id != other.picture.id

    def test_renditions_of_one_shot_are_one_picture(self, connection: Connection) -> None:
        small = uploads.take(connection, upload("1", snap="s1", name="thumbnail", width=320))
        assert small.picture.ref().width == 320  # the best there is
        full = uploads.take(connection, upload("2", snap="s1"))
        assert full.new
        assert not full.picture_is_new
        assert full.picture.id == small.picture.id
        assert full.picture.ref().width == 640
        assert jobs.waiting(connection) == 1
        another = uploads.take(connection, upload("3", snap="s1"))
        assert another.picture.id != full.picture.id

    def test_without_a_snap_they_cannot_be_joined(self, connection: Connection) -> None:
        one = uploads.take(connection, upload("1", name="thumbnail"))
        two = uploads.take(connection, upload("2"))
        assert one.picture.id != two.picture.id

    def test_more_ids_than_one_statement_takes(self, connection: Connection) -> None:
        made = uploads.take(connection, upload("1")).picture
        ids = [f"none-{number}" for number in range(260_000)]
        assert pictures.by_ids(connection, [*ids, made.id]) == {made.id: made}
        assert pictures.by_ids(connection, []) == {}

    def test_a_late_one_never_replaces_a_newer_one(self, connection: Connection) -> None:
        newer = uploads.take(connection, upload("1", age_ms=1000.0, received_at=1000.0))
        late = uploads.take(connection, upload("2", age_ms=60_000.0, received_at=1010.0))
        assert snippets.slot(connection, 1).picture_id == newer.picture.id
        assert late.picture.captured_at == "1970-01-01T00:15:50.000Z"
        newest = uploads.take(connection, upload("3", age_ms=0.0, received_at=1011.0))
        assert snippets.slot(connection, 1).picture_id == newest.picture.id

    def test_a_picture_from_the_future_gives_way(self, connection: Connection) -> None:
        """The clock was set back an hour: the newest is what came last."""
        uploads.take(connection, upload("1", age_ms=1000.0, received_at=4600.0))
        newest = uploads.take(connection, upload("2", age_ms=1000.0, received_at=1010.0))
        assert snippets.slot(connection, 1).picture_id == newest.picture.id
        uploads.take(connection, upload("3", age_ms=60_000.0, received_at=1020.0))
        assert snippets.slot(connection, 1).picture_id == newest.picture.id

    def test_a_camera_whose_picture_comes_before_its_snap(self, connection: Connection) -> None:
        taken = uploads.take(connection, upload("1", snap="s1"))
        assert snaps.add(connection, new_snap(targets=("door",)))
        snaps.save_shots(connection, "s1", [Shot(camera="door", state="requested")])
        (shot,) = snaps.receipt(connection, "s1").shots
        assert (shot.state, shot.picture) == ("uploaded", taken.picture.ref())


class TestSnaps:
    def test_a_snap_is_stored_once(self, connection: Connection) -> None:
        assert snaps.add(connection, new_snap())
        assert not snaps.add(connection, new_snap())
        assert snaps.asks_the_same(connection, new_snap(accepted_at=9.0, targets=("other",)))
        assert not snaps.asks_the_same(connection, new_snap(token_id="token-2"))
        assert not snaps.asks_the_same(connection, new_snap(context={}))

    def test_a_receipt_has_a_shot_for_each_target(self, connection: Connection) -> None:
        snaps.add(connection, new_snap())
        receipt = snaps.receipt(connection, "s1")
        assert [(shot.camera, shot.state) for shot in receipt.shots] == [
            ("door", "requested"),
            ("yard", "requested"),
        ]
        assert (receipt.done, receipt.elapsed_ms) == (False, None)

    def test_a_state_never_falls_and_times_only_grow(self, connection: Connection) -> None:
        snaps.add(connection, new_snap())

        def save(state: Any, **facts: Any) -> Shot:
            snaps.save_shots(connection, "s1", [Shot(camera="door", state=state, **facts)])
            return snaps.receipt(connection, "s1").shots[0]

        save("uploaded", elapsed_ms={"uploaded": 30.0})
        shot = save("captured", elapsed_ms={"captured": 20.0}, freshness="proven", warnings=("w",))
        assert (shot.state, shot.freshness) == ("uploaded", "proven")
        assert shot.elapsed_ms == {"uploaded": 30.0, "captured": 20.0}
        shot = save("failed", error=failure("timeout", "late"), warnings=("w", "x"))
        assert (shot.state, shot.warnings) == ("failed", ("w", "x"))
        shot = save("classified", elapsed_ms={"classified": 99.0})
        assert shot.state == "failed"
        assert shot.error == failure("timeout", "late")

    @pytest.mark.parametrize("first", ["hub", "put"])
    def test_a_picture_after_the_end_is_late_whoever_writes_first(
        self, connection: Connection, first: str
    ) -> None:
        snaps.add(connection, new_snap())
        snaps.save_shots(connection, "s1", [Shot(camera="door", state="requested")])
        ended = [Shot(camera="door", state="failed", error=failure("timeout", "nothing"))]
        if first == "hub":
            snaps.save_shots(connection, "s1", ended)
        taken = uploads.take(connection, upload("1", snap="s1"))
        if first == "put":
            snaps.save_shots(connection, "s1", ended)
        shot = snaps.receipt(connection, "s1").shots[0]
        assert (shot.state, shot.late, shot.picture) == ("failed", True, taken.picture.ref())

    def test_what_is_on_a_picture_may_be_late_and_what_cannot_be_said_is_not(
        self, connection: Connection
    ) -> None:
        snaps.add(connection, new_snap())
        snaps.save_shots(connection, "s1", [Shot(camera="door", state="requested")])
        taken = uploads.take(connection, upload("1", snap="s1"))
        ref = taken.picture.ref()
        error = failure("not_awaited", "enough")
        ended = [Shot(camera="door", state="failed", error=error, picture=ref)]
        snaps.save_shots(connection, "s1", ended)  # it knew of the picture
        assert not snaps.receipt(connection, "s1").shots[0].late
        broken = failure("classify_failed", "broken")
        for state, late in (("failed", False), ("classified", True), ("failed", True)):
            error_ = broken if state == "failed" else None
            shot = Shot(camera="door", state=state, error=error_)  # type: ignore[arg-type]
            snaps.save_shots(connection, "s1", [shot])
            assert snaps.receipt(connection, "s1").shots[0].late is late
            assert snaps.receipt(connection, "s1").shots[0].error == error

    def test_the_first_end_stays(self, connection: Connection) -> None:
        snaps.add(connection, new_snap())
        snaps.end(connection, "s1", counts=(1, 0, 1), elapsed_ms=5.0, at=501.0)
        snaps.end(connection, "s1", counts=(0, 2, 0), elapsed_ms=9.0, at=502.0)
        receipt = snaps.receipt(connection, "s1")
        assert (receipt.answered, receipt.failed, receipt.missing) == (1, 0, 1)
        assert receipt.elapsed_ms == 5.0
        assert snaps.unended(connection) == []

    def test_the_unended_are_found(self, connection: Connection) -> None:
        snaps.add(connection, new_snap())
        ((new, receipt),) = snaps.unended(connection)
        assert (new, receipt.snap) == (new_snap(), "s1")

    @pytest.mark.parametrize(
        ("context", "found"),
        [
            ({"order": "42"}, ["s1"]),
            ({"order": "42", "serial": "A-1"}, ["s1"]),
            ({"order": "42", "serial": "B-1"}, []),
            ({"ok": "true"}, ["s1"]),
            ({"none": "null"}, ["s1"]),
            ({"deep": "{'x': 1}"}, []),
            ({}, ["s2", "s1"]),
        ],
    )
    def test_by_context(
        self, connection: Connection, context: dict[str, str], found: list[str]
    ) -> None:
        snaps.add(connection, new_snap())
        snaps.add(connection, new_snap("s2", context={"order": 43}))
        recent = snaps.recent(connection, context=context, before=None, limit=10)
        assert [receipt.snap for receipt in recent] == found

    def test_long_keys_that_are_cut_to_the_same(self, connection: Connection) -> None:
        context = {"k" * 256 + "1": "one", "k" * 256 + "2": "two"}
        assert snaps.add(connection, new_snap(context=context))
        assert snaps.receipt(connection, "s1").context == context

    def test_pages_by_key(self, connection: Connection) -> None:
        for number in range(7):  # two at each time: the id decides
            snaps.add(connection, new_snap(f"s{number}", accepted_at=float(number // 2)))
        found: list[str] = []
        before = None
        while page := snaps.recent(connection, context={}, before=before, limit=3):
            found += [receipt.snap for receipt in page]
            before = found[-1]
        assert found == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]


class TestJobs:
    def lease(self, connection: Connection, worker: str = "w1", now: float = 100.0) -> jobs.Job:
        job = jobs.lease(connection, worker, now=now, lease_s=10.0)
        assert job is not None
        return job

    def test_the_oldest_comes_first_and_once(self, connection: Connection) -> None:
        one = uploads.take(connection, upload("1"))
        two = uploads.take(connection, upload("2"))
        assert self.lease(connection).picture_id == one.picture.id
        assert self.lease(connection, "w2").picture_id == two.picture.id
        assert jobs.lease(connection, "w3", now=100.0, lease_s=10.0) is None

    def test_pictures_that_answer_a_snap_come_first(self, connection: Connection) -> None:
        wanted = [None, "s1", None, "s2"]
        taken = [
            uploads.take(connection, upload(f"{number}-full", snap=snap)).picture.id
            for number, snap in enumerate(wanted)
        ]
        order = [self.lease(connection).picture_id for _ in wanted]
        assert order == [taken[1], taken[3], taken[0], taken[2]]

    def test_a_result_is_stored_with_its_model(self, connection: Connection) -> None:
        snaps.add(connection, new_snap(targets=("door",)))
        uploads.take(connection, upload("1", snap="s1"))
        job = self.lease(connection)
        assert (job.snap, job.camera, job.has_thumbnail) == ("s1", "door", False)
        done = jobs.finish(connection, job, "w1", RESULT)
        assert done == jobs.Finished(stored=True, with_thumbnail=True)
        picture = pictures.get(connection, job.picture_id)
        assert (picture.state, picture.model) == ("classified", MODEL)
        assert picture.found == RESULT.found
        assert set(picture.renditions) == {"full", "thumbnail"}
        (embedding,) = connection.execute(select(tables.embeddings)).all()
        assert (embedding.model_sha256, len(embedding.vector)) == (MODEL.sha256, 2560)
        assert snaps.receipt(connection, "s1").shots[0].predictions == picture.predictions

    def test_the_cameras_own_thumbnail_stays(self, connection: Connection) -> None:
        uploads.take(connection, upload("1", snap="s1"))
        job = self.lease(connection)
        uploads.take(connection, upload("2", snap="s1", name="thumbnail", width=99))
        done = jobs.finish(connection, job, "w1", RESULT)
        assert done == jobs.Finished(stored=True, with_thumbnail=False)
        picture = pictures.get(connection, job.picture_id)
        assert picture.renditions["thumbnail"].width == 99

    def test_a_lease_that_ran_out_is_taken_over(self, connection: Connection) -> None:
        uploads.take(connection, upload("1"))
        dead = self.lease(connection, now=100.0)
        assert jobs.lease(connection, "w2", now=109.0, lease_s=10.0) is None
        job = self.lease(connection, "w2", now=111.0)
        assert (job.id, job.attempts) == (dead.id, 2)
        # The dead one was only slow: what it brings now counts for nothing.
        assert not jobs.finish(connection, dead, "w1", RESULT).stored
        assert not jobs.give_up(connection, dead, "w1", failure("classify_failed", "x")).stored
        assert jobs.finish(connection, job, "w2", RESULT).stored
        assert count(connection, "predictions") == 2

    def test_a_job_put_back_is_free_at_once_and_uncounted(self, connection: Connection) -> None:
        uploads.take(connection, upload("1"))
        jobs.put_back(connection, self.lease(connection), "w1")
        assert self.lease(connection, "w2").attempts == 1

    def test_a_worker_frees_its_own_after_a_restart(self, connection: Connection) -> None:
        uploads.take(connection, upload("1"))
        uploads.take(connection, upload("2"))
        self.lease(connection, "w1")
        self.lease(connection, "w2")
        assert jobs.recover(connection, "w1") == 1
        assert self.lease(connection, "w1").attempts == 2

    def test_a_picture_given_up_is_kept(self, connection: Connection) -> None:
        snaps.add(connection, new_snap(targets=("door",)))
        uploads.take(connection, upload("1", snap="s1"))
        job = self.lease(connection)
        assert jobs.give_up(connection, job, "w1", failure("classify_failed", "broken")).stored
        picture = pictures.get(connection, job.picture_id)
        assert (picture.state, picture.error) == ("failed", "broken")
        shot = snaps.receipt(connection, "s1").shots[0]
        assert shot.error == failure("classify_failed", "broken")
        assert jobs.waiting(connection) == 0


@pytest.mark.parametrize("backlog", [0, 300])
def test_a_lease_reads_no_more_when_many_wait(connection: Connection, backlog: int) -> None:
    """What SQLite does, counted in its own steps: the backlog is not sorted for every job."""
    for number in range(backlog):
        uploads.take(connection, upload(f"waits-{number}"))
    uploads.take(connection, upload("asked", snap="s1"))
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.set_progress_handler(lambda: True, 2000)  # as an interrupt after so many of its steps
    job = jobs.lease(connection, "worker", now=1.0, lease_s=60)
    raw.set_progress_handler(None, 0)
    assert job is not None
    assert (job.blob_key, job.snap) == ("asked", "s1")
