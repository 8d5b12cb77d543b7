"""``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from objectclassification.api.access import Reader, Used
from objectclassification.api.problems import problem

router = APIRouter(tags=["health"])

METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"


@router.get("/healthz", summary="Alive")
async def alive() -> Response:
    """Answers as long as the loop turns."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="Ready")
async def ready(parts: Used) -> Response:
    """Answers 200 when pictures can be taken in, stored and classified, else 503 with the why."""
    failing = await parts.ready()
    if not failing:
        return PlainTextResponse("ready\n")
    detail = "; ".join(f"{name}: {why}" for name, why in failing.items())
    return problem(503, "not_ready", detail)


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(parts: Used, identity: Reader) -> Response:
    """Answers counters and histograms of this process."""
    return Response(await parts.metrics(), media_type=METRICS_TYPE)
