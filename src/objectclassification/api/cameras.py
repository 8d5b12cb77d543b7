"""``/api/cameras``: who is there."""

from __future__ import annotations

from datetime import datetime

import msgspec
from fastapi import APIRouter, Request
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection
from starlette.responses import Response

from objectclassification.api.access import Admin, Reader, Snapper, Used, answer, json_body
from objectclassification.detection import Detect
from objectclassification.errors import BadMessage, Conflict, NotFound
from objectclassification.hub.effects import NewSnap
from objectclassification.hub.presence import CameraPresence, PresenceState
from objectclassification.messages import Groups
from objectclassification.receipts import Picture, Receipt, rfc3339
from objectclassification.store import pictures, snippets
from objectclassification.store import presence as stored_presence
from objectclassification.store.snippets import GroupsFrom

router = APIRouter(prefix="/api/cameras", tags=["cameras"])


class WaitingSnap(msgspec.Struct, frozen=True):
    """A snap that waits for a camera to come back.

    Attributes:
        snap: its id.
        until: when it is given up, RFC 3339, UTC.
    """

    snap: str
    until: str


class Camera(msgspec.Struct, frozen=True):
    """A camera.

    Attributes:
        name: its name.
        snippet: its slot.
        online: whether it is connected now.
        state: ``online``; ``reconnecting``, gone since a moment; ``asleep``, absent on purpose;
            ``offline``.
        since: when that began, RFC 3339, UTC; None if the server does not know.
        groups: the groups it is in.
        groups_from: whose word these are: the camera's own, or an operator's.
        source: where its frames come from, secrets masked.
        agent: what it runs on.
        version: of its program.
        address: where it connects from, or last did since the server's start.
        latency_ms: from the last ping to its answer, while it is connected.
        dropped: messages of its program that could not be used, and for it that it did not read in
            time, since the server's start.
        last_seen_at: RFC 3339, UTC, or None if it never connected; to within a heartbeat.
        sleeps_until_at: RFC 3339, UTC, if it said so.
        picture: its newest one.
        detect: whether its pictures get boxes, where the snap does not say.
        waiting: snaps that wait for it to come back, the oldest first.
    """

    name: str
    snippet: int
    online: bool
    state: PresenceState
    since: str | None
    groups: tuple[str, ...]
    source: str
    agent: str
    version: str
    address: str
    latency_ms: float | None
    dropped: int
    last_seen_at: str | None
    sleeps_until_at: str | None
    picture: Picture | None
    detect: Detect = False
    groups_from: GroupsFrom = "camera"
    waiting: tuple[WaitingSnap, ...] = ()


class Moved(msgspec.Struct, frozen=True):
    """A camera came or went.

    Attributes:
        at: RFC 3339, UTC.
        state: what it is since: ``online``, ``offline`` or ``asleep``.
        sleeps_until_at: when it was to be back, if it was to sleep; RFC 3339, UTC.
    """

    at: str
    state: str
    sleeps_until_at: str | None


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is set for a camera at the server; what is left out stays as it is.

    Attributes:
        detect: whether its pictures get boxes, where the snap does not say.
        groups: the groups it is in, whatever it says of itself; null leaves them to it again.
    """

    detect: Detect | UnsetType = UNSET
    groups: Groups | UnsetType | None = UNSET


@router.get("", summary="Every camera")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists the cameras by name, with presence and newest picture."""
    return answer(await list_cameras(parts))


@router.patch("/{name}", summary="Set a camera's groups, and what its pictures get")
async def change(name: str, request: Request, parts: Used, identity: Snapper) -> Response:
    """Sets a camera's groups and whether its pictures get boxes; answers the camera."""
    body = await json_body(request)
    try:
        settings = msgspec.json.decode(body, type=CameraSettings)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadMessage(f"not a camera's settings: {exc}"[:256]) from exc
    if settings.detect is UNSET and settings.groups is UNSET:
        raise BadMessage("not a camera's settings: give detect, groups or both")

    def work(connection: Connection) -> tuple[str, ...]:
        if settings.detect is not UNSET:
            snippets.set_detect(connection, name, settings.detect)
        if settings.groups is not UNSET:
            snippets.set_groups(connection, name, settings.groups)
        return snippets.groups_of(connection, [name])[name]

    groups = await parts.database.write(work)
    if settings.groups is not UNSET:
        parts.regroup(name, groups)
    return answer(next(each for each in await list_cameras(parts) if each.name == name))


@router.delete("/{name}", summary="Forget a camera")
async def forget(name: str, parts: Used, identity: Admin) -> Response:
    """Lists a camera no more that is gone; its pictures and its slot stay, and it may come back."""
    found = parts.presence().get(name)
    if found is not None and found.online:
        raise Conflict(f"the camera {name} is connected: end its program first")

    def work(connection: Connection) -> None:
        snippets.forget(connection, name)
        stored_presence.forget(connection, name)

    await parts.database.write(work)
    parts.forget(name)
    return Response(status_code=204)


@router.get("/{name}/report", summary="How a camera is, asked now")
async def report(name: str, parts: Used, identity: Snapper) -> Response:
    """Asks a connected camera program for its versions, disk, source, clock and last log lines."""
    return answer(await parts.inspect(name))


@router.get("/{name}/presence", summary="When a camera came and went")
async def history(name: str, parts: Used, identity: Reader) -> Response:
    """Lists a camera's comings and goings, newest first, the last hundred."""
    return answer(await list_moves(parts, name))


async def list_moves(parts: Used, name: str) -> list[Moved]:
    """Returns a camera's comings and goings, newest first.

    Raises:
        NotFound: there is no such camera.
    """
    if name not in parts.presence():
        raise NotFound(f"no camera {name[:64]}")
    rows = await parts.database.read(lambda c: stored_presence.history(c, name))
    return [Moved(rfc3339(row.at), row.state, _time(row.sleeps_until_at)) for row in rows]


async def list_cameras(parts: Used) -> list[Camera]:
    """Returns the cameras by name."""
    there = parts.presence()
    rows = await parts.database.read(snippets.all_cameras)
    slots = {slot.number: slot for slot in await parts.database.read(snippets.all_slots)}
    ids = [slot.picture_id for slot in slots.values() if slot.picture_id]
    found = await parts.database.read(lambda c: pictures.by_ids(c, ids))
    return [
        _camera(
            row,
            there.get(row.name, _UNKNOWN),
            found.get(slots[row.snippet].picture_id or ""),
            parts.waiting_for(row.name),
        )
        for row in rows
    ]


_UNKNOWN = CameraPresence("offline", ())


def _camera(
    row: snippets.CameraRow,
    presence: CameraPresence,
    picture: Picture | None,
    waiting: list[NewSnap],
) -> Camera:
    last_seen = row.last_seen_at if presence.last_seen is None else presence.last_seen
    since = presence.since
    if since is None and not presence.online:  # it left before this start
        since = last_seen
    return Camera(
        name=row.name,
        snippet=row.snippet,
        online=presence.online,
        state=presence.state,
        since=_time(since),
        groups=row.groups,
        source=row.source,
        agent=row.agent,
        version=row.version,
        address=presence.address,
        latency_ms=presence.latency_ms,
        dropped=presence.dropped,
        last_seen_at=_time(last_seen),
        sleeps_until_at=_time(presence.asleep_until or row.sleeps_until_at),
        picture=picture,
        detect=row.detect,
        groups_from=row.groups_from,
        waiting=tuple(WaitingSnap(one.id, waits_until(one)) for one in waiting),
    )


def waits_until(snap: NewSnap | Receipt) -> str:
    """Returns when a snap that waits is given up, RFC 3339, UTC."""
    return rfc3339(datetime.fromisoformat(snap.accepted_at).timestamp() + snap.lasts_s)


def _time(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
