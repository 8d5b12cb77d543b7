"""Rules: what turns the labels of a picture into a verdict that a machine can act on. No I/O.

A rule looks at one thing: the answer of a head, the best label, or how many boxes have a label. It
says ``ok``, ``ng`` (no good, as lines and PLCs call it) or ``unsure``; of several rules the worst
counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from objectclassification.errors import BadMessage
from objectclassification.messages import Name
from objectclassification.receipts import Found, Judgement, Verdict

MOST_RULES: Final = 256
MOST_VALUES: Final = 64
MOST_COUNTED: Final = 1_000
"""More boxes than any detector here gives of one picture."""
DEFAULT_MIN_SCORE: Final = 0.5
WORST_FIRST: Final[tuple[Verdict, ...]] = ("ng", "unsure", "ok")

Value = Annotated[str, Meta(min_length=1, max_length=256)]
Values = Annotated[tuple[Value, ...], Meta(max_length=MOST_VALUES)]
Number = Annotated[int, Meta(ge=0, le=MOST_COUNTED)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule.

    Attributes:
        name: its own.
        cameras: whose pictures it judges; none is every camera's.
        head: whose answer it looks at; None looks at the best label.
        ok: classes or labels that are good.
        ng: classes or labels that are not. With only one of the two given, all others are the
            other; with both, all others are ``unsure``.
        min_score: below it the best label is ``unsure``, and a box does not count. None leaves it
            to the label's own threshold; where there is none, and for boxes, it is
            :data:`DEFAULT_MIN_SCORE`. A head has a margin of its own.
        count: the label of the boxes that it counts, instead of ``head``, ``ok`` and ``ng``: as
            many as ``least`` to ``most`` are ok, any other number is ng.
        least: boxes; None is any number, none included.
        most: boxes; None is any number.
    """

    name: Name
    cameras: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    head: Name | None = None
    ok: Values = ()
    ng: Values = ()
    min_score: Annotated[float, Meta(ge=0, le=1)] | None = None
    count: Value | None = None
    least: Number | None = None
    most: Number | None = None

    def check(self) -> None:
        """Sees that it can be used.

        Raises:
            BadMessage: it judges nothing, or says two things of one value or number.
        """
        if self.count is not None or (self.least, self.most) != (None, None):
            self._check_count()
            return
        if not self.ok and not self.ng:
            raise BadMessage(
                f"the rule {self.name} names nothing that is ok, and nothing that is ng"
            )
        both = set(self.ok) & set(self.ng)
        if both:
            raise BadMessage(f"the rule {self.name} says that {min(both)!r} is ok and ng")

    def _check_count(self) -> None:
        if self.count is None:
            raise BadMessage(f"the rule {self.name} has least or most, and no label to count")
        if self.head is not None or self.ok or self.ng:
            raise BadMessage(f"the rule {self.name} counts boxes: it has no head, no ok and no ng")
        if self.least is None and self.most is None:
            raise BadMessage(f"the rule {self.name} does not say how many {self.count} are ok")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise BadMessage(
                f"the rule {self.name} wants no less than {self.least}, "
                f"and no more than {self.most}"
            )

    def concerns(self, camera: str | None) -> bool:
        """Whether it judges a camera's pictures."""
        return not self.cameras or camera in self.cameras

    def judge(self, found: Found, *, detected: bool) -> Judgement:
        """Judges one picture.

        Args:
            found: what was found on it.
            detected: whether boxes were looked for; else that there are none says nothing.
        """
        if self.count is not None:
            return self._of_number(found, self.count, detected)
        if self.head is None:
            return self._of_best_label(found)
        answer = next((each for each in found.answers if each.head == self.head), None)
        if answer is None:
            return self._unsure(f"{self.head} did not look at it")
        if answer.class_ is None:
            stale = answer.abstains == "stale"
            return self._unsure(f"{self.head} {'is stale' if stale else 'is unsure'}")
        return self._of(answer.class_)

    def _of_best_label(self, found: Found) -> Judgement:
        best = next((each for each in found.predictions if each.box is None), None)
        if best is None:
            return self._unsure("it has no label")
        if self.min_score is None and found.unsure is not None:
            if found.unsure:
                return self._unsure(f"{best.label} is unsure: a confidence of {found.confidence}")
            return self._of(best.label)
        if best.score < self._least_score:
            return self._unsure(f"{best.label} has a score of {best.score:.2f} only")
        return self._of(best.label)

    @property
    def _least_score(self) -> float:
        return DEFAULT_MIN_SCORE if self.min_score is None else self.min_score

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

    def _of_number(self, found: Found, label: str, detected: bool) -> Judgement:
        if not detected:
            return self._unsure("boxes were not looked for")
        number = sum(
            each.label == label and each.score >= self._least_score
            for each in found.predictions
            if each.box is not None
        )
        enough = self.least is None or number >= self.least
        good = enough and (self.most is None or number <= self.most)
        return Judgement(self.name, "ok" if good else "ng", f"{number} {label}")

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
    rules: Iterable[Rule], camera: str | None, found: Found, *, detected: bool
) -> tuple[Judgement, ...]:
    """What every rule that concerns a camera says of one of its pictures, by the rules' names."""
    return tuple(rule.judge(found, detected=detected) for rule in rules if rule.concerns(camera))


def worst(judgements: Iterable[Judgement]) -> Verdict | None:
    """The verdict of all together; None if nothing was judged."""
    said = {judgement.verdict for judgement in judgements}
    return next((verdict for verdict in WORST_FIRST if verdict in said), None)
