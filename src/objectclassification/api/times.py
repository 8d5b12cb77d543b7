"""Times in queries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator


def _no_number(text: str) -> str:
    """Refuses what pydantic would take for seconds, or milliseconds, since some epoch."""
    try:
        float(text)
    except ValueError:
        return text
    raise ValueError("not a time such as 2026-11-22T10:00:00Z")


Time = Annotated[datetime, BeforeValidator(_no_number)]


def seconds(at: datetime | None) -> float | None:
    """Seconds since the epoch; a time without a zone is UTC, as all times here are."""
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
