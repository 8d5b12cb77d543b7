"""Rules: what turns the labels of a picture into a verdict that a machine can act on. No I/O.

A rule looks at one thing: the answer of a head, or the best label. It says ``ok``, ``ng`` (no good,
as lines and PLCs call it) or ``unsure``; of several rules the worst counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from objectclassification.errors import BadMessage
from objectclassification.messages import Name
from objectclassification.receipts import Answer, Judgement, Prediction, Verdict

MOST_RULES: Final = 256
MOST_VALUES: Final = 64
DEFAULT_MIN_SCORE: Final = 0.5
WORST_FIRST: Final[tuple[Verdict, ...]] = ("ng", "unsure", "ok")

Value = Annotated[str, Meta(min_length=1, max_length=256)]
Values = Annotated[tuple[Value, ...], Meta(max_length=MOST_VALUES)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule.

    Attributes:
        name: its own.
        cameras: whose pictures it judges; none is every camera's.
        head: whose answer it looks at; None looks at the best label.
        ok: classes or labels that are good.
        ng: classes or labels that are not. With only one of the two given, all others are the
            other; with both, all others are ``unsure``.
        min_score: below it the best label is ``unsure``. A head has a margin of its own.
    """

    name: Name
    cameras: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    head: Name | None = None
    ok: Values = ()
    ng: Values = ()
    min_score: Annotated[float, Meta(ge=0, le=1)] = DEFAULT_MIN_SCORE

    def check(self) -> None:
        """Sees that it can be used.

        Raises:
            BadMessage: it judges nothing, or says two things of one value.
        """
        if not self.ok and not self.ng:
            raise BadMessage(
                f"the rule {self.name} names nothing that is ok, and nothing that is ng"
            )
        both = set(self.ok) & set(self.ng)
        if both:
            raise BadMessage(f"the rule {self.name} says that {min(both)!r} is ok and ng")

    def concerns(self, camera: str | None) -> bool:
        """Whether it judges a camera's pictures."""
        return not self.cameras or camera in self.cameras

    def judge(self, predictions: Sequence[Prediction], answers: Iterable[Answer]) -> Judgement:
        """Judges one picture.

        Args:
            predictions: best first.
            answers: of the heads that looked at it.
        """
        if self.head is None:
            best = next((found for found in predictions if found.box is None), None)
            if best is None:
                return self._unsure("it has no label")
            if best.score < self.min_score:
                return self._unsure(f"{best.label} has a score of {best.score:.2f} only")
            return self._of(best.label)
        answer = next((found for found in answers if found.head == self.head), None)
        if answer is None:
            return self._unsure(f"{self.head} did not look at it")
        if answer.class_ is None:
            return self._unsure(f"{self.head} abstains")
        return self._of(answer.class_)

    def _of(self, value: str) -> Judgement:
        if value in self.ok:
            verdict: Verdict = "ok"
        elif value in self.ng:
            verdict = "ng"
        elif self.ok and self.ng:
            return self._unsure(f"{value} is neither ok nor ng")
        else:
            verdict = "ng" if self.ok else "ok"
        return Judgement(rule=self.name, verdict=verdict, why=value)

    def _unsure(self, why: str) -> Judgement:
        return Judgement(rule=self.name, verdict="unsure", why=why)


class Counted(msgspec.Struct, frozen=True):
    """The verdicts of one hour.

    Attributes:
        hour: its beginning, RFC 3339, UTC.
        ok: pictures.
        ng: pictures.
        unsure: pictures.
    """

    hour: str
    ok: int
    ng: int
    unsure: int


def judge(
    rules: Iterable[Rule],
    camera: str | None,
    predictions: Sequence[Prediction],
    answers: Sequence[Answer],
) -> tuple[Judgement, ...]:
    """What every rule that concerns a camera says of one of its pictures, by the rules' names."""
    return tuple(rule.judge(predictions, answers) for rule in rules if rule.concerns(camera))


def worst(judgements: Iterable[Judgement]) -> Verdict | None:
    """The verdict of all together; None if nothing was judged."""
    said = {judgement.verdict for judgement in judgements}
    return next((verdict for verdict in WORST_FIRST if verdict in said), None)
