"""``/api/unsure``: from when on the answers of each model count."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.access import Admin, Reader, Used, answer, json_body, note, read_json
from objectclassification.api.models import ModelName
from objectclassification.sureness import ThresholdWanted

router = APIRouter(prefix="/api/unsure", tags=["models"])


@router.get("", summary="From when on the answers of each model count")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists the thresholds, `shipped` first; a model without one is never unsure, nor sure."""
    return answer(await parts.judge.thresholds())


@router.post("/{model_id}", summary="Set a model's threshold")
async def set_(model_id: ModelName, request: Request, parts: Used, identity: Admin) -> Response:
    """Finds it on the labelled pictures, or takes it as it is; it is for the next pictures."""
    wanted = read_json(ThresholdWanted, await json_body(request), "a threshold")
    found = await parts.judge.set_threshold(model_id, wanted, token_id=identity.token_id)
    note(request, model=model_id, below=f"{found.below:g}")
    return answer(found)


@router.delete("/{model_id}", summary="Forget a model's threshold")
async def forget(model_id: ModelName, request: Request, parts: Used, identity: Admin) -> Response:
    """The one that comes with the model is used again; most have none."""
    await parts.judge.forget_threshold(model_id)
    note(request, model=model_id)
    return Response(status_code=204)
