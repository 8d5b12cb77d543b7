"""``/api/rules`` and ``/api/verdicts``: what is good, and how often it was."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from objectclassification.api.access import Admin, Reader, Used, answer, json_body, note, read_json
from objectclassification.api.times import Time, seconds
from objectclassification.errors import BadMessage
from objectclassification.rules import Rule
from objectclassification.store import rules

DAY_S = 86_400.0
MOST_DAYS = 100

router = APIRouter(tags=["rules"])


@router.get("/api/rules", summary="The rules")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists them by name."""
    return answer(await parts.database.read(rules.every))


@router.post("/api/rules", summary="Add a rule")
async def add(request: Request, parts: Used, identity: Admin) -> Response:
    """Judges pictures by it from now on; the same one again changes nothing."""
    rule = read_json(Rule, await json_body(request), "a rule")
    is_new = await parts.judge.add(rule)
    note(request, rule=rule.name)
    return answer(rule, 201 if is_new else 200)


@router.delete("/api/rules/{name}", summary="Remove a rule")
async def remove(name: str, request: Request, parts: Used, identity: Admin) -> Response:
    """What it said of pictures stays."""
    await parts.judge.remove(name)
    note(request, rule=name)
    return Response(status_code=204)


@router.get("/api/verdicts", summary="How many pictures were ok, ng and unsure, by the hour")
async def verdicts(
    parts: Used,
    identity: Reader,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    since: Time | None = None,
    until: Time | None = None,
) -> Response:
    """Counts outlive their pictures. Without times: the last 24 hours."""
    end = seconds(until) or time.time()
    begin = seconds(since) if since is not None else end - DAY_S
    assert begin is not None  # noqa: S101 - for the type checker
    if not 0 <= end - begin <= MOST_DAYS * DAY_S:
        raise BadMessage(f"since is before until, by {MOST_DAYS} days at most")
    return answer(
        await parts.database.read(lambda c: rules.counts(c, camera, since=begin, until=end))
    )
