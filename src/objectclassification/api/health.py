"""``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from sqlalchemy import select
from starlette.responses import PlainTextResponse, Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.problems import problem
from objectclassification.errors import StoreError
from objectclassification.store.folder import file_identity
from objectclassification.store.tables import snaps
from objectclassification.store.writer import reading

router = APIRouter(tags=["health"])

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"


@router.get("/healthz", summary="Alive")
async def alive() -> Response:
    """Answers as long as the loop turns."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="Ready")
async def ready(request: Request, parts: Used) -> Response:
    """Answers 200 when pictures can be taken in, stored and classified, else 503 with the why."""
    parts.blobs.check_room()
    if request.app.state.database_file != file_identity(parts.database.file):
        raise StoreError("the database file was deleted or replaced under the server: restart it")
    await parts.database.read(lambda _: _look_inside(parts.database.file))
    missing = parts.ready()
    return PlainTextResponse("ready\n") if missing is None else problem(503, "not_ready", missing)


def _look_inside(file: Path) -> None:
    """Reads a row afresh: connections that are open answer from what they keep in memory."""
    with reading(file) as connection:
        connection.execute(select(snaps.c.id).limit(1)).first()


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(parts: Used, identity: Reader) -> Response:
    """Answers counters and histograms of this process."""
    return Response(parts.metrics(), media_type=METRICS_TYPE)
