"""When the pictures of a large snap are to come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.hub.spreading import AT_ONCE, PER_S, SHARE, spread_s
from objectclassification.messages import SnapOrder, SnapRequest
from objectclassification.receipts import Until
from tests.hubs import Bench


@given(st.integers(0, 10_000), st.sampled_from(["captured", "uploaded", "classified"]))
def test_no_more_come_in_a_second_than_a_server_takes(cameras: int, until: Until) -> None:
    seconds = spread_s(cameras, until, 86_400)
    assert cameras <= AT_ONCE + seconds * PER_S + 1


@pytest.mark.parametrize("until", ["uploaded", "classified"])
def test_a_deadline_that_waits_for_pictures_leaves_time_for_the_last(until: Until) -> None:
    assert spread_s(5000, until, 10.0) == SHARE * 10


def test_nobody_waits_for_the_pictures_of_a_snap_that_ends_before() -> None:
    assert spread_s(5000, "captured", 1.0) > 10


def test_small_snaps_are_not_slowed() -> None:
    assert spread_s(AT_ONCE, "classified", 10.0) == 0


def test_every_order_of_a_large_snap_says_it() -> None:
    bench = Bench()
    cameras = [bench.camera(f"camera-{number}") for number in range(AT_ONCE + 15)]
    bench.say(bench.controller(), SnapRequest(to=("*",)))
    orders = [
        each for camera in cameras for each in bench.heard(camera) if isinstance(each, SnapOrder)
    ]
    assert len(orders) == len(cameras)
    assert {each.spread_s for each in orders} == {15 / PER_S}
