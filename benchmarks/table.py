"""One way to print what was measured: our figures beside a peer's, from the same run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes:
        what: what was done.
        ours: a figure for each of our repetitions.
        peer: who did the same.
        peers: a figure for each of the peer's repetitions, taken in turn with ours.
        unit: of the figures: ``ms`` is better when less, a rate (``…/s``) when more.
        reach: the ratio that the design asks for, if it does.
    """

    what: str
    ours: Sequence[float]
    peer: str
    peers: Sequence[float]
    unit: str = "ms"
    reach: float | None = None

    @property
    def ratio(self) -> float:
        """How many times better we are, by the medians."""
        better, worse = median(self.ours), median(self.peers)
        return better / worse if self.unit.endswith("/s") else worse / better


def format_table(rows: Iterable[Row]) -> str:
    """Returns a Markdown table."""
    lines = [
        "| what | unit | ours (min / median / max) | peer | peer (min / median / max) "
        "| ratio | reach |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        reach = f">= {row.reach:g}x" if row.reach else ""
        cells = (row.what, row.unit, _spread(row.ours), row.peer, _spread(row.peers))
        lines.append(f"| {' | '.join(cells)} | {row.ratio:.1f}x | {reach} |")
    return "\n".join(lines)


def print_table(rows: Iterable[Row]) -> None:
    """Prints a Markdown table."""
    print(format_table(rows))


def _spread(figures: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in (min(figures), median(figures), max(figures)))
