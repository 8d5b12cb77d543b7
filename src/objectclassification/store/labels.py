"""What operators say of pictures, by head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from objectclassification.errors import NotFound
from objectclassification.store.tables import labels, pictures


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
    """
    found = select(pictures.c.id).where(pictures.c.id == picture_id)
    if connection.execute(found).first() is None:
        raise NotFound(f"no picture {picture_id}")
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


def of_pictures(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """The labels of pictures that have any: by picture, then by head."""
    found: dict[str, dict[str, str]] = {}
    query = select(labels.c.picture_id, labels.c.head, labels.c["class"].label("name"))
    for row in connection.execute(query.where(labels.c.picture_id.in_(ids)).order_by("head")):
        found.setdefault(row.picture_id, {})[row.head] = row.name
    return found


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """How many pictures have each label: by head, then by class."""
    found: dict[str, dict[str, int]] = {}
    by = (labels.c.head, labels.c["class"].label("name"))
    query = select(*by, func.count().label("pictures")).group_by(*by).order_by(*by)
    for row in connection.execute(query):
        found.setdefault(row.head, {})[row.name] = int(row.pictures)
    return found
