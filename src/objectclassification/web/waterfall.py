"""The stages of shots as bars on one line of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from objectclassification.receipts import RANK, Shot

STAGES: Final = tuple(state for state in sorted(RANK, key=RANK.__getitem__) if RANK[state] > 0)
"""Those that take time: what comes after ``requested``."""
LEAST_PERCENT: Final = 0.6
"""Of a bar's length: it is seen, however short it took."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage of a shot.

    Attributes:
        stage: the state that it ended with.
        ends_ms: since the snap was accepted.
        took_ms: since the stage before.
        begin: percent of the whole line.
        length: percent of the whole line.
    """

    stage: str
    ends_ms: float
    took_ms: float
    begin: float
    length: float


def span_ms(shots: Iterable[Shot]) -> float:
    """Returns how long the line of time is that holds all these shots: 1 at least."""
    return max((at for shot in shots for at in shot.elapsed_ms.values()), default=0.0) or 1.0


def waterfall(shot: Shot, whole_ms: float) -> tuple[Bar, ...]:
    """Returns a shot's stages, in their order.

    Args:
        shot: whose times are by one clock, the hub's. A stage whose time is not known, or before
            that of the stage before it (WebSocket and PUT race), takes none.
        whole_ms: how long the line is.
    """
    bars, before = [], 0.0
    for stage in STAGES:
        if stage not in shot.elapsed_ms:
            continue
        at = shot.elapsed_ms[stage]
        took = max(0.0, at - before)
        begin = min(100 * (at - took) / whole_ms, 100 - LEAST_PERCENT)
        length = max(100 * took / whole_ms, LEAST_PERCENT)
        bars.append(Bar(stage, at, took, round(begin, 2), round(length, 2)))
        before = max(before, at)
    return tuple(bars)
