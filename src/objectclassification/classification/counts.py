"""What a worker and its children did, in plain numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from objectclassification.classification.outcome import Outcome
from objectclassification.histogram import SECONDS, SHORT_SECONDS, Histogram

STEPS = ("decode", "infer", "detect", "crops", "thumbnail")
"""What a child says of its time."""


@dataclass(slots=True)
class WorkCounts:
    """What a worker did, since it started.

    Attributes:
        pictures: by what came of them.
        steps_s: what a child took for each of :data:`STEPS`.
        job_s: from the lease of a job to its stored result, waiting for a child included.
    """

    pictures: Counter[str] = field(
        default_factory=lambda: Counter(dict.fromkeys(("classified", "classify_failed"), 0))
    )
    steps_s: dict[str, Histogram] = field(
        default_factory=lambda: {step: Histogram(SHORT_SECONDS) for step in STEPS}
    )
    job_s: Histogram = field(default_factory=partial(Histogram, SECONDS))

    def finished(self, outcome: Outcome, seconds: float) -> None:
        """Counts a picture that was classified."""
        self.pictures["classified"] += 1
        self.job_s.add(seconds)
        for step, ms in outcome.elapsed_ms.items():
            if step in self.steps_s:
                self.steps_s[step].add(ms / 1000)
