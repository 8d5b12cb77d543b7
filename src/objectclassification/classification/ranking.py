"""From a network's numbers to the best labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objectclassification.receipts import Prediction


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities that add up to 1."""
    powers = np.exp(logits - logits.max())
    scores: NDArray[np.float32] = powers / powers.sum()
    return scores


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of networks that say of each class by itself whether it is there."""
    # By tanh, which knows no overflow: 1 / (1 + exp(-x)) = tanh(x / 2) / 2 + 1 / 2.
    halves = np.tanh(logits / np.float32(2), dtype=np.float32)
    scores: NDArray[np.float32] = halves / np.float32(2) + np.float32(0.5)
    return scores


def ranked(
    scores: NDArray[np.float32], labels: Sequence[str], *, top: int
) -> tuple[Prediction, ...]:
    """The best labels, best first; of equal ones the first of the labels."""
    best = np.argsort(-scores, kind="stable")[:top]
    return tuple(Prediction(labels[i], float(scores[i])) for i in best)
