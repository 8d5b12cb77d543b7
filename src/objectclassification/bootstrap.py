"""The one composition root: settings in, running parts out, stopped in reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from fastapi import FastAPI
from uuid_utils import uuid7

from objectclassification import web
from objectclassification.announcer import announce
from objectclassification.api.app import create_app
from objectclassification.api.counts import HttpCounts
from objectclassification.api.parts import Parts
from objectclassification.auth import TokenRecord, Tokens, hash_token, new_token
from objectclassification.bus import (
    Bus,
)
from objectclassification.certificates import ServerTls, serving_tls
from objectclassification.classification.engines.engines import Engines
from objectclassification.classification.pool import ClassifierPool
from objectclassification.config import ServerSettings, write_secret
from objectclassification.config.engines import read_engine_headers
from objectclassification.errors import DataFolderUnusable, DiskFull
from objectclassification.housekeeping import Housekeeper, tidying
from objectclassification.hub.hub import Hub
from objectclassification.hub.limits import Limits
from objectclassification.hub.remote import TrustedProxies
from objectclassification.hub.runner import HubRunner
from objectclassification.judging import Judge
from objectclassification.metrics.lag import LoopLag
from objectclassification.metrics.page import Metrics
from objectclassification.metrics.sources import Sources
from objectclassification.metrics.stock import Stock
from objectclassification.readiness import Readiness
from objectclassification.receipts import rfc3339
from objectclassification.recorder import DatabaseRecorder, PresenceRows
from objectclassification.renditions import Renditions
from objectclassification.scheduler import Scheduler, scheduling
from objectclassification.store import folder, lost
from objectclassification.store import models as stored_models
from objectclassification.store import sessions as stored_sessions
from objectclassification.store import tokens as stored_tokens
from objectclassification.store.blobs import NO_SPACE, Blobs
from objectclassification.store.retention import Policy
from objectclassification.store.schema import upgrade
from objectclassification.store.writer import Database, open_database
from objectclassification.teaching import Teacher
from objectclassification.teaching.refitting import Refitter, refitting
from objectclassification.worker import Worker

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class System:
    """A running server, except for its port.

    Attributes:
        app: HTTP.
        runner: WebSockets.
        token: the admin token of the data folder, None with ``--no-auth``.
        token_file: where it is kept.
        first_start: whether the token was made now.
        tls: for HTTPS and wss; None is plain.
        working: the job loop; done only when it failed.
    """

    app: FastAPI
    runner: HubRunner
    token: str | None
    token_file: Path | None
    first_start: bool
    tls: ServerTls | None
    working: asyncio.Task[None]


@asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[System]:
    """Starts every part of a server, and stops them all on the way out.

    Raises:
        DataFolderUnusable: the data folder cannot be used, or another server uses it, or its
            database is gone while its pictures are there.
        DiskFull: there is no room to start.
        NewerDatabase: a newer version made it.
        ConfigurationError: the certificate, the device, or the file of ``engine_headers``, cannot
            be used.
        ModelError: the model cannot be used.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.held(settings.data))
        lost.check_database(settings.data)
        server = _server_id(settings.data / folder.SERVER_ID)
        folder.make_private(settings.data)
        tls = await stack.enter_async_context(
            serving_tls(settings.certificate, settings.data, settings.host)
        )
        database = open_database(settings.data / folder.DATABASE)
        stack.callback(database.close)
        upgrade(database.engine)
        database.start()
        blobs = Blobs(settings.data / folder.BLOBS, floor_bytes=settings.disk_floor_bytes)
        tokens = Tokens(open=settings.no_auth)
        token, first_start = await _admin_token(settings, database)
        tokens.load(await database.read(stored_tokens.good))
        for session in await database.read(lambda c: stored_sessions.good(c, at=time.time())):
            tokens.keep_session(session)

        bus = Bus()
        seen = await _looking(settings, database, blobs, bus, server, stack)
        runner = await _hub(settings, database, tokens, server, stack)
        bus.subscribe(partial(announce, runner))

        schedules = Scheduler(database, runner.snap)
        await stack.enter_async_context(scheduling(schedules))

        counts, lag = HttpCounts(), LoopLag()
        stack.enter_context(lag.measured())
        metrics = Metrics(
            Sources(
                hub=runner,
                http=counts,
                database=database,
                stock=Stock(database, blobs),
                pool=seen.pool,
                work=seen.worker.counts,
                engines=seen.engines,
                lag=lag,
                disk_floor_bytes=settings.disk_floor_bytes,
            )
        )
        runner.subscribe(metrics.watch)
        readiness = Readiness(database, blobs, seen.pool, seen.working, lambda: lag.worst_s)
        stack.push_async_callback(readiness.close)
        keeper = Housekeeper(database, blobs.delete, Policy.of(settings), count=metrics.deleted)
        await stack.enter_async_context(tidying(keeper))
        app = create_app(
            Parts(
                settings=settings,
                database=database,
                blobs=blobs,
                tokens=tokens,
                bus=bus,
                snaps=runner,
                schedules=schedules,
                teacher=seen.teacher,
                judge=seen.judge,
                look=seen.pool.classify,
                medium=Renditions(database, blobs, seen.pool).medium,
                engines=seen.engines,
                inspect=runner.inspect,
                forget=runner.forget,
                regroup=runner.regroup,
                presence=runner.cameras,
                waiting=runner.waiting,
                waiting_for=runner.waiting_for,
                counts=counts,
                ready=readiness.failing,
                metrics=metrics.page,
                authority=None if tls is None else tls.authority,
            )
        )
        web.install(app)
        yield System(
            app=app,
            runner=runner,
            token=token,
            token_file=None if token is None else _token_file(settings.data),
            first_start=first_start,
            tls=tls,
            working=seen.working,
        )


@dataclass(frozen=True, slots=True)
class _Looking:
    """Who looks at pictures.

    Attributes:
        pool: the classifying children.
        teacher: the heads.
        judge: the rules and thresholds.
        engines: who has models elsewhere.
        worker: the job loop.
        working: its task; done only when it failed.
    """

    pool: ClassifierPool
    teacher: Teacher
    judge: Judge
    engines: Engines
    worker: Worker
    working: asyncio.Task[None]


async def _looking(
    settings: ServerSettings,
    database: Database,
    blobs: Blobs,
    bus: Bus,
    server: str,
    stack: AsyncExitStack,
) -> _Looking:
    """Starts the job loop and what it asks; heads of another model are fitted anew beside it."""
    pool = await _pool(settings, stack)
    teacher = Teacher(database, blobs, pool)
    await teacher.load()
    judge = Judge(database, pool.model_sha256)
    await judge.load()
    engines = _engines(settings, stack)
    engines.watch(await database.read(stored_models.addresses))
    worker = Worker(
        database,
        blobs,
        pool,
        bus,
        name=server,
        lease_s=settings.job_lease_s,
        questions=teacher.questions,
        judge=judge.judged,
        engines=engines,
    )
    bus.subscribe(worker.wake)
    working = await stack.enter_async_context(_in_background(worker))
    refitter = Refitter(database, blobs, pool, teacher, bus)
    await stack.enter_async_context(refitting(refitter))
    return _Looking(pool, teacher, judge, engines, worker, working)


def _engines(settings: ServerSettings, stack: AsyncExitStack) -> Engines:
    """Who asks engines elsewhere; it connects when it first asks."""
    engines = Engines(
        timeout_s=settings.engine_timeout_s,
        headers=read_engine_headers(settings.engine_headers),
        top=settings.top,
    )
    stack.push_async_callback(engines.close)
    return engines


async def _pool(settings: ServerSettings, stack: AsyncExitStack) -> ClassifierPool:
    """The classifying children; the first of them is ready."""
    pool = ClassifierPool(
        settings.workers or None,
        model=settings.model,
        timeout_s=settings.classify_timeout_s,
        max_pixels=settings.max_pixels,
        top=settings.top,
        device=settings.device,
    )
    stack.push_async_callback(pool.close)
    await pool.start()
    return pool


async def _hub(
    settings: ServerSettings, database: Database, tokens: Tokens, server: str, stack: AsyncExitStack
) -> HubRunner:
    """The hub on its database; it goes on with the snaps that a killed server left open."""
    recorder = DatabaseRecorder(database, server)
    stack.push_async_callback(recorder.finish)
    proxies = TrustedProxies(settings.trusted_proxies)
    limits = Limits.of(settings)
    hub = Hub(snaps_per_minute=limits.snaps_per_minute, grace_s=settings.presence_grace_s)
    runner = HubRunner(hub, recorder, tokens, proxies=proxies, limits=limits)
    left_open = await recorder.take_over()
    if left_open:
        log.warning("snaps of a killed server go on", snaps=len(left_open))
    await runner.start(left_open, await recorder.asleep())
    stack.push_async_callback(runner.stop)
    seen = PresenceRows(database)
    stack.push_async_callback(seen.finish)
    runner.subscribe(seen.watch)
    return runner


@asynccontextmanager
async def _in_background(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """Runs the job loop; when it ends by itself, that is an error and is logged."""
    task = asyncio.create_task(worker.run(), name="job-loop")
    task.add_done_callback(_report)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})  # how it ended was reported


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("the job loop ended", exc_info=task.exception())


def _server_id(file: Path) -> str:
    """This data folder's server: the same after a restart, so that it knows its own leases."""
    kept = _read(file)
    if not kept:
        kept = str(uuid7())
        _write(file, kept)
    return kept


def _read(file: Path) -> str:
    """What a file of the data folder holds; nothing if it is not there yet."""
    try:
        return file.read_text().strip() if file.exists() else ""
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it holds no text"
        raise DataFolderUnusable(
            f"cannot read {file}: {why}; move it away, and the next start makes a new one",
            path=str(file.parent),
        ) from exc


def _write(file: Path, text: str) -> None:
    try:
        write_secret(file, text)
    except OSError as exc:
        if exc.errno in NO_SPACE:
            raise DiskFull from exc
        raise DataFolderUnusable(
            f"cannot write {file}: {exc.strerror}; choose another data folder with --data",
            path=str(file.parent),
        ) from exc


def _token_file(data: Path) -> Path:
    return data / folder.ADMIN_TOKEN


async def _admin_token(settings: ServerSettings, database: Database) -> tuple[str | None, bool]:
    """The admin token of the data folder, made on the first start, and whether it was."""
    if settings.no_auth:
        return None, False
    file = _token_file(settings.data)
    kept = _read(file)
    token, now = kept or new_token(), time.time()
    record = TokenRecord(
        id=str(uuid7()),
        sha256=hash_token(token),
        role="admin",
        name="first start",
        created_at=rfc3339(now),
    )
    if kept:
        if await database.write(lambda c: stored_tokens.add_again(c, record, at=now)):
            log.warning("no admin token was good; the data folder's is again", file=str(file))
        return kept, False
    await database.write(lambda c: stored_tokens.add(c, record, at=now))
    _write(file, token + "\n")
    return token, True
