"""Heads, their versions, which of them answer, and what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, select
from uuid_utils import uuid7

from objectclassification.errors import BadMessage, Conflict, NotFound
from objectclassification.heads import Crop, Evidence, HeadShown, Version
from objectclassification.receipts import Answer, rfc3339
from objectclassification.store import labels
from objectclassification.store.tables import answers, head_activations, head_versions

MOST_HEADS = 64
"""Each that is switched on looks at every picture of its cameras."""
MOST_VERSIONS = 100
"""Of one head; for one more the oldest that never answered goes."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A version with what was learnt.

    Attributes:
        head, number, classes, camera, crop, abstain, model_sha256, refitted_from: as of
            :class:`~objectclassification.heads.Version`.
        weights: float32, little endian, ``[d + 1, k]``.
        sharpness: of the softmax.
        abstain_chosen: whether a person chose the margin.
    """

    head: str
    number: int
    classes: tuple[str, ...]
    camera: str | None
    crop: Crop | None
    abstain: float
    model_sha256: str
    weights: bytes
    sharpness: float
    abstain_chosen: bool = False
    refitted_from: int | None = None


def add_version(
    connection: Connection, taught: Taught, evidence: Evidence, *, at: float, token_id: str
) -> int:
    """Stores a version with the next number; ``taught.number`` does not count.

    Raises:
        Conflict: there are too many heads, or too many versions that all answered once.
    """
    newest = _newest(connection, taught.head)
    if newest == 0 and len(_names(connection)) >= MOST_HEADS:
        raise Conflict(f"there are {MOST_HEADS} heads already: teach one of these anew")
    _make_room(connection, taught.head)
    connection.execute(
        head_versions.insert().values(
            head=taught.head,
            number=newest + 1,
            classes=list(taught.classes),
            camera=taught.camera,
            crop=None if taught.crop is None else list(taught.crop),
            abstain=taught.abstain,
            abstain_chosen=taught.abstain_chosen,
            refitted_from=taught.refitted_from,
            model_sha256=taught.model_sha256,
            weights=taught.weights,
            sharpness=taught.sharpness,
            evidence=msgspec.to_builtins(evidence),
            created_at=at,
            token_id=token_id,
        )
    )
    return newest + 1


def every(connection: Connection, model_sha256: str) -> list[HeadShown]:
    """All heads that were taught or labelled for, by name.

    Args:
        connection: to read with.
        model_sha256: of the model that the server has now.
    """
    labelled = labels.counts(connection)
    numbers = _numbers(connection)
    active = {row.head: row for row in connection.execute(_active())}
    names = sorted({*numbers, *labelled} - {""})
    return [
        HeadShown(
            name=name,
            labels=labelled.get(name, {}),
            active=active[name].number if name in active else None,
            versions=numbers.get(name, 0),
            stale=name in active and active[name].model_sha256 != model_sha256,
        )
        for name in names
    ]


def versions(connection: Connection, head: str, model_sha256: str, *, limit: int) -> list[Version]:
    """A head's versions, newest first.

    Raises:
        NotFound: it was not taught.
    """
    query = select(head_versions).where(head_versions.c.head == head)
    rows = connection.execute(query.order_by(head_versions.c.number.desc()).limit(limit)).all()
    if not rows:
        raise NotFound(f"no head {head!r} was taught")
    active = _active_number(connection, head)
    return [_version(row, active, model_sha256) for row in rows]


def version(connection: Connection, head: str, number: int, model_sha256: str) -> Version:
    """One version.

    Raises:
        NotFound: there is none.
    """
    return _version(_row(connection, head, number), _active_number(connection, head), model_sha256)


def taught(connection: Connection, head: str, number: int | None = None) -> Taught | None:
    """A version with its weights, the newest without a number; None if there is none."""
    wanted = _newest(connection, head) if number is None else number
    query = select(head_versions).where(
        head_versions.c.head == head, head_versions.c.number == wanted
    )
    row = connection.execute(query).first()
    return None if row is None else _taught(row)


def active(connection: Connection) -> list[Taught]:
    """The versions that answer, by head."""
    return [_taught(row) for row in connection.execute(_active())]


def activate(connection: Connection, head: str, number: int, *, at: float, token_id: str) -> None:
    """Has a version answer from now on; one that does already stays.

    Raises:
        NotFound: there is none.
    """
    _row(connection, head, number)
    if _active_number(connection, head) == number:
        return
    connection.execute(
        head_activations.insert().values(
            id=str(uuid7()), head=head, number=number, activated_at=at, token_id=token_id
        )
    )


def refitted(connection: Connection, head: str, number: int, model_sha256: str) -> int | None:
    """The version that a version was fitted anew as, for a model; None if there is none."""
    known = head_versions.c
    query = select(func.max(known.number)).where(
        known.head == head, known.refitted_from == number, known.model_sha256 == model_sha256
    )
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def replace_stale(connection: Connection, new: Version, *, at: float) -> bool:
    """Has a version that was fitted anew answer in place of the one that it was made from.

    Returns:
        False, and nothing is changed, if another one answers by now, or this one was switched on
        before: whoever switched it off again meant it.
    """
    done = head_activations.c
    query = select(done.id).where(done.head == new.head, done.number == new.number).limit(1)
    was_on = connection.execute(query).first() is not None
    if was_on or _active_number(connection, new.head) != new.refitted_from:
        return False
    activate(connection, new.head, new.number, at=at, token_id=new.by)
    return True


def roll_back(connection: Connection, head: str, *, at: float) -> None:
    """Has the version answer that did before; before the first, none does.

    Raises:
        NotFound: no version of it answers.
    """
    done = head_activations.c
    query = select(done.id).where(done.head == head, done.undone_at.is_(None))
    newest = connection.execute(query.order_by(done.id.desc()).limit(1)).scalar_one_or_none()
    if newest is None:
        raise NotFound(f"no version of the head {head!r} is switched on")
    connection.execute(head_activations.update().where(done.id == newest).values(undone_at=at))


def check_ask(
    connection: Connection, options: dict[str, Any], cameras: Sequence[str], until: str
) -> None:
    """Refuses a snap that asks what cannot be answered.

    Args:
        connection: to read with.
        options: of the snap; ``ask`` is the head that must answer.
        cameras: which the snap goes to.
        until: how far it goes.

    Raises:
        BadMessage: ``ask`` is no head's name, or the snap ends before anything is classified.
        NotFound: no version of that head is switched on, or it is for another camera.
    """
    asked = options.get("ask")
    if asked is None:
        return
    if not isinstance(asked, str):
        raise BadMessage('options.ask is the name of a head, such as "valve"')
    if until != "classified":
        raise BadMessage(f"options.ask needs until: classified, not {until}")
    found = {one.head: one for one in active(connection)}
    if asked not in found:
        there = ", ".join(sorted(found)) or "none"
        raise NotFound(f"no head {asked[:64]!r} is switched on; there is {there}")
    camera = found[asked].camera
    others = [name for name in cameras if camera not in (None, name)]
    if others:
        raise NotFound(f"the head {asked!r} is for the camera {camera}, not for {others[0]}")


def add_answers(connection: Connection, picture_id: str, found: Sequence[Answer]) -> None:
    """Stores what heads said of a picture."""
    rows = [
        {
            "picture_id": picture_id,
            "head": one.head,
            "number": one.version,
            "class": one.class_,
            "score": one.score,
            "margin": one.margin,
            "scores": one.scores,
            "abstains": one.abstains,
        }
        for one in found
    ]
    if rows:
        connection.execute(answers.insert(), rows)


def answers_of(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Answer, ...]]:
    """What heads said of pictures, by picture; those without an answer are left out."""
    found: dict[str, list[Answer]] = {}
    if not ids:
        return {}
    query = select(answers).where(answers.c.picture_id.in_(ids)).order_by(answers.c.head)
    for row in connection.execute(query):
        found.setdefault(row.picture_id, []).append(
            Answer(
                head=row.head,
                version=row.number,
                class_=row._mapping["class"],
                score=row.score,
                margin=row.margin,
                scores=row.scores,
                abstains=row.abstains,
            )
        )
    return {picture: tuple(each) for picture, each in found.items()}


def answers_to(connection: Connection, head: str, *, since: str) -> dict[str, str | None]:
    """What a head said of that picture and later ones, by picture."""
    name = answers.c["class"].label("name")
    query = select(answers.c.picture_id, name).where(
        answers.c.head == head, answers.c.picture_id >= since
    )
    return {row.picture_id: row.name for row in connection.execute(query)}


def _active() -> Select[Any]:
    """The rows of the versions that answer."""
    done = head_activations.c
    newest = select(func.max(done.id)).where(done.undone_at.is_(None)).group_by(done.head)
    return (
        select(head_versions)
        .join(
            head_activations,
            (done.head == head_versions.c.head) & (done.number == head_versions.c.number),
        )
        .where(done.id.in_(newest))
        .order_by(head_versions.c.head)
    )


def _active_number(connection: Connection, head: str) -> int | None:
    query = _active().where(head_versions.c.head == head)
    row = connection.execute(query).first()
    return None if row is None else int(row.number)


def _names(connection: Connection) -> set[str]:
    return set(_numbers(connection))


def _numbers(connection: Connection) -> dict[str, int]:
    """How many versions each head has."""
    query = select(head_versions.c.head, func.count().label("n")).group_by(head_versions.c.head)
    return {row.head: int(row.n) for row in connection.execute(query)}


def _newest(connection: Connection, head: str) -> int:
    query = select(func.max(head_versions.c.number)).where(head_versions.c.head == head)
    return int(connection.execute(query).scalar_one_or_none() or 0)


def _make_room(connection: Connection, head: str) -> None:
    if _numbers(connection).get(head, 0) < MOST_VERSIONS:
        return
    answered = select(head_activations.c.number).where(head_activations.c.head == head)
    oldest = select(func.min(head_versions.c.number)).where(
        head_versions.c.head == head, head_versions.c.number.not_in(answered)
    )
    number = connection.execute(oldest).scalar_one_or_none()
    if number is None:
        raise Conflict(f"the head {head!r} has {MOST_VERSIONS} versions that all answered once")
    connection.execute(
        head_versions.delete().where(head_versions.c.head == head, head_versions.c.number == number)
    )


def _row(connection: Connection, head: str, number: int) -> Row[Any]:
    query = select(head_versions).where(
        head_versions.c.head == head, head_versions.c.number == number
    )
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"no version {number} of a head {head!r}")
    return row


def _taught(row: Row[Any]) -> Taught:
    return Taught(
        head=row.head,
        number=row.number,
        classes=tuple(row.classes),
        camera=row.camera,
        crop=_crop(row),
        abstain=row.abstain,
        model_sha256=row.model_sha256,
        weights=row.weights,
        sharpness=row.sharpness,
        abstain_chosen=bool(row.abstain_chosen),
        refitted_from=row.refitted_from,
    )


def _version(row: Row[Any], active_number: int | None, model_sha256: str) -> Version:
    return Version(
        head=row.head,
        number=row.number,
        classes=tuple(row.classes),
        camera=row.camera,
        crop=_crop(row),
        abstain=row.abstain,
        model_sha256=row.model_sha256,
        stale=row.model_sha256 != model_sha256,
        active=row.number == active_number,
        created_at=rfc3339(row.created_at),
        by=row.token_id,
        evidence=msgspec.convert(row.evidence, Evidence),
        refitted_from=row.refitted_from,
    )


def _crop(row: Row[Any]) -> Crop | None:
    crop: Crop | None = msgspec.convert(row.crop, Crop | None)
    return crop
