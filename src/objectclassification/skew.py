"""How well the pictures of a snap were exposed together: the shapes."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import msgspec


class Skew(msgspec.Struct, frozen=True):
    """How far from the snap's moment a picture was exposed.

    Attributes:
        ms: after that moment, by the hub's clock; negative before it.
        uncertainty_ms: plus or minus, of the camera's clock and of the frame's own stamp.
    """

    ms: float
    uncertainty_ms: float


class Together(msgspec.Struct, frozen=True):
    """What the skews of all shots come to.

    Attributes:
        median_ms: of their distances from the moment.
        worst_ms: the largest of these.
        spread_ms: between the first exposure and the last.
        uncertainty_ms: the largest of a shot's.
        shots: how many of them are known; the others say nothing of it.
    """

    median_ms: float
    worst_ms: float
    spread_ms: float
    uncertainty_ms: float
    shots: int


def together(skews: Iterable[Skew | None]) -> Together | None:
    """Returns what the skews come to; None if none is known."""
    known = [skew for skew in skews if skew is not None]
    if not known:
        return None
    distances = [abs(skew.ms) for skew in known]
    moments = [skew.ms for skew in known]
    return Together(
        median_ms=round(median(distances), 1),
        worst_ms=max(distances),
        spread_ms=round(max(moments) - min(moments), 1),
        uncertainty_ms=max(skew.uncertainty_ms for skew in known),
        shots=len(known),
    )
