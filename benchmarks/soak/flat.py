"""Whether memory and open files stay where they are, once a program has warmed up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean, median

from tests.plant import Victim

from benchmarks.soak.watch import Look

WARM_S = 180.0
"""Caches, thread stacks and the allocator's arenas are filled by then."""
SPAN_S = 300.0
"""A shorter look says nothing of a slope."""
MOST_MB_PER_MINUTE = 0.5
"""At 300 snaps a minute this is 1.7 kB a snap: less than one receipt that is never let go."""
MOST_FILES = 2
"""More at the end than at the beginning: a connection that just comes or goes."""
SAME_AGE_S = (30.0, 40.0)
FEWEST = 5
"""Incarnations to compare."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A program's memory and files over a time.

    Attributes:
        who: the program.
        what: which looks were taken.
        rss_mb: at the beginning and at the end, by the line through all looks.
        slope: of that line, MB a minute.
        error: its standard error.
        files: the medians of the first and the last third.
    """

    who: Victim
    what: str
    rss_mb: tuple[float, float]
    slope: float
    error: float
    files: tuple[float, float]

    @property
    def is_flat(self) -> bool:
        """Whether nothing grows that is more than noise: two standard errors."""
        grows = self.slope - 2 * self.error > MOST_MB_PER_MINUTE
        return not grows and self.files[1] - self.files[0] <= MOST_FILES


def findings(looks: Iterable[Look]) -> list[Finding]:
    """What can be said: of the longest life of each program, and of all lives at the same age."""
    lives: dict[tuple[Victim, float], list[Look]] = defaultdict(list)
    for look in looks:
        lives[look.who, look.incarnation].append(look)
    found = []
    programs: tuple[Victim, ...] = ("server", "child", "camera")
    for who in programs:
        mine = [life for (whose, _), life in lives.items() if whose == who]
        longest = max(mine, key=lambda life: life[-1].age_s, default=[])
        warm = [look for look in longest if look.age_s >= WARM_S]
        if warm and warm[-1].age_s - warm[0].age_s >= SPAN_S:
            what = f"one life, minute {warm[0].age_s / 60:.0f} to {warm[-1].age_s / 60:.0f}"
            found.append(_finding(who, what, warm, [look.age_s for look in warm]))
        young, old = SAME_AGE_S
        same = [look for life in mine for look in life if young <= look.age_s < old]
        if len({look.incarnation for look in same}) >= FEWEST:
            born = [look.incarnation for look in same]
            what = f"{len(set(born))} lives, each {young:.0f} to {old:.0f} s old"
            found.append(_finding(who, what, same, born))
    return found


def _finding(who: Victim, what: str, looks: Sequence[Look], at_s: Sequence[float]) -> Finding:
    minutes = [(at - at_s[0]) / 60 for at in at_s]
    rss = [look.rss_mb for look in looks]
    slope, base = linear_regression(minutes, rss)
    left = sum((y - base - slope * x) ** 2 for x, y in zip(minutes, rss, strict=True))
    spread = sum((x - mean(minutes)) ** 2 for x in minutes)
    error = (left / (len(looks) - 2) / spread) ** 0.5
    third = max(1, len(looks) // 3)
    files = [look.files for look in looks]
    return Finding(
        who,
        what,
        (base, base + slope * minutes[-1]),
        slope,
        error,
        (median(files[:third]), median(files[-third:])),
    )
