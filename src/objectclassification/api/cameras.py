"""``/api/cameras``: who is there."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Admin, Reader, Snapper, Used, answer, json_body
from objectclassification.detection import Detect
from objectclassification.errors import BadMessage, Conflict
from objectclassification.receipts import Picture, rfc3339
from objectclassification.store import pictures, snippets

router = APIRouter(prefix="/api/cameras", tags=["cameras"])


class Camera(msgspec.Struct, frozen=True):
    """A camera.

    Attributes:
        name: its name.
        snippet: its slot.
        online: whether it is connected now.
        groups: the groups it is in.
        source: where its frames come from, secrets masked.
        agent: what it runs on.
        version: of its program.
        last_seen_at: RFC 3339, UTC, or None if it never connected.
        sleeps_until_at: RFC 3339, UTC, if it said so.
        picture: its newest one.
        detect: whether its pictures get boxes, where the snap does not say.
    """

    name: str
    snippet: int
    online: bool
    groups: tuple[str, ...]
    source: str
    agent: str
    version: str
    last_seen_at: str | None
    sleeps_until_at: str | None
    picture: Picture | None
    detect: Detect = False


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is set for a camera at the server.

    Attributes:
        detect: whether its pictures get boxes, where the snap does not say.
    """

    detect: Detect


@router.get("", summary="Every camera")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists the cameras by name, with presence and newest picture."""
    return answer(await list_cameras(parts))


@router.patch("/{name}", summary="Set what a camera's pictures get")
async def change(name: str, request: Request, parts: Used, identity: Snapper) -> Response:
    """Sets whether a camera's pictures get boxes; answers the camera."""
    body = await json_body(request)
    try:
        settings = msgspec.json.decode(body, type=CameraSettings)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadMessage(f"not a camera's settings: {exc}"[:256]) from exc
    await parts.database.write(lambda c: snippets.set_detect(c, name, settings.detect))
    return answer(next(each for each in await list_cameras(parts) if each.name == name))


@router.delete("/{name}", summary="Forget a camera")
async def forget(name: str, parts: Used, identity: Admin) -> Response:
    """Lists a camera no more that is gone; its pictures and its slot stay, and it may come back."""
    if name in parts.online():
        raise Conflict(f"the camera {name} is connected: end its program first")
    await parts.database.write(lambda c: snippets.forget(c, name))
    parts.forget(name)
    return Response(status_code=204)


@router.get("/{name}/report", summary="How a camera is, asked now")
async def report(name: str, parts: Used, identity: Snapper) -> Response:
    """Asks a connected camera program for its versions, disk, source, clock and last log lines."""
    return answer(await parts.inspect(name))


async def list_cameras(parts: Used) -> list[Camera]:
    """Returns the cameras by name."""
    online = parts.online()
    rows = await parts.database.read(snippets.all_cameras)
    slots = {slot.number: slot for slot in await parts.database.read(snippets.all_slots)}
    ids = [slot.picture_id for slot in slots.values() if slot.picture_id]
    found = await parts.database.read(lambda c: pictures.by_ids(c, ids))
    return [
        Camera(
            name=row.name,
            snippet=row.snippet,
            online=row.name in online,
            groups=row.groups,
            source=row.source,
            agent=row.agent,
            version=row.version,
            last_seen_at=None if row.last_seen_at is None else rfc3339(row.last_seen_at),
            sleeps_until_at=None if row.sleeps_until_at is None else rfc3339(row.sleeps_until_at),
            picture=found.get(slots[row.snippet].picture_id or ""),
            detect=row.detect,
        )
        for row in rows
    ]
