"""What a simulated fleet counts, and which plans there can be."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.capture.picture import measure
from objectclassification.client.simulation import tally as tallies
from objectclassification.client.simulation.picture import HEIGHT, WIDTH, prepare
from objectclassification.client.simulation.plan import Plan
from objectclassification.client.simulation.tally import Durations, Tally
from objectclassification.errors import ConfigurationError
from objectclassification.messages import is_name
from tests.photographs import ROCKET


@given(st.lists(st.floats(1e-5, 1e4), min_size=1), st.floats(0.01, 1))
def test_quantiles_are_within_two_percent(seconds: list[float], share: float) -> None:
    durations = Durations()
    for each in seconds:
        durations.add(each)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    found = durations.quantile_ms(share)
    assert found is not None
    assert found == pytest.approx(exact * 1000, rel=0.02, abs=0.001)


def test_no_durations_have_no_quantiles() -> None:
    assert Durations().quantile_ms(0.5) is None


def test_what_is_remembered_is_bounded() -> None:
    tally = Tally()
    for number in range(2 * tallies.MOST_SNAPS):
        tally.ordered(f"snap-{number}", float(number))
        tally.error(f"error {number}")
    assert tally.snaps == tally.orders == 2 * tallies.MOST_SNAPS
    assert len(tally.errors) == tallies.MOST_ERRORS + 1
    assert tally.errors.total() == 2 * tallies.MOST_SNAPS


@given(st.integers(1, 60_000), st.data())
def test_names_are_good_and_sort_as_their_numbers(cameras: int, data: st.DataObject) -> None:
    plan = Plan(cameras)
    one, other = sorted(data.draw(st.tuples(*[st.integers(0, cameras - 1)] * 2)))
    assert is_name(plan.name(one))
    assert (plan.name(one) < plan.name(other)) == (one < other)


def test_groups_are_dealt_out_in_turn() -> None:
    plan = Plan(5, groups=("left", "right"))
    assert [plan.group(number) for number in range(3)] == [("left",), ("right",), ("left",)]
    assert Plan(5).group(0) == ()


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan(5, prefix="-sim"), "cannot begin a name"),
        (Plan(5, prefix="s" * 61), "64 characters"),
        (Plan(5, groups=("a group",)), "cannot be a group"),
        (Plan(5, slow_readers=6), "ask for more cameras"),
    ],
)
def test_plans_that_cannot_be(plan: Plan, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        plan.check()


def test_the_prepared_picture_is_a_small_jpeg() -> None:
    picture = prepare()
    assert picture.media_type == "image/jpeg"
    assert measure(picture.data) == (WIDTH, HEIGHT)
    assert len(picture.data) < 64_000


def test_a_picture_of_ones_own(tmp_path: Path) -> None:
    assert prepare(ROCKET).data == ROCKET.read_bytes()
    text = tmp_path / "a.jpg"
    text.write_text("no picture")
    with pytest.raises(ConfigurationError, match="no JPEG, PNG or WebP"):
        prepare(text)
    with pytest.raises(ConfigurationError, match="cannot read"):
        prepare(tmp_path / "missing.jpg")
