"""Which pictures go, and their going: the oldest first, a few at a time, the row before the blob.

A crash between the two leaves a blob without a row, which ``doctor`` finds; the other order would
leave a picture that cannot be shown. What is needed stays whatever the limits say, and counts:

- a picture whose job is queued or leased: a child may be reading its file;
- a picture of a snap that is not done: its receipt is still being written;
- the picture a slot shows: ``/snippets/1/`` is never empty again once it had a picture;
- a picture that an operator labelled, unless the policy says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, exists, func, select

from objectclassification.config import ServerSettings
from objectclassification.store.old_snaps import RECEIPT_S
from objectclassification.store.tables import jobs, labels, pictures, renditions, snaps, snippets

DAY_S = 86_400.0
_FOREVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """What may stay; 0 is no limit.

    Attributes:
        days: since the picture arrived, by the server's clock.
        pictures: how many.
        bytes: of all their renditions.
    """

    days: float = 0
    pictures: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What may stay, overall and of each camera. A picture goes when any limit says so.

    Attributes:
        overall: of all pictures together.
        each: of each camera that is not named.
        named: of cameras that differ.
        keeps_labelled: whether pictures with a label stay whatever the limits say.
    """

    overall: Limits = Limits()
    each: Limits = Limits()
    named: Mapping[str, Limits] = field(default_factory=dict)
    keeps_labelled: bool = True

    @classmethod
    def of(cls, settings: ServerSettings) -> Policy:
        """The policy that the settings state."""
        each = Limits(
            settings.camera_keep_days, settings.camera_keep_pictures, settings.camera_keep_bytes
        )
        named = {
            name: Limits(
                each.days if keep.days is None else keep.days,
                each.pictures if keep.pictures is None else keep.pictures,
                each.bytes if keep.bytes is None else keep.bytes,
            )
            for name, keep in settings.keep_cameras.items()
        }
        overall = Limits(settings.keep_days, settings.keep_pictures, settings.keep_bytes)
        return cls(overall, each, named, settings.keep_labelled)

    @property
    def keeps_all(self) -> bool:
        """Whether there is no limit at all."""
        return {self.overall, self.each, *self.named.values()} == {Limits()}

    def receipts_before(self, newest_gone_at: float | None, *, now: float) -> float:
        """Until when a snap without pictures is old news.

        Args:
            newest_gone_at: when the newest picture that goes arrived, or None if none goes.
            now: seconds since the epoch.

        Returns:
            Seconds since the epoch, a day ago at the latest.
        """
        aged = now - self.overall.days * DAY_S if self.overall.days else _FOREVER
        gone = _FOREVER if newest_gone_at is None else newest_gone_at
        return min(max(aged, gone), now - RECEIPT_S)

    def of_camera(self, camera: str | None) -> Limits:
        """A camera's limits; None stands for the pictures that have none."""
        return self.named.get(camera or "", self.each)


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored of one camera."""

    pictures: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that may go, as nothing needs it.

    Attributes:
        id: the picture.
        camera: whose it is, or None.
        received_at: seconds since the epoch.
        bytes: of all its renditions.
        snap: which snap it answers, or None.
    """

    id: str
    camera: str | None
    received_at: float
    bytes: int
    snap: str | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What left the database.

    Attributes:
        ids: the pictures.
        bytes: of their renditions.
        keys: of the blobs that nothing refers to any more.
    """

    ids: tuple[str, ...]
    bytes: int
    keys: tuple[str, ...]


class Reckoning:
    """Judges candidates one after the other, oldest first; does no I/O.

    One pass is enough: what is left only shrinks while it runs, so that a picture which may stay
    when its turn comes may stay for good.

    Args:
        policy: the limits.
        held: what is stored, by camera.
        now: seconds since the epoch.
    """

    def __init__(self, policy: Policy, held: Mapping[str | None, Held], *, now: float) -> None:
        self._policy = policy
        self._now = now
        self._all = _Left(policy.overall, Held(0, 0), now)
        self._cameras = {
            camera: _Left(policy.of_camera(camera), amount, now) for camera, amount in held.items()
        }
        for amount in held.values():
            self._all.pictures += amount.pictures
            self._all.bytes += amount.bytes

    def goes(self, candidate: Candidate) -> bool:
        """Whether a picture goes; it is taken off then."""
        camera = self._camera(candidate.camera)
        goes = self._all.is_over(candidate) or camera.is_over(candidate)
        if goes:
            self._all.take_off(candidate)
            camera.take_off(candidate)
        return goes

    def is_settled(self, last: Candidate) -> bool:
        """Whether no candidate that is as young as this one, or younger, can go."""
        return not any(left.is_over(last) for left in (self._all, *self._cameras.values()))

    def _camera(self, name: str | None) -> _Left:
        if name not in self._cameras:  # its first picture came after it was counted
            self._cameras[name] = _Left(self._policy.of_camera(name), Held(0, 0), self._now)
        return self._cameras[name]


class _Left:
    """What is left of all, or of one camera, beside its limits."""

    def __init__(self, limits: Limits, amount: Held, now: float) -> None:
        self._limits = limits
        self._oldest_at = now - limits.days * DAY_S if limits.days else _FOREVER
        self.pictures, self.bytes = amount.pictures, amount.bytes

    def is_over(self, candidate: Candidate) -> bool:
        return (
            candidate.received_at < self._oldest_at
            or 0 < self._limits.pictures < self.pictures
            or 0 < self._limits.bytes < self.bytes
        )

    def take_off(self, candidate: Candidate) -> None:
        self.pictures -= 1
        self.bytes -= candidate.bytes


def held(connection: Connection) -> dict[str | None, Held]:
    """Counts what is stored, by camera; pictures without a camera are under None."""
    counted = select(pictures.c.camera, func.count().label("number")).group_by(pictures.c.camera)
    numbers = {row.camera: int(row.number) for row in connection.execute(counted)}
    summed = (
        select(pictures.c.camera, func.sum(renditions.c.size_bytes).label("size"))
        .join(renditions, renditions.c.picture_id == pictures.c.id)
        .group_by(pictures.c.camera)
    )
    sizes = {row.camera: int(row.size) for row in connection.execute(summed)}
    return {camera: Held(number, sizes.get(camera, 0)) for camera, number in numbers.items()}


def candidates(
    connection: Connection, *, after: str, limit: int, labelled_too: bool = False
) -> list[Candidate]:
    """A page of pictures that nothing needs, oldest first.

    Args:
        connection: to read with.
        after: the last id of the page before; empty for the first.
        limit: the most to return.
        labelled_too: also those that an operator labelled.
    """
    size = (
        select(func.coalesce(func.sum(renditions.c.size_bytes), 0))
        .where(renditions.c.picture_id == pictures.c.id)
        .scalar_subquery()
    )
    query = (
        select(
            pictures.c.id,
            pictures.c.camera,
            pictures.c.received_at,
            size.label("size"),
            pictures.c.snap_id,
        )
        .where(pictures.c.id > after, ~_is_needed(labelled_too=labelled_too))
        .order_by(pictures.c.id)  # UUIDv7: by arrival
        .limit(limit)
    )
    return [
        Candidate(row.id, row.camera, row.received_at, int(row.size), row.snap_id)
        for row in connection.execute(query)
    ]


def delete(connection: Connection, ids: Sequence[str], *, labelled_too: bool = False) -> Deleted:
    """Deletes the rows of pictures, except of those that are needed by now."""
    needed = _is_needed(labelled_too=labelled_too)
    free = select(pictures.c.id).where(pictures.c.id.in_(ids), ~needed)
    going = list(connection.execute(free).scalars())
    return remove(connection, going)


def remove(connection: Connection, ids: Sequence[str]) -> Deleted:
    """Deletes the rows of pictures, needed or not; receipts that name them stay for now."""
    files = connection.execute(
        select(renditions.c.id, renditions.c.size_bytes).where(renditions.c.picture_id.in_(ids))
    ).all()
    # Renditions, job, predictions, embeddings, labels and answers follow by their foreign keys.
    connection.execute(pictures.delete().where(pictures.c.id.in_(ids)))
    return Deleted(tuple(ids), sum(row.size_bytes for row in files), tuple(row.id for row in files))


def _is_needed(*, labelled_too: bool) -> ColumnElement[bool]:
    """What keeps a picture whatever the limits say."""
    at_work = exists().where(
        jobs.c.picture_id == pictures.c.id, jobs.c.state.in_(("queued", "leased"))
    )
    in_open_snap = exists().where(snaps.c.id == pictures.c.snap_id, snaps.c.ended_at.is_(None))
    shown = exists().where(snippets.c.picture_id == pictures.c.id)
    needed = at_work | in_open_snap | shown
    return needed if labelled_too else needed | exists().where(labels.c.picture_id == pictures.c.id)
