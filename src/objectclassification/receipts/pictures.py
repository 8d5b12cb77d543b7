"""A picture as it is stored."""

from __future__ import annotations

from typing import Literal

import msgspec

from objectclassification.change import Change
from objectclassification.receipts.found import Answer, Found, Judgement, Prediction, found_on
from objectclassification.receipts.snaps import PictureRef
from objectclassification.receipts.words import Verdict


class Rendition(msgspec.Struct, frozen=True):
    """One stored form of a picture.

    Attributes:
        url: path of its bytes on the server; immutable.
        sha256: hash of the bytes, hexadecimal.
        media_type: for example ``image/jpeg``.
        width: pixels.
        height: pixels.
        size_bytes: length of the bytes.
    """

    url: str
    sha256: str
    media_type: str
    width: int
    height: int
    size_bytes: int


class Model(msgspec.Struct, frozen=True):
    """Which model made the predictions."""

    id: str
    sha256: str


class Picture(msgspec.Struct, frozen=True):
    """A stored picture, as the API answers it.

    Attributes:
        id: UUIDv7; sorts by arrival.
        snippet: the slot it was PUT to.
        camera: the slot's camera, None while it has none.
        snap: the snap it answers, if any.
        captured_at: RFC 3339, UTC.
        captured_from: ``age`` when the camera said how old it was, else ``arrival``.
        captured_uncertainty_ms: plus or minus; None when nothing is known.
        received_at: RFC 3339, UTC.
        renditions: by name, ``full`` and ``thumbnail`` among them.
        state: how far its classification is.
        predictions: labels, best first, then boxes, surest first.
        model: what made the labels.
        models: of each model that made a prediction, its file's sha256, by its id.
        error: why it could not be classified.
        answers: of the heads that were switched on then.
        verdict: the worst of the judgements; None without any.
        judgements: of the rules that there were then.
        labels: what operators said of it, by head; ``""`` for what just is on it.
        change: what is new on it; None while its camera has too little past.
        confidence: how sure the model is of its best label, 0 to 1; None before it is classified.
        unsure: whether that is under the model's threshold; None if it has none.
    """

    id: str
    snippet: int
    camera: str | None
    snap: str | None
    captured_at: str
    captured_from: Literal["age", "arrival"]
    captured_uncertainty_ms: float | None
    received_at: str
    renditions: dict[str, Rendition]
    state: Literal["queued", "classified", "failed"]
    predictions: tuple[Prediction, ...] = ()
    model: Model | None = None
    models: dict[str, str] = {}
    error: str | None = None
    answers: tuple[Answer, ...] = ()
    verdict: Verdict | None = None
    judgements: tuple[Judgement, ...] = ()
    labels: dict[str, str] = {}
    change: Change | None = None
    confidence: float | None = None
    unsure: bool | None = None

    @property
    def found(self) -> Found:
        """What was found on it."""
        return found_on(self)

    def ref(self) -> PictureRef:
        """What a shot says of it: the full rendition, or whichever there is."""
        best = self.renditions.get("full") or next(iter(self.renditions.values()))
        return PictureRef(
            id=self.id,
            url=best.url,
            sha256=best.sha256,
            media_type=best.media_type,
            width=best.width,
            height=best.height,
            size_bytes=best.size_bytes,
        )
