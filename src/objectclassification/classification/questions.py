"""The heads that answer, ready to be asked; no I/O.

Imported without numpy, which a server loads once it has heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from objectclassification.classification.outcome import Outcome
from objectclassification.heads import Crop
from objectclassification.receipts import Answer

if TYPE_CHECKING:
    from objectclassification.classification.head import Head, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A version of a head that answers.

    Attributes:
        name: of the head.
        version: its number.
        classes: the answers.
        camera: whose pictures it looks at; None is every camera's.
        crop: the rectangle it looks at; None is the whole picture.
        abstain: the margin below which it gives no answer.
        model_sha256: whose embeddings it reads.
        head: what it learnt.
    """

    name: str
    version: int
    classes: tuple[str, ...]
    camera: str | None
    crop: Crop | None
    abstain: float
    model_sha256: str
    head: Head

    def answer(self, seen: Vectors, model_sha256: str) -> Answer:
        """Says what is on one picture.

        Args:
            seen: ``[1, d]``, the embedding of the picture or of the crop, as heads read it.
            model_sha256: which model made it.
        """
        if model_sha256 != self.model_sha256 or seen.shape[1] != len(self.head.weights) - 1:
            return Answer(self.name, self.version, None, 0.0, 0.0, {}, "stale")
        scores: list[float] = self.head.scores(seen)[0].tolist()
        if not isfinite(sum(scores)):  # of a child that went astray; JSON knows no such numbers
            return Answer(self.name, self.version, None, 0.0, 0.0, {}, "close")
        order = sorted(range(len(scores)), key=lambda number: -scores[number])
        margin = round(scores[order[0]] - scores[order[1]], 4)
        close = margin < self.abstain
        return Answer(
            head=self.name,
            version=self.version,
            class_=None if close else self.classes[order[0]],
            score=round(scores[order[0]], 4),
            margin=margin,
            scores={self.classes[number]: round(scores[number], 4) for number in order},
            abstains="close" if close else None,
        )


class Questions:
    """What is asked of one picture.

    Args:
        each: the heads that look at it.

    Attributes:
        crops: the rectangles that some of them look at, each once.
    """

    def __init__(self, each: Sequence[Question] = ()) -> None:
        self._each = tuple(each)
        self.crops = tuple(dict.fromkeys(one.crop for one in each if one.crop is not None))

    def answers(self, outcome: Outcome) -> tuple[Answer, ...]:
        """What they say, by head."""
        if not self._each:
            return ()
        views: dict[Crop | None, bytes] = {None: outcome.embedding}
        views.update(zip(self.crops, outcome.crops, strict=True))
        seen = {crop: _as_read(stored) for crop, stored in views.items()}
        return tuple(one.answer(seen[one.crop], outcome.embedded_by) for one in self._each)


NOTHING_ASKED = Questions()


def no_questions(camera: str | None) -> Questions:
    """For a worker whose server has no heads."""
    return NOTHING_ASKED


def _as_read(stored: bytes) -> Vectors:
    """One stored embedding as heads read it; a number that is none makes all of it none."""
    import numpy as np

    from objectclassification.classification.head import normalised, vectors

    found = vectors([stored])
    return normalised(np.where(np.isfinite(found), found, np.nan))
