"""What a PUT writes, in one transaction: picture, rendition, job, slot and the shot's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import Connection, bindparam, exists, select
from uuid_utils import uuid7

from objectclassification.errors import KeyReused
from objectclassification.receipts import Picture, Rendition, Shot, rfc3339
from objectclassification.store import elsewhere, snaps, snippets
from objectclassification.store import pictures as reading
from objectclassification.store.jobs import FOR_A_SNAP, FOR_NOBODY
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import jobs, pictures, renditions
from objectclassification.store.tables import snippets as slots

_SLOT = Prepared(
    select(slots.c.camera, slots.c.picture_id, pictures.c.captured_at)
    .outerjoin(pictures, pictures.c.id == slots.c.picture_id)
    .where(slots.c.number == bindparam("snippet"))
)
_SAME_KEY = Prepared(
    select(renditions.c.picture_id, renditions.c.sha256, renditions.c.name, pictures.c.snap_id)
    .join(pictures, pictures.c.id == renditions.c.picture_id)
    .where(
        renditions.c.snippet == bindparam("snippet"),
        renditions.c.idempotency_key == bindparam("key"),
    )
)
# Neither "not in" nor an order by id, for which SQLite would read a camera's whole history.
_LACKING = Prepared(
    select(pictures.c.id).where(
        pictures.c.snap_id == bindparam("snap"),
        pictures.c.camera == bindparam("camera"),
        ~exists().where(
            renditions.c.picture_id == pictures.c.id, renditions.c.name == bindparam("name")
        ),
    )
)
_NEW_PICTURE = Prepared(
    pictures.insert(),
    "id",
    "snippet",
    "camera",
    "snap_id",
    "received_at",
    "captured_at",
    "captured_from",
    "captured_uncertainty_ms",
)
_NEW_RENDITION = Prepared(renditions.insert(), *renditions.c.keys())
_NEW_JOB = Prepared(
    jobs.insert(), "id", "picture_id", "rendition_id", "state", "priority", "attempts"
)
_SHOW = Prepared(
    slots.update().where(slots.c.number == bindparam("slot")).values(picture_id=bindparam("newest"))
)


class _Slot(NamedTuple):
    """A slot with what the newest picture in it says of its age."""

    camera: str | None
    picture_id: str | None
    captured_at: float | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A rendition whose blob is durable.

    Attributes:
        id: the rendition's id, the blob's key.
        snippet: the slot.
        snap: the snap it answers, or None.
        name: ``full``, ``thumbnail``, …
        sha256: hash of the bytes, hexadecimal.
        size_bytes: their number.
        media_type: for example ``image/jpeg``.
        width: pixels.
        height: pixels.
        idempotency_key: the sender's, or None.
        received_at: when it arrived, seconds since the epoch.
        age_ms: how old it was then by the camera's clock, or None.
        uncertainty_ms: of that age, or None when it is unknown.
        frame: its place in a burst. The first is the shot's picture and the slot's; the others are
            kept beside it, as pictures of the same snap and camera.
    """

    id: str
    snippet: int
    snap: str | None
    name: str
    sha256: str
    size_bytes: int
    media_type: str
    width: int
    height: int
    idempotency_key: str | None
    received_at: float
    age_ms: float | None
    uncertainty_ms: float | None
    frame: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an upload.

    Attributes:
        picture: the picture it is part of.
        new: False when the same upload was taken before; its blob is not needed then.
        picture_is_new: False when it joined a picture that was there already.
    """

    picture: Picture
    new: bool
    picture_is_new: bool


def take(connection: Connection, upload: Upload) -> Taken:
    """Writes an upload's rows.

    Raises:
        NotFound: the slot does not exist.
        KeyReused: the key was used with other bytes, or for another snap or rendition.
    """
    slot = _slot(connection, upload.snippet)
    before = _same_key(connection, upload)
    if before is not None:
        return Taken(_known(connection, before), new=False, picture_is_new=False)
    joined = _joined(connection, upload, slot.camera)
    if joined is None:
        picture = _new_picture(connection, upload, slot)
        _add_rendition(connection, upload, picture.id)
        _add_job(connection, upload, picture.id)
    else:
        _add_rendition(connection, upload, joined)
        picture = _known(connection, joined)
    if upload.snap is not None and slot.camera is not None and upload.frame == 1:
        shot = Shot(camera=slot.camera, state="uploaded", picture=picture.ref())
        snaps.save_shots(connection, upload.snap, [shot])
    return Taken(picture, new=True, picture_is_new=joined is None)


def _known(connection: Connection, picture_id: str) -> Picture:
    """A picture that came before. Also when it was deleted since: its camera did nothing wrong."""
    return reading.get(connection, picture_id, deleted_too=True)


def _slot(connection: Connection, number: int) -> _Slot:
    row = _SLOT.first(connection, {"snippet": number})
    if row is None:
        raise snippets.no_slot(number)
    return _Slot(*row)


def _same_key(connection: Connection, upload: Upload) -> str | None:
    """The picture an earlier upload with the same key went to."""
    if upload.idempotency_key is None:
        return None
    wanted = {"snippet": upload.snippet, "key": upload.idempotency_key}
    row = _SAME_KEY.first(connection, wanted)
    if row is None:
        return None
    picture_id, sha256, name, snap = row
    if sha256 != upload.sha256:
        raise KeyReused("this Idempotency-Key was used with other bytes: make a new key")
    if (name, snap) != (upload.name, upload.snap):
        raise KeyReused(
            "this Idempotency-Key was used for another snap or rendition: make a new key"
        )
    return str(picture_id)


def _joined(connection: Connection, upload: Upload, camera: str | None) -> str | None:
    """The picture of the same shot that still lacks this rendition."""
    if upload.snap is None or camera is None or upload.frame > 1:
        return None
    wanted = {"snap": upload.snap, "camera": camera, "name": upload.name}
    return max((row[0] for row in _LACKING.run(connection, wanted).fetchall()), default=None)


def _new_picture(connection: Connection, upload: Upload, slot: _Slot) -> Picture:
    """Adds a picture, and returns it as :func:`reading.get` will once its rendition is there."""
    picture_id = str(uuid7())
    captured_at = upload.received_at - (upload.age_ms or 0) / 1000
    captured_from: Literal["age", "arrival"] = "arrival" if upload.age_ms is None else "age"
    _NEW_PICTURE.run(
        connection,
        {
            "id": picture_id,
            "snippet": upload.snippet,
            "camera": slot.camera,
            "snap_id": upload.snap,
            "received_at": upload.received_at,
            "captured_at": captured_at,
            "captured_from": captured_from,
            "captured_uncertainty_ms": upload.uncertainty_ms,
        },
    )
    if _is_newest(slot, captured_at, now=upload.received_at) and upload.frame == 1:
        _SHOW.run(connection, {"slot": upload.snippet, "newest": picture_id})
    rendition = Rendition(
        url=reading.image_url(picture_id, upload.name),
        sha256=upload.sha256,
        media_type=upload.media_type,
        width=upload.width,
        height=upload.height,
        size_bytes=upload.size_bytes,
    )
    return Picture(
        id=picture_id,
        snippet=upload.snippet,
        camera=slot.camera,
        snap=upload.snap,
        captured_at=rfc3339(captured_at),
        captured_from=captured_from,
        captured_uncertainty_ms=upload.uncertainty_ms,
        received_at=rfc3339(upload.received_at),
        renditions={upload.name: rendition},
        state="queued",
    )


def _is_newest(slot: _Slot, captured_at: float, *, now: float) -> bool:
    """Whether a picture is to be shown in its slot: a late one never replaces a newer one.

    One from the future is none: this machine's clock was set back since it came.
    """
    shown_at = slot.captured_at
    return shown_at is None or captured_at >= shown_at or shown_at > now


def _add_rendition(connection: Connection, upload: Upload, picture_id: str) -> None:
    _NEW_RENDITION.run(
        connection,
        {
            "id": upload.id,
            "picture_id": picture_id,
            "snippet": upload.snippet,
            "name": upload.name,
            "sha256": upload.sha256,
            "size_bytes": upload.size_bytes,
            "media_type": upload.media_type,
            "width": upload.width,
            "height": upload.height,
            "idempotency_key": upload.idempotency_key,
        },
    )


def _add_job(connection: Connection, upload: Upload, picture_id: str) -> None:
    _NEW_JOB.run(
        connection,
        {
            "id": str(uuid7()),
            "picture_id": picture_id,
            "rendition_id": upload.id,
            "state": "queued",
            "priority": (FOR_A_SNAP if upload.snap and upload.frame == 1 else FOR_NOBODY)
            + elsewhere.added(connection, picture_id),
            "attempts": 0,
        },
    )
