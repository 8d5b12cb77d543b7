"""Our structs in the OpenAPI document.

The API answers msgspec structs, which FastAPI does not know; msgspec writes their JSON schema.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI

from objectclassification import __version__
from objectclassification.api.cameras import Camera, CameraSettings, Moved
from objectclassification.api.deletions import DeletionShown, DeletionWanted
from objectclassification.api.heads import Activation
from objectclassification.api.history import DayCounts, ScorePage
from objectclassification.api.joins import GoodCode, Join, JoinWanted, Redemption
from objectclassification.api.models import ModelShown, UseWanted
from objectclassification.api.pictures import Labelled, Labelling, LabellingOfMany, PicturePage
from objectclassification.api.problems import MEDIA_TYPE, Problem
from objectclassification.api.schedules import PauseWanted
from objectclassification.api.sessions import SessionShown
from objectclassification.api.similar import Similar
from objectclassification.api.snaps import ReceiptPage
from objectclassification.api.snippets import Snippet
from objectclassification.api.tokens import TokenShown, TokenWanted
from objectclassification.classification.engines.card import WantedEngine
from objectclassification.condition import CameraReport
from objectclassification.heads import HeadShown, Suggestion, Teaching, Version
from objectclassification.messages import SnapRequest
from objectclassification.receipts import Picture, Receipt
from objectclassification.rules import Counted, Rule
from objectclassification.schedules import ScheduleShown, ScheduleWanted
from objectclassification.sureness import Threshold, ThresholdWanted

# What a call answers when all is well: a struct, and the statuses with their meaning.
_ANSWERS: dict[tuple[str, str], tuple[Any, dict[str, str]]] = {
    ("put", "/snippets/{number}"): (
        Picture,
        {"201": "It is stored", "200": "The same key and bytes were stored before"},
    ),
    ("get", "/snippets"): (list[Snippet], {"200": "The slots"}),
    ("get", "/snippets/{number}"): (Snippet, {"200": "The slot"}),
    ("get", "/api/pictures"): (PicturePage, {"200": "A page"}),
    ("patch", "/api/pictures"): (Labelled, {"200": "They are labelled"}),
    ("get", "/api/pictures/counts"): (list[DayCounts], {"200": "Days with pictures"}),
    ("get", "/api/pictures/scores"): (ScorePage, {"200": "A page"}),
    ("post", "/api/deletions"): (DeletionShown, {"201": "They are hidden, and can be had back"}),
    ("get", "/api/deletions"): (list[DeletionShown], {"200": "What can be undone"}),
    ("get", "/api/pictures/{picture_id}"): (Picture, {"200": "The picture"}),
    ("get", "/api/pictures/{picture_id}/similar"): (Similar, {"200": "What was found"}),
    ("post", "/api/similar"): (Similar, {"200": "What was found"}),
    ("patch", "/api/pictures/{picture_id}"): (Picture, {"200": "The picture with its labels"}),
    ("get", "/api/heads"): (list[HeadShown], {"200": "The heads"}),
    ("get", "/api/heads/{name}"): (HeadShown, {"200": "The head"}),
    ("get", "/api/heads/{name}/versions"): (list[Version], {"200": "The versions"}),
    ("post", "/api/heads/{name}/versions"): (Version, {"201": "It is taught, and not on yet"}),
    ("get", "/api/heads/{name}/versions/{number}"): (Version, {"200": "The version"}),
    ("post", "/api/heads/{name}/activate"): (Version, {"200": "It answers"}),
    ("post", "/api/heads/{name}/rollback"): (HeadShown, {"200": "The one before answers"}),
    ("get", "/api/heads/{name}/suggestions"): (list[Suggestion], {"200": "The pictures"}),
    ("post", "/api/snaps"): (Receipt, {"202": "It is accepted", "200": "It is done"}),
    ("get", "/api/snaps"): (ReceiptPage, {"200": "A page"}),
    ("get", "/api/snaps/{snap_id}"): (Receipt, {"200": "The receipt"}),
    ("delete", "/api/snaps/{snap_id}"): (Receipt, {"200": "The receipt of the ended snap"}),
    ("get", "/api/cameras"): (list[Camera], {"200": "The cameras"}),
    ("patch", "/api/cameras/{name}"): (Camera, {"200": "The camera as it is now"}),
    ("get", "/api/cameras/{name}/report"): (CameraReport, {"200": "What the camera answered"}),
    ("get", "/api/cameras/{name}/presence"): (list[Moved], {"200": "The newest first"}),
    ("get", "/api/rules"): (list[Rule], {"200": "The rules"}),
    ("post", "/api/rules"): (Rule, {"201": "It judges", "200": "It was there already"}),
    ("get", "/api/verdicts"): (list[Counted], {"200": "Hours with pictures, oldest first"}),
    ("get", "/api/models"): (list[ModelShown], {"200": "The models"}),
    ("put", "/api/models/{model_id}"): (
        ModelShown,
        {"201": "It is added", "200": "It was there already"},
    ),
    ("post", "/api/models/{model_id}/use"): (list[ModelShown], {"200": "The models"}),
    ("get", "/api/unsure"): (list[Threshold], {"200": "The thresholds"}),
    ("post", "/api/unsure/{model_id}"): (Threshold, {"200": "The threshold as it is now"}),
    ("get", "/api/schedules"): (list[ScheduleShown], {"200": "The schedules"}),
    ("post", "/api/schedules"): (
        ScheduleShown,
        {"201": "It runs from now on", "200": "It was there already"},
    ),
    ("patch", "/api/schedules/{name}"): (ScheduleShown, {"200": "The schedule as it is now"}),
    ("post", "/api/tokens"): (TokenShown, {"201": "The token, shown this once"}),
    ("get", "/api/tokens"): (list[TokenShown], {"200": "The tokens, without themselves"}),
    ("post", "/api/joins"): (Join, {"201": "The code, shown this once"}),
    ("post", "/api/joins/look"): (GoodCode, {"200": "It is good, and still is"}),
    ("post", "/api/joins/redeem"): (TokenShown, {"201": "The token, shown this once"}),
    ("get", "/api/sessions"): (list[SessionShown], {"200": "The sessions that you may end"}),
}
_BODIES: dict[tuple[str, str], Any] = {
    ("post", "/api/snaps"): SnapRequest,
    ("patch", "/api/cameras/{name}"): CameraSettings,
    ("post", "/api/models/{model_id}/use"): UseWanted,
    ("post", "/api/rules"): Rule,
    ("post", "/api/schedules"): ScheduleWanted,
    ("patch", "/api/schedules/{name}"): PauseWanted,
    ("post", "/api/unsure/{model_id}"): ThresholdWanted,
    ("post", "/api/tokens"): TokenWanted,
    ("post", "/api/joins"): JoinWanted,
    ("post", "/api/joins/look"): Redemption,
    ("post", "/api/joins/redeem"): Redemption,
    ("patch", "/api/pictures/{picture_id}"): Labelling,
    ("patch", "/api/pictures"): LabellingOfMany,
    ("post", "/api/deletions"): DeletionWanted,
    ("post", "/api/heads/{name}/versions"): Teaching,
    ("post", "/api/heads/{name}/activate"): Activation,
}
# What each status of a problem means; which of them a call may answer follows from its shape.
_PROBLEMS = {
    "400": "The request cannot be read",
    "401": "No token, or none that is good",
    "403": "The token may not",
    "404": "There is no such thing",
    "408": "The body did not come in time",
    "409": "Not as things are: an id or a name is another's, a camera is offline, a picture is not "
    "classified, too few are labelled or with too many classes, a model is used",
    "413": "Too large: bytes or pixels",
    "415": "Not an image type that is taken",
    "422": "It was read, and cannot be used",
    "429": "Too many snaps with this token: Retry-After says when there is room",
    "503": "Not now: the server stops, its store fails, or too much is under way",
    "504": "The camera did not answer in time",
    "507": "The disk is below its floor",
}
_SNAP = ("post", "/api/snaps")
_REPORT = ("get", "/api/cameras/{name}/report")
_WITH_CODE = (("post", "/api/joins/look"), ("post", "/api/joins/redeem"))
_OF_MANY = (("patch", "/api/pictures"), ("post", "/api/deletions"))
_MODEL = "/api/models/{model_id}"
_SIMILAR = ("get", "/api/pictures/{picture_id}/similar")
_IMAGE_SENT = (("put", "/snippets/{number}"), ("post", "/api/similar"))
_TEACHING = (
    ("patch", "/api/pictures"),
    ("patch", "/api/pictures/{picture_id}"),
    ("post", "/api/heads/{name}/versions"),
    ("post", "/api/heads/{name}/activate"),
)
_AS_THINGS_ARE = (
    ("post", "/api/rules"),
    ("post", "/api/schedules"),
    ("post", "/api/unsure/{model_id}"),
    *_WITH_CODE,
    _REPORT,
    _SIMILAR,
    ("post", "/api/similar"),
    *_TEACHING,
    ("put", _MODEL),
    ("delete", _MODEL),
    ("delete", "/api/cameras/{name}"),
)
_OPEN = ("/healthz", "/readyz", *(path for _, path in _WITH_CODE))
_EXPORT = "/api/pictures/export"
_MEDIUM = "/api/pictures/{picture_id}/medium"
_TEXTS = ("/healthz", "/readyz", "/metrics")
_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_EXPORTED: dict[str, Any] = {
    "application/zip": _IMAGE,
    "text/csv": {"schema": {"type": "string"}},
    "application/json": {"schema": {"type": "object"}},
}
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")


def describe(app: FastAPI) -> None:
    """Adds bodies, answers, problems and the token to the app's OpenAPI document."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            _complete(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _complete(document: dict[str, Any]) -> None:
    document["info"]["version"] = __version__
    types = [*(kind for kind, _ in _ANSWERS.values()), *_BODIES.values(), WantedEngine, Problem]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    holder = document.setdefault("components", {})
    holder.setdefault("schemas", {}).update(components)
    holder["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    by_type = dict(zip(map(str, types), schemas, strict=True))
    problem = by_type[str(Problem)]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            refusals = {
                status: _content(_PROBLEMS[status], problem, MEDIA_TYPE)
                for status in _refusals(method, path, has_parameters="parameters" in operation)
            }
            operation["responses"] = {**_good_answers(method, path, by_type), **refusals}
            if (method, path) in _BODIES:
                schema = by_type[str(_BODIES[method, path])]
                content = {"application/json": {"schema": schema}}
                operation["requestBody"] = {"required": True, "content": content}
            if path not in _OPEN:
                operation["security"] = [{"token": []}]
    holder["schemas"].pop("HTTPValidationError", None)
    holder["schemas"].pop("ValidationError", None)
    document["paths"][_MODEL]["put"]["requestBody"] = {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _IMAGE["schema"]},
            "application/json": {"schema": by_type[str(WantedEngine)]},
        },
    }
    form = {"schema": {"type": "object", "properties": {"file": _IMAGE["schema"]}}}
    images = dict.fromkeys(_IMAGE_TYPES, _IMAGE) | {"multipart/form-data": form}
    for method, path in _IMAGE_SENT:
        document["paths"][path][method]["requestBody"] = {"required": True, "content": images}


def _good_answers(method: str, path: str, by_type: dict[str, Any]) -> dict[str, Any]:
    if (method, path) in _ANSWERS:
        kind, statuses = _ANSWERS[method, path]
        return {status: _content(text, by_type[str(kind)]) for status, text in statuses.items()}
    if path in _TEXTS:
        return {"200": _content("A text", {"type": "string"}, "text/plain")}
    if path == _EXPORT:
        return {"200": {"description": "The file, as an attachment", "content": _EXPORTED}}
    if method == "delete":
        return {"204": {"description": "It is gone"}}
    image = {"description": "The image", "content": dict.fromkeys(_IMAGE_TYPES, _IMAGE)}
    return {"200": image, "304": {"description": "The client has it: its If-None-Match fits"}}


def _refusals(method: str, path: str, *, has_parameters: bool) -> list[str]:
    """The statuses of the problems that a call may answer."""
    takes_body = method in ("put", "patch") or (method, path) in (*_BODIES, *_IMAGE_SENT)
    which = {
        "401": path not in _OPEN,
        "403": path not in _OPEN,
        "404": "{" in path or (method, path) in (_SNAP, *_OF_MANY, *_WITH_CODE),
        "408": takes_body,
        "409": (method, path) in (_SNAP, *_AS_THINGS_ARE),
        "413": takes_body or path in (_EXPORT, _MEDIUM),
        "415": (method, path) in _IMAGE_SENT,
        "422": takes_body or has_parameters,
        "429": (method, path) == _SNAP,
        "504": (method, path) == _REPORT,
        "507": method != "get",
    }
    return [status for status in _PROBLEMS if which.get(status, True)]


def _content(text: str, schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": schema}}}
