"""Snaps and their shots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, literal_column, select

from objectclassification.errors import NotFound
from objectclassification.receipts import (
    RANK,
    Freshness,
    Origin,
    Picture,
    Policy,
    Receipt,
    Shot,
    ShotError,
    Until,
    moment_shown,
    rfc3339,
)
from objectclassification.skew import Skew
from objectclassification.store import pictures
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import shots, snap_context, snaps

_UPDATE_SHOT = (
    shots.update()
    .where(shots.c.snap_id == bindparam("of_snap"), shots.c.camera == bindparam("of_camera"))
    .values({name: bindparam(name) for name in shots.c.keys() if name not in ("snap_id", "camera")})
)


# A snap to a fleet has thousands of them, and none is told before all are stored: nothing of the
# values, which are the same for all, is made anew for each.
_REQUEST = Prepared(
    shots.insert().values(
        snap_id=bindparam("of_snap"),
        camera=bindparam("of_camera"),
        state="requested",
        elapsed_ms=literal_column("'{}'"),
        camera_ms=literal_column("'{}'"),
        warnings=literal_column("'[]'"),
    )
)


_FEW = 256
"""Cameras that a statement names; of more, all shots of the snap are read."""


@dataclass(frozen=True, slots=True)
class NewSnap:
    """A snap as it is accepted."""

    id: str
    origin: Origin
    server: str
    token_id: str
    to: tuple[str, ...]
    targets: tuple[str, ...]
    until: Until
    deadline_s: float
    context: dict[str, Any]
    options: dict[str, Any]
    accepted_at: float
    ttl_s: float | None = None
    policy: Policy = "all"
    quorum: int | str | None = None
    shoot_at: float | None = None
    in_s: float | None = None

    @property
    def ends_at(self) -> float:
        """When it ends at the latest, in seconds since the epoch."""
        starts_at = max(self.accepted_at, self.shoot_at or 0.0)
        return starts_at + (self.deadline_s if self.ttl_s is None else self.ttl_s)


def add(connection: Connection, new: NewSnap) -> bool:
    """Stores a snap.

    Returns:
        False if there is one with that id already; nothing is changed then.
    """
    if connection.execute(select(snaps.c.id).where(snaps.c.id == new.id)).first() is not None:
        return False
    values = {name: getattr(new, name) for name in NewSnap.__dataclass_fields__}
    values["to"], values["targets"] = list(new.to), list(new.targets)
    connection.execute(snaps.insert().values(**values))
    # By key: long ones that are cut may become the same.
    searchable = {
        key[:256]: {"snap_id": new.id, "key": key[:256], "value": text}
        for key, value in new.context.items()
        if (text := context_text(value)) is not None
    }
    if searchable:
        connection.execute(snap_context.insert(), list(searchable.values()))
    return True


def context_text(value: object) -> str | None:
    """A context value as it is searched for, or None for what is not a scalar."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, str | int | float) else None


def save_shots(connection: Connection, snap_id: str, changed: Iterable[Shot]) -> None:
    """Merges shots into their rows: a row's state never falls, its times are only added to."""
    changed = list(changed)
    rows = _rows(connection, snap_id, [shot.camera for shot in changed])
    existing = {row.camera: row for row in rows}
    fresh: list[dict[str, Any]] = []
    merged: list[dict[str, Any]] = []
    for shot in changed:
        row = existing.get(shot.camera)
        if row is None:
            fresh.append({"snap_id": snap_id, **_values(shot)})
        else:
            merged.append({"of_snap": snap_id, "of_camera": shot.camera, **_merged(row, shot)})
    # One statement for all rows: a snap to a fleet has thousands of them.
    if fresh:
        connection.execute(shots.insert(), fresh)
    if merged:
        connection.execute(_UPDATE_SHOT, merged)


def request_shots(connection: Connection, snap_id: str, cameras: Iterable[str]) -> None:
    """Adds the shots of a new snap, of which nothing is known yet."""
    rows = [{"of_snap": snap_id, "of_camera": camera} for camera in cameras]
    _REQUEST.run_each(connection, rows)


def forget_shots(connection: Connection, snap_id: str) -> None:
    """Takes away what pictures that came before a snap said of it; the pictures stay."""
    connection.execute(shots.delete().where(shots.c.snap_id == snap_id))


def is_answer(connection: Connection, snap_id: str, camera: str, picture_id: str) -> bool:
    """Whether that picture is what the shot was answered with."""
    found = select(shots.c.picture_id).where(shots.c.snap_id == snap_id, shots.c.camera == camera)
    return connection.execute(found).scalar_one_or_none() == picture_id


def end(
    connection: Connection,
    snap_id: str,
    *,
    counts: tuple[int, int, int],
    elapsed_ms: float,
    at: float,
) -> None:
    """Closes a snap; counts are ``(answered, failed, missing)``. A closed one stays as it is."""
    answered, failed, missing = counts
    connection.execute(
        snaps.update()
        .where(snaps.c.id == snap_id, snaps.c.ended_at.is_(None))
        .values(
            answered=answered, failed=failed, missing=missing, elapsed_ms=elapsed_ms, ended_at=at
        )
    )


def receipt(connection: Connection, snap_id: str) -> Receipt:
    """Returns a snap with all its shots, as far as they are stored.

    Raises:
        NotFound: there is no such snap.
    """
    found = find(connection, snap_id)
    if found is None:
        raise NotFound(f"no snap {snap_id}")
    return found


def find(connection: Connection, snap_id: str) -> Receipt | None:
    """Returns a snap with all its shots, as far as they are stored, if there is one."""
    row = connection.execute(select(snaps).where(snaps.c.id == snap_id)).first()
    return None if row is None else _receipts(connection, [row])[0]


def freshness(connection: Connection, of: Iterable[Picture]) -> dict[str, Freshness]:
    """Returns how pictures are known to be newer than their snaps, by id, where it is known."""
    wanted = {picture.id: picture.snap for picture in of if picture.snap is not None}
    query = select(shots.c.picture_id, shots.c.freshness).where(
        shots.c.snap_id.in_(set(wanted.values())), shots.c.freshness.is_not(None)
    )
    rows = connection.execute(query)
    return {row.picture_id: row.freshness for row in rows if row.picture_id in wanted}


def recent(
    connection: Connection, *, context: dict[str, str], before: str | None, limit: int
) -> list[Receipt]:
    """The newest snaps first.

    Args:
        connection: to read with.
        context: keys and values that all must be in the snap's context.
        before: the last id of the page before, or None.
        limit: the most to return.
    """
    query = select(snaps)
    for key, value in context.items():
        query = query.where(
            snaps.c.id.in_(
                select(snap_context.c.snap_id).where(
                    snap_context.c.key == key, snap_context.c.value == value
                )
            )
        )
    if before is not None:
        at = select(snaps.c.accepted_at).where(snaps.c.id == before).scalar_subquery()
        query = query.where(
            (snaps.c.accepted_at < at) | ((snaps.c.accepted_at == at) & (snaps.c.id < before))
        )
    query = query.order_by(snaps.c.accepted_at.desc(), snaps.c.id.desc()).limit(limit)
    return _receipts(connection, connection.execute(query).all())


def unended(connection: Connection) -> list[tuple[NewSnap, Receipt]]:
    """Snaps that nobody ended, of servers that were killed."""
    rows = connection.execute(select(snaps).where(snaps.c.ended_at.is_(None))).all()
    return list(zip(map(_new, rows), _receipts(connection, rows), strict=True))


def stored_shots(connection: Connection, snap_id: str) -> list[Shot]:
    """The shots that have rows, with their pictures and predictions as they are now."""
    return list(_shots(connection, [snap_id]).get(snap_id, {}).values())


def asks_the_same(connection: Connection, new: NewSnap) -> bool:
    """Whether the stored snap of that id is this request, sent again by the same caller."""
    row = connection.execute(select(snaps).where(snaps.c.id == new.id)).one()
    return (
        row.origin == new.origin
        and row.token_id == new.token_id
        and tuple(row.to) == new.to
        and row.until == new.until
        and row.deadline_s == new.deadline_s
        and row.context == new.context
        and row.options == new.options
        and row.ttl_s == new.ttl_s
        and row.policy == new.policy
        and row.quorum == new.quorum
        and row.in_s == new.in_s
        and (row.in_s is not None or row.shoot_at == new.shoot_at)
    )


def _new(row: Row[Any]) -> NewSnap:
    values = {name: row._mapping[name] for name in NewSnap.__dataclass_fields__}
    return NewSnap(**{**values, "to": tuple(row.to), "targets": tuple(row.targets)})


def _receipts(connection: Connection, rows: Sequence[Row[Any]]) -> list[Receipt]:
    stored = _shots(connection, [row.id for row in rows])
    return [_receipt(row, stored.get(row.id, {})) for row in rows]


def _receipt(row: Row[Any], stored: dict[str, Shot]) -> Receipt:
    done = row.ended_at is not None
    shown = tuple(
        stored.get(camera) or Shot(camera=camera, state="requested") for camera in row.targets
    )
    return Receipt(
        snap=row.id,
        done=done,
        answered=row.answered or 0,
        failed=row.failed or 0,
        missing=row.missing or 0,
        elapsed_ms=row.elapsed_ms,
        context=row.context,
        shots=shown,
        to=tuple(row.to),
        until=row.until,
        deadline_s=row.deadline_s,
        origin=row.origin,
        accepted_at=rfc3339(row.accepted_at),
        ttl_s=row.ttl_s,
        policy=row.policy,
        quorum=row.quorum,
        **moment_shown(row.shoot_at, shown),
    )


def _shots(connection: Connection, snap_ids: list[str]) -> dict[str, dict[str, Shot]]:
    rows = connection.execute(select(shots).where(shots.c.snap_id.in_(snap_ids))).all()
    found = pictures.by_ids(connection, [row.picture_id for row in rows if row.picture_id])
    by_snap: dict[str, dict[str, Shot]] = {}
    for row in rows:
        picture = found.get(row.picture_id)
        by_snap.setdefault(row.snap_id, {})[row.camera] = Shot(
            camera=row.camera,
            state=row.state,
            freshness=row.freshness,
            elapsed_ms=row.elapsed_ms,
            camera_ms=row.camera_ms,
            warnings=tuple(row.warnings),
            picture=picture.ref() if picture else None,
            predictions=picture.predictions if picture else (),
            answers=picture.answers if picture else (),
            verdict=picture.verdict if picture else None,
            judgements=picture.judgements if picture else (),
            change=picture.change if picture else None,
            confidence=picture.confidence if picture else None,
            unsure=picture.unsure if picture else None,
            error=ShotError(row.error_code, row.error_detail or "") if row.error_code else None,
            skew=_skew(row),
            late=bool(row.late),
        )
    return by_snap


def _rows(connection: Connection, snap_id: str, cameras: list[str]) -> Sequence[Row[Any]]:
    query = select(shots).where(shots.c.snap_id == snap_id)
    # Most often it is one, of a picture: those of the whole fleet are not read for each of them.
    if len(cameras) <= _FEW:
        query = query.where(shots.c.camera.in_(cameras))
    return connection.execute(query).all()


def _values(shot: Shot) -> dict[str, Any]:
    return {
        "camera": shot.camera,
        "state": shot.state,
        "freshness": shot.freshness,
        "elapsed_ms": shot.elapsed_ms,
        "camera_ms": shot.camera_ms,
        "warnings": list(shot.warnings),
        "error_code": shot.error.code if shot.error else None,
        "error_detail": shot.error.detail if shot.error else None,
        "picture_id": shot.picture.id if shot.picture else None,
        "late": shot.late or None,
        "skew_ms": shot.skew.ms if shot.skew else None,
        "skew_uncertainty_ms": shot.skew.uncertainty_ms if shot.skew else None,
    }


def _skew(row: Row[Any]) -> Skew | None:
    return None if row.skew_ms is None else Skew(row.skew_ms, row.skew_uncertainty_ms)


def _merged(row: Row[Any], shot: Shot) -> dict[str, Any]:
    values = _values(shot)
    del values["camera"]
    if RANK[row.state] >= RANK[shot.state]:
        for name in ("state", "error_code", "error_detail"):
            values[name] = getattr(row, name)
    values["elapsed_ms"] = {**row.elapsed_ms, **shot.elapsed_ms}
    values["camera_ms"] = {**row.camera_ms, **shot.camera_ms}
    values["warnings"] = list(dict.fromkeys([*row.warnings, *shot.warnings]))
    values["freshness"] = shot.freshness or row.freshness
    if shot.skew is None:
        values.update(skew_ms=row.skew_ms, skew_uncertainty_ms=row.skew_uncertainty_ms)
    values["picture_id"] = values["picture_id"] or row.picture_id
    values["late"] = values["late"] or row.late or _is_late(row, shot) or None
    return values


def _is_late(row: Row[Any], shot: Shot) -> bool:
    """Whether a shot has failed without what its row knows or is told now.

    The hub and a PUT race: either may write first. Who fails without a picture knew of none.
    """
    got_far = RANK["uploaded"], RANK["classified"]
    if row.state == "failed":
        return RANK[shot.state] in got_far
    return shot.error is not None and shot.picture is None and RANK[row.state] in got_far
