"""Takes the frames of a shot: one or a burst, looked at, and once more if they show nothing."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from objectclassification.capture import checks
from objectclassification.capture.checks import Fault
from objectclassification.capture.keeper import Keeper
from objectclassification.capture.source import Frame
from objectclassification.capture.taken import clocked
from objectclassification.errors import (
    BlurredFrame,
    CaptureError,
    CoveredFrame,
    DarkFrame,
    FaultyFrame,
    FrozenFrame,
    OverexposedFrame,
)
from objectclassification.shot_options import Check, Keep

REWARM_S = 2.0
"""A live camera may be between two exposures, or hunting for its focus: it has as long to show
something as the seed gives a cold one."""
_ERRORS: dict[Fault, type[FaultyFrame]] = {
    "dark": DarkFrame,
    "overexposed": OverexposedFrame,
    "covered": CoveredFrame,
    "blurred": BlurredFrame,
    "frozen": FrozenFrame,
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame that was looked at."""

    frame: Frame
    fault: Fault | None
    sharpness: float


class Frames:
    """The frames of one source, for any number of threads at once.

    Args:
        keeper: of the source.
        address: of the source, without its secrets.
    """

    def __init__(self, keeper: Keeper, address: str) -> None:
        self._keeper = keeper
        self._address = address
        self._mutex = threading.Lock()
        self._first_seen: tuple[bytes, float] | None = None

    def take(
        self, number: int, keep: Keep, check: Check, after: float, until: float
    ) -> tuple[tuple[Frame, ...], tuple[str, ...], dict[str, float]]:
        """Takes frames, each exposed after the one before.

        Args:
            number: how many.
            keep: which of them are given back.
            check: what becomes of frames with a fault.
            after: ``time.monotonic()`` seconds, before the first.
            until: the same, when it must be done.

        Returns:
            The frames, the best one first; what a person should know; milliseconds by stage.

        Raises:
            FaultyFrame: the best one has a fault, and ``check`` is ``retry``.
            CaptureError: as the source failed.
        """
        ms: dict[str, float] = {}
        seen = self._burst(number, check, after, until, ms)
        fault = _best(seen).fault
        if fault is not None and check == "retry":
            with clocked(ms, "retry"):
                seen = self._again(seen, number, until)
            fault = _best(seen).fault
            if fault is not None:
                detail = f"{self._address} {checks.WORDS[fault]}"
                raise _ERRORS[fault](detail, source=self._address)
        warnings = [] if fault is None else [f"{fault}: it {checks.WORDS[fault]}"]
        if len(seen) < number:
            warnings.append(f"burst: {len(seen)} of {number} frames came in time")
        best = _best(seen)
        others = [each.frame for each in seen if each is not best] if keep == "all" else []
        return (best.frame, *others), tuple(warnings), ms

    def _burst(
        self, number: int, check: Check, after: float, until: float, ms: dict[str, float]
    ) -> list[_Seen]:
        """The frames in the order in which they came; fewer if the rest did not come in time."""
        frames: list[Frame] = []
        while len(frames) < number:
            try:
                frame, did = self._keeper.frame(after, max(0.0, until - time.monotonic()))
            except CaptureError:
                if not frames:
                    raise
                break
            ms.update(did)
            frames.append(frame)
            after = frame.stamp.taken_at
        with clocked(ms, "check"):
            return [
                self._see(frame, check, several=number > 1, first=frame is frames[0])
                for frame in frames
            ]

    def _see(self, frame: Frame, check: Check, *, several: bool, first: bool) -> _Seen:
        fault: Fault | None = None
        if check != "off":
            fault = checks.fault_of(checks.look_at(checks.thumbnail(frame, self._address)))
            # Within a burst a stream may well give a frame twice, and black is always the same.
            if fault is None and first and self._is_frozen(frame):
                fault = "frozen"
        return _Seen(frame, fault, checks.sharpness(frame, self._address) if several else 0.0)

    def _is_frozen(self, frame: Frame) -> bool:
        if frame.stamp.freshness == "replay":
            return False
        digest, taken_at = checks.digest_of(frame), frame.stamp.taken_at
        with self._mutex:
            if self._first_seen is None or self._first_seen[0] != digest:
                self._first_seen = digest, taken_at
            return taken_at - self._first_seen[1] >= checks.FROZEN_S

    def _again(self, seen: list[_Seen], number: int, until: float) -> list[_Seen]:
        """Warms the source up again and takes frames without a fault, or gives back what it got.

        A file is not taken again: the next one is another picture.
        """
        faulty = _best(seen)
        if faulty.frame.stamp.freshness == "replay":
            return seen
        patience_until = min(until, time.monotonic() + REWARM_S)
        if faulty.fault == "frozen":
            self._keeper.restart()  # what hangs is its connection or its decoder
            patience_until = until
        after, tried = time.monotonic(), False
        while not tried or (self._keeper.live and time.monotonic() < patience_until):
            left = patience_until if tried else until
            try:
                again = self._burst(number, "retry", after, left, {})
            except CaptureError:
                break  # what there is has a fault: that is the better message
            if _best(again).fault is None or faulty.fault == "frozen":
                return again
            tried, after = True, again[-1].frame.stamp.taken_at
        return seen


def _best(seen: list[_Seen]) -> _Seen:
    """The sharpest frame without a fault; of those that have one, if all have."""
    return max(seen, key=lambda each: (each.fault is None, each.sharpness))
