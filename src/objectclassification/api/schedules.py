"""``/api/schedules``: snaps that the server asks for itself."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import (
    Reader,
    Snapper,
    Used,
    answer,
    json_body,
    note,
    read_json,
)
from objectclassification.schedules import ScheduleWanted

router = APIRouter(prefix="/api/schedules", tags=["schedules"])


class PauseWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a schedule runs."""

    paused: bool


@router.get("", summary="The schedules")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists them by name, each with its next runs and what came of its last."""
    return answer(await parts.schedules.every())


@router.post("", summary="Add a schedule")
async def add(request: Request, parts: Used, identity: Snapper) -> Response:
    """Runs it from now on; the same one again changes nothing."""
    wanted = read_json(ScheduleWanted, await json_body(request), "a schedule")
    shown, is_new = await parts.schedules.add(wanted, token_id=identity.token_id)
    note(request, schedule=shown.name)
    return answer(shown, 201 if is_new else 200)


@router.patch("/{name}", summary="Pause a schedule, or resume it")
async def pause(name: str, request: Request, parts: Used, identity: Snapper) -> Response:
    """While it is paused its runs are left out, and none is made up for."""
    wanted = read_json(PauseWanted, await json_body(request), "paused")
    note(request, schedule=name)
    return answer(await parts.schedules.pause(name, wanted.paused))


@router.delete("/{name}", summary="Remove a schedule")
async def remove(name: str, request: Request, parts: Used, identity: Snapper) -> Response:
    """The receipts of its snaps stay."""
    note(request, schedule=name)
    await parts.schedules.remove(name)
    return Response(status_code=204)
