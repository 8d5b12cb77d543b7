"""Models that were added, and which camera uses which.

A model's file is a blob under its hash, written before its row and deleted after it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, exists, inspect, literal, select

from objectclassification.errors import Conflict, NotFound
from objectclassification.store.tables import cameras, model_uses, models, pictures

SHIPPED = "shipped"
"""What the model that is always there is called: the shipped one, or the one of the settings."""
EVERY_CAMERA = ""
"""In place of a camera's name: every camera that has no model of its own."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that was added.

    Attributes:
        id: its name.
        sha256: of its file, hexadecimal.
        size_bytes: of its file.
        added_at: seconds since the epoch.
        cameras: that use it by name.
        by_every_other: whether every camera without a model of its own uses it.
        address: where its engine has it; None: it is a file.
    """

    id: str
    sha256: str
    size_bytes: int
    added_at: float
    cameras: tuple[str, ...]
    by_every_other: bool
    address: str | None = None


def add(
    connection: Connection,
    model_id: str,
    sha256: str,
    size_bytes: int,
    *,
    at: float,
    address: str | None = None,
) -> bool:
    """Adds a model whose blob is durable.

    Returns:
        False if it is there already: nothing was changed.

    Raises:
        Conflict: another model has that name, or this one has another name.
    """
    if model_id == SHIPPED:
        raise Conflict(f"{SHIPPED!r} is the model that comes with the server: choose another name")
    found = connection.execute(
        select(models.c.id, models.c.sha256).where(
            (models.c.id == model_id) | (models.c.sha256 == sha256)
        )
    ).all()
    if [tuple(row) for row in found] == [(model_id, sha256)]:
        return False
    for row in found:
        if row.id == model_id:
            raise Conflict(f"another model is called {model_id}: remove it, or choose another name")
        raise Conflict(f"this model is there already, and is called {row.id}")
    connection.execute(
        models.insert().values(
            id=model_id, sha256=sha256, size_bytes=size_bytes, added_at=at, address=address
        )
    )
    return True


def every(connection: Connection) -> list[StoredModel]:
    """Every model that was added, by name."""
    uses: dict[str, list[str]] = {}
    for row in connection.execute(select(model_uses).order_by(model_uses.c.camera)):
        uses.setdefault(row.model_id or SHIPPED, []).append(row.camera)
    return [
        StoredModel(
            id=row.id,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            added_at=row.added_at,
            cameras=tuple(name for name in uses.get(row.id, ()) if name != EVERY_CAMERA),
            by_every_other=EVERY_CAMERA in uses.get(row.id, ()),
            address=row.address,
        )
        for row in connection.execute(select(models).order_by(models.c.id))
    ]


def use(connection: Connection, model_id: str, names: Collection[str]) -> None:
    """Has cameras use a model from their next picture on.

    Args:
        connection: of the database.
        model_id: its name, or :data:`SHIPPED`.
        names: of the cameras; empty is every camera without a model of its own.

    Raises:
        NotFound: no such model, or no such camera.
    """
    if model_id != SHIPPED:
        _sha256(connection, model_id)
    known = select(cameras.c.name).where(cameras.c.name.in_(names))
    unknown = set(names) - set(connection.execute(known).scalars())
    if unknown:
        raise NotFound(f"no camera is called {', '.join(sorted(unknown))}")
    for name in names or (EVERY_CAMERA,):
        connection.execute(model_uses.delete().where(model_uses.c.camera == name))
        # The shipped one is every camera's by itself; a camera's own row says that it is meant.
        if model_id != SHIPPED or name != EVERY_CAMERA:
            chosen = None if model_id == SHIPPED else model_id
            connection.execute(model_uses.insert().values(camera=name, model_id=chosen))


def addresses(connection: Connection) -> list[str]:
    """Of all models at engines."""
    query = select(models.c.address).where(models.c.address.is_not(None))
    return list(connection.execute(query).scalars())


def remove(connection: Connection, model_id: str) -> str:
    """Forgets a model that no camera uses.

    Returns:
        The key of its blob, which may be deleted once this is committed.

    Raises:
        NotFound: no such model.
        Conflict: it is used.
    """
    sha256 = _sha256(connection, model_id)
    using = connection.execute(
        select(model_uses.c.camera).where(model_uses.c.model_id == model_id)
    ).scalars()
    names = [name or "every other camera" for name in using]
    if names:
        raise Conflict(
            f"{model_id} is used by {', '.join(sorted(names))}: first have them use another one, "
            f"or {SHIPPED!r}"
        )
    connection.execute(models.delete().where(models.c.id == model_id))
    return sha256


def used_by(connection: Connection, picture_id: str) -> tuple[str | None, str | None]:
    """The key of the blob of the model that a picture's camera uses now, and its address.

    The key is None for the shipped one, the address for one that is a file.
    """
    query = select(of_picture(), address_of_picture()).where(pictures.c.id == picture_id)
    found = connection.execute(query).first()
    return (None, None) if found is None else (found[0], found[1])


def blobs(connection: Connection) -> dict[str, int]:
    """The key and the bytes of every model's blob; none of a database from before models."""
    if not inspect(connection).has_table(models.name):
        return {}
    return {
        row.sha256: row.size_bytes
        for row in connection.execute(select(models.c.sha256, models.c.size_bytes))
    }


def leave_out(connection: Connection, keys: Collection[str]) -> None:
    """Forgets models by their blobs, used or not; who used one uses the shipped one again."""
    ids = select(models.c.id).where(models.c.sha256.in_(keys))
    connection.execute(model_uses.delete().where(model_uses.c.model_id.in_(ids)))
    connection.execute(models.delete().where(models.c.sha256.in_(keys)))


def of_picture() -> ScalarSelect[str | None]:
    """The blob's key of the model that a picture's camera uses now, or NULL for the shipped one.

    For a query that has the table of pictures.
    """
    return _of_picture(models.c.sha256)


def address_of_picture() -> ScalarSelect[str | None]:
    """As :func:`of_picture`, where an engine has that model; NULL: none has it."""
    return _of_picture(models.c.address)


def _of_picture(column: ColumnElement[Any]) -> ScalarSelect[str | None]:
    own = select(literal(1)).where(model_uses.c.camera == pictures.c.camera)
    return (
        select(column)
        .join(model_uses, model_uses.c.model_id == models.c.id)
        .where(
            (model_uses.c.camera == pictures.c.camera)
            | ((model_uses.c.camera == EVERY_CAMERA) & ~exists(own.correlate(pictures)))
        )
        .correlate(pictures)
        .scalar_subquery()
    )


def _sha256(connection: Connection, model_id: str) -> str:
    found = connection.execute(
        select(models.c.sha256).where(models.c.id == model_id)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no model is called {model_id}: `objectclassification models list`")
    return str(found)
