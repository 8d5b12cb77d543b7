"""How long fuzzing takes: in ``make test`` seconds, and the same examples each time; in a round of
``make fuzz`` minutes, and no round is like another."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("OBJECTCLASSIFICATION_FUZZ") == "long"
LONGER = 10
"""How many times as many examples a round of ``make fuzz`` tries."""


def fuzz(examples: int) -> settings:
    """The settings of a property: so many examples in ``make test``."""
    return settings(
        max_examples=examples * LONGER if LONG else examples,
        derandomize=not LONG,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    )
