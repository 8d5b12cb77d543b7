"""What a :class:`~objectclassification.capture.keeper.Keeper` knows of a source's thread."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from objectclassification.capture.controls import Adjustment
from objectclassification.capture.source import Frame, Source
from objectclassification.condition import SourceState

Doing = Literal["open", "grab", "rest"]
_COLD: dict[Doing, SourceState] = {"open": "opening", "grab": "warming", "rest": "failing"}
"""What a source that is not warm does, by what its thread does."""


@dataclass(eq=False)
class Asked:
    """Someone waits for a frame that was exposed after ``after``."""

    after: float
    frame: Future[Frame] = field(default_factory=Future)
    ms: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    stale: bool = False


class Run:
    """One thread's life with one source.

    Attributes:
        source: the thread's.
        thread: itself, once it is started.
        frames: how many came since the source was opened.
        warm: whether it is open and warmed up.
        again: it is to be opened once more.
        adjusted: what it does differently now.
        adjusted_at: frames from before are not of that, in ``time.monotonic()`` seconds.
        doing: what the thread does.
        progress_at: since when.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.thread: threading.Thread | None = None
        self.frames = 0
        self.warm = False
        self.again = False
        self.adjusted: Adjustment | None = None
        self.adjusted_at = -math.inf
        self.now_does("open")

    @property
    def state(self) -> SourceState:
        """What the source does now."""
        return "warm" if self.warm else _COLD[self.doing]

    def now_does(self, what: Doing) -> None:
        """Notes that the thread goes on."""
        self.doing: Doing = what
        self.progress_at = time.monotonic()
