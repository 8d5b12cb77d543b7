"""What was found on a picture."""

from __future__ import annotations

from typing import Literal

import msgspec

from objectclassification.change import Change
from objectclassification.receipts.words import Verdict


class Classified(msgspec.Struct, frozen=True):
    """What a classifier says of one box alone.

    Attributes:
        label: its best label.
        score: probability, 0 to 1.
        model: id of the classifier.
    """

    label: str
    score: float
    model: str


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """A label with a score, and a box if a detector made it.

    Attributes:
        label: name of the class.
        score: probability, 0 to 1.
        box: left, top, right, bottom as fractions of the upright picture's width and height.
        model: id of the model that said so; only where more than one had something to say of the
            picture.
        classified: what the classifier says of the box alone, if it was asked.
    """

    label: str
    score: float
    box: tuple[float, float, float, float] | None = None
    model: str | None = None
    classified: Classified | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a head that was taught says of a picture.

    Attributes:
        head: the question.
        version: which of its versions said so.
        class_: the answer (``class`` in JSON); None when it abstains.
        score: of the best class, 0 to 1.
        margin: the best score less the second.
        scores: of each class, best first.
        abstains: why there is no answer: ``close`` (the margin is too small) or ``stale`` (it was
            taught on another model than this server has now).
    """

    head: str
    version: int
    class_: str | None = msgspec.field(name="class")
    score: float
    margin: float
    scores: dict[str, float]
    abstains: Literal["close", "stale"] | None = None


Answers = tuple[Answer, ...]


class Judgement(msgspec.Struct, frozen=True):
    """What a rule says of a picture.

    Attributes:
        rule: its name.
        verdict: ``ok``, ``ng`` (no good) or ``unsure``.
        why: the label or the class that it looked at, or why it cannot say.
    """

    rule: str
    verdict: Verdict
    why: str


class Found(msgspec.Struct, frozen=True):
    """What was found on a picture: what its shot has of it from ``classified`` on.

    Attributes:
        predictions: best first.
        answers: of the heads that looked at it.
        verdict: the worst of the judgements; None without any.
        judgements: of the rules that concern it.
        change: what is new on it; None while its camera has too little past.
        confidence: how sure the classifier is of its best label, 0 to 1.
        unsure: whether that is under its threshold; None if it has none.
    """

    predictions: tuple[Prediction, ...] = ()
    answers: tuple[Answer, ...] = ()
    verdict: Verdict | None = None
    judgements: tuple[Judgement, ...] = ()
    change: Change | None = None
    confidence: float | None = None
    unsure: bool | None = None


NOTHING_FOUND = Found()


def found_on(of: msgspec.Struct) -> Found:
    """Returns it of what has its fields: a shot, or a picture."""
    return Found(**{name: getattr(of, name) for name in Found.__struct_fields__})
