"""Options for the cameras: refused at the hub, read with care at the camera."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.errors import BadMessage
from objectclassification.messages import decode_client, read_snap_request
from objectclassification.shot_options import (
    MOST_BURST,
    NAMES,
    ShotOptions,
    check_shot_options,
    read_shot_options,
)

numbers_or_auto = st.floats(0.001, 60) | st.just("auto")
good = st.fixed_dictionaries(
    {},
    optional={
        "burst": st.integers(1, MOST_BURST),
        "keep": st.sampled_from(["best", "all"]),
        "width": st.integers(1, 16_384),
        "height": st.integers(1, 16_384),
        "format": st.sampled_from(["jpeg", "png", "webp"]),
        "quality": st.integers(1, 100),
        "warmup": numbers_or_auto,
        "exposure_ms": numbers_or_auto,
        "focus": numbers_or_auto,
        "check": st.sampled_from(["off", "warn", "retry"]),
    },
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
anything = st.dictionaries(st.sampled_from(sorted(NAMES)) | st.text(max_size=9), json_values)


@given(good)
def test_what_is_good_passes_and_is_read_as_it_is(options: dict[str, Any]) -> None:
    check_shot_options(options, None)
    read, complaints = read_shot_options(options)
    assert complaints == ()
    assert {name: getattr(read, name) for name in options} == options
    defaults = ShotOptions()
    for name in NAMES - options.keys():
        assert getattr(read, name) == getattr(defaults, name)


@given(anything)
def test_a_camera_reads_anything_and_says_what_it_does_not_use(options: dict[str, Any]) -> None:
    read, complaints = read_shot_options(options)
    used = {name for name in options.keys() & NAMES if getattr(read, name) == options[name]}
    assert len(complaints) >= len(options) - len(used)
    # Whatever was read is what the hub would have let through.
    check_shot_options(
        {name: getattr(read, name) for name in NAMES if getattr(read, name) is not None}, None
    )


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ('"burst": 1000000', "options.burst is a whole number of frames from 1 to 20"),
        ('"burst": 0', "options.burst is"),
        ('"burst": true', "options.burst is"),
        ('"burst": 2.5', "options.burst is"),
        ('"burst": null', "options.burst is"),
        ('"keep": "worst"', 'options.keep is "best" or "all"'),
        ('"width": 1000000000', "options.width is a whole number of pixels from 1 to 16384"),
        ('"height": -1', "options.height is"),
        ('"quality": 0', "options.quality is a whole number from 1 to 100"),
        ('"quality": 101', "options.quality is"),
        ('"format": "gif"', 'options.format is "jpeg", "png" or "webp"'),
        ('"warmup": 61', 'options.warmup is seconds from 0 to 60, or "auto"'),
        ('"exposure_ms": 0', 'options.exposure_ms is milliseconds above 0, up to 10000, or "auto"'),
        ('"exposure_ms": "long"', "options.exposure_ms is"),
        ('"exposure_ms": [1]', "options.exposure_ms is"),
        ('"focus": -0.5', "options.focus is"),
        ('"check": "maybe"', 'options.check is "off" or "warn" or "retry"'),
    ],
)
def test_bounds_are_told_in_one_line_by_both_ways_in(option: str, says: str) -> None:
    request = f'"to": ["door"], "id": "a-1", "options": {{{option}}}'
    with pytest.raises(BadMessage) as by_websocket:
        decode_client(f'{{"type": "snap", {request}}}'.encode())
    with pytest.raises(BadMessage) as by_http:
        read_snap_request(f"{{{request}}}".encode())
    for caught in (by_websocket, by_http):
        assert caught.value.detail.startswith(says)
        assert "\n" not in caught.value.detail
        assert caught.value.re == "a-1"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    for name in ("exposure_ms", "focus", "warmup", "burst"):
        with pytest.raises(BadMessage):
            read_snap_request(f'{{"to": ["door"], "options": {{"{name}": {number}}}}}'.encode())


def test_not_a_number_is_none_of_ours_either() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(BadMessage, match=r"options\.focus"):
            check_shot_options({"focus": value}, None)


def test_options_of_others_pass() -> None:
    request = read_snap_request(json.dumps({"to": ["*"], "options": {"zoom": 2}}).encode())
    assert request.options == {"zoom": 2}
    read, complaints = read_shot_options({"zoom": 2, "burst": "many", "quality": 80})
    assert read == ShotOptions(quality=80)
    assert complaints == (
        "option zoom is not known here",
        "option burst is not used: it is a whole number of frames from 1 to 20",
    )


def test_options_travel_as_they_are() -> None:
    options = {"burst": 5, "keep": "all", "exposure_ms": 12.5}
    sent = msgspec.json.encode({"type": "snap", "to": ["door"], "options": options})
    message = decode_client(sent)
    assert not isinstance(message, str)
    assert getattr(message, "options", None) == options
