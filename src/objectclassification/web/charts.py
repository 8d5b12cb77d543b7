"""Where the marks of the history's charts are, in percent of a drawing's width and height."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from objectclassification.api.history import DayCounts, ScoreShown

COLOURS: Final = 5
"""Labels with a colour of their own; the others share one more."""
MOST_BARS: Final = 366


class Part(msgspec.Struct, frozen=True):
    """A piece of a bar: from where, how high, and which colour."""

    y: float
    height: float
    colour: int


class Bar(msgspec.Struct, frozen=True):
    """A day: from where, how wide, how many pictures, and its pieces from the bottom up."""

    day: str
    x: float
    width: float
    pictures: int
    parts: tuple[Part, ...]


class Timeline(msgspec.Struct, frozen=True):
    """Pictures a day.

    Attributes:
        bars: a day each, those without pictures among them.
        most: on one day.
        total: on all of them.
        labels: with a colour of their own, and how many pictures each has.
    """

    bars: tuple[Bar, ...]
    most: int
    total: int
    labels: tuple[tuple[str, int], ...]


class Dot(msgspec.Struct, frozen=True):
    """A score: where it is, and on which picture."""

    x: float
    y: float
    picture: str


def timeline(counted: Sequence[DayCounts], first: date, last: date) -> Timeline:
    """Draws counts from the first day to the last one, both of them included."""
    days = {one.day: one for one in counted}
    sums = Counter[str]()
    for one in counted:
        sums.update(one.labels)
    labels = sums.most_common(COLOURS)
    colours = {name: number for number, (name, _) in enumerate(labels)}
    most = max((one.pictures for one in counted), default=0)
    number = min((last - first).days + 1, MOST_BARS)
    bars = []
    for index in range(number):
        day = (first + timedelta(days=index)).isoformat()
        found = days.get(day)
        parts = () if found is None else _parts(found, colours, most)
        width = 100 / number
        bars.append(
            Bar(
                day=day,
                x=round(index * width + width * 0.1, 3),
                width=round(width * 0.8, 3),
                pictures=found.pictures if found else 0,
                parts=parts,
            )
        )
    return Timeline(tuple(bars), most, sum(one.pictures for one in counted), tuple(labels))


def dots(scores: Sequence[ScoreShown]) -> tuple[Dot, ...]:
    """Draws scores over time, from the oldest to the newest of them; 0 is at the bottom."""
    at = [datetime.fromisoformat(one.captured_at).timestamp() for one in scores]
    if not at:
        return ()
    first, length = min(at), (max(at) - min(at)) or 1.0
    return tuple(
        Dot(
            x=round(1 + 98 * (when - first) / length, 2),
            y=round(96 - 92 * one.score, 2),
            picture=one.picture,
        )
        for when, one in zip(at, scores, strict=True)
    )


def _parts(found: DayCounts, colours: dict[str, int], most: int) -> tuple[Part, ...]:
    heights = [0] * (COLOURS + 1)
    for name, number in found.labels.items():
        heights[colours.get(name, COLOURS)] += number
    heights[COLOURS] += found.pictures - sum(found.labels.values())
    parts, below = [], 0
    for colour, number in enumerate(heights):
        if number:
            below += number
            y, height = 100 * (1 - below / most), 100 * number / most
            parts.append(Part(round(y, 3), round(height, 3), colour))
    return tuple(parts)
