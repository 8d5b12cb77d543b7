"""Jobs: a row with a lease. The row is the truth; whatever wakes a worker only saves it a wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from objectclassification.receipts import Model, Prediction, Shot, ShotError, State
from objectclassification.store import snaps
from objectclassification.store.tables import embeddings, jobs, pictures, predictions, renditions

MOST_ATTEMPTS = 2
"""A picture that killed its child is tried once more, and then given up."""
LOST = "the picture's file is gone"
"""The error of a job whose blob is not there: found by its worker, or by ``doctor --repair``."""


@dataclass(frozen=True, slots=True)
class Job:
    """A leased job.

    Attributes:
        id: the job.
        picture_id: what to classify.
        blob_key: the rendition to read.
        attempts: how often it was leased, this time included.
        has_thumbnail: whether the camera sent one.
        snap: the snap the picture answers, or None.
        camera: whose picture it is, or None.
    """

    id: str
    picture_id: str
    blob_key: str
    attempts: int
    has_thumbnail: bool
    snap: str | None
    camera: str | None


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A thumbnail whose blob is durable."""

    id: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    media_type: str = "image/jpeg"


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a result.

    Attributes:
        stored: False if another worker has the job by now; nothing is stored then.
        with_thumbnail: False if its thumbnail's blob is not needed.
    """

    stored: bool
    with_thumbnail: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a classifier found on a picture.

    Attributes:
        predictions: best first.
        model: which model said so.
        embedding: float16, little endian; empty if the model has none.
        thumbnail: None if the camera sent one.
    """

    predictions: Sequence[Prediction]
    model: Model
    embedding: bytes
    thumbnail: Thumbnail | None


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs that are not done.

    Attributes:
        queued: jobs that wait for a worker.
        leased: jobs that a worker has.
        oldest_at: when the picture of the oldest of both arrived, seconds since the epoch; None if
            there is none.
    """

    queued: int
    leased: int
    oldest_at: float | None


def lease(connection: Connection, worker: str, *, now: float, lease_s: float) -> Job | None:
    """Takes a job that waits, or whose worker let its lease run out.

    Pictures that answer a snap come first, because somebody may be waiting for their labels; the
    oldest comes first among them, and among the rest.

    Returns:
        The job, or None if there is none.
    """
    free = or_(jobs.c.state == "queued", (jobs.c.state == "leased") & (jobs.c.lease_until_at < now))
    row = connection.execute(
        select(
            jobs.c.id,
            jobs.c.picture_id,
            jobs.c.rendition_id,
            jobs.c.attempts,
            pictures.c.snap_id,
            pictures.c.camera,
        )
        .join(pictures, pictures.c.id == jobs.c.picture_id)
        .where(free)
        .order_by(pictures.c.snap_id.is_(None), jobs.c.id)
        .limit(1)
    ).first()
    if row is None:
        return None
    connection.execute(
        jobs.update()
        .where(jobs.c.id == row.id)
        .values(
            state="leased",
            worker=worker,
            lease_until_at=now + lease_s,
            attempts=row.attempts + 1,
        )
    )
    thumbnail = select(renditions.c.id).where(
        renditions.c.picture_id == row.picture_id, renditions.c.name == "thumbnail"
    )
    return Job(
        id=row.id,
        picture_id=row.picture_id,
        blob_key=row.rendition_id,
        attempts=row.attempts + 1,
        has_thumbnail=connection.execute(thumbnail).first() is not None,
        snap=row.snap_id,
        camera=row.camera,
    )


def finish(connection: Connection, job: Job, worker: str, result: Result) -> Finished:
    """Stores a result."""
    if not _close(connection, job, worker, state="done", error=None):
        return Finished(stored=False, with_thumbnail=False)
    rows = [
        {
            "picture_id": job.picture_id,
            "rank": rank,
            "label": prediction.label,
            "score": prediction.score,
            "box": prediction.box,
            "model_id": result.model.id,
            "model_sha256": result.model.sha256,
        }
        for rank, prediction in enumerate(result.predictions)
    ]
    if rows:
        connection.execute(predictions.insert(), rows)
        best = result.predictions[0]
        connection.execute(
            pictures.update()
            .where(pictures.c.id == job.picture_id)
            .values(best_label=best.label, best_score=best.score)
        )
    if result.embedding:
        connection.execute(
            embeddings.insert().values(
                picture_id=job.picture_id,
                model_sha256=result.model.sha256,
                vector=result.embedding,
            )
        )
    with_thumbnail = result.thumbnail is not None and _add_thumbnail(
        connection, job, result.thumbnail
    )
    _tell_shot(connection, job, "classified", None)
    return Finished(stored=True, with_thumbnail=with_thumbnail)


def give_up(connection: Connection, job: Job, worker: str, error: ShotError) -> bool:
    """Notes that a picture cannot be classified; it is kept.

    Returns:
        False if another worker has the job by now.
    """
    if not _close(connection, job, worker, state="failed", error=error.detail):
        return False
    _tell_shot(connection, job, "failed", error)
    return True


def _tell_shot(connection: Connection, job: Job, state: State, error: ShotError | None) -> None:
    snap, camera = job.snap, job.camera
    if snap is None or camera is None:
        return
    if snaps.is_answer(connection, snap, camera, job.picture_id):
        snaps.save_shots(connection, snap, [Shot(camera=camera, state=state, error=error)])


def put_back(connection: Connection, job: Job, worker: str) -> None:
    """Lets another worker have the job, at once; this attempt does not count."""
    connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.state == "leased", jobs.c.worker == worker)
        .values(state="queued", worker=None, lease_until_at=None, attempts=job.attempts - 1)
    )


def recover(connection: Connection, worker: str) -> int:
    """Frees the jobs that this worker had when it was killed; it need not wait for its own lease.

    Returns:
        How many there were.
    """
    return connection.execute(
        jobs.update()
        .where(jobs.c.state == "leased", jobs.c.worker == worker)
        .values(state="queued", worker=None, lease_until_at=None)
    ).rowcount


def waiting(connection: Connection) -> int:
    """How many jobs are not done yet."""
    query = select(func.count()).where(jobs.c.state.in_(("queued", "leased")))
    return int(connection.execute(query).scalar_one())


def queue(connection: Connection) -> Queue:
    """Counts the jobs that are not done; reads nothing but them."""
    counted = {
        state: int(
            connection.execute(select(func.count()).where(jobs.c.state == state)).scalar_one()
        )
        for state in ("queued", "leased")
    }
    oldest = [
        connection.execute(
            select(pictures.c.received_at)
            .join(jobs, jobs.c.picture_id == pictures.c.id)
            .where(jobs.c.state == state)
            .order_by(jobs.c.id)
            .limit(1)
        ).scalar_one_or_none()
        for state in counted
        if counted[state]
    ]
    oldest_at = min((at for at in oldest if at is not None), default=None)
    return Queue(**counted, oldest_at=oldest_at)


def _close(connection: Connection, job: Job, worker: str, *, state: str, error: str | None) -> bool:
    changed = connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.state == "leased", jobs.c.worker == worker)
        .values(state=state, error=error, lease_until_at=None)
    ).rowcount
    return changed == 1


def _add_thumbnail(connection: Connection, job: Job, thumbnail: Thumbnail) -> bool:
    there = connection.execute(
        select(renditions.c.id).where(
            renditions.c.picture_id == job.picture_id, renditions.c.name == "thumbnail"
        )
    ).first()
    if there is not None:  # the camera's own came in the meantime
        return False
    snippet = select(pictures.c.snippet).where(pictures.c.id == job.picture_id)
    connection.execute(
        renditions.insert().values(
            id=thumbnail.id,
            picture_id=job.picture_id,
            snippet=connection.execute(snippet).scalar_one(),
            name="thumbnail",
            sha256=thumbnail.sha256,
            size_bytes=thumbnail.size_bytes,
            media_type=thumbnail.media_type,
            width=thumbnail.width,
            height=thumbnail.height,
        )
    )
    return True
