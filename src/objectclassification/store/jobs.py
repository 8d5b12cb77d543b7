"""Jobs: a row with a lease. The row is the truth; whatever wakes a worker only saves it a wait."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, bindparam, cast, exists, func, select

from objectclassification import detection
from objectclassification.detection import Detect
from objectclassification.heads import Crop
from objectclassification.receipts import Found, Model, Prediction, Shot, ShotError, State
from objectclassification.store import changes, elsewhere, heads, models, rules, snaps
from objectclassification.store import embeddings as seen
from objectclassification.store import renditions as forms
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import (
    cameras,
    embeddings,
    jobs,
    pictures,
    predictions,
    renditions,
)
from objectclassification.store.tables import snaps as snaps_table

MOST_ATTEMPTS = 2
"""A picture that killed its child is tried once more, and then given up."""
LOST = "the picture's file is gone"
"""The error of a job whose blob is not there: found by its worker, or by ``doctor --repair``."""
FOR_A_SNAP, FOR_NOBODY = 0, 1
"""Priorities: somebody may be waiting for a picture's labels, or nobody is."""

_FOUND = (
    select(
        jobs.c.priority,
        jobs.c.id,
        jobs.c.picture_id,
        jobs.c.rendition_id,
        jobs.c.attempts,
        exists()
        .where(renditions.c.picture_id == jobs.c.picture_id, renditions.c.name == "thumbnail")
        .label("has_thumbnail"),
        pictures.c.snap_id,
        pictures.c.camera,
        pictures.c.snippet,
        models.of_picture("classification").label("classifier"),
        models.of_picture("detection").label("detector"),
        cast(snaps_table.c.options, Text),
        cast(cameras.c.detect, Text),
        models.address_of_picture().label("address"),
    )
    .join(pictures, pictures.c.id == jobs.c.picture_id)
    .outerjoin(snaps_table, snaps_table.c.id == pictures.c.snap_id)
    .outerjoin(cameras, cameras.c.name == pictures.c.camera)
    .order_by(jobs.c.priority, jobs.c.id)
    .limit(1)
)
# Two statements, each of which reads one row of the index; with "or" all that wait are sorted.
_QUEUED = _FOUND.where(jobs.c.state == "queued")
_LEFT = _FOUND.where(jobs.c.state == "leased", jobs.c.lease_until_at < bindparam("now"))
_HERE = jobs.c.priority < elsewhere.ELSEWHERE
_WAITS, _RAN_OUT = Prepared(_QUEUED.where(_HERE)), Prepared(_LEFT.where(_HERE))
_LEASE = Prepared(
    jobs.update()
    .where(jobs.c.id == bindparam("job"))
    .values(
        state="leased",
        worker=bindparam("by"),
        lease_until_at=bindparam("until"),
        attempts=bindparam("times"),
    )
)
_CLOSE = Prepared(
    jobs.update()
    .where(
        jobs.c.id == bindparam("job"), jobs.c.state == "leased", jobs.c.worker == bindparam("by")
    )
    .values(state=bindparam("outcome"), error=bindparam("why"), lease_until_at=None)
)
_NEW_PREDICTIONS = predictions.insert()
_BEST = Prepared(
    pictures.update()
    .where(pictures.c.id == bindparam("picture"))
    .values(
        best_label=bindparam("label"),
        best_score=bindparam("score"),
        confidence=bindparam("sure"),
        unsure=bindparam("is_unsure"),
    )
)
_NEW_EMBEDDING = Prepared(embeddings.insert(), *embeddings.c.keys())


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
        snippet: the slot it was PUT to.
        model_key: the blob of the classifier that its camera uses, or None for the shipped one.
        detect: whether boxes are wanted.
        detector_key: the same of its detector.
        address: of the classifier, if an engine elsewhere has it.
    """

    id: str
    picture_id: str
    blob_key: str
    attempts: int
    has_thumbnail: bool
    snap: str | None
    camera: str | None
    snippet: int
    model_key: str | None
    detect: Detect = False
    detector_key: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a result.

    Attributes:
        stored: False if another worker has the job by now; nothing is stored then.
        with_thumbnail: False if its thumbnail's blob is not needed.
        shown: False if its snap's shot shows another picture: it is one more of a burst.
    """

    stored: bool
    with_thumbnail: bool = False
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What was found on a picture.

    Attributes:
        found: on it.
        model: which model said so.
        embedding: float16, little endian; empty if the model that makes them has none.
        embedded_by: that model's SHA-256.
        thumbnail: None if the camera sent one.
        at: when, seconds since the epoch.
        crops: rectangles that some heads look at, with their embeddings.
        detector: which model made the boxes; None if there are none.
    """

    found: Found
    model: Model
    embedding: bytes
    embedded_by: str
    thumbnail: forms.Made | None
    at: float
    crops: Sequence[tuple[Crop, bytes]] = ()
    detector: Model | None = None


def lease(connection: Connection, worker: str, *, now: float, lease_s: float) -> Job | None:
    """Takes a job that waits, or whose worker let its lease run out.

    Pictures that answer a snap come first, because somebody may be waiting for their labels; the
    oldest comes first among them, and among the rest.

    Returns:
        The job, or None if there is none.
    """
    free = (_WAITS.first(connection, {}), _RAN_OUT.first(connection, {"now": now}))
    return _leased(connection, free, worker, now + lease_s)


def lease_elsewhere(
    connection: Connection, worker: str, *, now: float, lease_s: float, without: Collection[str]
) -> Job | None:
    """As :func:`lease`, of the jobs whose model is at an engine.

    Args:
        connection: of the database.
        worker: who takes it.
        now: seconds since the epoch.
        lease_s: for so long.
        without: addresses of models whose engine is away.
    """
    address = models.address_of_picture()
    asked = (jobs.c.priority >= elsewhere.ELSEWHERE, func.coalesce(address, "").not_in(without))
    free = (
        connection.execute(query.where(*asked), {"now": now}).first() for query in (_QUEUED, _LEFT)
    )
    return _leased(connection, free, worker, now + lease_s)


def _leased(
    connection: Connection, free: Iterable[Sequence[Any] | None], worker: str, until: float
) -> Job | None:
    found = min((row for row in free if row is not None), key=itemgetter(0, 1), default=None)
    if found is None:
        return None
    _, job, picture, rendition, attempts, has_thumbnail, snap, camera, snippet, *more = found
    classifier, detector, *asked, address = more
    _LEASE.run(connection, {"job": job, "by": worker, "until": until, "times": attempts + 1})
    return Job(
        id=job,
        picture_id=picture,
        blob_key=rendition,
        attempts=attempts + 1,
        has_thumbnail=bool(has_thumbnail),
        snap=snap,
        camera=camera,
        snippet=snippet,
        model_key=classifier,
        detect=detection.wanted(*asked),
        detector_key=detector,
        address=address,
    )


def finish(connection: Connection, job: Job, worker: str, result: Result) -> Finished:
    """Stores a result."""
    if not _close(connection, job, worker, state="done", error=None):
        return Finished(stored=False, with_thumbnail=False)
    rows = [
        _row(job.picture_id, rank, prediction, result)
        for rank, prediction in enumerate(result.found.predictions)
    ]
    if rows:
        connection.execute(_NEW_PREDICTIONS, rows)
        best = result.found.predictions[0]
        _BEST.run(
            connection,
            {
                "picture": job.picture_id,
                "label": best.label,
                "score": best.score,
                "sure": result.found.confidence,
                "is_unsure": result.found.unsure,
            },
        )
    if result.embedding:
        _NEW_EMBEDDING.run(
            connection,
            {
                "picture_id": job.picture_id,
                "model_sha256": result.embedded_by,
                "vector": result.embedding,
            },
        )
    heads.add_answers(connection, job.picture_id, result.found.answers)
    if result.found.verdict is not None:
        found = result.found
        rules.judged(connection, job.picture_id, job.camera, found, at=result.at)
    for crop, vector in result.crops if result.embedding else ():
        seen.add(connection, job.picture_id, result.embedded_by, crop, vector)
    if result.found.change is not None:
        changes.add(connection, job.picture_id, result.found.change)
    # The camera's own may have come in the meantime.
    with_thumbnail = result.thumbnail is not None and forms.add(
        connection, job.picture_id, job.snippet, "thumbnail", result.thumbnail
    )
    shown = _tell_shot(connection, job, "classified", None)
    return Finished(stored=True, with_thumbnail=with_thumbnail, shown=shown)


def _row(picture: str, rank: int, prediction: Prediction, result: Result) -> dict[str, Any]:
    # Only a detector makes boxes.
    model = (result.detector if prediction.box is not None else None) or result.model
    classified = prediction.classified
    return {
        "picture_id": picture,
        "rank": rank,
        "label": prediction.label,
        "score": prediction.score,
        "box": prediction.box,
        "classified": None if classified is None else msgspec.to_builtins(classified),
        "model_id": model.id,
        "model_sha256": model.sha256,
    }


def give_up(connection: Connection, job: Job, worker: str, error: ShotError) -> Finished:
    """Notes that a picture cannot be classified; it is kept."""
    if not _close(connection, job, worker, state="failed", error=error.detail):
        return Finished(stored=False)
    return Finished(stored=True, shown=_tell_shot(connection, job, "failed", error))


def _tell_shot(connection: Connection, job: Job, state: State, error: ShotError | None) -> bool:
    """Tells the shot of a picture's snap; False: that shows another one."""
    snap, camera = job.snap, job.camera
    if snap is None or camera is None:
        return True
    shown = snaps.is_answer(connection, snap, camera, job.picture_id)
    if shown:
        snaps.save_shots(connection, snap, [Shot(camera=camera, state=state, error=error)])
    return shown


def put_back(connection: Connection, job: Job, worker: str, *, counts: bool = False) -> None:
    """Lets another worker have the job, at once; this attempt does not count unless it is said."""
    attempts = job.attempts if counts else job.attempts - 1
    priority = jobs.c.priority % elsewhere.ELSEWHERE + elsewhere.added(connection, job.picture_id)
    connection.execute(
        jobs.update()
        .where(jobs.c.id == job.id, jobs.c.state == "leased", jobs.c.worker == worker)
        .values(
            state="queued",
            worker=None,
            lease_until_at=None,
            attempts=attempts,
            priority=priority,
        )
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


def somebody_waits(connection: Connection) -> bool:
    """Whether a picture that answers a snap is not done yet."""
    query = select(jobs.c.id).where(
        jobs.c.state.in_(("queued", "leased")), jobs.c.priority == FOR_A_SNAP
    )
    return connection.execute(query.limit(1)).first() is not None


def waiting(connection: Connection) -> int:
    """How many jobs are not done yet."""
    query = select(func.count()).where(jobs.c.state.in_(("queued", "leased")))
    return int(connection.execute(query).scalar_one())


def _close(connection: Connection, job: Job, worker: str, *, state: str, error: str | None) -> bool:
    values = {"job": job.id, "by": worker, "outcome": state, "why": error}
    return _CLOSE.run(connection, values).rowcount == 1
