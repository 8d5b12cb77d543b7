"""What schemathesis cannot make out of the OpenAPI document: real pictures, good and bad, and names
and ids that there are.

It loads this file by the name in ``SCHEMATHESIS_HOOKS``, and calls the functions by theirs.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

from objectclassification.messages import is_name
from tests.fuzz.pictures import anything

KNOWN: dict[str, list[Any]] = json.loads(os.environ["OBJECTCLASSIFICATION_TEST_KNOWN"])
"""Values of path parameters that exist, by the parameter's name."""

for media_type in ("image/png", "image/jpeg", "image/webp"):
    schemathesis.openapi.media_type(media_type, anything())


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Puts something known in the place of half of the values; of the good ones only."""
    for name, value in (path_parameters or {}).items():
        known = KNOWN.get(name)
        if known and type(value) is type(known[0]) and hash(str(value)) % 2:
            path_parameters[name] = known[hash(str(value)) // 2 % len(known)]
    return path_parameters


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Snaps a camera that there is, where a camera was named at all."""
    to = body.get("to") if isinstance(body, dict) else None
    if to and isinstance(to, list) and all(isinstance(name, str) and is_name(name) for name in to):
        body["to"] = ["door"]
    return body


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Waits for no snap for hours; also for those that cover the bounds of what is allowed."""
    for name, short in (("in_s", 0.05), ("ttl_s", 1.0)) if isinstance(case.body, dict) else ():
        if isinstance(case.body.get(name), int | float) and case.body[name] > short:
            case.body[name] = short
