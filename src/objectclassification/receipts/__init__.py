"""What a snap came to: the shapes that receipts, events and the HTTP API share.

Plain data at the bottom of the house, beside :mod:`objectclassification.messages`: every room may
read it.
"""

from __future__ import annotations

from objectclassification.receipts.found import (
    NOTHING_FOUND,
    Answer,
    Answers,
    Classified,
    Found,
    Judgement,
    Prediction,
)
from objectclassification.receipts.pictures import Model, Picture, Rendition
from objectclassification.receipts.snaps import (
    PictureRef,
    Receipt,
    Shot,
    ShotError,
    moment_shown,
    tally,
)
from objectclassification.receipts.words import (
    CAMERA_FAILURES,
    FAILURES,
    FAULTS,
    MISSING,
    RANK,
    Failure,
    Freshness,
    Origin,
    Policy,
    ShotOrigin,
    State,
    Until,
    Verdict,
    rfc3339,
)

__all__ = [
    "CAMERA_FAILURES",
    "FAILURES",
    "FAULTS",
    "MISSING",
    "NOTHING_FOUND",
    "RANK",
    "Answer",
    "Answers",
    "Classified",
    "Failure",
    "Found",
    "Freshness",
    "Judgement",
    "Model",
    "Origin",
    "Picture",
    "PictureRef",
    "Policy",
    "Prediction",
    "Receipt",
    "Rendition",
    "Shot",
    "ShotError",
    "ShotOrigin",
    "State",
    "Until",
    "Verdict",
    "moment_shown",
    "rfc3339",
    "tally",
]
