"""A shot of a live snap, as far as it has come; what moves it is in :mod:`.snaps`."""

from __future__ import annotations

import msgspec

from objectclassification.receipts import (
    NOTHING_FOUND,
    Found,
    Freshness,
    PictureRef,
    Shot,
    ShotError,
    State,
)
from objectclassification.skew import Skew


class LiveShot(msgspec.Struct, gc=False):
    """One camera's part of a live snap.

    A struct, because a fleet makes thousands at once. ``moved``, ``saved`` and ``ended`` say what
    is still to be told, written and waited for.
    """

    camera: str
    state: State = "requested"
    rank: int = 0
    elapsed_ms: dict[str, float] = {}
    camera_ms: dict[str, float] = {}
    freshness: Freshness | None = None
    warnings: tuple[str, ...] = ()
    picture: PictureRef | None = None
    found: Found = NOTHING_FOUND
    error: ShotError | None = None
    skew: Skew | None = None
    moved: bool = False
    saved: bool = True
    ended: bool = False
    view: Shot | None = None

    def shot(self) -> Shot:
        """Returns it as it is now; built once for each change."""
        if self.view is None:
            # Some by position: a call with over 15 keywords goes through a dict, at twice the time.
            self.view = Shot(
                self.camera,
                self.state,
                self.freshness,
                dict(self.elapsed_ms),
                self.camera_ms,
                warnings=self.warnings,
                picture=self.picture,
                predictions=self.found.predictions,
                error=self.error,
                answers=self.found.answers,
                verdict=self.found.verdict,
                judgements=self.found.judgements,
                change=self.found.change,
                confidence=self.found.confidence,
                unsure=self.found.unsure,
                skew=self.skew,
            )
        return self.view
