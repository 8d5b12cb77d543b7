"""What operators say of pictures, by head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from objectclassification.errors import Conflict, NotFound
from objectclassification.heads import NO_HEAD
from objectclassification.store.deletions import is_deleted
from objectclassification.store.tables import labels, pictures

MOST_NAMES = 256
"""Heads that pictures are labelled for, and classes of each; more than can ever be taught."""


def change(
    connection: Connection,
    picture_id: str,
    said: Mapping[str, str | None],
    *,
    at: float,
    token_id: str,
) -> None:
    """Labels a picture.

    Args:
        connection: to write with.
        picture_id: the picture.
        said: the class for each head; None takes a label away.
        at: seconds since the epoch.
        token_id: whose word it is.

    Raises:
        NotFound: there is no such picture.
        Conflict: pictures are labelled for too many heads, or with too many classes.
    """
    found = select(pictures.c.id).where(pictures.c.id == picture_id, ~is_deleted(pictures.c.id))
    if connection.execute(found).first() is None:
        raise NotFound(f"no picture {picture_id}")
    for head, name in said.items():
        if head != NO_HEAD and name is not None:
            _check_room(connection, head, name)
    connection.execute(
        labels.delete().where(labels.c.picture_id == picture_id, labels.c.head.in_(list(said)))
    )
    rows = [
        {
            "picture_id": picture_id,
            "head": head,
            "class": name,
            "labelled_at": at,
            "token_id": token_id,
        }
        for head, name in said.items()
        if name is not None
    ]
    if rows:
        connection.execute(labels.insert(), rows)


def _check_room(connection: Connection, head: str, name: str) -> None:
    """Refuses what no list of heads could show any more."""
    query = select(labels.c["class"]).where(labels.c.head == head).distinct()
    known = set(connection.execute(query).scalars())
    if name in known:
        return
    if len(known) >= MOST_NAMES:
        raise Conflict(f"pictures are labelled for {head!r} with {MOST_NAMES} classes already")
    heads = connection.execute(select(func.count(labels.c.head.distinct()))).scalar_one()
    if not known and heads >= MOST_NAMES:
        raise Conflict(f"pictures are labelled for {MOST_NAMES} heads already")


def of_pictures(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """The labels of pictures that have any: by picture, then by head."""
    found: dict[str, dict[str, str]] = {}
    if not ids:
        return {}
    query = select(labels.c.picture_id, labels.c.head, labels.c["class"].label("name"))
    for row in connection.execute(query.where(labels.c.picture_id.in_(ids)).order_by("head")):
        found.setdefault(row.picture_id, {})[row.head] = row.name
    return found


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """How many pictures have each label: by head, then by class."""
    found: dict[str, dict[str, int]] = {}
    by = (labels.c.head, labels.c["class"].label("name"))
    query = select(*by, func.count().label("pictures")).group_by(*by).order_by(*by)
    for row in connection.execute(query.where(~is_deleted(labels.c.picture_id))):
        found.setdefault(row.head, {})[row.name] = int(row.pictures)
    return found
