"""Shares with intervals, calibration and mAP@50, beside definitions and hand-made examples."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.classification.boxes import (
    Box,
    Detections,
    average_precision,
    overlap,
)
from objectclassification.classification.scores import (
    BINS,
    Calibration,
    Share,
    cover,
    separation,
    wilson,
)
from objectclassification.receipts import Prediction

shares = st.floats(0, 1)


def test_an_interval_is_the_one_in_the_books() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0 / 20, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_is_where_the_score_test_agrees(right: int, wrong: int) -> None:
    number = right + wrong
    found = Share.counted(right, number)
    assert 0 <= found.low <= found.high <= 1
    assert found.low - 1e-9 <= found.share <= found.high + 1e-9
    for edge in (found.low, found.high):
        if number and 1e-9 < edge < 1 - 1e-9:
            z = abs(found.share - edge) / sqrt(edge * (1 - edge) / number)
            assert z == pytest.approx(1.959964, abs=1e-3)


def test_calibration_by_hand() -> None:
    calibration = Calibration()
    for right in (True, False, False, False):
        calibration.add(0.5, right)  # a quarter is right of what is half sure
    calibration.add(0.99, True)
    calibration.add(0.0, False)
    assert calibration.error() == pytest.approx((4 * 0.25 + 0.01 + 0) / 6)
    assert Calibration().error() == 0


def test_a_threshold_by_hand() -> None:
    answers = [(0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, True), (0.4, False)]
    found = cover(answers, 0.8)
    assert found is not None
    assert (found.below, found.answered, found.right, found.pictures) == (0.5, 5, 4, 6)
    assert (found.low, found.high) == wilson(0.8, 5)
    surest = cover(answers, 0.9)
    assert surest is not None
    assert (surest.below, surest.answered) == (0.8, 2)
    assert cover([(0.9, False), (0.8, True)], 0.9) is None
    assert cover([], 0.9) is None


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans())),
    st.floats(0.01, 0.99),
)
def test_a_threshold_is_the_lowest_that_is_precise(
    answers: list[tuple[float, bool]], precision: float
) -> None:
    def precise(below: float) -> bool:
        given = [right for confidence, right in answers if confidence >= below]
        return bool(given) and sum(given) >= precision * len(given)

    possible = [confidence for confidence, _ in answers if precise(confidence)]
    found = cover(answers, precision)
    assert (None if found is None else found.below) == min(possible, default=None)
    if found is not None:
        assert found.answered == sum(confidence >= found.below for confidence, _ in answers)
        assert found.low <= found.share <= found.high + 1e-9


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9])), st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9]))
)
def test_separation_is_how_often_one_is_over_the_other(
    higher: list[float], lower: list[float]
) -> None:
    pairs = [(one > other) + (one == other) / 2 for one in higher for other in lower]
    expected = sum(pairs) / len(pairs) if pairs else None
    assert separation(higher, lower) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(shares, st.booleans()), min_size=1))
def test_calibration_is_its_definition(answers: list[tuple[float, bool]]) -> None:
    calibration = Calibration()
    for confidence, right in answers:
        calibration.add(confidence, right)
    bins = calibration.bins()
    assert len(bins) == BINS == 15
    assert sum(one.pictures for one in bins) == len(answers)
    error = 0.0
    for one in bins:
        inside = [
            (confidence, right)
            for confidence, right in answers
            if one.low < confidence <= one.high or (confidence == one.low == 0)
        ]
        gap = sum(right for _, right in inside) - sum(confidence for confidence, _ in inside)
        error += abs(gap) / len(answers)
    # A confidence on an edge may fall to either side of it: floats are no fifteenths.
    edges = {confidence for confidence, _ in answers if (confidence * BINS) % 1 in (0.0, 1.0)}
    if not edges - {0.0, 1.0}:
        assert calibration.error() == pytest.approx(error, abs=1e-9)


edge = st.floats(0, 1, width=32)


@st.composite
def a_box(draw: st.DrawFn) -> Box:
    left, right = sorted((draw(edge), draw(edge)))
    top, bottom = sorted((draw(edge), draw(edge)))
    return left, top, right, bottom


@given(a_box(), a_box())
def test_an_overlap_is_a_share_and_the_same_both_ways(one: Box, other: Box) -> None:
    found = overlap(one, other)
    assert 0 <= found <= 1 + 1e-12
    assert found == pytest.approx(overlap(other, one))
    area = (one[2] - one[0]) * (one[3] - one[1])
    assert overlap(one, one) == (pytest.approx(1) if area > 0 else 0)


def test_overlaps_by_hand() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0  # they only touch


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_average_precision_is_the_area_under_the_best_precision(
    detections: list[tuple[float, bool]], missed: int
) -> None:
    """VOCap.m of the VOC2012 development kit, line by line."""
    objects = sum(right for _, right in detections) + missed
    order = sorted(detections, key=lambda one: -one[0])
    hits, recall, precision = 0, [0.0], [0.0]
    for number, (_, right) in enumerate(order, 1):
        hits += right
        recall.append(hits / objects if objects else 0.0)
        precision.append(hits / number)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    area = sum(
        (recall[i] - recall[i - 1]) * precision[i]
        for i in range(1, len(recall))
        if recall[i] != recall[i - 1]
    )
    scores = np.array([score for score, _ in detections], np.float32)
    hit = np.array([right for _, right in detections])
    found = average_precision(scores, hit, objects)
    assert found == pytest.approx(area if objects else 0.0, abs=1e-9)


CUP: Box = (0.1, 0.1, 0.5, 0.5)
OTHER: Box = (0.6, 0.6, 0.9, 0.9)


def detected(*found: tuple[float, Box | None], truths: int = 2, label: str = "cup") -> Detections:
    detections = Detections()
    boxes = [("cup", CUP), ("cup", OTHER)][:truths]
    detections.add([Prediction(label, score, box) for score, box in found], boxes)
    return detections


def test_all_found_is_one_and_nothing_found_is_none() -> None:
    assert detected((0.9, CUP), (0.8, OTHER)).mean_average_precision() == 1
    assert detected().mean_average_precision() == 0
    assert Detections().mean_average_precision() == 0
    assert detected((0.9, None)).mean_average_precision() == 0  # a label without a box
    assert detected((0.9, CUP), (0.8, OTHER), label="dog").mean_average_precision() == 0


def test_an_object_is_found_once_and_the_surest_first() -> None:
    twice = detected((0.9, CUP), (0.8, CUP), (0.7, OTHER))
    assert twice.mean_average_precision() == pytest.approx((1 + 2 / 3) / 2)
    (cup,) = twice.classes()
    assert (cup.label, cup.objects, cup.detections) == ("cup", 2, 3)
    wrong_first = detected((0.9, (0.0, 0.6, 0.3, 0.9)), (0.8, CUP), truths=1)
    assert wrong_first.mean_average_precision() == pytest.approx(1 / 2)


def test_half_an_overlap_is_enough_and_less_is_not() -> None:
    for right, found in ((0.5, 1), (0.49, 0)):
        detections = Detections()
        detections.add([Prediction("cup", 0.9, (0, 0, right, 1))], [("cup", (0, 0, 1, 1))])
        assert detections.mean_average_precision() == found


def test_it_is_the_mean_over_classes_and_over_pictures() -> None:
    detections = Detections()
    detections.add([Prediction("cup", 0.5, CUP)], [("cup", CUP), ("dog", OTHER)])
    detections.add([Prediction("cup", 0.9, CUP)], [])  # surer, and of nothing
    found = {one.label: one.average_precision for one in detections.classes()}
    assert found == {"cup": 0.5, "dog": 0}
    assert detections.mean_average_precision() == 0.25


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_its_share(number: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, number)) / number
    low, high = wilson(right, number)
    assert 0 <= low <= right + 1e-12
    assert right - 1e-12 <= high <= 1
