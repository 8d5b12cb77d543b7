"""What a classifier says about a picture. Imported without the classifier's libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from objectclassification.receipts import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Classification", "Detection", "Prediction"]


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What one model says about one picture.

    Attributes:
        predictions: the best labels, best first.
        embedding: float16, the activations before the head (1,280 of the shipped model): what
            teaching compares. Empty if the model has none.
        model_id: the model's name, from its file.
        model_sha256: hex digest of the model's file.
        elapsed_ms: milliseconds of each stage: ``decode`` and ``infer``.
        confidence: how sure it is of the best label: how often such a one is right, of a model that
            is calibrated; of another, its score.
    """

    predictions: tuple[Prediction, ...]
    embedding: NDArray[np.float16]
    model_id: str
    model_sha256: str
    elapsed_ms: dict[str, float]
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """What one model found on one picture.

    Attributes:
        predictions: an object each, with its box in the upright picture; the surest first.
        model_id: the model's name, from its file.
        model_sha256: hex digest of the model's file.
        elapsed_ms: milliseconds of each stage: ``decode`` and ``detect``.
    """

    predictions: tuple[Prediction, ...]
    model_id: str
    model_sha256: str
    elapsed_ms: dict[str, float]
