"""Times on the command line, as ``90``, ``90s``, ``15m``, ``2h`` or ``3d``."""

from __future__ import annotations

import math
import re

import typer

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)\Z")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(option: str, text: str, *, least: float, most: float) -> float:
    """Returns a time in seconds.

    Args:
        option: what it was given to, for the error.
        text: a number with a unit; seconds without one.
        least: the shortest that is taken, in seconds.
        most: the longest.

    Raises:
        typer.BadParameter: it is no time, or too short or too long.
    """
    found = _DURATION.match(text.strip())
    value = float(found[1]) * _SECONDS[found[2]] if found else math.nan
    if not least <= value <= most:
        raise typer.BadParameter(
            f"{option} is a time from {least:g} s to {most / _SECONDS['d']:g} days, as 90s, 15m, "
            f"2h or 3d, not {text!r}"
        )
    return value
