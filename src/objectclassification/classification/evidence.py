"""What a head's held-out answers prove, and which pictures are worth a label. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from objectclassification.classification.head import (
    SCENE,
    Fitted,
    Floats,
    Indices,
    Vectors,
    margins,
)
from objectclassification.classification.scores import wilson
from objectclassification.heads import PRECISION, ClassEvidence, Finding, Mistake

ENOUGH: Final = 5
"""Distinct pictures of each class from which few-shot results are worth something."""
MOST_MISTAKES: Final = 20
LEAST_MARGIN: Final = 0.1
"""Below it a head abstains even if it was never wrong: a few pictures prove little."""
FEW_GIVEN: Final = 0.7
"""Share of held-out answers; a head that gives fewer hardly answers."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """What held-out answers prove; see :class:`~objectclassification.heads.Evidence`."""

    abstain: float
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float
    given: float
    accuracy_given: float | None
    classes: tuple[ClassEvidence, ...]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    findings: tuple[Finding, ...]


def margin_to_answer(scores: Floats, classes: Indices, precision: float = PRECISION) -> float:
    """The smallest margin at which the answers given are right as often as wanted.

    Args:
        scores: ``[n, k]``, held out.
        classes: ``[n]``, what is right.
        precision: the share of right answers that is wanted, 0 to 1.
    """
    found = margins(scores)
    wrong = scores.argmax(axis=1) != classes
    # Rounded up: what was wrong with that margin is not answered any more.
    tried = sorted({LEAST_MARGIN, *(_up(margin) for margin in found[wrong])})
    for margin in tried:
        given = found >= margin
        right = given.sum() - wrong[given].sum()
        if margin >= LEAST_MARGIN and right >= precision * given.sum():
            return min(margin, 1.0)
    return 1.0


def assess(
    fitted: Fitted,
    classes: Indices,
    names: Sequence[str],
    pictures: Sequence[str],
    *,
    abstain: float | None = None,
    precision: float = PRECISION,
) -> Assessed:
    """Says what held-out answers prove.

    Intervals count a scene once, however many pictures there are of it. They take the answers for
    independent, which they nearly are: any two of the heads share all but two pictures.

    Args:
        fitted: the head.
        classes: ``[n]``, the index of each picture's label.
        names: of the classes.
        pictures: ids, ``[n]``.
        abstain: the margin below which there is no answer; chosen if None.
        precision: the share of right answers that it is chosen for.
    """
    scores, said = fitted.held_out, fitted.held_out.argmax(axis=1)
    right = said == classes
    found = margins(scores)
    margin = margin_to_answer(scores, classes, precision) if abstain is None else abstain
    given = found >= margin
    each = tuple(
        _of_class(name, right[classes == number], fitted.twins[classes == number])
        for number, name in enumerate(names)
    )
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (classes, said), 1)
    low, high = wilson(float(right.mean()), len(np.unique(fitted.twins)))
    wrong = [int(n) for n in np.argsort(-found, kind="stable") if not right[n]][:MOST_MISTAKES]
    scenes = [len(np.unique(fitted.scenes[classes == number])) for number in range(len(names))]
    findings = [*_about_classes(each, scenes), *_contradictions(fitted.contradictions, pictures)]
    findings += _about_pairs(scores, classes, fitted.twins, each)
    if given.mean() < FEW_GIVEN:
        findings.append(
            Finding(
                "abstains_often",
                f"it would answer {given.mean():.0%} of pictures like these: label more of those "
                "that `heads suggest` names, or accept more mistakes with --abstain",
            )
        )
    return Assessed(
        abstain=margin,
        accuracy=float(right.mean()),
        low=low,
        high=high,
        balanced_accuracy=float(np.mean([one.right for one in each])),
        given=float(given.mean()),
        accuracy_given=float(right[given].mean()) if given.any() else None,
        classes=each,
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
        mistakes=tuple(
            Mistake(pictures[n], names[classes[n]], names[said[n]], round(float(found[n]), 4))
            for n in wrong
        ),
        findings=tuple(findings),
    )


def suggest(
    vectors: Vectors, labelled: Vectors, sureness: Floats | None, limit: int
) -> list[tuple[int, Literal["close", "different"]]]:
    """Which unlabelled pictures to label next: by turns the closest call and the most different.

    The most different one is the farthest from all that are labelled or suggested (Gonzalez 1985;
    the core-set of Sener and Savarese 2018), so that no two suggestions are of one scene.

    Args:
        vectors: ``[n, d]`` of the unlabelled pictures, normalised.
        labelled: ``[m, d]`` of the labelled ones.
        sureness: ``[n]``, the margins of a head, if there is one.
        limit: the most to suggest.

    Returns:
        Indices into ``vectors``, with the reason.
    """
    nearest = (vectors @ labelled.T).max(axis=1) if len(labelled) else np.zeros(len(vectors))
    free = np.ones(len(vectors), bool)
    chosen: list[tuple[int, Literal["close", "different"]]] = []
    while len(chosen) < limit and free.any():
        close = sureness is not None and len(chosen) % 2 == 0
        order = sureness if close else nearest
        assert order is not None  # noqa: S101 - for the type checker
        number = int(np.argmin(np.where(free, order, np.inf)))
        chosen.append((number, "close" if close else "different"))
        alike = vectors @ vectors[number]
        nearest = np.maximum(nearest, alike)
        free &= alike < SCENE
        free[number] = False
    return chosen


def _up(margin: float) -> float:
    return ceil(margin * 1000 + 1e-6) / 1000


def _of_class(name: str, right: NDArray[np.bool_], twins: Indices) -> ClassEvidence:
    distinct = len(np.unique(twins))
    low, high = wilson(float(right.mean()), distinct)
    return ClassEvidence(name, len(right), distinct, float(right.mean()), low, high)


def _about_classes(classes: Sequence[ClassEvidence], scenes: Sequence[int]) -> list[Finding]:
    found: list[Finding] = []
    for one, different in zip(classes, scenes, strict=True):
        if one.pictures > 1 and 2 * different <= one.pictures:
            found.append(
                Finding(
                    "too_similar",
                    f"the {one.pictures} pictures of {one.name!r} look like "
                    f"{different} scene{'s' * (different > 1)}, and what is shown here may not "
                    "hold for others: add some of other hours, in other light",
                    (one.name,),
                )
            )
        if one.distinct == 1:
            found.append(
                Finding(
                    "too_few",
                    f"{one.name!r} has one picture that counts: held out, nothing is left to tell "
                    f"it by, so nothing is proven; label {ENOUGH} or more",
                    (one.name,),
                )
            )
        elif one.distinct < ENOUGH:
            found.append(
                Finding(
                    "too_few",
                    f"{one.name!r} has {one.distinct} pictures that count: label {ENOUGH} or more",
                    (one.name,),
                )
            )
    return found


def _contradictions(pairs: Indices, pictures: Sequence[str]) -> list[Finding]:
    return [
        Finding(
            "contradiction",
            f"{pictures[one]} and {pictures[other]} look the same and have different labels: "
            "correct one, or point at the difference with --crop",
            pictures=(pictures[one], pictures[other]),
        )
        for one, other in pairs[:MOST_MISTAKES]
    ]


def _about_pairs(
    scores: Floats, classes: Indices, twins: Indices, each: Sequence[ClassEvidence]
) -> list[Finding]:
    """Pairs of classes of which guessing might know as much."""
    found: list[Finding] = []
    for one, other in combinations(range(len(each)), 2):
        if min(each[one].distinct, each[other].distinct) < 2:
            continue  # it was said that there are too few
        members = (classes == one) | (classes == other)
        picked = np.where(scores[:, one] >= scores[:, other], one, other)
        right = picked == classes
        share = (right[classes == one].mean() + right[classes == other].mean()) / 2
        low, _ = wilson(float(share), len(np.unique(twins[members])))
        if low <= 0.5:
            found.append(
                Finding(
                    "not_told_apart",
                    f"{each[one].name!r} and {each[other].name!r} are not told apart: "
                    f"{right[members].sum()} of {members.sum()} right, where guessing might do as "
                    "well; label more of both, or point at the difference with --crop",
                    (each[one].name, each[other].name),
                )
            )
    return found
