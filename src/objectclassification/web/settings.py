"""What is set: cameras, models, tokens, rules, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.cameras import list_cameras
from objectclassification.auth import ROLES
from objectclassification.detection import Task
from objectclassification.store import heads, models, retention, rules, tokens
from objectclassification.store.models import SHIPPED
from objectclassification.store.retention import Held, Limits, Policy
from objectclassification.web.pages import PageRoute, render

router = APIRouter(include_in_schema=False, route_class=PageRoute)


TASKS: Final[tuple[tuple[Task, str, str], ...]] = (
    ("classification", "model_of", "labels_by"),
    ("detection", "detector_of", "boxes_by"),
)
"""What models are for, the text that says which camera's it is, and that over all of them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What may stay of some pictures, and what is stored of them.

    Attributes:
        camera: whose; empty for all together, ``*`` for each camera that is not named.
        limits: 0 is no limit.
        held: what there is; None where that would be a number for each camera.
    """

    camera: str
    limits: Limits
    held: Held | None


@router.get("/settings")
async def settings(request: Request, parts: Used, identity: Reader) -> Response:
    """All of it on one page; tokens for an admin only."""
    model = parts.teacher.model_sha256
    is_admin = identity.may("admin")
    return render(
        request,
        identity,
        "settings",
        cameras=await list_cameras(parts),
        models=await parts.database.read(models.every),
        tasks=[
            (task, await parts.database.read(partial(models.of_cameras, task=task)), called, by)
            for task, called, by in TASKS
        ],
        shipped=SHIPPED,
        tokens=await parts.database.read(tokens.good) if is_admin else [],
        roles=ROLES,
        rules=await parts.database.read(rules.every),
        heads=await parts.database.read(lambda c: heads.every(c, model)),
        kept=_kept(Policy.of(parts.settings), await parts.database.read(retention.held)),
        keeps_labelled=parts.settings.keep_labelled,
    )


def _kept(policy: Policy, held: Mapping[str | None, Held]) -> list[Kept]:
    everything = Held(
        sum(one.pictures for one in held.values()), sum(one.bytes for one in held.values())
    )
    return [
        Kept("", policy.overall, everything),
        Kept("*", policy.each, None),
        *(
            Kept(camera, limits, held.get(camera, Held(0, 0)))
            for camera, limits in sorted(policy.named.items())
        ),
    ]
