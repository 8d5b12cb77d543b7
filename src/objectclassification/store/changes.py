"""What changed: the past that a picture is compared with, and what came of it.

A camera's past is its newest pictures and, of the days before, those of the same time of day: light
and habits come again every day. All of it is by when pictures were captured, so that one that comes
late is compared with its own past, and its size is bounded, whatever a camera sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Table, bindparam, exists, select

from objectclassification.change import Change, CropChange, PastPicture
from objectclassification.heads import Crop
from objectclassification.store.deletions import is_deleted
from objectclassification.store.embeddings import crop_of, crop_text
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import changes, crop_embeddings, embeddings, pictures

RECENT: Final = 16
"""The newest pictures."""
DAYS: Final = 7
"""Before this one, whose pictures of the same time count, too."""
A_DAY: Final = 3
"""Pictures of each of them."""
AROUND_S: Final = 1800.0
"""How far from the same time they are."""
WHOLE: Final = ""
"""The crop that is none; others are named as :func:`.embeddings.crop_text` does."""
_DAY_S: Final = 86_400.0

_WHOSE = Prepared(
    select(pictures.c.camera, pictures.c.captured_at).where(pictures.c.id == bindparam("picture"))
)


def _newest(number: int, table: Table, *columns: ColumnElement[Any]) -> Prepared:
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
        select(some.c.id, *columns)
        .join(table, table.c.picture_id == some.c.id)
        .where(table.c.model_sha256 == bindparam("model"))
    )


_RECENT, _THEN = (_newest(number, embeddings, embeddings.c.vector) for number in (RECENT, A_DAY))
_CROPS_RECENT, _CROPS_THEN = (
    _newest(number, crop_embeddings, crop_embeddings.c.crop, crop_embeddings.c.vector)
    for number in (RECENT, A_DAY)
)
_NEW = Prepared(changes.insert(), *changes.c.keys())


@dataclass(frozen=True, slots=True)
class Past:
    """What a picture is compared with.

    Attributes:
        whole: pictures' ids with their embeddings.
        crops: the same of each rectangle that was asked for and was seen before.
        model_sha256: whose embeddings they are.
    """

    whole: dict[str, bytes]
    crops: dict[Crop, dict[str, bytes]]
    model_sha256: str


def past(
    connection: Connection, picture_id: str, model_sha256: str, crops: Sequence[Crop] = ()
) -> Past:
    """The pictures that a picture is compared with, with their embeddings.

    Args:
        connection: to read with.
        picture_id: the picture.
        model_sha256: whose embeddings.
        crops: rectangles of it that are compared, too.

    Returns:
        Nothing of a picture without a camera.
    """
    camera, captured_at = _WHOSE.first(connection, {"picture": picture_id}) or (None, 0.0)
    found = Past({}, {}, model_sha256)
    if camera is None:
        return found
    wanted = {"camera": camera, "model": model_sha256}
    newest = {**wanted, "since": 0.0, "until": captured_at}
    same_time = [
        {**wanted, "since": then - AROUND_S, "until": then + AROUND_S}
        for then in (captured_at - day * _DAY_S for day in range(1, DAYS + 1))
    ]
    for statement, values in [(_RECENT, newest), *((_THEN, edges) for edges in same_time)]:
        found.whole.update(statement.run(connection, values).fetchall())
    found.whole.pop(picture_id, None)
    # One statement for all rectangles: a camera may have as many as there are heads.
    by_text = {crop_text(crop): crop for crop in crops} if found.whole else {}
    if not by_text:
        return found
    for statement, values in [
        (_CROPS_RECENT, newest),
        *((_CROPS_THEN, edges) for edges in same_time),
    ]:
        for id_, text, vector in statement.run(connection, values).fetchall():
            if text in by_text and id_ != picture_id:
                found.crops.setdefault(by_text[text], {})[id_] = vector
    return found


def add(connection: Connection, picture_id: str, change: Change) -> None:
    """Stores what came of a comparison."""
    named: list[tuple[str, Change | CropChange]] = [(WHOLE, change)]
    named += [(crop_text(one.crop), one) for one in change.crops]
    for crop, one in named:
        _NEW.run(
            connection,
            {
                "picture_id": picture_id,
                "crop": crop,
                "novelty": one.novelty,
                "threshold": one.threshold,
                "changed": one.changed,
                "nearest": msgspec.json.encode(one.nearest).decode(),
            },
        )


def of_pictures(connection: Connection, ids: Sequence[str]) -> dict[str, Change]:
    """What changed on pictures; of their past, what was not deleted since."""
    query = select(changes).where(changes.c.picture_id.in_(ids)).order_by(changes.c.crop)
    rows = connection.execute(query).all()
    nearest = [msgspec.json.decode(row.nearest, type=tuple[PastPicture, ...]) for row in rows]
    named = {one.picture for some in nearest for one in some}
    shown = select(pictures.c.id).where(pictures.c.id.in_(named), ~is_deleted(pictures.c.id))
    there = set(connection.execute(shown).scalars())
    found: dict[str, Change] = {}
    for row, some in zip(rows, nearest, strict=True):  # the whole comes before its rectangles
        seen = (row.novelty, row.threshold, row.changed)
        left = tuple(one for one in some if one.picture in there)
        if row.crop == WHOLE:
            found[row.picture_id] = Change(*seen, left)
        elif row.picture_id in found:
            whole = found[row.picture_id]
            crop = CropChange(crop_of(row.crop), *seen, left)
            found[row.picture_id] = replace(whole, crops=(*whole.crops, crop))
    return found


def matching(changed: bool) -> ColumnElement[bool]:
    """Of a query that has the table of pictures, those with something new, or with nothing new.

    New is what is new on the whole or on a rectangle; those without a past are neither.
    """
    of_it = changes.c.picture_id == pictures.c.id
    news = exists().where(of_it, changes.c.changed)
    return news if changed else exists().where(of_it) & ~news
