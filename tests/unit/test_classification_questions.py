"""Questions: what heads that are on say of a picture, and when they say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from objectclassification.classification.head import fit, normalised
from objectclassification.classification.outcome import Outcome
from objectclassification.classification.questions import NOTHING_ASKED, Question, Questions
from objectclassification.heads import Crop

MODEL = "a" * 64
CORNER: Crop = (0.0, 0.0, 0.2, 0.2)
OPEN, CLOSED = np.eye(16)[3], np.eye(16)[7]


def stored(vector: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bytes:
    return vector.astype("<f2").tobytes()


def outcome(whole: bytes, *crops: bytes, model: str = MODEL) -> Outcome:
    return Outcome((), whole, model, "model", model, "image/jpeg", 8, 8, None, {}, crops)


def question(name: str = "valve", crop: Crop | None = None, abstain: float = 0.1) -> Question:
    chance = np.random.default_rng(0)
    points = np.abs(np.repeat([OPEN, CLOSED], 4, axis=0) + 0.1 * chance.standard_normal((8, 16)))
    found = fit(normalised(points), np.repeat([0, 1], 4), 2)
    return Question(name, 3, ("open", "closed"), None, crop, abstain, MODEL, found.head)


def test_it_answers_with_its_classes_best_first() -> None:
    (answer,) = Questions([question()]).answers(outcome(stored(CLOSED)))
    assert (answer.head, answer.version, answer.class_, answer.abstains) == (
        "valve",
        3,
        "closed",
        None,
    )
    assert list(answer.scores) == ["closed", "open"]
    assert answer.score == answer.scores["closed"]
    assert answer.margin == pytest.approx(answer.score - answer.scores["open"], abs=2e-4)


def test_each_head_looks_at_its_own_rectangle_and_each_rectangle_is_cut_once() -> None:
    asked = Questions([question("a", CORNER), question("b"), question("c", CORNER)])
    assert asked.crops == (CORNER,)
    answers = asked.answers(outcome(stored(OPEN), stored(CLOSED)))
    assert {one.head: one.class_ for one in answers} == {"a": "closed", "b": "open", "c": "closed"}


def test_it_abstains_below_its_margin() -> None:
    (answer,) = Questions([question(abstain=0.1)]).answers(outcome(stored(OPEN + CLOSED)))
    assert (answer.class_, answer.abstains) == (None, "close")
    assert set(answer.scores) == {"open", "closed"}


@pytest.mark.parametrize(
    ("whole", "model"),
    [(stored(OPEN), "b" * 64), (stored(np.zeros(8)), MODEL), (b"", MODEL)],
    ids=["another model", "another length", "none"],
)
def test_embeddings_that_it_did_not_learn_from_have_no_answer(whole: bytes, model: str) -> None:
    (answer,) = Questions([question()]).answers(outcome(whole, model=model))
    assert (answer.class_, answer.abstains, answer.scores) == (None, "stale", {})


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_have_no_answer(wrong: float) -> None:
    (answer,) = Questions([question()]).answers(outcome(stored(np.full(16, wrong))))
    assert (answer.class_, answer.abstains, answer.margin) == (None, "close", 0.0)


def test_a_camera_that_no_head_concerns_is_asked_nothing() -> None:
    assert NOTHING_ASKED.crops == ()
    assert NOTHING_ASKED.answers(outcome(b"")) == ()
