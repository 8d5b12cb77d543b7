"""A live snap and its shots: every state transition is in this file.

States only rise (:data:`~objectclassification.receipts.RANK`). A lower state that comes late fills
in its time. A shot that has *ended* (it reached the snap's ``until``, or failed) never ends again,
so that ``open`` counts down exactly once for each shot.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from itertools import accumulate

import msgspec

from objectclassification.errors import Forbidden
from objectclassification.hub.effects import Ended, NewSnap
from objectclassification.hub.shots import LiveShot
from objectclassification.messages import ShotReport, answers_needed, failure
from objectclassification.receipts import (
    CAMERA_FAILURES,
    MISSING,
    NOTHING_FOUND,
    RANK,
    Failure,
    Found,
    PictureRef,
    Receipt,
    Shot,
    ShotError,
    State,
    moment_shown,
)
from objectclassification.skew import Skew

MAX_DURATIONS = 32
MAX_WARNINGS = 8
MAX_WARNINGS_BYTES = 2_560
"""As JSON, where one character may take six bytes."""
_FAILED = RANK["failed"]
_UPLOADED = RANK["uploaded"]
_NOBODY: set[str] = set()
"""Shared by all snaps without a moment; never written to."""


class Phase(Enum):
    """Where a live snap is; it is forgotten once its ``done`` is sent."""

    STORING = auto()
    OPEN = auto()
    RECONCILING = auto()
    ENDING = auto()


class LiveSnap:
    """A snap between its acceptance and its ``done``.

    Attributes:
        new: the request as it is stored.
        started: when it was taken, by the hub's clock, in seconds.
        shoots_at: when all are to expose, by the same clock; ``started`` if it has no moment.
        deadline: when it ends at the latest, by the same clock.
        shots: by camera name.
        open: how many shots have not ended.
        owed: how many more answers it waits for; those of all cameras, if it has no quorum.
        followers: sessions that are told; the one that asked, and it again after a new connection.
        moved: shots that changed since the followers were told.
        expired: its deadline was dealt with.
        saving: a ``SaveShots`` is under way.
        relayed: plain clients have had the text ``snap`` already.
        ordered: cameras that were sent their own time, ahead of its moment.
    """

    __slots__ = (
        "_end",
        "_until",
        "deadline",
        "expired",
        "followers",
        "moved",
        "new",
        "open",
        "ordered",
        "owed",
        "phase",
        "relayed",
        "saving",
        "shoots_at",
        "shots",
        "started",
    )

    def __init__(self, new: NewSnap, *, started: float, relayed: bool = False) -> None:
        self.new = new
        self._begin_at(started)
        self.phase = Phase.STORING
        self.shots = {name: LiveShot(name) for name in new.cameras}
        self.open = len(self.shots)
        self.owed = answers_needed(new.quorum, len(self.shots))
        self.followers: list[int] = []
        self.moved: list[LiveShot] = []
        self.expired = False
        self.saving = False
        self.relayed = relayed
        self.ordered = _NOBODY
        self._until = RANK[new.until]
        self._end: Ended | None = None

    def _begin_at(self, started: float) -> None:
        self.started = started
        # By the hub's own clock from here on: nobody sets that.
        self.shoots_at = started + max(0.0, self.new.waits_s)
        self.deadline = self.shoots_at + self.new.lasts_s

    def resume(self, receipt: Receipt) -> None:
        """Becomes what is stored of the same request, which nobody ended."""
        lost_s = _seconds(self.new.accepted_at) - _seconds(receipt.accepted_at)
        self.new = replace(self.new, accepted_at=receipt.accepted_at)
        self._begin_at(self.started - max(0.0, lost_s))
        self.shots = {}
        for row in receipt.shots:
            rank = RANK[row.state]
            shot = LiveShot(
                camera=row.camera,
                state=row.state,
                rank=rank,
                elapsed_ms=dict(row.elapsed_ms),
                camera_ms=row.camera_ms,
                freshness=row.freshness,
                warnings=row.warnings,
                picture=row.picture,
                found=row.found,
                error=row.error,
                skew=row.skew,
                ended=rank >= self._until,
            )
            self.shots[row.camera] = shot
            self._touch(shot)
        self.open = sum(not shot.ended for shot in self.shots.values())
        answered = sum(shot.ended and shot.error is None for shot in self.shots.values())
        self.owed = answers_needed(self.new.quorum, len(self.shots)) - answered
        self.new = replace(self.new, cameras=tuple(self.shots))
        self.phase = Phase.OPEN

    def report(self, report: ShotReport, now: float) -> None:
        """Takes what a camera says of its shot.

        Raises:
            Forbidden: the camera is no target.
        """
        shot = self.shots.get(report.camera)
        if shot is None:
            raise Forbidden(f"the snap {self.new.id} is not for the camera {report.camera!r}")
        if report.error is not None:
            # The API has the picture: what the camera thinks of its upload does not matter.
            if shot.rank < _UPLOADED:
                self._add_facts(shot, report)
                self._fail(shot, _camera_error(report.error), now)
            return
        if shot.rank != _FAILED:
            self._add_facts(shot, report)
        self._rise(shot, report.state, now)

    def note_skew(self, camera: str, skew: Skew | None) -> None:
        """Takes how far from its moment a shot was exposed, ahead of the report itself."""
        if (shot := self.shots.get(camera)) is not None:
            shot.skew = skew

    def warn(self, camera: str, warning: str) -> None:
        """Adds what is odd about a shot, as far as the hub knows."""
        shot = self.shots[camera]
        shot.warnings = (*shot.warnings, warning)
        self._touch(shot)

    def upload(self, camera: str, picture: PictureRef, now: float) -> None:
        """Takes the API's word that a picture is stored.

        One that comes before the snap was ordered answers only what the camera asked itself.
        """
        shot = self.shots.get(camera)
        if shot is not None and (self.phase is not Phase.STORING or self._is_own):
            if shot.rank != _FAILED:
                shot.picture = picture
            self._rise(shot, "uploaded", now)

    def classify(self, camera: str, found: Found, now: float) -> None:
        """Takes what the worker found on the picture."""
        shot = self._with_picture(camera, now)
        if shot is not None:
            if shot.rank != _FAILED:
                shot.found = found
            self._rise(shot, "classified", now)

    def classify_failed(self, camera: str, detail: str, now: float) -> None:
        """Takes the worker's word that the picture cannot be classified."""
        shot = self._with_picture(camera, now)
        if shot is not None:
            self._fail(shot, failure("classify_failed", detail), now)

    def fail(self, camera: str, code: Failure, detail: str, now: float) -> None:
        """Fails one shot, unless it has ended."""
        shot = self.shots.get(camera)
        if shot is not None:
            self._fail(shot, failure(code, detail), now)

    def fail_open(self, code: Failure, detail: str, now: float) -> None:
        """Fails every shot that has not ended."""
        for shot in self.shots.values():
            self._fail(shot, failure(code, detail), now)

    def wait(self, camera: str) -> None:
        """A shot that was not delivered yet waits for its camera."""
        shot = self.shots[camera]
        if not shot.ended and shot.rank <= RANK["requested"]:
            shot.state, shot.rank = "waiting", RANK["waiting"]
            self._touch(shot)

    def deliver(self, camera: str, now: float) -> None:
        """The camera of a shot that waits is here, and is asked."""
        shot = self.shots[camera]
        if shot.state == "waiting":
            shot.elapsed_ms["requested"] = self._ms(now)
            self._rise(shot, "requested", now)

    def run_out(self, now: float) -> None:
        """Its time is over: fails every shot that has not ended."""
        expired = failure("expired", f"the camera did not come within {self.new.lasts_s:g} s")
        timeout = failure("timeout", f"nothing after {self.new.lasts_s:g} s")
        for shot in self.shots.values():
            self._fail(shot, expired if shot.state == "waiting" else timeout, now)

    def owed_by_other_than(self, here: Container[str]) -> bool:
        """Whether a camera that is not here owes a picture."""
        return any(
            not shot.ended and shot.rank < RANK["captured"] and name not in here
            for name, shot in self.shots.items()
        )

    def left_s(self, now: float) -> float:
        """Returns how long a camera has that is asked now."""
        to_end_s = self.deadline - now
        if self.new.ttl_s is not None:  # the rest is for whoever is away
            to_end_s = min(self.new.deadline_s, to_end_s)
        return max(0.001, round(to_end_s, 3))

    def close_early(self, now: float) -> None:
        """Its quorum is there: whoever has not answered is not waited for."""
        enough = len(self.shots) - self.open - sum(s.error is not None for s in self.shots.values())
        detail = f"the snap ended before it, with {enough} of {len(self.shots)} answered"
        self.fail_open("not_awaited", detail, now)

    def merge(self, known: Iterable[Shot], now: float) -> None:
        """Takes the truth from the rows, where they are further than what is known here."""
        for row in known:
            shot = self.shots.get(row.camera)
            if shot is None or RANK[row.state] <= shot.rank:
                continue
            if row.error is not None:
                self._fail(shot, row.error, now)
                continue
            shot.picture = shot.picture or row.picture
            if shot.found == NOTHING_FOUND:
                shot.found = row.found
            shot.freshness = shot.freshness or row.freshness
            shot.elapsed_ms = {**row.elapsed_ms, **shot.elapsed_ms}
            self._rise(shot, row.state, now)

    def save_again(self) -> None:
        """What was taken from :meth:`unsaved` was not written."""
        for shot in self.shots.values():
            shot.saved = False

    def unsaved(self) -> tuple[Shot, ...]:
        """Returns the ended shots that were not written since they changed, as written now."""
        found = [shot for shot in self.shots.values() if shot.ended and not shot.saved]
        for shot in found:
            shot.saved = True
        return tuple(shot.shot() for shot in found)

    def take_moved(self) -> list[LiveShot]:
        """Returns the shots that changed since the last call."""
        moved, self.moved = self.moved, []
        for shot in moved:
            shot.moved = False
        return moved

    def end(self, now: float) -> Ended:
        """Counts the shots of a snap whose shots have all ended; the first count stays."""
        if self._end is None:
            codes = [shot.error.code for shot in self.shots.values() if shot.error is not None]
            missing = sum(code in MISSING for code in codes)
            answered = len(self.shots) - len(codes)
            self._end = Ended(answered, len(codes) - missing, missing, self._ms(now))
        return self._end

    def receipt(self, ended: Ended | None = None) -> Receipt:
        """Returns the snap with all its shots, by camera name."""
        new = self.new
        shots = tuple(shot.shot() for shot in self.shots.values())
        return Receipt(
            snap=new.id,
            done=ended is not None,
            answered=ended.answered if ended else 0,
            failed=ended.failed if ended else 0,
            missing=ended.missing if ended else 0,
            elapsed_ms=ended.elapsed_ms if ended else None,
            context=new.context,
            shots=shots,
            to=new.to,
            until=new.until,
            deadline_s=new.deadline_s,
            origin=new.origin,
            accepted_at=new.accepted_at,
            ttl_s=new.ttl_s,
            policy=new.policy,
            quorum=new.quorum,
            **moment_shown(new.shoot_at, shots),
        )

    @property
    def _is_own(self) -> bool:
        return self.new.origin == "camera"

    def _with_picture(self, camera: str, now: float) -> LiveShot | None:
        """The shot, if it has a picture: an answer without one is none.

        Nothing is lost: what the worker says is in the rows, and these are asked at the deadline.
        A camera's own snap, whose picture may come before it, asks them now.
        """
        shot = self.shots.get(camera)
        if shot is None or shot.picture is not None:
            return shot
        if self._is_own:
            self.deadline = now
        return None

    def _ms(self, now: float) -> float:
        return round((now - self.started) * 1000, 1)

    def _rise(self, shot: LiveShot, state: State, now: float) -> None:
        rank = RANK[state]
        if state not in shot.elapsed_ms and state != "requested":
            shot.elapsed_ms[state] = self._ms(now)
        if rank > shot.rank:
            shot.state, shot.rank = state, rank
            if not shot.ended and rank >= self._until:
                shot.ended = True
                self.open -= 1
                self.owed -= 1
        self._touch(shot)

    def _fail(self, shot: LiveShot, error: ShotError, now: float) -> None:
        if shot.ended:
            return
        shot.state, shot.rank, shot.error = "failed", _FAILED, error
        shot.elapsed_ms["failed"] = self._ms(now)
        shot.ended = True
        self.open -= 1
        self._touch(shot)

    def _touch(self, shot: LiveShot) -> None:
        shot.view = None
        shot.saved = False
        if not shot.moved:
            shot.moved = True
            self.moved.append(shot)

    @staticmethod
    def _add_facts(shot: LiveShot, report: ShotReport) -> None:
        if report.freshness is not None:
            shot.freshness = report.freshness
        if report.camera_ms:
            merged = {**shot.camera_ms, **report.camera_ms}
            if len(merged) <= MAX_DURATIONS:
                shot.camera_ms = merged
        if report.warnings:
            both = tuple(dict.fromkeys(shot.warnings + report.warnings))[:MAX_WARNINGS]
            sizes = accumulate(len(msgspec.json.encode(warning)) for warning in both)
            shot.warnings = both[: sum(size <= MAX_WARNINGS_BYTES for size in sizes)]


def _camera_error(error: ShotError) -> ShotError:
    return failure(error.code if error.code in CAMERA_FAILURES else "capture_failed", error.detail)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
