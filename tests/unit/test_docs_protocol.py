"""Every example in docs/protocol.md is a message, and every message has an example."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from objectclassification import bounds, messages
from objectclassification.receipts import FAILURES

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
EXAMPLE = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


CLIENT = EXAMPLE.findall(_section("Client to hub"))
HUB = EXAMPLE.findall(_section("Hub to client"))


@pytest.mark.parametrize("example", CLIENT)
def test_examples_of_clients_are_read_whole(example: str) -> None:
    _assert_same(example, messages.decode_client(example.encode()))


@pytest.mark.parametrize("example", HUB)
def test_examples_of_the_hub_are_read_whole(example: str) -> None:
    _assert_same(example, messages.decode_hub(example.encode()))


def test_every_message_has_an_example() -> None:
    assert {json.loads(e)["type"] for e in CLIENT} == _types(messages.ClientMessage)
    assert {json.loads(e)["type"] for e in HUB} == _types(messages.HubMessage)


def test_every_example_stands_in_a_direction() -> None:
    assert EXAMPLE.findall(PAGE) == CLIENT + HUB


def test_every_failure_is_explained() -> None:
    for code in FAILURES:
        assert f"`{code}`" in PAGE


def test_limits_are_the_real_ones() -> None:
    assert f"{messages.MAX_MESSAGE_BYTES:,} bytes" in PAGE
    assert f"{bounds.MAX_CONTEXT_BYTES:,} bytes and {bounds.MAX_CONTEXT_DEPTH} levels" in PAGE
    assert f"At most {messages.MAX_CAMERAS} cameras" in PAGE


def _types(union: Any) -> set[str]:
    return {str(kind.__struct_config__.tag) for kind in get_args(union)}


def _assert_same(example: str, message: messages.ClientMessage | messages.HubMessage | str) -> None:
    """Nothing in the example was skipped as unknown: it is there again with all defaults given."""
    assert not isinstance(message, str)
    _assert_within(json.loads(example), _full(message))


def _full(value: Any) -> Any:
    """The message as JSON with the fields that encoding leaves out at their default."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        fields = {key: _full(getattr(value, name)) for name, key in names}
        tag = value.__struct_config__.tag
        return {"type": tag, **fields} if tag else fields
    if isinstance(value, tuple | list):
        return [_full(item) for item in value]
    if isinstance(value, dict):
        return {key: _full(item) for key, item in value.items()}
    return value


def _assert_within(part: Any, whole: Any) -> None:
    if isinstance(part, dict):
        assert part.keys() <= whole.keys()
        for key, value in part.items():
            _assert_within(value, whole[key])
    elif isinstance(part, list):
        assert len(part) == len(whole)
        for one, other in zip(part, whole, strict=True):
            _assert_within(one, other)
    else:
        assert part == whole
