"""Pictures that a person deleted: hidden at once, undone for a day, and then swept.

The mark is a row of its own, so that undoing is its deletion: the picture, its labels and its blobs
stay as they are until housekeeping sweeps them. A backup has marks with their pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, exists, func, select
from uuid_utils import uuid7

from objectclassification.errors import NotFound
from objectclassification.store.tables import deletions, pictures, snippets

UNDO_S: Final = 86_400.0
"""How long a deletion can be undone: who deleted too much may notice the next morning."""
MOST_DELETED: Final = 1000
"""Pictures in one deletion; their marks are some milliseconds of the writing thread."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Pictures that were deleted together.

    Attributes:
        id: to undo it with.
        pictures: how many of them are not swept yet.
        deleted_at: seconds since the epoch.
        token_id: whose word it was.
    """

    id: str
    pictures: int
    deleted_at: float
    token_id: str


def is_deleted(picture_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the picture of a column's id was deleted: what is shown, learnt from and exported
    leaves it out.
    """
    return exists().where(deletions.c.picture_id == picture_id)


def deleted_ids(connection: Connection) -> frozenset[str]:
    """Every picture that was deleted and is not swept yet."""
    return frozenset(connection.execute(select(deletions.c.picture_id)).scalars())


def delete(
    connection: Connection, ids: Sequence[str], *, at: float, token_id: str
) -> tuple[Deletion, list[str]]:
    """Hides pictures; slots that show one of them show the newest that is left.

    Args:
        connection: to write with.
        ids: at most :data:`MOST_DELETED`; those that are gone already are passed over.
        at: seconds since the epoch.
        token_id: whose word it is.

    Returns:
        The deletion, and the ids of its pictures.

    Raises:
        NotFound: none of them is there.
    """
    there = select(pictures.c.id).where(pictures.c.id.in_(ids), ~is_deleted(pictures.c.id))
    going = list(connection.execute(there).scalars())
    if not going:
        raise NotFound("none of these pictures is there any more")
    made = Deletion(str(uuid7()), len(going), at, token_id)
    mark = {"id": made.id, "deleted_at": at, "token_id": token_id}
    connection.execute(deletions.insert(), [{"picture_id": one, **mark} for one in going])
    showing = select(snippets.c.number).where(snippets.c.picture_id.in_(going))
    _show_the_newest(connection, connection.execute(showing).scalars().all())
    return made, going


def undo(connection: Connection, deletion_id: str) -> list[str]:
    """Shows the pictures of a deletion again.

    Returns:
        Their ids.

    Raises:
        NotFound: there is no such deletion, or its pictures are swept.
    """
    of_it = select(deletions.c.picture_id).where(deletions.c.id == deletion_id)
    ids = list(connection.execute(of_it).scalars())
    if not ids:
        raise NotFound("this deletion cannot be undone: its pictures are gone, or back already")
    connection.execute(deletions.delete().where(deletions.c.id == deletion_id))
    slots = select(pictures.c.snippet).where(pictures.c.id.in_(ids)).distinct()
    _show_the_newest(connection, connection.execute(slots).scalars().all())
    return ids


def recent(connection: Connection, *, since: float) -> list[Deletion]:
    """The deletions that can be undone, newest first."""
    columns = (deletions.c.id, deletions.c.deleted_at, deletions.c.token_id)
    query = select(*columns, func.count().label("pictures")).group_by(*columns)
    rows = connection.execute(
        query.where(deletions.c.deleted_at >= since).order_by(deletions.c.id.desc())
    )
    return [Deletion(row.id, int(row.pictures), row.deleted_at, row.token_id) for row in rows]


def due(connection: Connection, *, before: float, after: str, limit: int) -> list[str]:
    """Pictures to sweep, by id.

    Args:
        connection: to read with.
        before: that were deleted earlier than this, seconds since the epoch.
        after: the last id of the page before; empty for the first.
        limit: the most to return.
    """
    query = select(deletions.c.picture_id).where(
        deletions.c.deleted_at < before, deletions.c.picture_id > after
    )
    return list(connection.execute(query.order_by("picture_id").limit(limit)).scalars())


def still_deleted(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Of these pictures those whose deletion was not undone meanwhile."""
    query = select(deletions.c.picture_id).where(deletions.c.picture_id.in_(ids))
    return list(connection.execute(query).scalars())


def _show_the_newest(connection: Connection, slots: Iterable[int]) -> None:
    for number in slots:
        slot = snippets.c.number == number
        camera = connection.execute(select(snippets.c.camera).where(slot)).scalar_one()
        # By camera, as the index has it; the first camera's slot may have had pictures before it.
        newest = next(
            (
                found
                for whose in dict.fromkeys((camera, None))
                if (found := _newest(connection, number, whose)) is not None
            ),
            None,
        )
        connection.execute(snippets.update().where(slot).values(picture_id=newest))


def _newest(connection: Connection, slot: int, camera: str | None) -> str | None:
    query = (
        select(pictures.c.id)
        .where(pictures.c.camera == camera, pictures.c.snippet == slot, ~is_deleted(pictures.c.id))
        .order_by(pictures.c.captured_at.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()
