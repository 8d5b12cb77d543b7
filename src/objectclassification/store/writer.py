"""The database: one writing thread with group commit, a few reading ones.

Everything that only SQLite speaks is in this file: its pragmas, ``BEGIN IMMEDIATE``, how a full
disk looks, its online backup and its check.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from objectclassification.errors import DataFolderUnusable, DiskFull, StoreError
from objectclassification.store.counts import CommitCounts
from objectclassification.store.folder import file_identity

T = TypeVar("T")
Work = Callable[[Connection], T]

MOST_IN_A_COMMIT = 256
MOST_WAITING = 10_000
READERS = 4
PAGES_A_STEP = 1024
"""Of 4 KiB: how often a backup tells how far it is."""

log = structlog.get_logger(__name__)

_Write = tuple[Work[Any], asyncio.Future[Any]]
_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]
# The driver's own errors come from statements that are run past SQLAlchemy.
_REFUSALS = (SQLAlchemyError, sqlite3.Error)


class Database:
    """A SQLite database in WAL mode.

    Writes are functions of a connection. They run one after the other on one thread; all that wait
    when the thread is free share one transaction, each in a savepoint of its own, so that one that
    fails takes no other with it. A write has happened when :meth:`write` returns: the commit is on
    the disk (``synchronous=FULL``). A caller that gives up while its write waits, for the thread or
    for another process that holds the file, has written nothing.

    Args:
        file: the database file; its folder must exist.

    Attributes:
        file: as given.
        counts: of the commits so far.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._engine = _engine(file, "BEGIN IMMEDIATE")
        self._read_engine = _engine(file, "BEGIN")
        self._waiting: queue.Queue[_Write | None] = queue.Queue(MOST_WAITING)
        self._connection: Connection | None = None  # the writing thread's
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._closed = False
        self._identity = file_identity(file)
        self.counts = CommitCounts()

    @property
    def waiting(self) -> int:
        """How many writes wait for the writing thread."""
        return self._waiting.qsize()

    @property
    def engine(self) -> Engine:
        """For migrations, before :meth:`start`."""
        return self._engine

    def start(self) -> None:
        """Starts the writing thread."""
        self._identity = file_identity(self.file)
        self._thread.start()

    async def write(self, work: Work[T]) -> T:
        """Runs ``work`` in a transaction and returns when it is durable.

        Raises:
            StoreError: the database refused, or too much is waiting. Errors of ours that ``work``
                raises pass through, and its changes are undone.
        """
        if self._closed:
            raise StoreError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((work, future))
        except queue.Full as exc:
            raise StoreError(f"{MOST_WAITING} writes are waiting: the disk is too slow") from exc
        return await future

    async def read(self, work: Work[T]) -> T:
        """Runs ``work`` on a reading thread, in a snapshot of its own.

        Raises:
            StoreError: the database refused, or is closed.
        """
        if self._closed:
            raise StoreError("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def close(self) -> None:
        """Finishes what waits, then closes. Blocks until then."""
        if not self._closed:
            self._closed = True
            if self._thread.is_alive():
                self._waiting.put(None)
                self._thread.join()
            self._readers.shutdown()
            self._engine.dispose()
            self._read_engine.dispose()

    def _read(self, work: Work[T]) -> T:
        try:
            with self._read_engine.begin() as connection:
                return work(connection)
        except _REFUSALS as exc:
            raise StoreError(f"the database cannot be read: {_reason(exc)}") from exc

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < MOST_IN_A_COMMIT and batch[-1] is not None:
                try:
                    batch.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            _settle(self._commit([item for item in batch if item is not None]))
            if batch[-1] is None:
                self._disconnect()
                return

    def _commit(self, batch: list[_Write]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        if not batch:
            return outcomes
        began = time.monotonic()
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                for work, future in batch:
                    # From here on it cannot be taken back.
                    if not future.cancelled():
                        outcomes.append((future, *_in_savepoint(self._connection, work)))
            if file_identity(self.file) != self._identity:
                # What was committed is gone with the last one who has the old file open.
                gone = StoreError(f"{self.file} was deleted or replaced under the server")
                return [(future, None, gone) for _, future in batch]
            self.counts.committed(len(outcomes), time.monotonic() - began)
        except _REFUSALS as exc:
            self.counts.failed += 1
            log.error("commit failed", writes=len(batch), reason=_reason(exc))
            self._disconnect()
            error = _refusal("the database cannot be written", exc)
            return [(future, None, error) for _, future in batch]
        return outcomes

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def open_database(file: Path) -> Database:
    """Opens or makes the database file.

    Raises:
        DataFolderUnusable: it cannot be written, or is no database.
    """
    database = Database(file)
    try:
        with database.engine.begin():
            pass
    except _REFUSALS as exc:
        database.close()
        raise DataFolderUnusable(f"cannot use {file}: {_reason(exc)}", path=str(file)) from exc
    return database


@contextmanager
def reading(file: Path) -> Iterator[Connection]:
    """A snapshot of a database that a server may be using; nothing can be changed through it.

    Raises:
        StoreError: it cannot be read.
    """
    engine = create_engine(f"sqlite:///file:{quote(str(file))}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection
    except SQLAlchemyError as exc:
        raise StoreError(f"{file} cannot be read: {_reason(exc)}") from exc
    finally:
        engine.dispose()


@contextmanager
def editing(file: Path) -> Iterator[Connection]:
    """One transaction on a database that nobody else uses, and that stays one file.

    Raises:
        StoreError: it cannot be written.
    """
    engine = create_engine(f"sqlite:///{file}")
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys=ON"))
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as exc:
        raise StoreError(f"{file} cannot be written: {_reason(exc)}") from exc
    finally:
        engine.dispose()


def faults(file: Path) -> list[str]:
    """What SQLite finds wrong with a database, one line each; reads the whole file.

    Raises:
        StoreError: it cannot be read at all.
    """
    with reading(file) as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(10)").scalars()
        return [str(line) for line in found if line != "ok"]


def copy_database(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copies a database, also while a server writes to it, into one durable file.

    Args:
        source: the database.
        target: a file that is not there yet.
        progress: told how many pages are copied, and of how many.

    Raises:
        StoreError: one of the two cannot be used.
    """

    def step(status: int, left: int, pages: int) -> None:
        progress(pages - left, pages)

    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            # One snapshot for all steps: without it every write of the server starts them anew.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=PAGES_A_STEP, progress=step)
            new.execute("PRAGMA journal_mode=DELETE")  # no second file beside it
    except sqlite3.Error as exc:
        raise StoreError(f"{source} cannot be copied to {target}: {exc}") from exc


def _settle(outcomes: list[_Outcome]) -> None:
    """Tells the callers, each loop in one wake-up for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, theirs)


def _tell(outcomes: list[_Outcome]) -> None:
    for future, value, failure in outcomes:
        if future.done():  # the caller gave up
            continue
        if failure is None:
            future.set_result(value)
        else:
            future.set_exception(failure)


def _in_savepoint(connection: Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    # Past SQLAlchemy, whose own savepoints cost as much as the statements of a PUT.
    cursor = connection.connection.cursor()
    cursor.execute("SAVEPOINT one_write")
    try:
        value = work(connection)
        cursor.execute("RELEASE one_write")
        return value, None
    except _REFUSALS as exc:
        try:
            _undo(cursor)
        except sqlite3.Error as gone:
            # SQLite undid the whole transaction by itself, as it does when the disk is full: the
            # reason is what counts, not that its savepoint went with it.
            raise exc from gone
        return None, _refusal("the database refused", exc)
    except Exception as exc:  # noqa: BLE001 - it is the caller's, who gets it from write()
        _undo(cursor)
        return None, exc


def _undo(cursor: DBAPICursor) -> None:
    cursor.execute("ROLLBACK TO one_write")
    cursor.execute("RELEASE one_write")


def _engine(file: Path, begin: str) -> Engine:
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 10.0})

    @event.listens_for(engine, "connect")
    def connected(raw: sqlite3.Connection, record: object) -> None:
        raw.isolation_level = None  # the driver must not begin transactions behind our back
        cursor = raw.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        connection.connection.cursor().execute(begin)

    return engine


def _refusal(what: str, exc: SQLAlchemyError | sqlite3.Error) -> StoreError:
    # SQLITE_FULL comes from writing pages, before a commit's mark is whole: nothing was committed.
    raw = exc.orig if isinstance(exc, DBAPIError) else exc
    # Errors of the sqlite3 module itself have no code.
    code = getattr(raw, "sqlite_errorcode", None)
    full = code == sqlite3.SQLITE_FULL
    error = DiskFull() if full else StoreError(f"{what}: {_reason(exc)}")
    error.__cause__ = exc
    return error


def _reason(exc: SQLAlchemyError | sqlite3.Error) -> str:
    return str(exc.orig) if isinstance(exc, DBAPIError) else str(exc).splitlines()[0]
