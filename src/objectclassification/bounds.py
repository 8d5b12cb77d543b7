"""Bounds on the JSON objects and the names of a caller's own."""

from __future__ import annotations

from typing import Any

import msgspec

from objectclassification.errors import BadMessage

MAX_CONTEXT_BYTES = 2_048
MAX_CONTEXT_DEPTH = 8
MODEL_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

_encoder = msgspec.json.Encoder()


def check_small(what: str, value: dict[str, Any], re: str | None) -> None:
    """Checks a context or options.

    Args:
        what: its name, for the error.
        value: the object.
        re: the id of the request that it is in.

    Raises:
        BadMessage: it is too long or nested too deeply.
    """
    if _depth(value) > MAX_CONTEXT_DEPTH:
        raise BadMessage(f"{what} is nested deeper than {MAX_CONTEXT_DEPTH}", re=re)
    size = len(_encoder.encode(value))
    if size > MAX_CONTEXT_BYTES:
        raise BadMessage(f"{what} has {size} bytes; at most {MAX_CONTEXT_BYTES} are kept", re=re)


def _depth(value: object) -> int:
    """Levels of nesting, counted no further than one past the limit."""
    level, depth = [value], 0
    while level and depth <= MAX_CONTEXT_DEPTH:
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            else:
                continue
        depth += bool(inner)
        if not inner:
            break
        level = inner
    return depth
