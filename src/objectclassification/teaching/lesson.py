"""From labelled pictures to a version with its evidence; no I/O, runs on a thread."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from objectclassification.classification.evidence import Assessed, assess
from objectclassification.classification.head import Fitted, Head, fit, margins, normalised
from objectclassification.classification.questions import vectors
from objectclassification.errors import Conflict
from objectclassification.heads import Change, Changes, Evidence, Finding
from objectclassification.store.embeddings import Seen, View
from objectclassification.store.heads import Taught

MOST_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a fit reads.

    Attributes:
        name: of the head.
        classes: what it is to tell apart.
        view: which embeddings.
        abstain: the margin below which it gives no answer, if somebody chose it.
        labelled: pictures with label and vector, newest first.
        unread: labelled pictures that no model could look at.
        past: pictures with vectors, labelled or not, newest first.
        before: what the head answered for past pictures.
    """

    name: str
    classes: tuple[str, ...]
    view: View
    abstain: float | None
    labelled: tuple[Seen, ...]
    unread: int
    past: tuple[Seen, ...]
    before: Mapping[str, str | None]


def learn(lesson: Lesson) -> tuple[Taught, Evidence]:
    """Fits a version, and says how good it is.

    Raises:
        Conflict: the stored embeddings cannot be used.
    """
    seen = normalised(_vectors(lesson.labelled))
    numbers = {name: number for number, name in enumerate(lesson.classes)}
    classes = np.array([numbers[one.label or ""] for one in lesson.labelled])
    began = time.perf_counter()
    fitted = fit(seen, classes, len(lesson.classes))
    fit_ms = round((time.perf_counter() - began) * 1000, 2)
    found = assess(
        fitted,
        classes,
        lesson.classes,
        [one.picture for one in lesson.labelled],
        abstain=lesson.abstain,
    )
    evidence = _evidence(lesson, fitted, found, fit_ms)
    taught = Taught(
        head=lesson.name,
        number=0,
        classes=lesson.classes,
        camera=lesson.view.camera,
        crop=lesson.view.crop,
        abstain=found.abstain,
        model_sha256=lesson.view.model_sha256,
        weights=fitted.head.weights.astype("<f4").tobytes(),
        sharpness=fitted.head.sharpness,
    )
    return taught, evidence


def changes(lesson: Lesson, head: Head, abstain: float) -> Changes:
    """What would become of past pictures."""
    if not lesson.past:
        return Changes(0, 0, 0, {}, ())
    scores = head.scores(normalised(_vectors(lesson.past)))
    sure, best = margins(scores), scores.argmax(axis=1)
    now = [
        lesson.classes[number] if margin >= abstain else None
        for number, margin in zip(best, sure, strict=True)
    ]
    answered = [n for n, one in enumerate(lesson.past) if one.picture in lesson.before]
    changed = [n for n in answered if lesson.before[lesson.past[n].picture] != now[n]]
    examples = sorted(changed, key=lambda n: -sure[n])[:MOST_EXAMPLES]
    return Changes(
        looked_at=len(lesson.past),
        answered=len(answered),
        changed=len(changed),
        now=dict(Counter(name or "" for name in now).most_common()),
        examples=tuple(
            Change(
                lesson.past[n].picture,
                lesson.before[lesson.past[n].picture],
                now[n],
                round(float(sure[n]), 4),
            )
            for n in examples
        ),
    )


def _evidence(lesson: Lesson, fitted: Fitted, found: Assessed, fit_ms: float) -> Evidence:
    findings = found.findings
    if lesson.unread:
        detail = f"{lesson.unread} labelled pictures cannot be read and do not count"
        findings = (*findings, Finding("not_read", detail))
    return Evidence(
        pictures=len(lesson.labelled),
        accuracy=found.accuracy,
        low=found.low,
        high=found.high,
        balanced_accuracy=found.balanced_accuracy,
        given=found.given,
        accuracy_given=found.accuracy_given,
        classes=found.classes,
        confusion=found.confusion,
        mistakes=found.mistakes,
        findings=findings,
        changes=changes(lesson, fitted.head, found.abstain),
        fit_ms=fit_ms,
    )


def _vectors(pictures: tuple[Seen, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    try:
        found = vectors([one.vector or b"" for one in pictures])
    except ValueError as exc:
        raise Conflict("stored embeddings of this model differ in length: see `doctor`") from exc
    # A number that is none, of a damaged row, would spoil every picture's answer.
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
