"""How many answers end a snap early; no I/O."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from objectclassification.errors import BadMessage

_PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")


def answers_needed(quorum: int | str | None, targets: int, about: str | None = None) -> int:
    """Returns how many answers a snap waits for.

    Args:
        quorum: a count, or a percentage of the cameras such as ``80%``; None waits for all.
        targets: how many cameras the snap is for.
        about: the snap's id, for the error.

    Raises:
        BadMessage: that is no quorum, or there are fewer cameras.
    """
    if quorum is None:
        return targets
    needed = quorum if isinstance(quorum, int) else _share_of(targets, quorum, about)
    if needed < 1:
        raise BadMessage(f"a quorum of {needed}: it is 1 at the least", re=about)
    if needed > targets:
        cameras = "1 camera" if targets == 1 else f"{targets} cameras"
        raise BadMessage(f"a quorum of {needed}, but the snap is for {cameras}", re=about)
    return needed


def _share_of(targets: int, quorum: str, about: str | None) -> int:
    match = _PERCENTAGE.fullmatch(quorum)
    percent = Decimal(match[1]) if match else Decimal(0)
    if not 0 < percent <= 100:
        raise BadMessage(
            f"{quorum!r} is no quorum: give a count such as 3, or a percentage up to 100 such as "
            '"80%"',
            re=about,
        )
    return math.ceil(percent * targets / 100)
