"""Heads: the closed form is what explicit fits give, and nothing odd about the input breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectclassification.classification import head as maths
from objectclassification.classification.head import (
    Fitted,
    Floats,
    Indices,
    Vectors,
    class_weights,
    fit,
    margins,
    normalised,
)

Sets = tuple[Vectors, Indices, int]


@st.composite
def labelled_sets(draw: st.DrawFn) -> Sets:
    """Embeddings of 2 to 4 classes, some of them twice."""
    count = draw(st.integers(2, 4))
    sizes = draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
    classes = np.repeat(np.arange(count), sizes)
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.05, 0.5, 5.0]))
    middles = chance.random((count, 24))
    found = np.abs(middles[classes] + spread * chance.standard_normal((len(classes), 24)))
    for _ in range(draw(st.integers(0, 3))):
        one, other = chance.integers(0, len(classes), 2)
        found[one] = found[other]
    return normalised(found), classes, count


def refitted(vectors: Floats, targets: Floats, weights: Floats, ridge: float) -> Floats:
    """The linear system of the dual, with its intercept, solved as it is written in the papers."""
    number = len(vectors)
    system = np.zeros((number + 1, number + 1))
    system[:-1, :-1] = vectors @ vectors.T + ridge * np.diag(1 / weights)
    system[:-1, -1] = system[-1, :-1] = 1
    solution: Floats = np.linalg.solve(
        system, np.vstack([targets, np.zeros((1, targets.shape[1]))])
    ).astype(np.float64)
    return solution


def outputs(solution: Floats, vectors: Floats, one: Floats) -> Floats:
    found: Floats = one @ vectors.T @ solution[:-1] + solution[-1]
    return found


def held_out_outputs(found: Fitted) -> Floats:
    """Scores without their softmax, up to what it does not show: a constant for each picture."""
    logs = np.log(np.maximum(found.held_out, 1e-300)) / found.head.sharpness
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


@settings(max_examples=60, deadline=None)
@given(labelled_sets())
def test_held_out_scores_are_those_of_heads_fitted_without_the_picture(data: Sets) -> None:
    vectors, classes, count = data
    found = fit(vectors, classes, count)
    exact, targets = vectors.astype(np.float64), np.eye(count)[classes]
    weights = class_weights(classes, count)
    said = held_out_outputs(found)
    for number, group in enumerate(found.twins):
        kept = found.twins != group
        if not kept.any():
            assert np.allclose(found.held_out[number], 1 / count)
            continue
        solution = refitted(exact[kept], targets[kept], weights[kept], found.ridge)
        expected = outputs(solution, exact[kept], exact[number])
        assert np.allclose(said[number], expected - expected.mean(), atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(labelled_sets())
def test_the_head_is_the_solution_of_all_pictures(data: Sets) -> None:
    vectors, classes, count = data
    found = fit(vectors, classes, count)
    exact, weights = vectors.astype(np.float64), class_weights(classes, count)
    solution = refitted(exact, np.eye(count)[classes], weights, found.ridge)
    expected = np.array([outputs(solution, exact, one) for one in exact])
    said = exact @ found.head.weights[:-1] + found.head.weights[-1]
    assert np.allclose(said, expected, atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(labelled_sets(), st.randoms(use_true_random=False))
def test_neither_the_order_of_pictures_nor_of_classes_counts(
    data: Sets, chance: np.random.RandomState
) -> None:
    vectors, classes, count = data
    order, names = list(range(len(classes))), list(range(count))
    chance.shuffle(order)
    chance.shuffle(names)
    found = fit(vectors, classes, count)
    other = fit(vectors[order], np.array(names)[classes[order]], count)
    assert other.ridge == pytest.approx(found.ridge, rel=1e-3)
    if other.head.sharpness == found.head.sharpness:  # else two of them are equally likely
        assert np.allclose(other.held_out[:, names], found.held_out[order], atol=5e-3)


@settings(max_examples=40, deadline=None)
@given(labelled_sets(), st.floats(0.01, 100))
def test_brightness_does_not_count(data: Sets, factor: float) -> None:
    vectors, _, _ = data
    assert np.allclose(normalised(vectors * factor), normalised(vectors), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(labelled_sets())
def test_scores_are_shares(data: Sets) -> None:
    vectors, classes, count = data
    found = fit(vectors, classes, count)
    for scores in (found.held_out, found.head.scores(vectors)):
        assert scores.shape == (len(classes), count)
        assert np.allclose(scores.sum(axis=1), 1)
        assert (scores >= 0).all()
        assert ((margins(scores) >= 0) & (margins(scores) <= 1)).all()


def test_twins_have_one_class_and_a_scene_is_wider() -> None:
    one = np.r_[1.0, np.zeros(9)]
    light, other = one + 0.01 * np.eye(10)[1], one + 3 * np.eye(10)[2]
    vectors = normalised(np.array([one, one, light, other, one]))
    found = fit(vectors, np.array([0, 0, 0, 0, 1]), 2)
    assert found.twins.tolist() == [0, 0, 2, 3, 4]
    assert found.scenes.tolist() == [0, 0, 0, 3, 4]
    assert found.contradictions.tolist() == [[0, 4], [1, 4]]


def test_embeddings_of_zeros_do_no_harm() -> None:
    vectors = normalised(np.zeros((4, 8)))
    found = fit(vectors, np.array([0, 0, 1, 1]), 2)
    assert np.isfinite(found.head.weights).all()
    assert np.isfinite(found.held_out).all()


def test_sharper_scores_say_the_same_more_firmly() -> None:
    found = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert (margins(maths.softmax(found, 9.0)) > margins(maths.softmax(found, 1.0))).all()
