"""A snap with its shots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from objectclassification.change import Change
from objectclassification.receipts.found import Answer, Found, Judgement, Prediction, found_on
from objectclassification.receipts.words import (
    MISSING,
    RANK,
    Failure,
    Freshness,
    Origin,
    Policy,
    State,
    Until,
    Verdict,
    rfc3339,
)
from objectclassification.skew import Skew, Together, together


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
        return found_on(self)


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
