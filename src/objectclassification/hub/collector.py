"""How often Python looks for garbage that refers to itself, where there are many clients."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (20_000, 20, 20)
"""Containers made and not freed before the youngest are looked at, and how many looks come before
an older generation's (:func:`gc.set_threshold`). With Python's own (700, 10, 10) a tenth of the
hub's time for a snap, or for a connection, goes into looking at the same sessions again: nothing on
a snap's way is a cycle, and what is freed by counting does not wait for this."""


def collect_rarely() -> None:
    """Sets it, for this process."""
    gc.set_threshold(*THRESHOLDS)
