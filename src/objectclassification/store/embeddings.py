"""Embeddings of pictures, and of crops of them: what heads are taught with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, select

from objectclassification.heads import Crop
from objectclassification.store.deletions import is_deleted
from objectclassification.store.tables import (
    crop_embeddings,
    embeddings,
    jobs,
    labels,
    pictures,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture as one model saw it.

    Attributes:
        picture: its id.
        camera: whose it is, or None.
        label: its class, if it was asked for and there is one.
        vector: float16, little endian; None if this model has not seen it yet.
    """

    picture: str
    camera: str | None
    label: str | None
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class View:
    """Which embeddings are meant.

    Attributes:
        model_sha256: of which model.
        camera: of whose pictures; None is all.
        crop: of which rectangle of them; None is the whole.
    """

    model_sha256: str
    camera: str | None
    crop: Crop | None


def labelled(
    connection: Connection, view: View, head: str, classes: Sequence[str], *, limit: int
) -> list[Seen]:
    """The pictures that were labelled for a head, newest first, seen or not.

    One that waits for its classification is left out: its embedding comes with that.

    Args:
        connection: to read with.
        view: which embeddings.
        head: the question.
        classes: only with these labels; empty is any.
        limit: the most to return.
    """
    name = labels.c["class"]
    table, match = _table(view)
    query = (
        select(pictures.c.id, pictures.c.camera, name.label("name"), table.c.vector)
        .join(labels, labels.c.picture_id == pictures.c.id)
        .join(jobs, and_(jobs.c.picture_id == pictures.c.id, jobs.c.state.in_(("done", "failed"))))
        .outerjoin(table, match)
        .where(labels.c.head == head, *_shown(view))
        .order_by(pictures.c.id.desc())
        .limit(limit)
    )
    if classes:
        query = query.where(name.in_(classes))
    return [Seen(row.id, row.camera, row.name, row.vector) for row in connection.execute(query)]


def newest(
    connection: Connection, view: View, *, unlabelled: str | None = None, limit: int
) -> list[Seen]:
    """The newest pictures that were seen.

    Args:
        connection: to read with.
        view: which embeddings.
        unlabelled: only those without a label for this head.
        limit: the most to return.
    """
    table, match = _table(view)
    query = (
        select(pictures.c.id, pictures.c.camera, table.c.vector)
        .join(table, match)
        .where(*_shown(view))
        .order_by(pictures.c.id.desc())
        .limit(limit)
    )
    if unlabelled is not None:
        query = query.where(
            ~exists().where(labels.c.picture_id == pictures.c.id, labels.c.head == unlabelled)
        )
    return [Seen(row.id, row.camera, None, row.vector) for row in connection.execute(query)]


def unseen(connection: Connection, view: View, *, limit: int) -> list[str]:
    """The newest pictures that could be seen and were not, among the newest ``limit``."""
    table, _ = _table(view)
    newest_ids = (
        select(pictures.c.id)
        .join(jobs, and_(jobs.c.picture_id == pictures.c.id, jobs.c.state == "done"))
        .where(*_shown(view))
        .order_by(pictures.c.id.desc())
        .limit(limit)
    )
    some = newest_ids.subquery()
    query = select(some.c.id).where(
        ~exists().where(
            table.c.picture_id == some.c.id,
            *_which(table, view),
        )
    )
    return list(connection.execute(query).scalars())


def add(
    connection: Connection, picture_id: str, model_sha256: str, crop: Crop | None, vector: bytes
) -> None:
    """Stores an embedding; one that is there already, or of a picture that went, is left alone."""
    view = View(model_sha256, None, crop)
    table, match = _table(view)
    query = select(pictures.c.id, table.c.picture_id.label("seen")).outerjoin(table, match)
    row = connection.execute(query.where(pictures.c.id == picture_id)).first()
    if row is None or row.seen is not None:
        return
    values = {"picture_id": picture_id, "model_sha256": model_sha256, "vector": vector}
    if crop is not None:
        values["crop"] = crop_text(crop)
    connection.execute(table.insert().values(**values))


def crop_text(crop: Crop) -> str:
    """A rectangle as a key: four fractions of four digits."""
    return ",".join(f"{edge:.4f}" for edge in crop)


def crop_of(text: str) -> Crop:
    """The rectangle of such a key."""
    left, top, right, bottom = map(float, text.split(","))
    return left, top, right, bottom


def _table(view: View) -> tuple[Table, ColumnElement[bool]]:
    table = embeddings if view.crop is None else crop_embeddings
    return table, and_(table.c.picture_id == pictures.c.id, *_which(table, view))


def _which(table: Table, view: View) -> list[ColumnElement[bool]]:
    found = [table.c.model_sha256 == view.model_sha256]
    if view.crop is not None:
        found.append(table.c.crop == crop_text(view.crop))
    return found


def _shown(view: View) -> list[ColumnElement[bool]]:
    shown = [~is_deleted(pictures.c.id)]
    return shown if view.camera is None else [*shown, pictures.c.camera == view.camera]
