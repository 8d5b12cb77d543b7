"""JSON that was good before somebody changed some of its values, keys or bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, -0.0, float("nan"), float("inf")),
    *(2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400),
    *("", " ", "*", "@", "snap", "door", "../../etc/passwd", "\0", "\u202e", "\ud800"),
    *("😀" * 64, "x" * 257, "a" * 5000),
    *([], {}, [[]], {"": {}}, {"type": "hello"}, ["door"] * 300),
)


@st.composite
def _nested(draw: st.DrawFn) -> str:
    """Raw JSON that is deep, not merely large."""
    depth = draw(st.sampled_from((9, 100, 1000, 5000)))
    opening, closing = draw(st.sampled_from((("[", "]"), ('{"a":', "}"))))
    return opening * depth + "1" + closing * depth


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a document, itself included."""
    found = [path]
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def _changed(document: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy in which the value at that place is another one, or gone if it is ``...``."""
    if not path:
        return new
    copy = dict(document) if isinstance(document, dict) else dict(enumerate(document))
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(copy[path[0]], path[1:], None if new is ... else new)
    return copy if isinstance(document, dict) else list(copy.values())


@st.composite
def mutated(draw: st.DrawFn, examples: Sequence[Any]) -> bytes:
    """One of the examples, changed in one to three places, in one of JSON's ways of writing."""
    document = draw(st.sampled_from(examples))
    others = [other for example in examples for other in _values(example)]
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)[1:]
        if not places:
            break
        path = draw(st.sampled_from(places))
        odd = st.sampled_from((*ODD_VALUES, ...)) | st.sampled_from(others)
        document = _changed(document, path, draw(odd))
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    match draw(st.sampled_from(("", "", "", "deep", "twice", "bytes"))):
        case "deep":
            text = text.replace("null", draw(_nested()), 1)
        case "twice" if text.startswith("{") and len(text) > 2:  # every key, with odd values first
            text = "{" + text[1:-1] + "," + text[1:]
        case "bytes":
            data = bytearray(text.encode(errors="surrogatepass"))
            at = draw(st.integers(0, max(0, len(data) - 1)))
            data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
            return bytes(data)
    return text.encode(errors="surrogatepass")


def _values(document: Any) -> list[Any]:
    if isinstance(document, dict):
        return [v for inner in document.values() for v in (inner, *_values(inner))]
    if isinstance(document, list):
        return [v for inner in document for v in (inner, *_values(inner))]
    return []
