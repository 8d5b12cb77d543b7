"""The job loop: lease a job, hand its picture to a child process, store, publish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Connection
from uuid_utils import uuid7

from objectclassification.bus import (
    Bus,
    ClassificationFailed,
    Message,
    PictureClassified,
    PictureUploaded,
)
from objectclassification.change import Change
from objectclassification.classification.counts import WorkCounts
from objectclassification.classification.engines.card import AWAY_S, EngineAway
from objectclassification.classification.engines.engines import MOST_AT_A_TIME, Engines
from objectclassification.classification.outcome import Outcome
from objectclassification.classification.pool import ChildNotStarted
from objectclassification.classification.questions import Questions, no_questions
from objectclassification.classification.tensors import Input
from objectclassification.detection import Detect
from objectclassification.errors import (
    ChildDied,
    DiskFull,
    ImageError,
    ModelError,
    NotFound,
    ObjectClassificationError,
    StoreError,
)
from objectclassification.heads import Crop
from objectclassification.messages import failure
from objectclassification.receipts import Found, Model
from objectclassification.store import changes, elsewhere, jobs, models
from objectclassification.store.blobs import Blobs
from objectclassification.store.renditions import Made
from objectclassification.store.writer import Database

POLL_S = 5.0
"""Jobs of other processes, and leases that ran out, are found by looking; our own wake us."""
RETRY_S = 1.0
"""The pause after the database failed, or no child could be started."""
MOST_LEASES = 5
"""A picture whose worker was killed this often is given up: it may be what kills the machine."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class JobLoopEnded(ObjectClassificationError):
    """The job loop met what it cannot handle: a bug, or a damaged row.

    The server ends with it, so that systemd starts it anew. The picture that did it is leased once
    more each time, and given up after :data:`MOST_LEASES`.
    """

    code = "job_loop_ended"
    retryable = True


class Pool(Protocol):
    """Child processes that classify; :class:`ClassifierPool` is one.

    Attributes:
        model_sha256: of the model that makes their embeddings.
    """

    model_sha256: str

    @property
    def size(self) -> int:
        """How many work at the same time."""

    async def classify(
        self,
        path: Path,
        *,
        thumbnail: bool,
        model: Path | None,
        crops: tuple[Crop, ...],
        detect: Detect,
        detector: Path | None,
        tensor: Input | None,
    ) -> Outcome:
        """Classifies one picture; ImageError, ModelError or ChildDied."""


def unjudged(camera: str | None, found: Found, model_sha256: str, detected: bool) -> Found:
    """For a worker whose server has no rules."""
    return found


class Worker:
    """Works jobs off, as many at a time as the pool has children.

    Jobs of models at engines elsewhere have lanes of their own: while these wait for an answer, the
    others go on.

    Args:
        database: the jobs.
        blobs: the pictures.
        pool: who classifies.
        bus: to say what came of it.
        name: of this worker, in leases; the same after a restart.
        lease_s: after this another worker may take a job over.
        questions: what is asked of a camera's pictures.
        judge: adds whether a camera's picture is unsure, and what the rules say of it; it is told
            what made the labels, and whether boxes were looked for.
        engines: who is asked for the labels of models elsewhere.

    Attributes:
        counts: of what was done so far.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        pool: Pool,
        bus: Bus,
        *,
        name: str,
        lease_s: float,
        questions: Callable[[str | None], Questions] = no_questions,
        judge: Callable[[str | None, Found, str, bool], Found] = unjudged,
        engines: Engines | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._pool = pool
        self._bus = bus
        self._name = name
        self._lease_s = lease_s
        self._questions = questions
        self._judge = judge
        self._engines = engines
        self._work = asyncio.Event()
        self.counts = WorkCounts()

    def wake(self, message: Message) -> None:
        """Looks for jobs now; subscribe it to the bus."""
        if isinstance(message, PictureUploaded):
            self._work.set()

    async def run(self) -> None:
        """Works until it is cancelled; a job under way is put back then."""
        freed = await self._database.write(lambda c: jobs.recover(c, self._name))
        await self._database.write(elsewhere.sort_again)
        if freed:
            log.info("jobs of a killed worker are done again", jobs=freed)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(self._pool.size):
                lanes.create_task(self._lane(self._lease))
            for _ in range(MOST_AT_A_TIME if self._engines is not None else 0):
                lanes.create_task(self._lane(self._lease_elsewhere))

    async def _lane(self, lease: Callable[[], Awaitable[jobs.Job | None]]) -> None:
        while True:
            self._work.clear()
            try:
                job = await lease()
                if job is not None:
                    await self._do(job)
                    continue
            except StoreError as exc:
                log.error("the job loop waits for the database", detail=exc.detail)
                await asyncio.sleep(RETRY_S)
                continue
            try:
                async with asyncio.timeout(POLL_S):
                    await self._work.wait()
            except TimeoutError:
                pass

    async def _lease(self) -> jobs.Job | None:
        now = time.time()
        return await self._database.write(
            lambda c: jobs.lease(c, self._name, now=now, lease_s=self._lease_s)
        )

    async def _lease_elsewhere(self) -> jobs.Job | None:
        assert self._engines is not None  # noqa: S101 - else there is no such lane
        away = self._engines.away
        if self._engines.models <= away.keys():
            return None
        now = time.time()
        return await self._database.write(
            lambda c: jobs.lease_elsewhere(
                c, self._name, now=now, lease_s=self._lease_s, without=away
            )
        )

    async def _do(self, job: jobs.Job) -> None:
        began = time.monotonic()
        asked = self._questions(job.camera)
        try:
            # The past is read while the child works: somebody waits for what comes after both.
            outcome, past = await asyncio.gather(
                self._classify(job, asked), self._past(job, asked, self._pool.model_sha256)
            )
        except asyncio.CancelledError:
            await self._database.write(lambda c: jobs.put_back(c, job, self._name))
            raise
        except EngineAway as exc:
            counts = exc.had_picture
            await self._database.write(lambda c: jobs.put_back(c, job, self._name, counts=counts))
            asyncio.get_running_loop().call_later(AWAY_S, self._work.set)
        except ChildNotStarted as exc:
            log.error("the job loop waits for a child process", why=exc.detail)
            await self._database.write(lambda c: jobs.put_back(c, job, self._name))
            await asyncio.sleep(RETRY_S)
        except (ImageError, ModelError, NotFound, ChildDied) as exc:
            await self._give_up(job, exc)
        else:
            await self._finish(job, outcome, past, asked, began)

    async def _classify(self, job: jobs.Job, asked: Questions) -> Outcome:
        if job.attempts > MOST_LEASES:
            who = "the server was killed" if job.address is None else "its engine gave no answer"
            raise ChildDied(f"{who} each time it tried this picture")
        path = self._blobs.path(job.blob_key)
        if not path.is_file():
            raise NotFound(jobs.LOST)
        for attempt in range(1, jobs.MOST_ATTEMPTS + 1):
            try:
                return await self._with_its_models(job, path, asked)
            except ChildNotStarted:
                raise
            except ChildDied as exc:
                log.warning(
                    "a classifying child died",
                    picture=job.picture_id,
                    **_whose(job),
                    why=exc.detail,
                )
                if attempt == jobs.MOST_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _with_its_models(self, job: jobs.Job, path: Path, asked: Questions) -> Outcome:
        model = self._model(job.model_key)
        engines = self._engines if job.address is not None else None
        try:
            outcome = await self._pool.classify(
                path,
                thumbnail=not job.has_thumbnail,
                model=model if engines is None else None,
                crops=asked.crops,
                detect=job.detect,
                detector=self._model(job.detector_key),
                tensor=None if engines is None or model is None else engines.card(model).input,
            )
            if engines is not None and model is not None:
                outcome = await engines.label(model, outcome)
            return outcome
        except ModelError:
            # One may have been exchanged and removed since the job was leased.
            now = await self._database.read(lambda c: models.used_by(c, job.picture_id))
            if now == (job.model_key, job.detector_key, job.address):
                raise
            job = replace(job, model_key=now[0], detector_key=now[1], address=now[2])
            return await self._with_its_models(job, path, asked)

    def _model(self, key: str | None) -> Path | None:
        return None if key is None else self._blobs.path(key)

    async def _finish(
        self,
        job: jobs.Job,
        outcome: Outcome,
        past: changes.Past | None,
        asked: Questions,
        began: float,
    ) -> None:
        if past is not None and past.model_sha256 != outcome.embedded_by:  # the first child's
            past = await self._past(job, asked, outcome.embedded_by)
        thumbnail, change = await asyncio.gather(
            self._keep_thumbnail(outcome), _compare(outcome, past, asked)
        )
        seen = Found(
            outcome.predictions,
            asked.answers(outcome),
            change=change,
            confidence=outcome.confidence,
        )
        found = self._judge(job.camera, seen, outcome.model_sha256, bool(job.detect))
        result = jobs.Result(
            found=found,
            model=Model(outcome.model_id, outcome.model_sha256),
            detector=outcome.detector,
            embedding=outcome.embedding,
            embedded_by=outcome.embedded_by,
            thumbnail=thumbnail,
            at=time.time(),
            crops=tuple(zip(asked.crops, outcome.crops, strict=True)),
        )
        done = await self._write(lambda c: jobs.finish(c, job, self._name, result))
        if thumbnail is not None and not done.with_thumbnail:
            self._blobs.delete(thumbnail.id)
        if not done.stored:
            return
        elapsed_s = time.monotonic() - began
        self.counts.finished(outcome, elapsed_s)
        best = outcome.predictions[0] if outcome.predictions else None
        log.info(
            "classified",
            picture=job.picture_id,
            **_whose(job),
            label=best and best.label,
            score=best and round(best.score, 3),
            unsure=found.unsure,
            verdict=found.verdict,
            elapsed_ms=round(elapsed_s * 1000, 1),
            child_ms=outcome.elapsed_ms,
        )
        self._bus.publish(
            PictureClassified(job.picture_id, job.camera, job.snap, found, done.shown)
        )

    async def _past(self, job: jobs.Job, asked: Questions, model: str) -> changes.Past | None:
        """What a picture is compared with; on a reading thread, as writers have one only."""
        try:
            return await self._database.read(
                lambda c: changes.past(c, job.picture_id, model, asked.crops)
            )
        except StoreError as exc:  # the labels do not wait for it
            log.error("a picture cannot be compared with the past", detail=exc.detail)
            return None

    async def _write(self, work: Callable[[Connection], T]) -> T:
        """Writes what came of a job, once the disk has room for it: that is less work than anew.

        By then another worker may have the job; the work says so.
        """
        while True:
            try:
                return await self._database.write(work)
            except DiskFull as exc:
                log.error("a result waits for the database", detail=exc.detail)
                await asyncio.sleep(RETRY_S)

    async def _keep_thumbnail(self, outcome: Outcome) -> Made | None:
        made = outcome.thumbnail
        if made is None:
            return None
        key = str(uuid7())
        try:
            sha256 = await asyncio.to_thread(self._blobs.put, key, made.content)
        except OSError as exc:  # a full disk must not cost the labels
            log.error("a thumbnail cannot be written", reason=exc.strerror)
            return None
        return Made(key, sha256, len(made.content), made.width, made.height)

    async def _give_up(self, job: jobs.Job, exc: ObjectClassificationError) -> None:
        error = failure("classify_failed", exc.detail)
        log.warning(
            "a picture cannot be classified",
            picture=job.picture_id,
            **_whose(job),
            why=exc.detail,
        )
        done = await self._write(lambda c: jobs.give_up(c, job, self._name, error))
        if done.stored:
            self.counts.pictures["classify_failed"] += 1
            self._bus.publish(
                ClassificationFailed(job.picture_id, job.camera, job.snap, error.detail, done.shown)
            )


async def _compare(outcome: Outcome, past: changes.Past | None, asked: Questions) -> Change | None:
    """What is new on a picture, beside its camera's past."""
    if past is None or not past.whole:
        return None
    # Imported with the first past: numpy is not for a server that has none.
    from objectclassification.classification.novelty import compared

    crops = dict(zip(asked.crops, outcome.crops, strict=True))
    return await asyncio.to_thread(compared, outcome.embedding, past.whole, crops, past.crops)


def _whose(job: jobs.Job) -> dict[str, str]:
    """Snap and camera of a job's picture, for its log lines."""
    whose = {"snap": job.snap, "camera": job.camera}
    return {key: value for key, value in whose.items() if value is not None}
