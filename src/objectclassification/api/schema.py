"""Our structs in the OpenAPI document.

The API answers msgspec structs, which FastAPI does not know; msgspec writes their JSON schema.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI

from objectclassification import __version__
from objectclassification.api.cameras import Camera
from objectclassification.api.pictures import PicturePage
from objectclassification.api.problems import MEDIA_TYPE, Problem
from objectclassification.api.snaps import ReceiptPage
from objectclassification.api.snippets import Snippet
from objectclassification.api.tokens import TokenShown, TokenWanted
from objectclassification.messages import SnapRequest
from objectclassification.receipts import Picture, Receipt

_ANSWERS: dict[tuple[str, str], tuple[str, Any]] = {
    ("put", "/snippets/{number}"): ("201", Picture),
    ("get", "/snippets"): ("200", list[Snippet]),
    ("get", "/snippets/{number}"): ("200", Snippet),
    ("get", "/api/pictures"): ("200", PicturePage),
    ("get", "/api/pictures/{picture_id}"): ("200", Picture),
    ("post", "/api/snaps"): ("202", Receipt),
    ("get", "/api/snaps"): ("200", ReceiptPage),
    ("get", "/api/snaps/{snap_id}"): ("200", Receipt),
    ("delete", "/api/snaps/{snap_id}"): ("200", Receipt),
    ("get", "/api/cameras"): ("200", list[Camera]),
    ("post", "/api/tokens"): ("201", TokenShown),
    ("get", "/api/tokens"): ("200", list[TokenShown]),
}
_BODIES: dict[tuple[str, str], Any] = {
    ("post", "/api/snaps"): SnapRequest,
    ("post", "/api/tokens"): TokenWanted,
}
_OPEN = ("/healthz", "/readyz")
_IMAGE = {"schema": {"type": "string", "format": "binary"}}
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
    types = [*(kind for _, kind in _ANSWERS.values()), *_BODIES.values(), Problem]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    holder = document.setdefault("components", {})
    holder.setdefault("schemas", {}).update(components)
    holder["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    by_type = dict(zip(map(str, types), schemas, strict=True))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            if (method, path) in _ANSWERS:
                status, kind = _ANSWERS[method, path]
                responses.pop("200", None)
                responses[status] = _content("The answer", by_type[str(kind)])
            if (method, path) in _BODIES:
                operation["requestBody"] = {
                    "required": True,
                    **_content("", by_type[str(_BODIES[method, path])]),
                }
                operation["requestBody"].pop("description")
            if path not in _OPEN:
                operation["security"] = [{"token": []}]
            problem = _content("A problem", by_type[str(Problem)], MEDIA_TYPE)
            responses.pop("422", None)
            responses["default"] = problem
    holder["schemas"].pop("HTTPValidationError", None)
    holder["schemas"].pop("ValidationError", None)
    document["paths"]["/snippets/{number}"]["put"]["requestBody"] = {
        "required": True,
        "content": dict.fromkeys(_IMAGE_TYPES, _IMAGE)
        | {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": _IMAGE["schema"]}}
            }
        },
    }


def _content(text: str, schema: Any, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": schema}}}
