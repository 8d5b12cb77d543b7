"""How good answers are, as numbers: shares with their intervals, and calibration. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, sqrt
from typing import Final

import msgspec

from objectclassification.sureness import Coverage

Z_95: Final = 1.959964
"""Of a two-sided interval of 95 %."""
BINS: Final = 15
"""Of a calibration: as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""


class Share(msgspec.Struct, frozen=True):
    """How many of how many, and what that proves.

    Attributes:
        right: how many were.
        of: how many could have been.
        share: one through the other, 0 to 1; 0 of none.
        low: where the share truly is with 95 % confidence, at least.
        high: and at most.
    """

    right: int
    of: int
    share: float
    low: float
    high: float

    @classmethod
    def counted(cls, right: int, of: int) -> Share:
        """Makes one out of two counts."""
        share = right / of if of else 0.0
        low, high = wilson(share, of)
        return cls(right, of, share, low, high)


class Bin(msgspec.Struct, frozen=True):
    """Answers of like confidence.

    Attributes:
        low: their confidence is over this,
        high: and this at most.
        pictures: how many they are.
        confidence: their mean confidence; 0 of none.
        accuracy: the share of them that is right; 0 of none.
    """

    low: float
    high: float
    pictures: int
    confidence: float
    accuracy: float


class Calibration:
    """Whether answers are right as often as they are confident, counted one by one."""

    def __init__(self) -> None:
        self._pictures = [0] * BINS
        self._confidence = [0.0] * BINS
        self._right = [0] * BINS

    def add(self, confidence: float, right: bool) -> None:
        """Counts an answer.

        Args:
            confidence: the score of its best label, 0 to 1.
            right: whether that label was.
        """
        index = min(max(ceil(confidence * BINS) - 1, 0), BINS - 1)
        self._pictures[index] += 1
        self._confidence[index] += confidence
        self._right[index] += right

    def bins(self) -> tuple[Bin, ...]:
        """All of them, the least confident first."""
        return tuple(
            Bin(
                low=index / BINS,
                high=(index + 1) / BINS,
                pictures=pictures,
                confidence=self._confidence[index] / pictures if pictures else 0.0,
                accuracy=self._right[index] / pictures if pictures else 0.0,
            )
            for index, pictures in enumerate(self._pictures)
        )

    def error(self) -> float:
        """The expected calibration error (Guo et al. 2017, equation 5), 0 to 1; 0 of no answers.

        The mean over all answers of how far their bin's accuracy is from its confidence.
        """
        answers = sum(self._pictures)
        gaps = (one.pictures * abs(one.accuracy - one.confidence) for one in self.bins())
        return sum(gaps) / answers if answers else 0.0


def cover(answers: Iterable[tuple[float, bool]], precision: float) -> Coverage | None:
    """The lowest threshold at which the answers over it are right as often as wanted.

    Args:
        answers: the confidence of each, and whether it is right.
        precision: the share of right ones that is wanted, 0 to 1.

    Returns:
        None if no threshold does it.
    """
    ordered = sorted(answers, reverse=True)
    best: tuple[float, int, int] | None = None
    right = 0
    for number, (confidence, is_right) in enumerate(ordered, 1):
        right += is_right
        is_last_of_its_kind = number == len(ordered) or ordered[number][0] < confidence
        if is_last_of_its_kind and right >= precision * number:
            best = (confidence, number, right)
    if best is None:
        return None
    below, answered, right = best
    low, high = wilson(right / answered, answered)
    return Coverage(
        precision=precision,
        below=below,
        pictures=len(ordered),
        answered=answered,
        right=right,
        share=right / answered,
        low=low,
        high=high,
    )


def separation(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """How often one of the first is over one of the second, a tie counting half: the AUROC.

    Returns:
        0 to 1, 0.5 by chance; None if one of them is empty.
    """
    if not higher or not lower:
        return None
    wins, below, number = 0.0, 0, 0
    ordered = sorted(lower)
    for value in sorted(higher):
        while below < len(ordered) and ordered[below] < value:
            below += 1
        number = max(number, below)
        while number < len(ordered) and ordered[number] <= value:
            number += 1
        wins += below + (number - below) / 2
    return wins / (len(higher) * len(lower))


def wilson(share: float, number: int) -> tuple[float, float]:
    """The 95 % interval around a share (Wilson 1927).

    Args:
        share: 0 to 1.
        number: of tries; none is ``(0, 1)``.
    """
    if number == 0:
        return 0.0, 1.0
    z2 = Z_95**2 / number
    middle = (share + z2 / 2) / (1 + z2)
    half = Z_95 * sqrt(share * (1 - share) / number + z2 / (4 * number)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)
