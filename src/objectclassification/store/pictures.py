"""Pictures with their renditions and predictions: reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, exists, select

from objectclassification.errors import NotFound
from objectclassification.receipts import (
    Classified,
    Judgement,
    Model,
    Picture,
    Prediction,
    Rendition,
    rfc3339,
)
from objectclassification.store import changes as changes_of
from objectclassification.store import heads
from objectclassification.store import labels as labels_of
from objectclassification.store.deletions import is_deleted
from objectclassification.store.renditions import StoredBlob, forms
from objectclassification.store.snippets import all_cameras
from objectclassification.store.tables import (
    answers,
    jobs,
    pictures,
    predictions,
    renditions,
)
from objectclassification.store.tables import labels as labelled_with

MOST_AT_ONCE = 1000
"""Ids in one statement; databases take some ten thousand, and a fleet's receipts have more."""

_PICTURES = select(
    pictures,
    exists().where(answers.c.picture_id == pictures.c.id).label("answered"),
    exists().where(labelled_with.c.picture_id == pictures.c.id).label("labelled"),
)
_SHOWN = _PICTURES.where(~is_deleted(pictures.c.id))
_STATES: dict[str, Literal["queued", "classified", "failed"]] = {
    "queued": "queued",
    "leased": "queued",
    "done": "classified",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pictures of the history are wanted; None means any.

    Attributes:
        camera: by this camera.
        group: by a camera that is in this group now.
        snap: for this snap.
        label: with this label among the predictions.
        min_score: and at least this score of that label, or of the best one.
        since: captured at or after, seconds since the epoch.
        until: captured before, seconds since the epoch.
        head: with an answer of this head.
        answer: and that answer.
        verdict: with this one.
        unsure: with an answer that is, or with one that is not; those without a threshold are
            neither.
        changed: with something new on it, or with nothing new; those without a past are neither.
    """

    camera: str | None = None
    group: str | None = None
    snap: str | None = None
    label: str | None = None
    min_score: float | None = None
    since: float | None = None
    until: float | None = None
    head: str | None = None
    answer: str | None = None
    verdict: str | None = None
    unsure: bool | None = None
    changed: bool | None = None


def get(connection: Connection, picture_id: str, *, deleted_too: bool = False) -> Picture:
    """Returns a picture.

    Raises:
        NotFound: there is none with that id, or it was deleted.
    """
    found = by_ids(connection, [picture_id], deleted_too=deleted_too)
    if picture_id not in found:
        raise NotFound(f"no picture {picture_id}")
    return found[picture_id]


def by_ids(
    connection: Connection, ids: Iterable[str], *, deleted_too: bool = False
) -> dict[str, Picture]:
    """Returns the pictures that exist, by id; those that were deleted if that is asked for."""
    query = _PICTURES if deleted_too else _SHOWN
    wanted = list(ids)
    found: dict[str, Picture] = {}
    for start in range(0, len(wanted), MOST_AT_ONCE):
        some = wanted[start : start + MOST_AT_ONCE]
        rows = connection.execute(query.where(pictures.c.id.in_(some))).all()
        found.update((picture.id, picture) for picture in _assemble(connection, rows))
    return found


def history(
    connection: Connection, wanted: Filter, *, before: str | None, limit: int
) -> list[Picture]:
    """A page of the history, newest first.

    Args:
        connection: to read with.
        wanted: which pictures.
        before: the last id of the page before, or None.
        limit: the most to return.
    """
    page = ids(connection, wanted, before=before, limit=limit)
    found = by_ids(connection, page)
    return [found[id_] for id_ in page]


def ids(
    connection: Connection,
    wanted: Filter,
    *,
    before: str | None = None,
    after: str | None = None,
    limit: int,
) -> list[str]:
    """The ids of pictures that were not deleted, newest first; with ``after``, oldest first.

    Args:
        connection: to read with.
        wanted: which pictures.
        before: only those older than this id.
        after: only those newer than this one.
        limit: the most to return.
    """
    id_: ColumnElement[str] = pictures.c.id
    query: Select[Any] = select(id_)
    if wanted.label is not None:
        # By the index of labels: a label that few pictures have is found without reading all.
        id_, query = of_label(select(predictions.c.picture_id), wanted)
        wanted = replace(wanted, label=None, min_score=None)
    query = matching(connection, query.where(~is_deleted(id_)), wanted)
    if before is not None:
        query = query.where(id_ < before)
    if after is not None:
        query = query.where(id_ > after)
    order = id_.desc() if after is None else id_
    return list(connection.execute(query.order_by(order).limit(limit)).scalars())


def of_label(query: Select[Any], wanted: Filter) -> tuple[ColumnElement[str], Select[Any]]:
    """Leaves of a query on ``predictions`` the filter's label, a row for each picture.

    Returns:
        The column of the pictures' ids, to go on with, and the query.
    """
    id_ = predictions.c.picture_id
    query = query.join(pictures, pictures.c.id == id_).where(predictions.c.label == wanted.label)
    if wanted.min_score is not None:
        query = query.where(predictions.c.score >= wanted.min_score)
    return id_, query.group_by(id_)


def matching(connection: Connection, query: Select[Any], wanted: Filter) -> Select[Any]:
    """Leaves of a query on ``pictures`` what a filter wants; not whether they were deleted."""
    if wanted.camera is not None:
        query = query.where(pictures.c.camera == wanted.camera)
    if wanted.group is not None:
        names = [one.name for one in all_cameras(connection) if wanted.group in one.groups]
        query = query.where(pictures.c.camera.in_(names))
    if wanted.snap is not None:
        query = query.where(pictures.c.snap_id == wanted.snap)
    if wanted.label is not None:
        match = predictions.c.label == wanted.label
        if wanted.min_score is not None:
            match &= predictions.c.score >= wanted.min_score
        query = query.where(pictures.c.id.in_(select(predictions.c.picture_id).where(match)))
    elif wanted.min_score is not None:
        query = query.where(pictures.c.best_score >= wanted.min_score)
    if wanted.head is not None:
        said = (answers.c.picture_id == pictures.c.id) & (answers.c.head == wanted.head)
        if wanted.answer is not None:
            said &= answers.c["class"] == wanted.answer
        query = query.where(exists().where(said))
    if wanted.verdict is not None:
        query = query.where(pictures.c.verdict == wanted.verdict)
    if wanted.unsure is not None:
        query = query.where(pictures.c.unsure == wanted.unsure)
    if wanted.since is not None:
        query = query.where(pictures.c.captured_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(pictures.c.captured_at < wanted.until)
    if wanted.changed is not None:
        query = query.where(changes_of.matching(wanted.changed))
    return query


def blob(connection: Connection, picture_id: str, name: str) -> StoredBlob:
    """Returns one rendition's blob; ``full`` falls back to the largest there is.

    Raises:
        NotFound: no such picture, or it has no such rendition (yet).
    """
    found = forms(connection, picture_id)
    if name == "full":
        return found.best
    if name not in found.named:
        raise NotFound(f"picture {picture_id} has no {name} yet")
    return found.named[name]


def image_url(picture_id: str, name: str) -> str:
    """Path of a rendition's bytes."""
    own = {"full": "image", "thumbnail": "thumbnail", "medium": "medium"}
    form = own.get(name, f"image?rendition={name}")
    return f"/api/pictures/{picture_id}/{form}"


def _assemble(connection: Connection, rows: Sequence[Row[Any]]) -> list[Picture]:
    ids = [row.id for row in rows]
    named: dict[str, dict[str, Rendition]] = {}
    for row in connection.execute(select(renditions).where(renditions.c.picture_id.in_(ids))):
        named.setdefault(row.picture_id, {})[row.name] = Rendition(
            url=image_url(row.picture_id, row.name),
            sha256=row.sha256,
            media_type=row.media_type,
            width=row.width,
            height=row.height,
            size_bytes=row.size_bytes,
        )
    found: dict[str, list[Row[Any]]] = {}
    query = select(predictions).where(predictions.c.picture_id.in_(ids)).order_by("rank")
    for row in connection.execute(query):
        found.setdefault(row.picture_id, []).append(row)
    models = {
        picture: {row.model_id: row.model_sha256 for row in said} for picture, said in found.items()
    }
    # Most pictures have neither, and then a page of them costs no statement more.
    answered = heads.answers_of(connection, [row.id for row in rows if row.answered])
    labelled = labels_of.of_pictures(connection, [row.id for row in rows if row.labelled])
    news = changes_of.of_pictures(connection, ids)
    query_jobs = select(jobs.c.picture_id, jobs.c.state, jobs.c.error)
    work = {
        row.picture_id: row
        for row in connection.execute(query_jobs.where(jobs.c.picture_id.in_(ids)))
    }
    return [
        Picture(
            id=row.id,
            snippet=row.snippet,
            camera=row.camera,
            snap=row.snap_id,
            captured_at=rfc3339(row.captured_at),
            captured_from=row.captured_from,
            captured_uncertainty_ms=row.captured_uncertainty_ms,
            received_at=rfc3339(row.received_at),
            renditions=named.get(row.id, {}),
            state=_STATES[work[row.id].state],
            predictions=tuple(
                _prediction(each, several=len(models[row.id]) > 1) for each in found.get(row.id, ())
            ),
            model=_first_model(found.get(row.id)),
            models=models.get(row.id, {}),
            error=work[row.id].error,
            answers=answered.get(row.id, ()),
            verdict=row.verdict,
            judgements=msgspec.convert(row.judgements or (), tuple[Judgement, ...]),
            labels=labelled.get(row.id, {}),
            change=news.get(row.id),
            confidence=row.confidence,
            unsure=row.unsure,
        )
        for row in rows
    ]


def _prediction(row: Row[Any], *, several: bool) -> Prediction:
    return Prediction(
        label=row.label,
        score=row.score,
        box=tuple(row.box) if row.box else None,
        model=row.model_id if several else None,
        classified=Classified(**row.classified) if row.classified else None,
    )


def _first_model(said: Sequence[Row[Any]] | None) -> Model | None:
    """What made the labels: they come before the boxes."""
    return Model(said[0].model_id, said[0].model_sha256) if said else None
