"""Cameras and their numbered slots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec
from sqlalchemy import Connection, Text, bindparam, cast, func, select

from objectclassification.detection import Detect
from objectclassification.errors import NotFound
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import cameras, snippets

MOST_SLOTS = 2**31 - 1
"""The largest number of a slot: a signed 32-bit column holds it in every database."""

GroupsFrom = Literal["camera", "operator"]

# Built once: building it costs as much again as running it.
_SLOT = select(snippets).where(snippets.c.number == bindparam("number"))


_KNOWN = Prepared(
    select(
        snippets.c.number,
        cast(cameras.c.groups, Text),
        cast(cameras.c.groups_set, Text),
        cameras.c.source,
        cameras.c.agent,
        cameras.c.version,
    )
    .outerjoin(snippets, snippets.c.camera == cameras.c.name)
    .where(cameras.c.name == bindparam("who"))
)
_SEEN = Prepared(
    cameras.update().where(cameras.c.name == bindparam("who")).values(last_seen_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a camera is.

    Attributes:
        number: its slot's.
        groups: those that count: an operator's, where one has set them.
    """

    number: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CameraRow:
    """A camera as it is stored.

    ``groups`` are those that count: an operator's, where one has set them.
    """

    name: str
    snippet: int
    groups: tuple[str, ...] = ()
    source: str = ""
    agent: str = ""
    version: str = ""
    last_seen_at: float | None = None
    sleeps_until_at: float | None = None
    detect: Detect = False
    groups_from: GroupsFrom = "camera"


@dataclass(frozen=True, slots=True)
class Slot:
    """A snippet: its number, its camera, its newest picture."""

    number: int
    camera: str | None
    picture_id: str | None


def register(
    connection: Connection,
    name: str,
    *,
    at: float,
    groups: tuple[str, ...] = (),
    source: str = "",
    agent: str = "",
    version: str = "",
) -> Placed:
    """Notes a camera and gives it a slot: the first that has no camera, else a new one.

    A fleet comes back all at once, and most of it as it was: of that only the time is written.
    """
    about = {"groups": list(groups), "source": source, "agent": agent, "version": version}
    known = _KNOWN.first(connection, {"who": name})
    number, own, operators = (None, None, None) if known is None else known[:3]
    if known is not None and (_texts(own), *known[3:]) == (list(groups), source, agent, version):
        _SEEN.run(connection, {"who": name, "at": at})
    elif known is not None:
        update = cameras.update().where(cameras.c.name == name)
        connection.execute(update.values(**about, last_seen_at=at))
    else:
        connection.execute(
            cameras.insert().values(name=name, **about, first_seen_at=at, last_seen_at=at)
        )
    number = _slot_of(connection, name) if number is None else int(number)
    return Placed(number, _groups(list(groups), _texts(operators)))


def reserve(connection: Connection, name: str, *, at: float) -> int:
    """Gives a camera that was never here its slot, so that it is known before it first connects."""
    known = connection.execute(select(cameras.c.name).where(cameras.c.name == name)).first()
    if known is None:
        connection.execute(
            cameras.insert().values(
                name=name, groups=[], source="", agent="", version="", first_seen_at=at
            )
        )
    return _slot_of(connection, name)


def set_detect(connection: Connection, name: str, detect: Detect) -> None:
    """Notes whether a camera's pictures get boxes.

    Raises:
        NotFound: there is no such camera.
    """
    query = cameras.update().where(cameras.c.name == name).values(detect=detect or None)
    if connection.execute(query).rowcount == 0:
        raise _no_camera(name)


def set_groups(connection: Connection, name: str, groups: tuple[str, ...] | None) -> None:
    """Notes the operator's word on a camera's groups; None leaves them to the camera again.

    Raises:
        NotFound: there is no such camera.
    """
    value = None if groups is None else list(dict.fromkeys(groups))
    query = cameras.update().where(cameras.c.name == name).values(groups_set=value)
    if connection.execute(query).rowcount == 0:
        raise _no_camera(name)


def groups_of(connection: Connection, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The groups that count, of those of the cameras that are known."""
    query = select(cameras.c.name, cameras.c.groups, cameras.c.groups_set).where(
        cameras.c.name.in_(tuple(names))
    )
    return {row.name: _groups(row.groups, row.groups_set) for row in connection.execute(query)}


def forget(connection: Connection, name: str) -> None:
    """Deletes what is noted of a camera. Its slot stays, and its pictures: it may come back.

    Raises:
        NotFound: there is no such camera.
    """
    if connection.execute(cameras.delete().where(cameras.c.name == name)).rowcount == 0:
        raise NotFound(f"no camera {name}")


def all_cameras(connection: Connection) -> list[CameraRow]:
    """Every known camera, by name."""
    query = (
        select(cameras, snippets.c.number)
        .join(snippets, snippets.c.camera == cameras.c.name)
        .order_by(cameras.c.name)
    )
    return [
        CameraRow(
            name=row.name,
            snippet=row.number,
            groups=_groups(row.groups, row.groups_set),
            source=row.source,
            agent=row.agent,
            version=row.version,
            last_seen_at=row.last_seen_at,
            sleeps_until_at=row.sleeps_until_at,
            detect=row.detect or False,
            groups_from="camera" if row.groups_set is None else "operator",
        )
        for row in connection.execute(query)
    ]


def slot(connection: Connection, number: int) -> Slot:
    """Returns the slot of that number.

    Raises:
        NotFound: there is none.
    """
    row = None
    if 0 < number <= MOST_SLOTS:  # drivers refuse a number that no column holds
        row = connection.execute(_SLOT, {"number": number}).first()
    if row is None:
        raise no_slot(number)
    return Slot(row.number, row.camera, row.picture_id)


def no_slot(number: int) -> NotFound:
    """The error for a slot that does not exist."""
    return NotFound(f"no snippet {number}: each camera gets one when it first connects")


def all_slots(connection: Connection) -> list[Slot]:
    """Every slot, by number."""
    rows = connection.execute(select(snippets).order_by(snippets.c.number))
    return [Slot(row.number, row.camera, row.picture_id) for row in rows]


def _groups(own: list[str], operators: list[str] | None) -> tuple[str, ...]:
    return tuple(own if operators is None else operators)


def _texts(stored: str | None) -> list[str] | None:
    return None if stored is None else msgspec.json.decode(stored, type=list[str])


def _no_camera(name: str) -> NotFound:
    return NotFound(f"no camera {name}: it is known once it has a token or has connected")


def _slot_of(connection: Connection, name: str) -> int:
    number = connection.execute(
        select(snippets.c.number).where(snippets.c.camera == name)
    ).scalar_one_or_none()
    if number is not None:
        return int(number)
    free = connection.execute(
        select(func.min(snippets.c.number)).where(snippets.c.camera.is_(None))
    ).scalar_one()
    if free is not None:
        connection.execute(snippets.update().where(snippets.c.number == free).values(camera=name))
        return int(free)
    highest = connection.execute(select(func.max(snippets.c.number))).scalar_one()
    connection.execute(snippets.insert().values(number=highest + 1, camera=name))
    return int(highest) + 1
