"""What a soak found, as a section of ``docs/benchmarks.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.soak.flat import MOST_FILES, MOST_MB_PER_MINUTE, Finding
from benchmarks.soak.load import DEADLINE_S, PER_SECOND
from benchmarks.soak.watch import percentile

ROWS = 12


@dataclass(slots=True)
class Minute:
    """What was seen in a minute, or in several.

    Attributes:
        first: counted from 1.
        last: the same for one minute.
        outcomes: of the snaps that were due in it.
        ms: of those that were classified, from acceptance to done.
        loop_ms: of the server's event loop, see :class:`benchmarks.soak.watch.Watch`.
        machine_ms: the machine's share of it.
        killed: by program.
        down_s: from a kill until the camera was online again, the longest.
        stored: pictures at its end.
        data_mb: of the data folder at its end.
    """

    first: int
    last: int
    outcomes: Counter[str] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)
    loop_ms: list[float] = field(default_factory=list)
    machine_ms: list[float] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    down_s: float = 0.0
    stored: int = 0
    data_mb: float = 0.0

    def line(self) -> str:
        """For the log."""
        return (
            f"minute {self.last}: killed {_words(self.killed)}, back after {self.down_s:.1f} s; "
            f"snaps {_words(self.outcomes)}; "
            f"p50 {percentile(self.ms, 50):.0f} ms, p99 {percentile(self.ms, 99):.0f} ms; "
            f"loop p99 {percentile(self.loop_ms, 99):.0f} ms "
            f"(machine {percentile(self.machine_ms, 99):.0f} ms); "
            f"{self.stored} pictures, {self.data_mb:.0f} MB"
        )

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        return (
            f"{self.first}-{self.last}" if self.last > self.first else f"{self.first}",
            _words(self.killed),
            f"{self.down_s:.1f}",
            _words(self.outcomes),
            " / ".join(f"{percentile(self.ms, percent):.0f}" for percent in (50, 99)),
            " / ".join(f"{percentile(self.loop_ms, percent):.1f}" for percent in (50, 99)),
            f"{percentile(self.machine_ms, 99):.1f}",
            f"{self.stored}",
            f"{self.data_mb:.0f}",
        )


HEAD = (
    "minutes",
    "kill -9 of",
    "longest down, s",
    "snaps",
    "snap to done, p50 / p99, ms",
    "event loop, p50 / p99, ms",
    "the machine's own share, p99, ms",
    "pictures kept",
    "data, MB",
)


def page(
    minutes: Sequence[Minute],
    found: Sequence[Finding],
    facts: Sequence[str],
    wrong: Sequence[str],
    busy_percent: float,
) -> str:
    """Returns the section, as Markdown."""
    verdict = "Nothing was lost." if not wrong else f"**{len(wrong)} things went wrong:**"
    return "\n".join(
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}: {len(minutes)} minutes, {PER_SECOND} snaps "
            f"a second with a deadline of {DEADLINE_S:.0f} s, a `kill -9` every minute. When it "
            f"began, other programs kept the machine {busy_percent:.0f} % busy. {verdict}",
            "",
            *(f"- {line[:500]}" for line in (*wrong[:20], *facts)),
            machine.describe(),
            "",
            *_table(HEAD, [several.cells() for several in _rows(minutes)]),
            "",
            f"Flat is a slope of at most {MOST_MB_PER_MINUTE:g} MB a minute, which at this rate is "
            "less than one receipt that is never let go for each snap, and at most "
            f"{MOST_FILES} open files more:",
            "",
            *_table(
                ("program", "looked at", "RSS, MB", "MB a minute", "open files", "flat"),
                [_finding(one) for one in found],
            ),
        )
    )


def _finding(one: Finding) -> tuple[str, ...]:
    return (
        one.who,
        one.what,
        f"{one.rss_mb[0]:.1f} to {one.rss_mb[1]:.1f}",
        f"{one.slope:+.2f} ± {2 * one.error:.2f}",
        f"{one.files[0]:.0f} to {one.files[1]:.0f}",
        "yes" if one.is_flat else "**no**",
    )


def _rows(minutes: Sequence[Minute]) -> list[Minute]:
    several = max(1, len(minutes) // ROWS)
    rows = []
    for start in range(0, len(minutes), several):
        some = minutes[start : start + several]
        row = Minute(some[0].first, some[-1].last)
        for minute in some:
            row.outcomes += minute.outcomes
            row.killed += minute.killed
            row.ms += minute.ms
            row.loop_ms += minute.loop_ms
            row.machine_ms += minute.machine_ms
            row.down_s = max(row.down_s, minute.down_s)
        row.stored = max(minute.stored for minute in some)
        row.data_mb = max(minute.data_mb for minute in some)
        rows.append(row)
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _words(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counted.most_common()) or "none"
