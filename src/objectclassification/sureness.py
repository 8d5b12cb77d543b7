"""How sure a model is of its best label, and from when on that counts. Shapes only, no I/O.

A **confidence** is how often the best label is right where the model is as sure as of this picture.
An answer whose confidence is under the model's threshold is **unsure**. Not "unknown": what is on
the picture may well be among the labels.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from objectclassification.errors import BadMessage

DEFAULT_PRECISION: Final = 0.9
"""The share of the answers that are not unsure that should be right, if nobody says otherwise."""

Share = Annotated[float, Meta(ge=0, le=1)]


class Calibration(msgspec.Struct, frozen=True):
    """What is known of a model's scores.

    Attributes:
        temperature: what the logits are divided by before their softmax, for the confidence (Guo
            et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2).
        unsure_below: the confidence under which an answer is unsure.
    """

    temperature: float
    unsure_below: float


CALIBRATIONS: Final = {
    "56922ed3f45151b7b6c9df85d5a7e2113867596aa4809fd75a3577b1f6c51fda": Calibration(
        temperature=0.86, unsure_below=0.61
    ),
}
"""By the model file's SHA-256: those of the shipped classifier, as ``python -m tools.calibrate``
finds them. ``docs/unsure.md`` has its table, and says what it proves."""


class Coverage(msgspec.Struct, frozen=True):
    """What a threshold does on pictures whose content is known.

    Attributes:
        precision: the share of right ones that was aimed at, 0 to 1.
        below: the threshold: answers of less confidence are unsure.
        pictures: how many were looked at.
        answered: how many of them are not unsure.
        right: how many of these are right.
        share: right ones of the answered, 0 to 1.
        low: of the 95 % interval around it.
        high: of the 95 % interval around it.
    """

    precision: float
    below: float
    pictures: int
    answered: int
    right: int
    share: float
    low: float
    high: float


class Threshold(msgspec.Struct, frozen=True):
    """From when on the answers of a model count.

    Attributes:
        model: its name.
        model_sha256: of its file.
        below: answers of less confidence are unsure.
        coverage: what that does on the labelled pictures it was found on; None if it was not.
        set_at: RFC 3339, UTC; None of the one that comes with the model.
    """

    model: str
    model_sha256: str
    below: float
    coverage: Coverage | None = None
    set_at: str | None = None


class ThresholdWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to set a threshold: one of the two.

    Attributes:
        precision: find it on the labelled pictures, so that this share of answers is right.
        below: the threshold itself.
    """

    precision: Annotated[float, Meta(gt=0, lt=1)] | None = None
    below: Share | None = None

    def check(self) -> None:
        """Sees that it says one thing.

        Raises:
            BadMessage: it does not.
        """
        if (self.precision is None) == (self.below is None):
            raise BadMessage("give either the precision to aim at, or the threshold itself (below)")
