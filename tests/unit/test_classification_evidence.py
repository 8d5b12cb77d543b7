"""Evidence: intervals, the margin for an answer, and what a person is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.classification.evidence import (
    LEAST_MARGIN,
    Assessed,
    assess,
    margin_to_answer,
    suggest,
)
from objectclassification.classification.head import Vectors, fit, margins, normalised


def cloud(*middles: int, number: int = 6, spread: float = 0.2, seed: int = 0) -> Vectors:
    """Embeddings about axes of a space of 40 dimensions, one after the other."""
    chance = np.random.default_rng(seed)
    points = np.repeat(np.eye(40)[list(middles)], number, axis=0)
    return normalised(np.abs(points + spread * chance.standard_normal(points.shape)))


def told(vectors: Vectors, labels: str, abstain: float | None = None) -> Assessed:
    names = sorted(set(labels))
    classes = np.array([names.index(label) for label in labels])
    pictures = [f"picture-{number}" for number in range(len(labels))]
    return assess(fit(vectors, classes, len(names)), classes, names, pictures, abstain=abstain)


def codes(found: Assessed) -> set[str]:
    return {one.code for one in found.findings}


# Newcombe 1998 (Statistics in Medicine 17), table I, method 3: Wilson's score without correction.
@given(
    st.integers(2, 30), st.integers(2, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.95])
)
def test_at_the_chosen_margin_few_answers_are_wrong(
    number: int, count: int, seed: int, precision: float
) -> None:
    chance = np.random.default_rng(seed)
    scores, classes = chance.dirichlet(np.ones(count), number), chance.integers(0, count, number)
    margin = margin_to_answer(scores, classes, precision)
    given_ = margins(scores) >= margin
    wrong = scores.argmax(axis=1) != classes
    assert LEAST_MARGIN <= margin <= 1
    assert (~wrong)[given_].sum() >= precision * given_.sum()
    assert margin <= margin_to_answer(scores, classes, 0.99)


def test_a_head_that_was_always_right_answers_from_the_least_margin_on() -> None:
    found = told(cloud(0, 1), "a" * 6 + "b" * 6)
    assert (found.accuracy, found.abstain, found.confusion) == (1, LEAST_MARGIN, ((6, 0), (0, 6)))
    assert found.low == pytest.approx(0.7575, abs=1e-4)
    assert codes(found) == set()
    assert found.mistakes == ()


def test_classes_that_are_one_are_not_told_apart() -> None:
    found = told(cloud(0, spread=0.5, number=24), "ab" * 12)
    (finding,) = (one for one in found.findings if one.code == "not_told_apart")
    assert finding.detail.startswith("'a' and 'b' are not told apart")
    assert finding.classes == ("a", "b")


def test_only_the_pair_that_is_not_told_apart_is_named() -> None:
    vectors = np.vstack([cloud(0, number=20, spread=0.3), cloud(1, number=10)])
    found = told(vectors, "ab" * 10 + "c" * 10)
    pairs = [one.detail for one in found.findings if one.code == "not_told_apart"]
    assert len(pairs) == 1
    assert "'a' and 'b'" in pairs[0]
    assert "abstains_often" in codes(found)


def test_a_picture_with_a_wrong_label_is_named_first() -> None:
    found = told(cloud(0, 1, number=8), "a" * 7 + "b" + "b" * 8)
    first = found.mistakes[0]
    assert (first.picture, first.label, first.said) == ("picture-7", "b", "a")
    assert found.abstain > first.margin, "with that margin it was wrong"


def test_a_margin_that_somebody_chose_stays() -> None:
    found = told(cloud(0, 1), "a" * 6 + "b" * 6, abstain=0.0)
    assert (found.abstain, found.given) == (0.0, 1.0)
    never = told(cloud(0, 1), "a" * 6 + "b" * 6, abstain=1.0)
    assert (never.given, never.accuracy_given) == (0.0, None)


def test_copies_count_once() -> None:
    vectors = np.vstack([cloud(0, number=1)] * 6 + [cloud(1)])
    found = told(vectors, "a" * 6 + "b" * 6)
    assert [one.distinct for one in found.classes] == [1, 6]
    assert found.classes[0].right == 0, "held out together, nothing is left to tell them by"
    assert {"too_few", "too_similar"} <= codes(found)


def test_frames_of_one_scene_are_warned_of_and_count() -> None:
    vectors = np.vstack([cloud(0, spread=0.0002), cloud(1)])
    found = told(vectors, "a" * 6 + "b" * 6)
    assert found.classes[0].distinct == 6
    assert [(one.code, one.classes) for one in found.findings] == [("too_similar", ("a",))]
    assert found.accuracy == 1


def test_the_closest_call_and_the_most_different_are_suggested_by_turns() -> None:
    unlabelled = np.vstack([cloud(0, number=3), cloud(5, number=3, spread=0.0002)])
    sureness = np.array([0.9, 0.01, 0.5, 0.9, 0.9, 0.9])
    chosen = suggest(unlabelled, cloud(0, 1, seed=1), sureness, 3)
    assert chosen[0] == (1, "close")
    assert chosen[1][0] in (3, 4, 5)
    assert chosen[1][1] == "different"
    assert chosen[2] == (2, "close")
    everything = suggest(unlabelled, cloud(0, 1, seed=1), sureness, 9)
    assert len(everything) == 4, "of one scene one picture is enough"


def test_without_labels_and_heads_different_pictures_are_suggested() -> None:
    unlabelled = cloud(0, 1, 2, number=2, spread=0.0002)
    chosen = suggest(unlabelled, unlabelled[:0], None, 5)
    assert [why for _, why in chosen] == ["different"] * 3
    assert {number // 2 for number, _ in chosen} == {0, 1, 2}
