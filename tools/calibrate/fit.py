"""The temperature, and what confidences are worth on photographs that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from objectclassification.classification.scores import Calibration, Share, cover
from tools.calibrate.photographs import Photograph

TEMPERATURES: Final = np.geomspace(0.4, 4, 231)
"""One is a hundredth more than the one before."""
FOLDS: Final = 10

Floats = NDArray[np.float64]


def scores(logits: Floats, temperature: float) -> Floats:
    """The softmax: ``[n, k]``."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit(known: Sequence[Photograph]) -> float:
    """The temperature at which the right labels are most likely."""
    logits = np.array([one.logits for one in known])

    def loss(temperature: float) -> float:
        found = scores(logits, temperature)
        right = [found[number, one.right].sum() for number, one in enumerate(known)]
        return -float(np.log(np.maximum(right, 1e-12)).sum())

    return float(min(TEMPERATURES, key=loss))


def confidences(photographs: Sequence[Photograph], temperature: float) -> list[float]:
    """Of each one's best label."""
    logits = np.array([one.logits for one in photographs])
    found: list[float] = scores(logits, temperature).max(axis=1).round(4).tolist()
    return found


def is_right(one: Photograph) -> bool:
    """Whether the best label is one of the right ones."""
    return int(one.logits.argmax()) in one.right


def held_out(known: Sequence[Photograph]) -> list[float]:
    """Each one's confidence, by a temperature that was fitted to the other folds."""
    found = [0.0] * len(known)
    for fold in folds(len(known)):
        inside = set(fold)
        temperature = fit([one for number, one in enumerate(known) if number not in inside])
        for number, confidence in zip(
            fold, confidences([known[number] for number in fold], temperature), strict=True
        ):
            found[number] = confidence
    return found


def held_out_coverage(answers: Sequence[tuple[float, bool]], precision: float) -> tuple[int, Share]:
    """How many are answered, and right, by thresholds that were found on the other folds.

    Args:
        answers: confidence, and whether it is right.
        precision: that the thresholds are for.
    """
    answered = right = 0
    for fold in folds(len(answers)):
        inside = set(fold)
        found = cover([one for n, one in enumerate(answers) if n not in inside], precision)
        given = [answers[n][1] for n in fold if found and answers[n][0] >= found.below]
        answered += len(given)
        right += sum(given)
    return answered, Share.counted(right, answered)


def folds(number: int) -> list[list[int]]:
    """Indices in :data:`FOLDS` groups, the same ones each time."""
    order = np.random.default_rng(0).permutation(number).tolist()
    return [order[start::FOLDS] for start in range(FOLDS)]


def calibration(answers: Sequence[tuple[float, bool]]) -> Calibration:
    """Counts them all."""
    found = Calibration()
    for confidence, right in answers:
        found.add(confidence, right)
    return found
