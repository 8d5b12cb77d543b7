"""What ``objectclassification doctor`` looks at: one check, one line, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and how it is.

    Attributes:
        name: what was looked at.
        status: ``fail`` if the product does not work like this.
        found: one line.
        todo: what to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    found: str
    todo: str = ""
