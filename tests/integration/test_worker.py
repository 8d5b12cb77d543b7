"""The job loop with real children: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest_asyncio
from PIL import Image
from sqlalchemy import Row, select

from objectclassification.bus import (
    Bus,
    ClassificationFailed,
    Message,
    PictureClassified,
    PictureUploaded,
)
from objectclassification.classification.classifier import SHIPPED_MODEL
from objectclassification.classification.pool import ClassifierPool
from objectclassification.receipts import Picture, Shot
from objectclassification.store import jobs, pictures, snaps, snippets, tables, uploads
from objectclassification.store.blobs import Blobs
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import Database, open_database
from objectclassification.worker import MOST_LEASES, Worker
from tests.photographs import CATS, CHELSEA
from tests.serving import WAIT_S, photo, until

T = TypeVar("T", bound=Message)


class Shop:
    """A database, blobs, a bus and children; workers are the tests' own."""

    def __init__(self, folder: Path, database: Database, pool: ClassifierPool) -> None:
        self.database = database
        self.blobs = Blobs(folder / "blobs", floor_bytes=0)
        self.pool = pool
        self.bus = Bus()
        self.heard: list[Message] = []
        self._news = asyncio.Event()
        self.bus.subscribe(self._hear)

    def _hear(self, message: Message) -> None:
        self.heard.append(message)
        self._news.set()

    async def add(self, content: bytes, *, snap: str | None = None) -> Picture:
        """What a PUT does."""
        key = f"rendition-{time.monotonic_ns()}"
        sha256 = self.blobs.put(key, content)
        upload = uploads.Upload(
            id=key,
            snippet=1,
            snap=snap,
            name="full",
            sha256=sha256,
            size_bytes=len(content),
            media_type="image/jpeg",
            width=640,
            height=427,
            idempotency_key=None,
            received_at=time.time(),
            age_ms=None,
            uncertainty_ms=None,
        )
        taken = await self.database.write(lambda c: uploads.take(c, upload))
        self.bus.publish(PictureUploaded(taken.picture.ref(), "door", snap))
        return taken.picture

    async def heard_of(self, picture: Picture, kind: type[T]) -> T:
        """Waits for the word on a picture."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for message in self.heard:
                    if isinstance(message, kind) and _id(message) == picture.id:
                        return message
                self._news.clear()
                await self._news.wait()

    async def look(self, picture: Picture) -> Picture:
        return await self.database.read(lambda c: pictures.get(c, picture.id))

    @asynccontextmanager
    async def worker(self, name: str = "w1", lease_s: float = 60.0) -> AsyncIterator[Worker]:
        worker = Worker(self.database, self.blobs, self.pool, self.bus, name=name, lease_s=lease_s)
        unsubscribe = self.bus.subscribe(worker.wake)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            unsubscribe()


def _id(message: Message) -> str | None:
    if isinstance(message, PictureUploaded):
        return message.picture.id
    return getattr(message, "picture_id", None)


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[ClassifierPool]:
    pool = ClassifierPool(1)
    await pool.start()
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def shop(tmp_path: Path, pool: ClassifierPool) -> AsyncIterator[Shop]:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    database.start()
    await database.write(lambda c: snippets.register(c, "door", at=1.0))
    yield Shop(tmp_path, database, pool)
    database.close()


async def test_a_picture_is_classified_with_all_that_belongs_to_it(shop: Shop) -> None:
    async with shop.worker():
        picture = await shop.add(CHELSEA.read_bytes())
        said = await shop.heard_of(picture, PictureClassified)
    found = await shop.look(picture)
    assert found.state == "classified"
    assert found.found == said.found
    assert found.predictions[0].label in CATS
    rows = await shop.database.read(lambda c: c.execute(select(tables.predictions)).all())
    assert len({(row.model_id, row.model_sha256) for row in rows}) == 1
    assert len(rows[0].model_sha256) == 64
    (embedding,) = await shop.database.read(lambda c: c.execute(select(tables.embeddings)).all())
    assert len(embedding.vector) == 2560  # 1280 x float16
    assert embedding.model_sha256 == rows[0].model_sha256
    thumbnail = found.renditions["thumbnail"]
    assert (thumbnail.media_type, max(thumbnail.width, thumbnail.height)) == ("image/jpeg", 320)


async def test_jobs_from_before_the_start_are_done(shop: Shop) -> None:
    made = [await shop.add(photo(str(number))) for number in range(3)]
    async with shop.worker():
        for picture in made:
            await shop.heard_of(picture, PictureClassified)


async def test_a_bad_picture_fails_its_shot_and_no_other(shop: Shop) -> None:
    whole = photo()
    # Its header and its end are good, so that a PUT takes it.
    broken = await shop.add(whole[:700] + bytes(2000) + b"\xff\xd9", snap="s1")
    good = await shop.add(whole, snap="s2")
    async with shop.worker():
        failed = await shop.heard_of(broken, ClassificationFailed)
        await shop.heard_of(good, PictureClassified)
    assert (await shop.look(broken)).state == "failed"
    assert (await shop.look(broken)).error == failed.detail
    (shot,) = await shop.database.read(lambda c: snaps.stored_shots(c, "s1"))
    assert shot.error
    assert (shot.state, shot.error.code) == ("failed", "classify_failed")
    (shot,) = await shop.database.read(lambda c: snaps.stored_shots(c, "s2"))
    assert shot.state == "classified"
    assert shop.blobs.path((await _job(shop, broken)).rendition_id).is_file()  # it is kept


async def test_a_picture_whose_file_is_gone(shop: Shop) -> None:
    picture = await shop.add(photo())
    shop.blobs.delete((await _job(shop, picture)).rendition_id)
    async with shop.worker():
        said = await shop.heard_of(picture, ClassificationFailed)
    assert "gone" in said.detail


async def _job(shop: Shop, picture: Picture) -> Row[Any]:
    query = select(tables.jobs).where(tables.jobs.c.picture_id == picture.id)
    return await shop.database.read(lambda c: c.execute(query).one())


@asynccontextmanager
async def stopped_child(pool: ClassifierPool) -> AsyncIterator[int]:
    """Holds the one child still, so that its picture is under way for as long as the test needs."""
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        if pid in pool.pids:
            os.kill(pid, signal.SIGCONT)


async def leased(shop: Shop, picture: Picture) -> None:
    """Waits until a worker has the picture's job."""
    async with asyncio.timeout(WAIT_S):
        while (await _job(shop, picture)).state != "leased":  # noqa: ASYNC110 - rows do not tell
            await asyncio.sleep(0.01)


async def test_a_child_killed_over_a_picture_costs_nothing(shop: Shop) -> None:
    async with stopped_child(shop.pool) as pid, shop.worker():
        picture = await shop.add(photo())
        await leased(shop, picture)
        os.kill(pid, signal.SIGKILL)
        await shop.heard_of(picture, PictureClassified)
    assert pid not in shop.pool.pids
    rows = await shop.database.read(lambda c: c.execute(select(tables.predictions)).all())
    assert [row.rank for row in rows] == [0, 1, 2, 3, 4]  # once


async def test_a_picture_that_kills_every_child_is_given_up(shop: Shop) -> None:
    slow = io.BytesIO()  # to decode, so that each child is killed with it
    Image.effect_noise((4000, 3000), 50).save(slow, "PNG", compress_level=1)
    async with shop.worker():
        picture = await shop.add(slow.getvalue())
        said = asyncio.create_task(shop.heard_of(picture, ClassificationFailed))
        killed: set[int] = set()
        while not said.done():
            for pid in set(shop.pool.pids) - killed if shop.pool.ready else ():
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            await asyncio.wait({said}, timeout=0.005)
        assert len(killed) >= jobs.MOST_ATTEMPTS
        assert "died" in said.result().detail
        another = await shop.add(photo("another"))
        await shop.heard_of(another, PictureClassified)


async def test_a_picture_whose_servers_were_all_killed_is_given_up(shop: Shop) -> None:
    picture = await shop.add(photo())
    for _ in range(MOST_LEASES):
        await shop.database.write(lambda c: jobs.lease(c, "w1", now=time.time(), lease_s=60))
        await shop.database.write(lambda c: jobs.recover(c, "w1"))
    async with shop.worker():
        said = await shop.heard_of(picture, ClassificationFailed)
    assert "killed" in said.detail


async def test_a_worker_takes_its_own_jobs_up_again_after_a_crash(shop: Shop) -> None:
    picture = await shop.add(photo())
    await shop.database.write(lambda c: jobs.lease(c, "w1", now=time.time(), lease_s=3600))
    async with shop.worker("w1"):  # and does not wait for its own lease
        await shop.heard_of(picture, PictureClassified)


async def test_a_dead_workers_job_is_taken_when_its_lease_has_run_out(shop: Shop) -> None:
    picture = await shop.add(photo())
    other = await shop.add(photo("other"))
    past = time.time() - 100
    await shop.database.write(lambda c: jobs.lease(c, "dead", now=past, lease_s=60))
    await shop.database.write(lambda c: jobs.lease(c, "alive", now=past, lease_s=3600))
    async with shop.worker("w1"):
        await shop.heard_of(picture, PictureClassified)
    assert (await _job(shop, other)).worker == "alive"


async def test_a_stop_puts_the_job_back(shop: Shop) -> None:
    async with stopped_child(shop.pool):
        async with shop.worker("w1"):
            picture = await shop.add(photo())
            await leased(shop, picture)
        job = await _job(shop, picture)
        assert (job.state, job.worker, job.attempts) == ("queued", None, 0)
    async with shop.worker("w2"):
        await shop.heard_of(picture, PictureClassified)


async def test_a_full_disk_costs_the_thumbnail_and_not_the_labels(shop: Shop) -> None:
    picture = await shop.add(photo())
    (shop.blobs.path("x").parent.parent / "incoming").rmdir()
    async with shop.worker():
        await shop.heard_of(picture, PictureClassified)
    assert set((await shop.look(picture)).renditions) == {"full"}


async def test_the_cameras_own_thumbnail_leaves_no_blob_beside_it(shop: Shop) -> None:
    async with stopped_child(shop.pool) as pid:
        async with shop.worker():
            picture = await shop.add(photo(), snap="s1")
            await leased(shop, picture)
            own = uploads.Upload(
                id="own",
                snippet=1,
                snap="s1",
                name="thumbnail",
                sha256=shop.blobs.put("own", photo("small")),
                size_bytes=1,
                media_type="image/jpeg",
                width=99,
                height=66,
                idempotency_key=None,
                received_at=time.time(),
                age_ms=None,
                uncertainty_ms=None,
            )
            await shop.database.write(lambda c: uploads.take(c, own))
            os.kill(pid, signal.SIGCONT)
            await shop.heard_of(picture, PictureClassified)
    rows = await shop.database.read(
        lambda c: c.execute(select(tables.renditions.c.id)).scalars().all()
    )
    folder = shop.blobs.path("x").parent.parent
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(rows)
    assert (await shop.look(picture)).renditions["thumbnail"].width == 99


async def test_the_stored_shot_goes_with_the_picture(shop: Shop) -> None:
    async with shop.worker():
        picture = await shop.add(photo(), snap="s1")
        said = await shop.heard_of(picture, PictureClassified)
    (shot,) = await shop.database.read(lambda c: snaps.stored_shots(c, "s1"))
    assert shot == Shot(
        camera="door",
        state="classified",
        picture=(await shop.look(picture)).ref(),
        predictions=said.found.predictions,
        confidence=said.found.confidence,
    )
    assert shot.confidence is not None


async def test_a_child_that_cannot_start_costs_no_picture(shop: Shop, tmp_path: Path) -> None:
    """While the installation is changed under the server, say: pictures wait for its end."""
    model, away = tmp_path / "model.onnx", tmp_path / "away"
    shutil.copy(SHIPPED_MODEL, model)
    async with asyncio.timeout(WAIT_S):
        shop.pool = pool = ClassifierPool(1, model=model)
        await pool.start()
        model.rename(away)
        os.kill(pool.pids[0], signal.SIGKILL)
        async with shop.worker():
            waiting = [await shop.add(CHELSEA.read_bytes()) for _ in range(2)]
            # It, and two that found no model.
            await asyncio.to_thread(until, lambda: pool.lost >= 3)
            away.rename(model)
            for picture in waiting:
                await shop.heard_of(picture, PictureClassified)
        assert not [one for one in shop.heard if isinstance(one, ClassificationFailed)]
        await pool.close()
