"""What changed: the past that a picture is compared with, and what came of it.

A camera's past is its newest pictures and, of the days before, those of the same time of day: light
and habits come again every day. All of it is by when pictures were captured, so that one that comes
late is compared with its own past, and its size is bounded, whatever a camera sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select

from objectclassification.change import Change, PastPicture
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import changes, embeddings, pictures

RECENT: Final = 16
"""The newest pictures."""
DAYS: Final = 7
"""Before this one, whose pictures of the same time count, too."""
A_DAY: Final = 3
"""Pictures of each of them."""
AROUND_S: Final = 1800.0
"""How far from the same time they are."""
WHOLE: Final = ""
"""The crop that is none; crops that have a name have a past of their own."""
_DAY_S: Final = 86_400.0

_WHOSE = Prepared(
    select(pictures.c.camera, pictures.c.captured_at).where(pictures.c.id == bindparam("picture"))
)


def _newest(number: int) -> Prepared:
    """Picks pictures before it looks for embeddings, of which a new model has none so far."""
    some = (
        select(pictures.c.id, pictures.c.captured_at)
        .where(
            pictures.c.camera == bindparam("camera"),
            pictures.c.captured_at >= bindparam("since"),
            pictures.c.captured_at < bindparam("until"),
        )
        .order_by(pictures.c.captured_at.desc())
        .limit(number)
        .subquery()
    )
    return Prepared(
        select(some.c.id, embeddings.c.vector)
        .join(embeddings, embeddings.c.picture_id == some.c.id)
        .where(embeddings.c.model_sha256 == bindparam("model"))
    )


_RECENT = _newest(RECENT)
_THEN = _newest(A_DAY)
_NEW = Prepared(changes.insert(), *changes.c.keys())


def past(connection: Connection, picture_id: str, model_sha256: str) -> dict[str, bytes]:
    """The pictures that a picture is compared with, with their embeddings.

    Args:
        connection: to read with.
        picture_id: the picture.
        model_sha256: whose embeddings.

    Returns:
        Nothing of a picture without a camera.
    """
    camera, captured_at = _WHOSE.first(connection, {"picture": picture_id}) or (None, 0.0)
    if camera is None:
        return {}
    wanted = {"camera": camera, "model": model_sha256}
    found = dict(_RECENT.run(connection, {**wanted, "since": 0.0, "until": captured_at}).fetchall())
    for day in range(1, DAYS + 1):
        then = captured_at - day * _DAY_S
        edges = {"since": then - AROUND_S, "until": then + AROUND_S}
        found.update(_THEN.run(connection, {**wanted, **edges}).fetchall())
    found.pop(picture_id, None)
    return found


def add(connection: Connection, picture_id: str, crop: str, change: Change) -> None:
    """Stores what came of a comparison."""
    _NEW.run(
        connection,
        {
            "picture_id": picture_id,
            "crop": crop,
            "novelty": change.novelty,
            "threshold": change.threshold,
            "changed": change.changed,
            "nearest": msgspec.json.encode(change.nearest).decode(),
        },
    )


def of_pictures(connection: Connection, ids: Sequence[str]) -> dict[str, Change]:
    """What changed on pictures as a whole; of their past, what was not deleted since."""
    query = select(changes).where(changes.c.picture_id.in_(ids), changes.c.crop == WHOLE)
    rows = connection.execute(query).all()
    nearest = {
        row.picture_id: msgspec.json.decode(row.nearest, type=tuple[PastPicture, ...])
        for row in rows
    }
    named = {one.picture for found in nearest.values() for one in found}
    there = set(connection.execute(select(pictures.c.id).where(pictures.c.id.in_(named))).scalars())
    return {
        row.picture_id: Change(
            novelty=row.novelty,
            threshold=row.threshold,
            changed=row.changed,
            nearest=tuple(one for one in nearest[row.picture_id] if one.picture in there),
        )
        for row in rows
    }
