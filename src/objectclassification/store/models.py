"""Models that were added, and which camera uses which.

A model's file is a blob under its hash, written before its row and deleted after it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    exists,
    inspect,
    literal,
    select,
)

from objectclassification.detection import Task
from objectclassification.errors import Conflict, NotFound
from objectclassification.store.tables import cameras, model_uses, models, pictures

SHIPPED = "shipped"
"""What those that are always there are called: the shipped ones, or the one of the settings."""
EVERY_CAMERA = ""
"""In place of a camera's name: every camera that has no model of its own for a task."""
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, slots=True)
class Taken:
    """A model that is on the disk, and was tried.

    Attributes:
        sha256: of its blob, which is called so.
        size_bytes: of its blob.
        task: what it is for.
        address: where an engine has it, and the blob is its card; None: the blob is the model.
    """

    sha256: str
    size_bytes: int
    task: Task
    address: str | None = None


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that was added.

    Attributes:
        id: its name.
        sha256: of its file, hexadecimal.
        task: what it does.
        size_bytes: of its file.
        added_at: seconds since the epoch.
        cameras: that use it by name.
        by_every_other: whether every camera without a model of its own for that uses it.
        address: where its engine has it; None: it is a file.
    """

    id: str
    sha256: str
    task: Task
    size_bytes: int
    added_at: float
    cameras: tuple[str, ...]
    by_every_other: bool
    address: str | None = None


def add(connection: Connection, model_id: str, taken: Taken, *, at: float) -> bool:
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
            (models.c.id == model_id) | (models.c.sha256 == taken.sha256)
        )
    ).all()
    if [tuple(row) for row in found] == [(model_id, taken.sha256)]:
        return False
    for row in found:
        if row.id == model_id:
            raise Conflict(f"another model is called {model_id}: remove it, or choose another name")
        raise Conflict(f"this model is there already, and is called {row.id}")
    connection.execute(
        models.insert().values(
            id=model_id,
            sha256=taken.sha256,
            size_bytes=taken.size_bytes,
            task=taken.task,
            added_at=at,
            address=taken.address,
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
            task=row.task,
            size_bytes=row.size_bytes,
            added_at=row.added_at,
            cameras=tuple(name for name in uses.get(row.id, ()) if name != EVERY_CAMERA),
            by_every_other=EVERY_CAMERA in uses.get(row.id, ()),
            address=row.address,
        )
        for row in connection.execute(select(models).order_by(models.c.id))
    ]


def of_cameras(connection: Connection, task: Task) -> dict[str, str]:
    """The model of each camera that has one of its own; :data:`SHIPPED` may be among them."""
    query = select(model_uses).where(model_uses.c.camera != EVERY_CAMERA, model_uses.c.task == task)
    return {row.camera: row.model_id or SHIPPED for row in connection.execute(query)}


def use(
    connection: Connection, model_id: str, names: Collection[str], *, task: Task | None = None
) -> None:
    """Has cameras use a model from their next picture on.

    A camera has one for each task, and keeps the others.

    Args:
        connection: of the database.
        model_id: its name, or :data:`SHIPPED`.
        names: of the cameras; empty is every camera without a model of its own.
        task: for what; None is what the model does, and everything of the shipped ones.

    Raises:
        NotFound: no such model, or no such camera.
        Conflict: the model does something else.
    """
    tasks = TASKS if task is None else (task,)
    if model_id != SHIPPED:
        own = _find(connection, model_id).task
        if own not in tasks:
            raise Conflict(f"{model_id} is for {own}, not for {task}")
        tasks = (own,)
    known = select(cameras.c.name).where(cameras.c.name.in_(names))
    unknown = set(names) - set(connection.execute(known).scalars())
    if unknown:
        raise NotFound(f"no camera is called {', '.join(sorted(unknown))}")
    for name, each in product(names or (EVERY_CAMERA,), tasks):
        connection.execute(
            model_uses.delete().where(model_uses.c.camera == name, model_uses.c.task == each)
        )
        # The shipped one is every camera's by itself; a camera's own row says that it is meant.
        if model_id != SHIPPED or name != EVERY_CAMERA:
            chosen = None if model_id == SHIPPED else model_id
            row = {"camera": name, "task": each, "model_id": chosen}
            connection.execute(model_uses.insert().values(row))


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
    sha256 = str(_find(connection, model_id).sha256)
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


def used_by(connection: Connection, picture_id: str) -> tuple[str | None, str | None, str | None]:
    """The blobs' keys of the classifier and the detector that a picture's camera uses now, and the
    address of that classifier.

    None is the shipped one, or that it is a file.
    """
    columns = of_picture("classification"), of_picture("detection"), address_of_picture()
    query = select(*columns).where(pictures.c.id == picture_id)
    classifier, detector, address = connection.execute(query).one_or_none() or (None, None, None)
    return classifier, detector, address


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


def of_picture(task: Task) -> ScalarSelect[str | None]:
    """The blob's key of the model that a picture's camera uses now, or NULL for the shipped one.

    For a query that has the table of pictures.

    Args:
        task: for what.
    """
    return _of_picture(models.c.sha256, task)


def address_of_picture() -> ScalarSelect[str | None]:
    """As :func:`of_picture`, where an engine has that classifier; NULL: none has it."""
    return _of_picture(models.c.address, "classification")


def _of_picture(column: ColumnElement[Any], task: Task) -> ScalarSelect[str | None]:
    own = select(literal(1)).where(
        model_uses.c.camera == pictures.c.camera, model_uses.c.task == task
    )
    return (
        select(column)
        .join(model_uses, model_uses.c.model_id == models.c.id)
        .where(
            model_uses.c.task == task,
            (model_uses.c.camera == pictures.c.camera)
            | ((model_uses.c.camera == EVERY_CAMERA) & ~exists(own.correlate(pictures))),
        )
        .correlate(pictures)
        .scalar_subquery()
    )


def _find(connection: Connection, model_id: str) -> Row[Any]:
    found = connection.execute(select(models).where(models.c.id == model_id)).one_or_none()
    if found is None:
        raise NotFound(f"no model is called {model_id}: `objectclassification models list`")
    return found
