"""Throws a cold camera's first frames away: for a fixed time, or until its exposure has settled."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from objectclassification.capture.picture import brightness, thumbnail_of
from objectclassification.capture.source import Frame, Source

Warmup = float | Literal["auto"]

SETTLED_FRAMES = 6
SETTLED_SPREAD = 1.5
SETTLED_SHARE = 0.02
"""Exposure has settled when the mean grey level of six frames stays within 1.5 of 255 or 2 %."""
AUTO_LIMIT_S = 5.0
"""A scene that never rests is taken as it is after this."""


def warm_up(source: Source, shown: str, how: Warmup | None, progress: Callable[[], None]) -> None:
    """Grabs frames of a live source until it is warm; others have nothing to settle.

    Args:
        source: open, and used by this thread.
        shown: its address without its secrets.
        how: seconds, ``"auto"``, or None for the source's own time.
        progress: called for each frame.

    Raises:
        CaptureError: as the source failed.
    """
    if not source.live:
        return
    seconds = source.warmup_s if how is None else how
    limit_s = AUTO_LIMIT_S if seconds == "auto" else float(seconds)
    started = time.monotonic()
    means: deque[float] = deque(maxlen=SETTLED_FRAMES)
    while time.monotonic() - started < limit_s:
        progress()
        if source.grab() is None or seconds != "auto":
            continue
        means.append(_mean(source.retrieve(), shown))
        spread = max(means) - min(means)
        if len(means) == SETTLED_FRAMES and spread <= max(
            SETTLED_SPREAD, SETTLED_SHARE * means[-1]
        ):
            return


def _mean(frame: Frame, shown: str) -> float:
    image = frame.image
    if image is None:
        image = thumbnail_of(frame.encoded or b"", shown)
    return brightness(image)[0]
