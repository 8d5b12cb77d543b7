"""One way to print what was measured: our figures beside a peer's, from the same run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Unit = Literal["ms", "kB", "per s"]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        what: what was done.
        ours: the figure of each of our repetitions.
        peer: who did the same.
        theirs: the figure of each of the peer's repetitions, taken in turn with ours.
        unit: of both: milliseconds or kilobytes, of which fewer are better, or how many a second.
        reach: the ratio that we want, or None where none was set.
        most: what our median is to stay under, or None where nothing was set.
    """

    what: str
    ours: Sequence[float]
    peer: str
    theirs: Sequence[float]
    unit: Unit = "ms"
    reach: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float:
        """How many times faster we are, by the medians."""
        ours, theirs = median(self.ours), median(self.theirs)
        return ours / theirs if self.unit == "per s" else theirs / ours

    @property
    def verdict(self) -> str:
        """The ratio beside what we want."""
        wishes = []
        if self.reach is not None:
            wishes.append(_wish(_times(self.reach), self.ratio >= self.reach))
        if self.most is not None:
            wishes.append(_wish(f"{self.most:g} {self.unit}", median(self.ours) <= self.most))
        return _times(self.ratio) + (f" ({', '.join(wishes)})" if wishes else "")


def format_table(rows: Iterable[Row]) -> str:
    """Returns a Markdown table."""
    lines = [
        "| what | unit | ours (min / median / max) | peer | peer's (min / median / max) | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        theirs = _spread(row.theirs)
        cells = (row.what, row.unit, _spread(row.ours), row.peer, theirs, row.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def print_table(rows: Iterable[Row]) -> None:
    """Prints a Markdown table."""
    print(format_table(rows))


def _spread(figures: Sequence[float]) -> str:
    return " / ".join(f"{one:.1f}" for one in (min(figures), median(figures), max(figures)))


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x"


def _wish(what: str, reached: bool) -> str:
    return f"{what} reached" if reached else f"**{what} missed**"
