"""The writing thread: group commit, savepoints, errors, the end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, event, func, select

from objectclassification.errors import DiskFull, NotFound, StoreError
from objectclassification.store import snippets
from objectclassification.store.schema import upgrade
from objectclassification.store.tables import cameras
from objectclassification.store.writer import MOST_IN_A_COMMIT, Database, open_database


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "db")
    upgrade(database.engine)
    database.start()
    yield database
    database.close()


def register(name: str) -> Callable[[Connection], int]:
    return lambda connection: snippets.register(connection, name, at=1.0).number


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(cameras)).scalar_one()


class Held:
    """Keeps the writing thread busy, so that what comes after it waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._go = threading.Event()
        self._running = threading.Event()

    async def __aenter__(self) -> Held:
        def work(connection: Connection) -> None:
            self._running.set()
            assert self._go.wait(30)

        self._task = asyncio.create_task(self._database.write(work))
        await asyncio.to_thread(self._running.wait, 30)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.release()

    async def release(self) -> None:
        self._go.set()
        await self._task


async def test_a_write_is_there_when_it_returns(database: Database) -> None:
    assert await database.write(register("door")) == 1
    assert await database.read(count) == 1
    raw = sqlite3.connect(database.file)  # another process sees it too
    assert raw.execute("SELECT name FROM cameras").fetchall() == [("door",)]
    raw.close()


async def test_what_waits_shares_one_commit(database: Database) -> None:
    commits: list[object] = []
    event.listen(database.engine, "commit", commits.append)
    async with Held(database) as held:
        writes = [asyncio.create_task(database.write(register(f"c{n}"))) for n in range(50)]
        await asyncio.sleep(0)  # lets them queue
        commits.clear()
        await held.release()
        assert await asyncio.gather(*writes) == list(range(1, 51))
    assert len(commits) == 2  # what held the thread, and all the others
    assert len(writes) < MOST_IN_A_COMMIT


async def test_one_that_fails_takes_no_other_with_it(database: Database) -> None:
    def refused(connection: Connection) -> None:
        register("undone")(connection)
        raise NotFound("ours")

    def broken(connection: Connection) -> None:
        register("undone too")(connection)
        connection.exec_driver_sql("INSERT INTO cameras VALUES (1)")

    def bug(connection: Connection) -> None:
        register("undone as well")(connection)
        raise ZeroDivisionError

    async with Held(database) as held:
        works = [register("one"), refused, broken, bug, register("two")]
        writes = [asyncio.create_task(database.write(work)) for work in works]
        await asyncio.sleep(0)
        await held.release()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], NotFound)
    assert isinstance(outcomes[2], StoreError)
    assert isinstance(outcomes[2].__cause__, Exception)
    assert isinstance(outcomes[3], ZeroDivisionError)
    assert outcomes[4] == 2
    assert [row.name for row in await database.read(snippets.all_cameras)] == ["one", "two"]


async def test_a_read_sees_a_snapshot_and_no_half_write(database: Database) -> None:
    async with Held(database):
        assert await database.read(count) == 0
    await database.write(register("door"))

    def counts(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        raw = sqlite3.connect(database.file)
        raw.execute("DELETE FROM snippets")
        raw.execute("DELETE FROM cameras")
        raw.commit()
        raw.close()
        return before, count(connection)

    assert await database.read(counts) == (1, 1)
    assert await database.read(count) == 0


async def test_a_read_that_fails_is_a_store_error(database: Database) -> None:
    with pytest.raises(StoreError, match="no such table"):
        await database.read(lambda c: c.exec_driver_sql("SELECT * FROM no_such").all())
    with pytest.raises(NotFound):
        await database.read(lambda c: snippets.slot(c, 99))


async def test_a_caller_that_gives_up_disturbs_nobody(database: Database) -> None:
    async with Held(database) as held:
        gone = asyncio.create_task(database.write(register("gone")))
        stays = asyncio.create_task(database.write(register("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        await held.release()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await stays > 0
    names = {row.name for row in await database.read(snippets.all_cameras)}
    assert names == {"stays"}  # who gave up was told that nothing was written


async def test_a_caller_that_gives_up_while_another_process_holds_the_file_wrote_nothing(
    database: Database,
) -> None:
    other = sqlite3.connect(database.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await database.write(register("gone"))
    other.execute("ROLLBACK")
    other.close()
    await database.write(register("next"))
    assert [row.name for row in await database.read(snippets.all_cameras)] == ["next"]


async def test_closing_finishes_what_waits_and_refuses_the_rest(database: Database) -> None:
    async with Held(database) as held:
        late = asyncio.create_task(database.write(register("late")))
        await asyncio.sleep(0)
        await held.release()
    database.close()
    assert await late == 1
    with pytest.raises(StoreError, match="closed"):
        await database.write(register("too late"))
    with pytest.raises(StoreError, match="closed"):
        await database.read(count)
    database.close()  # twice is fine
    raw = sqlite3.connect(database.file)
    assert raw.execute("SELECT count(*) FROM cameras").fetchone() == (1,)
    raw.close()


async def test_commits_are_on_the_disk(database: Database) -> None:
    def pragmas(connection: Connection) -> tuple[object, object, object]:
        return tuple(
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        )

    assert await database.write(pragmas) == ("wal", 2, 1)  # 2 is FULL


async def test_a_full_database_refuses_and_recovers(database: Database) -> None:
    """SQLite says it is full and may undo the whole transaction, others' part included."""

    def limit(pages: int) -> Callable[[Connection], object]:
        return lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one()

    def large(connection: Connection) -> None:
        snippets.register(connection, "large", at=1.0, source="x" * 1_000_000)

    await database.write(limit(1))  # no less than it has
    async with Held(database) as held:
        writes = [
            asyncio.create_task(database.write(work))
            for work in (register("before"), large, register("after"))
        ]
        await asyncio.sleep(0)
        await held.release()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(outcomes[1], DiskFull)
    there = {row.name for row in await database.read(snippets.all_cameras)}
    said = {
        name
        for name, outcome in zip(("before", "large", "after"), outcomes, strict=True)
        if not isinstance(outcome, BaseException)
    }
    assert there == said  # who was told that it is stored finds it, and nobody else
    await database.write(limit(1_000_000))
    await database.write(large)
    assert "large" in {row.name for row in await database.read(snippets.all_cameras)}


async def test_what_is_written_to_a_file_that_is_gone_is_refused(database: Database) -> None:
    """It would be lost with the process, and was not acknowledged."""
    for name in ("db", "db-wal", "db-shm"):
        (database.file.parent / name).unlink()
    with pytest.raises(StoreError, match="deleted or replaced"):
        await database.write(lambda c: snippets.register(c, "door", at=1.0))
