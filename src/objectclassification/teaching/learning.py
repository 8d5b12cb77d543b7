"""From labelled pictures to a version with its evidence; no I/O, runs on a thread."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from objectclassification.classification.evidence import Assessed, assess, suggest
from objectclassification.classification.head import (
    Fitted,
    Head,
    Vectors,
    fit,
    margins,
    normalised,
    vectors,
)
from objectclassification.classification.questions import Question
from objectclassification.errors import Conflict
from objectclassification.heads import Change, Changes, Evidence, Finding, Suggestion
from objectclassification.store.embeddings import Seen
from objectclassification.store.heads import Taught
from objectclassification.store.pictures import image_url
from objectclassification.teaching.lesson import Lesson

MOST_EXAMPLES = 10


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
        precision=lesson.precision,
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
        abstain_chosen=lesson.abstain is not None,
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
        detail = f"labelled pictures that cannot be read, and do not count: {lesson.unread}"
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
        precision=lesson.precision if lesson.abstain is None else None,
    )


def _vectors(pictures: Sequence[Seen]) -> Vectors:
    try:
        found = vectors([one.vector or b"" for one in pictures])
    except ValueError as exc:
        raise Conflict("stored embeddings of this model differ in length: see `doctor`") from exc
    # A number that is none, of a damaged row, would spoil every picture's answer.
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def question(taught: Taught) -> Question:
    """A version, ready to be asked."""
    weights = np.frombuffer(taught.weights, "<f4").reshape(-1, len(taught.classes))
    return Question(
        name=taught.head,
        version=taught.number,
        classes=taught.classes,
        camera=taught.camera,
        crop=taught.crop,
        abstain=taught.abstain,
        model_sha256=taught.model_sha256,
        head=Head(weights.astype(np.float32), taught.sharpness),
    )


def suggestions(
    free: Sequence[Seen], labelled: Sequence[Seen], newest: Taught | None, limit: int
) -> list[Suggestion]:
    """Which of the unlabelled pictures to label next.

    Args:
        free: unlabelled pictures with vectors.
        labelled: labelled ones.
        newest: the newest version, if there is one.
        limit: the most to suggest.
    """
    if not free:
        return []
    unlabelled = normalised(vectors([one.vector or b"" for one in free]))
    known = [one.vector for one in labelled if one.vector is not None]
    against = normalised(vectors(known)) if known else unlabelled[:0]
    scores = None if newest is None else question(newest).head.scores(unlabelled)
    sureness = None if scores is None else margins(scores)
    found = []
    for number, why in suggest(unlabelled, against, sureness, limit):
        one, said, margin = free[number], None, None
        if newest is not None and scores is not None and sureness is not None:
            said = newest.classes[int(scores[number].argmax())]
            margin = round(float(sureness[number]), 4)
        url = image_url(one.picture, "thumbnail")
        found.append(Suggestion(one.picture, one.camera, url, why, said, margin))
    return found
