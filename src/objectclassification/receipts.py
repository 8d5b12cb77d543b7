"""What a snap came to: the shapes that receipts, events and the HTTP API share.

Plain data at the bottom of the house, beside :mod:`objectclassification.messages`: every room may
read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import msgspec

from objectclassification.change import Change
from objectclassification.skew import Skew, Together, together

State = Literal["waiting", "requested", "delivered", "captured", "uploaded", "classified", "failed"]
Until = Literal["captured", "uploaded", "classified"]
Verdict = Literal["ok", "ng", "unsure"]
Freshness = Literal["proven", "estimated", "replay"]
ShotOrigin = Literal["controller", "camera"]
"""What a camera knows of it: whether it was asked, or began by itself."""
Origin = Literal["controller", "camera", "schedule"]
Policy = Literal["latest", "all"]
"""Whether a waiting snap gives way to a newer one of the same sender."""
Failure = Literal[
    "offline",
    "timeout",
    "stale",
    "dark",
    "overexposed",
    "covered",
    "blurred",
    "frozen",
    "capture_failed",
    "upload_failed",
    "classify_failed",
    "cancelled",
    "expired",
    "superseded",
    "not_awaited",
]

FAILURES: frozenset[str] = frozenset(get_args(Failure))
FAULTS: frozenset[str] = frozenset({"dark", "overexposed", "covered", "blurred", "frozen"})
"""What the check of a picture finds."""
CAMERA_FAILURES: frozenset[str] = FAULTS | {"stale", "capture_failed", "upload_failed"}
"""What a camera can know of; the others are for the server to say."""
MISSING: frozenset[str] = frozenset({"offline", "timeout", "expired", "not_awaited"})
RANK: dict[str, int] = {
    "waiting": -1,
    "requested": 0,
    "delivered": 1,
    "captured": 2,
    "uploaded": 3,
    "classified": 4,
    "failed": 5,
}
"""States only ever rise; a lower one that comes late fills in its time and nothing else."""


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


class ShotError(msgspec.Struct, frozen=True):
    """Why a shot failed: one of :data:`FAILURES` and a line for a person."""

    code: Failure
    detail: str


class PictureRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a shot's picture is.

    Attributes:
        id: the picture's id.
        url: path of its image on the server.
        sha256: hash of the stored bytes, hexadecimal.
        media_type: for example ``image/jpeg``.
        width: pixels.
        height: pixels.
        size_bytes: length of the stored bytes.
    """

    id: str
    url: str
    sha256: str
    media_type: str
    width: int
    height: int
    size_bytes: int


class Shot(msgspec.Struct, frozen=True):
    """One camera's part of a snap.

    Attributes:
        camera: the camera's name.
        state: the highest state reached.
        freshness: how the picture is known to be newer than the snap; None before ``captured``.
        elapsed_ms: milliseconds since acceptance at which each state was reached, by the hub's
            clock.
        camera_ms: the camera's own durations, by its own clock.
        warnings: what was odd about it.
        picture: set from ``uploaded`` on.
        predictions: labels, best first, then boxes, surest first; set from ``classified`` on.
        error: set when the state is ``failed``.
        answers: of the heads that look at this camera's pictures, from ``classified`` on.
        verdict: the worst of the judgements; None without any.
        judgements: of the rules for this camera, from ``classified`` on.
        change: what is new on it, from ``classified`` on; None while its camera has too little
            past.
        confidence: how sure the classifier is of its best label, from ``classified`` on.
        unsure: whether that is under its threshold; None if it has none.
        skew: of a snap with a moment, how far from it the picture was exposed, if that is known.
        late: its picture, or what is on it, came after it had failed; both are kept.
    """

    camera: str
    state: State
    freshness: Freshness | None = None
    elapsed_ms: dict[str, float] = {}
    camera_ms: dict[str, float] = {}
    warnings: tuple[str, ...] = ()
    picture: PictureRef | None = None
    predictions: tuple[Prediction, ...] = ()
    error: ShotError | None = None
    answers: tuple[Answer, ...] = ()
    verdict: Verdict | None = None
    judgements: tuple[Judgement, ...] = ()
    change: Change | None = None
    confidence: float | None = None
    unsure: bool | None = None
    skew: Skew | None = None
    late: bool = False

    @property
    def found(self) -> Found:
        """What was found on its picture."""
        return _found(self)


class Receipt(msgspec.Struct, frozen=True):
    """A snap with all its shots.

    ``answered + failed + missing`` is the number of targets once ``done`` is true.

    Attributes:
        snap: the snap's id (UUIDv7).
        done: whether it ended.
        answered: shots that got as far as ``until``.
        failed: shots that failed for a reason of their own.
        missing: shots that failed as ``offline``, ``timeout``, ``expired`` or ``not_awaited``.
        elapsed_ms: from acceptance to the end; None while it is open.
        context: the caller's own small JSON object.
        shots: one for each target, by camera name.
        to: the selectors that were asked.
        until: how far the snap wanted to go.
        deadline_s: seconds after acceptance, or after its moment, at which it ends at the latest;
            with ``ttl_s``, what a camera has from each delivery on.
        origin: who started it.
        accepted_at: RFC 3339, UTC, by the server's clock.
        ttl_s: seconds after acceptance that it waits for cameras that are away; None: it does not.
        policy: whether it gives way, while it waits, to a newer one of the same sender.
        quorum: so many answers end it early: a count, or a percentage.
        at: the moment at which all were to expose: RFC 3339, UTC, by the server's clock.
        skew: how well they did, as far as that is known.
    """

    snap: str
    done: bool
    answered: int
    failed: int
    missing: int
    elapsed_ms: float | None
    context: dict[str, Any]
    shots: tuple[Shot, ...]
    to: tuple[str, ...]
    until: Until
    deadline_s: float
    origin: Origin
    accepted_at: str
    ttl_s: float | None = None
    policy: Policy = "all"
    quorum: int | str | None = None
    at: str | None = None
    skew: Together | None = None

    @property
    def lasts_s(self) -> float:
        """Seconds after ``accepted_at`` at which it ends at the latest."""
        return self.deadline_s if self.ttl_s is None else self.ttl_s


def moment_shown(shoot_at: float | None, shots: Iterable[Shot]) -> dict[str, Any]:
    """Returns ``at`` and ``skew`` of a receipt; most snaps have no moment, which costs nothing."""
    if shoot_at is None:
        return {}
    return {"at": rfc3339(shoot_at), "skew": together(shot.skew for shot in shots)}


def tally(shots: tuple[Shot, ...] | list[Shot], until: str) -> tuple[int, int, int]:
    """Counts the shots of an ended snap.

    Args:
        shots: every shot of the snap.
        until: the state that counts as answered.

    Returns:
        ``(answered, failed, missing)``.
    """
    answered = failed = missing = 0
    for shot in shots:
        if shot.error is not None:
            if shot.error.code in MISSING:
                missing += 1
            else:
                failed += 1
        elif RANK[shot.state] >= RANK[until]:
            answered += 1
    return answered, failed, missing


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
        return _found(self)

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


def _found(of: Shot | Picture) -> Found:
    return Found(**{name: getattr(of, name) for name in Found.__struct_fields__})


def rfc3339(at: float) -> str:
    """Returns seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
