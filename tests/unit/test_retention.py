"""Retention: which pictures go, which stay whatever the limits say, and in which order they go."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from objectclassification.config import load_server
from objectclassification.errors import ConfigurationError
from objectclassification.housekeeping import BATCH, Housekeeper, tidying
from objectclassification.receipts import Found, Model, Prediction, Receipt
from objectclassification.store import jobs, labels, retention, snaps, snippets, tables, uploads
from objectclassification.store.retention import Candidate, Held, Limits, Policy, Reckoning
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import Database, open_database

DAY_S = 86_400.0
NOW = 1_800_000_000.0
FOUND = Found((Prediction("cat", 0.7),))
MODEL = Model("test-model", "a" * 64)
RESULT = jobs.Result(FOUND, MODEL, bytes(2560), MODEL.sha256, None, at=NOW)


def picture(
    number: int, *, camera: str | None = "door", days: float = 1, size: int = 10
) -> Candidate:
    return Candidate(f"{number:036}", camera, NOW - days * DAY_S, size)


def going(policy: Policy, stored: list[Candidate]) -> list[Candidate]:
    amounts: dict[str | None, Held] = {}
    for one in stored:
        before = amounts.get(one.camera, Held(0, 0))
        amounts[one.camera] = Held(before.pictures + 1, before.bytes + one.bytes)
    reckoning = Reckoning(policy, amounts, now=NOW)
    return [one for one in stored if reckoning.goes(one)]


FOUR = [picture(n, days=40 - 10 * n, size=10) for n in range(4)]  # 40, 30, 20, 10 days


class TestReckoning:
    @pytest.mark.parametrize(
        ("limits", "gone"),
        [
            (Limits(), 0),
            (Limits(days=100), 0),
            (Limits(days=25), 2),
            (Limits(pictures=4), 0),
            (Limits(pictures=3), 1),
            (Limits(bytes=40), 0),
            (Limits(bytes=39), 1),
            (Limits(bytes=1), 4),
            (Limits(days=35, pictures=3, bytes=20), 2),
        ],
    )
    @pytest.mark.parametrize("where", ["overall", "each", "named"])
    def test_the_oldest_go_until_every_limit_is_kept(
        self, limits: Limits, gone: int, where: str
    ) -> None:
        policy = {
            "overall": Policy(overall=limits),
            "each": Policy(each=limits),
            "named": Policy(named={"door": limits}),
        }[where]
        assert going(policy, FOUR) == FOUR[:gone]

    def test_each_camera_has_its_own_limit(self) -> None:
        stored = [picture(n, camera=name) for n, name in enumerate(["door"] * 3 + ["yard", None])]
        assert going(Policy(each=Limits(pictures=1)), stored) == stored[:2]

    def test_a_named_camera_differs(self) -> None:
        stored = [picture(n, camera=("door", "yard")[n % 2]) for n in range(6)]
        policy = Policy(each=Limits(pictures=1), named={"yard": Limits()})
        assert going(policy, stored) == [stored[0], stored[2]]

    def test_what_one_limit_took_counts_for_the_others(self) -> None:
        stored = [picture(0, camera="yard"), picture(1), picture(2), picture(3)]
        policy = Policy(overall=Limits(pictures=3), each=Limits(pictures=3))
        assert going(policy, stored) == [stored[0]]

    @given(
        st.lists(
            st.builds(
                picture,
                st.integers(0, 10**6),
                camera=st.sampled_from(["door", "yard", None]),
                days=st.integers(0, 60),
                size=st.integers(0, 50),
            ),
            max_size=30,
            unique_by=lambda one: one.id,
        ),
        st.builds(Limits, st.integers(0, 50), st.integers(0, 20), st.integers(0, 500)),
        st.builds(Limits, st.integers(0, 50), st.integers(0, 20), st.integers(0, 500)),
    )
    def test_afterwards_every_limit_is_kept_and_nothing_more_goes(
        self, stored: list[Candidate], overall: Limits, each: Limits
    ) -> None:
        policy = Policy(overall, each)
        stored.sort(key=lambda one: (one.received_at, one.id))
        gone = going(policy, stored)
        left = [one for one in stored if one not in gone]
        for limits, some in [
            (overall, left),
            *(
                (each, [one for one in left if one.camera == name])
                for name in ("door", "yard", None)
            ),
        ]:
            assert not limits.pictures or len(some) <= limits.pictures
            assert not limits.bytes or sum(one.bytes for one in some) <= limits.bytes
            assert not limits.days or all(
                NOW - one.received_at <= limits.days * DAY_S for one in some
            )
        assert going(policy, left) == []


class TestSettings:
    def test_they_make_the_policy(self, tmp_path: Path) -> None:
        file = tmp_path / "server.toml"
        file.write_text(
            "keep_days = 90\nkeep_bytes = 1000\ncamera_keep_pictures = 5\ncamera_keep_days = 7.5\n"
            "[keep_cameras.door]\ndays = 0\nbytes = 99\n"
        )
        policy = Policy.of(load_server(file))
        assert policy.overall == Limits(days=90, bytes=1000)
        assert policy.of_camera("yard") == policy.of_camera(None) == Limits(days=7.5, pictures=5)
        assert policy.of_camera("door") == Limits(days=0, pictures=5, bytes=99)
        assert not policy.keeps_all

    def test_labelled_pictures_stay_unless_it_says_otherwise(self, tmp_path: Path) -> None:
        assert Policy.of(load_server()).keeps_labelled
        file = tmp_path / "server.toml"
        file.write_text("keep_labelled = false\n")
        assert not Policy.of(load_server(file)).keeps_labelled

    def test_by_default_everything_stays(self) -> None:
        assert Policy.of(load_server()).keeps_all

    def test_an_exception_may_come_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OBJECTCLASSIFICATION_KEEP_CAMERAS", '{"door": {"pictures": 3}}')
        assert Policy.of(load_server()).of_camera("door") == Limits(pictures=3)

    @pytest.mark.parametrize(
        "line", ["keep_days = -1", "[keep_cameras.door]\nweeks = 1", "keep_pictures = 1.5"]
    )
    def test_what_makes_no_sense_is_refused(self, tmp_path: Path, line: str) -> None:
        file = tmp_path / "server.toml"
        file.write_text(line)
        with pytest.raises(ConfigurationError):
            load_server(file)


@dataclass
class Store:
    """A database with pictures, and a folder that stands for their blobs."""

    database: Database
    blobs: set[str] = field(default_factory=set)
    counted: list[tuple[int, int]] = field(default_factory=list)

    def keeper(self, policy: Policy) -> Housekeeper:
        return Housekeeper(
            self.database,
            self.forget,
            policy,
            count=lambda number, size: self.counted.append((number, size)),
        )

    def forget(self, key: str) -> None:
        raw = sqlite3.connect(self.database.file)  # what a crash here would leave behind
        assert raw.execute("SELECT count(*) FROM renditions WHERE id = ?", (key,)).fetchone() == (
            0,
        )
        raw.close()
        self.blobs.remove(key)

    async def add(
        self, number: int, *, slot: int = 1, snap: str | None = None, at: float = 1000.0
    ) -> list[str]:
        """Stores pictures that are classified; returns their ids, oldest first."""

        def work(connection: Connection) -> list[str]:
            made = []
            for _ in range(number):
                key = f"blob-{len(self.blobs)}"
                self.blobs.add(key)
                upload = uploads.Upload(
                    key, slot, snap, "full", "0" * 64, 100, "image/jpeg", 8, 8, None, at, None, None
                )
                made.append(uploads.take(connection, upload).picture.id)
                job = jobs.lease(connection, "w", now=at, lease_s=60)
                assert job
                jobs.finish(connection, job, "w", RESULT)
            return made

        return await self.database.write(work)

    async def snap(self, id_: str, *, at: float, ended: bool = True) -> None:
        """Adds a snap to all cameras."""
        new = snaps.NewSnap(
            id_,
            origin="controller",
            server="srv",
            token_id="t",
            to=("*",),
            targets=("door", "yard"),
            until="classified",
            deadline_s=10.0,
            context={"order": id_},
            options={},
            accepted_at=at,
        )
        await self.database.write(lambda c: snaps.add(c, new))
        if ended:
            counts = (1, 0, 0)
            await self.database.write(
                lambda c: snaps.end(c, id_, counts=counts, elapsed_ms=1.0, at=at + 1)
            )

    async def receipts(self) -> list[Receipt]:
        return await self.database.read(
            lambda c: snaps.recent(c, context={}, before=None, limit=100)
        )

    async def ids(self) -> list[str]:
        query = select(tables.pictures.c.id).order_by(tables.pictures.c.id)
        return await self.database.read(lambda c: list(c.execute(query).scalars()))

    async def count(self, name: str) -> int:
        query = select(func.count()).select_from(tables.metadata.tables[name])
        return await self.database.read(lambda c: int(c.execute(query).scalar_one()))


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    database.start()
    await database.write(lambda c: snippets.register(c, "door", at=1.0))
    await database.write(lambda c: snippets.register(c, "yard", at=1.0))
    yield Store(database)
    database.close()


KEEP_ONE = Policy(overall=Limits(pictures=1))


class TestHousekeeper:
    async def test_everything_of_a_picture_goes(self, store: Store) -> None:
        _, second, third = await store.add(3)
        gone = await store.keeper(Policy(overall=Limits(pictures=2))).tidy()
        assert (gone.all.pictures, gone.all.bytes) == (1, 100)
        assert await store.ids() == [second, third]
        assert store.blobs == {"blob-1", "blob-2"}
        for name in ("pictures", "renditions", "jobs", "predictions", "embeddings"):
            assert await store.count(name) == 2, name
        assert store.counted == [(1, 100)]

    async def test_a_plan_says_what_would_go_and_deletes_nothing(self, store: Store) -> None:
        await store.add(3, at=1000.0)
        await store.add(2, slot=2, at=2000.0)
        plan = await store.keeper(Policy(each=Limits(pictures=1))).plan()
        assert (plan.all.pictures, plan.all.bytes) == (3, 300)
        assert (plan.all.oldest_at, plan.all.newest_at) == (1000.0, 2000.0)
        assert {name: one.pictures for name, one in plan.cameras.items()} == {"door": 2, "yard": 1}
        assert len(await store.ids()) == len(store.blobs) == 5
        done = await store.keeper(Policy(each=Limits(pictures=1))).tidy()
        assert done == plan

    async def test_by_age(self, store: Store) -> None:
        now = time.time()
        await store.add(2, at=now - 11 * DAY_S)
        young = await store.add(2, at=now - 9 * DAY_S)
        await store.keeper(Policy(overall=Limits(days=10))).tidy()
        assert await store.ids() == young

    async def test_the_picture_a_slot_shows_stays(self, store: Store) -> None:
        made = await store.add(2)
        gone = await store.keeper(Policy(overall=Limits(days=1))).tidy()
        assert gone.all.pictures == 1
        assert await store.ids() == made[1:]
        slot = await store.database.read(lambda c: snippets.slot(c, 1))
        assert slot.picture_id == made[1]

    @pytest.mark.parametrize("state", ["queued", "leased"])
    async def test_what_a_job_needs_stays(self, store: Store, state: str) -> None:
        made = await store.add(3)
        update = tables.jobs.update().where(tables.jobs.c.picture_id == made[0])
        await store.database.write(lambda c: c.execute(update.values(state=state)).rowcount)
        await store.keeper(KEEP_ONE).tidy()
        assert await store.ids() == [made[0], made[2]]
        await store.database.write(lambda c: c.execute(update.values(state="failed")).rowcount)
        await store.keeper(KEEP_ONE).tidy()
        assert await store.ids() == [made[2]]

    async def test_what_an_open_snap_needs_stays(self, store: Store) -> None:
        await store.snap("s1", at=500.0, ended=False)
        made = await store.add(1, snap="s1") + await store.add(1)
        await store.keeper(KEEP_ONE).tidy()
        assert await store.ids() == made
        await store.database.write(
            lambda c: snaps.end(c, "s1", counts=(1, 0, 0), elapsed_ms=1.0, at=501.0)
        )
        await store.keeper(KEEP_ONE).tidy()
        assert await store.ids() == made[1:]

    async def test_receipts_whose_pictures_all_went_go(self, store: Store) -> None:
        for name in ("gone", "half", "failed", "open"):
            await store.snap(name, at=1000.0, ended=name != "open")
        await store.snap("new", at=time.time())
        await store.add(1, at=1001.0, snap="gone")
        await store.add(1, at=1001.0, snap="half")
        await store.add(1, at=1001.0, snap="new")
        await store.add(1, slot=2, snap="half")
        await store.add(1, at=1002.0)  # what the slot shows
        keeper = store.keeper(Policy(each=Limits(pictures=1)))
        plan = await keeper.plan()
        assert (plan.all.pictures, plan.snaps) == (3, 2)
        assert await keeper.tidy() == plan
        left = {one.snap: one for one in await store.receipts()}
        assert set(left) == {"half", "open", "new"}  # a receipt of today stays, whatever went
        states = {shot.camera: (shot.state, bool(shot.picture)) for shot in left["half"].shots}
        assert states == {"door": ("classified", False), "yard": ("classified", True)}
        assert await store.count("shots") == 3
        assert await store.count("snap_context") == 3
        assert (await keeper.tidy()).snaps == 0

    async def test_receipts_without_pictures_go_by_age(self, store: Store) -> None:
        now = time.time()
        await store.snap("old", at=now - 11 * DAY_S)
        await store.snap("young", at=now - 9 * DAY_S)
        await store.keeper(Policy(overall=Limits(days=10))).tidy()
        assert [one.snap for one in await store.receipts()] == ["young"]
        await store.keeper(Policy(overall=Limits(days=0.001))).tidy()
        assert await store.receipts() == []

    async def test_a_labelled_picture_stays_unless_the_policy_says_otherwise(
        self, store: Store
    ) -> None:
        first, _, last = await store.add(3)
        said = {"valve": "open"}
        await store.database.write(
            lambda c: labels.change(c, first, said, at=1.0, token_id="somebody")
        )
        await store.keeper(KEEP_ONE).tidy()
        assert await store.ids() == [first, last]
        await store.keeper(Policy(overall=Limits(pictures=1), keeps_labelled=False)).tidy()
        assert await store.ids() == [last]
        assert await store.count("labels") == 0

    async def test_what_came_to_be_needed_meanwhile_stays(self, store: Store) -> None:
        made = await store.add(2)
        again = tables.jobs.update().where(tables.jobs.c.picture_id == made[0])

        def work(connection: Connection) -> retention.Deleted:
            connection.execute(again.values(state="queued"))
            return retention.delete(connection, made)

        assert await store.database.write(work) == retention.Deleted((), 0, ())
        assert await store.ids() == made

    async def test_others_write_between_the_steps(self, store: Store) -> None:
        """A long deletion is many short transactions."""
        await store.add(4 * BATCH)
        tidy = asyncio.create_task(store.keeper(KEEP_ONE).tidy())
        found = []
        while not tidy.done():
            await store.database.write(lambda c: snippets.register(c, "door", at=2.0))
            found.append(await store.count("pictures"))
            await asyncio.sleep(0)
        assert (await tidy).all.pictures == 4 * BATCH - 1
        assert [number for number, _ in store.counted] == [BATCH, BATCH, BATCH, BATCH - 1]
        assert {3 * BATCH, 2 * BATCH} <= set(found)
        assert len(store.blobs) == 1

    async def test_without_a_limit_nothing_is_even_looked_at(self, store: Store) -> None:
        store.database.close()
        assert (await store.keeper(Policy()).plan()).all.pictures == 0

    async def test_it_tidies_again_and_outlives_a_failure(self, store: Store) -> None:
        made = await store.add(2)
        loop, failed, tidied = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def forget(key: str) -> None:
            if not failed.is_set():
                loop.call_soon_threadsafe(failed.set)
                raise PermissionError(13, "Permission denied", key)
            store.forget(key)

        def count(number: int, size: int) -> None:
            tidied.set()

        keeper = Housekeeper(store.database, forget, KEEP_ONE, count)
        async with tidying(keeper, period_s=0.01), asyncio.timeout(30):
            await failed.wait()
            assert await store.ids() == made[1:]
            (later,) = await store.add(1)
            await tidied.wait()
            assert await store.ids() == [later]
