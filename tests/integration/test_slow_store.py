"""Snaps end, and end once, while the store is slow or refuses."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from objectclassification.errors import StoreError
from objectclassification.hub.connection import Connection
from objectclassification.hub.effects import NewSnap
from objectclassification.hub.hub import Hub
from objectclassification.hub.recorder import Recorder
from objectclassification.hub.runner import HubRunner
from objectclassification.messages import Accepted, Done, Problem, Shots, SnapOrder, SnapRequest
from objectclassification.receipts import Receipt
from objectclassification.recorder import DatabaseRecorder
from objectclassification.store import snaps
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import Database, open_database
from tests.hubs import ADMIN
from tests.integration.hub_fixtures import WITHIN_S, camera, controller, hear, say, token, tokens

RECORDER_TIMEOUT_S = 0.3


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    database.start()
    yield database
    database.close()


@pytest_asyncio.fixture
async def recorder(database: Database) -> AsyncIterator[DatabaseRecorder]:
    recorder = DatabaseRecorder(database, "server-1")
    yield recorder
    await recorder.finish()


@asynccontextmanager
async def serving(recorder: Recorder) -> AsyncIterator[tuple[HubRunner, str]]:
    runner = HubRunner(
        Hub(until="captured"), recorder, tokens(), recorder_timeout_s=RECORDER_TIMEOUT_S
    )
    await runner.start()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(runner), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield runner, f"ws://127.0.0.1:{port}/?token={token('admin')}"
    finally:
        listening.close()
        await runner.stop()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another process writes, and does not finish."""
    other = sqlite3.connect(database.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def stored(database: Database, snap_id: str) -> Receipt | None:
    return await database.read(lambda connection: snaps.find(connection, snap_id))


async def captured(cam: ClientConnection) -> None:
    """The camera answers the next order."""
    order = await hear(cam)
    assert isinstance(order, SnapOrder)
    await say(cam, "shot", snap=order.id, camera="door", state="captured")


async def test_a_snap_that_could_not_be_stored_in_time_never_was(
    database: Database, recorder: DatabaseRecorder
) -> None:
    async with serving(recorder) as (runner, url), connect(url) as cam:
        await camera(cam, "door")
        request = SnapRequest(to=("door",), id="mine")
        with locked(database), pytest.raises(StoreError, match="did not answer"):
            await runner.snap(request, ADMIN)
        await database.write(lambda connection: None)  # what waited before it is done with
        assert await stored(database, "mine") is None
        receipt = await runner.snap(request, ADMIN)
        ending = asyncio.create_task(runner.wait_done(receipt.snap))
        await captured(cam)
        assert (await ending).answered == 1


async def test_an_end_that_could_not_be_written_in_time_is_written_later(
    database: Database, recorder: DatabaseRecorder
) -> None:
    async with serving(recorder) as (runner, url), connect(url) as cam:
        await camera(cam, "door")
        receipt = await runner.snap(SnapRequest(to=("door",), id="mine"), ADMIN)
        ending = asyncio.create_task(runner.wait_done(receipt.snap))
        with locked(database):
            await captured(cam)
            told = await asyncio.wait_for(ending, WITHIN_S)
        assert told.answered == 1
        async with asyncio.timeout(WITHIN_S):
            while not (found := await stored(database, "mine")) or not found.done:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (found.answered, found.elapsed_ms) == (told.answered, told.elapsed_ms)
        assert found.shots[0].state == "captured"


async def test_the_same_id_gets_the_end_that_was_told_and_is_not_written_yet(
    database: Database, recorder: DatabaseRecorder
) -> None:
    async with serving(recorder) as (runner, url), connect(url) as cam:
        await camera(cam, "door")
        request = SnapRequest(to=("door",), id="mine")
        await runner.snap(request, ADMIN)
        ending = asyncio.create_task(runner.wait_done("mine"))
        with locked(database):
            await captured(cam)
            told = await asyncio.wait_for(ending, WITHIN_S)
        again = await runner.snap(request, ADMIN)
        assert (again.done, again.elapsed_ms) == (True, told.elapsed_ms)


class _AnswersLate(DatabaseRecorder):
    """Stores snaps, and does not say so in time."""

    async def store(self, snap: NewSnap) -> Receipt | None:
        found = await super().store(snap)
        if found is None:
            await asyncio.sleep(60)
        return found


async def test_a_stored_snap_that_nobody_ended_is_ended_for_who_asks_again(
    database: Database,
) -> None:
    request = SnapRequest(to=("door",), id="mine")
    async with (
        serving(_AnswersLate(database, "server-1")) as (runner, url),
        connect(url) as cam,
        connect(url) as ctl,
    ):
        await camera(cam, "door")
        with pytest.raises(StoreError):
            await runner.snap(request, ADMIN)
        lost = await stored(database, "mine")
        assert lost is not None
        assert not lost.done

        await controller(ctl)
        again = {"to": ["door"], "id": "other"}
        await say(ctl, "snap", **again)
        assert isinstance(await hear(ctl), Problem)  # the store did not answer in time
        await say(ctl, "snap", **again)
        accepted, shots, done = await hear(ctl), await hear(ctl), await hear(ctl)
        assert accepted == Accepted("other", ("door",))
        assert isinstance(shots, Shots)
        assert shots.shots[0].error is not None
        assert shots.shots[0].error.code == "timeout"
        assert isinstance(done, Done)
        assert (done.answered, done.failed, done.missing) == (0, 0, 1)

        found = await stored(database, "other")
        assert found is not None
        assert (found.done, found.elapsed_ms) == (True, done.elapsed_ms)
        assert found.elapsed_ms is not None
        assert found.elapsed_ms >= RECORDER_TIMEOUT_S * 1000  # since it was taken the first time

        receipt = await runner.snap(request, ADMIN)  # and over HTTP, as for ?wait=1
        assert (await runner.wait_done(receipt.snap)).missing == 1
