"""What fields of messages look like and how large they may be; no I/O."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from objectclassification.receipts import Failure, ShotError, Until

MAX_MESSAGE_BYTES = 16_384
"""The longest message a hub reads."""
MAX_HUB_MESSAGE_BYTES = 1_048_576
"""The longest message a hub sends; what WebSocket libraries read unless told otherwise."""
MAX_CAMERAS = 64
"""The most cameras one connection serves; with names of 64 characters they fit one message."""
MAX_GROUPS = 16
"""The most groups of one camera."""
DEFAULT_DEADLINE_S = 10.0
MIN_DEADLINE_S, MAX_DEADLINE_S = 0.001, 86_400.0
MIN_TTL_S, MAX_TTL_S = 1.0, 2_592_000.0
"""A snap waits 30 days at most."""
MAX_SLEEP_S = 31_622_400.0
"""A year: a camera that is away for longer is not asleep."""
MIN_AHEAD_S, MAX_AHEAD_S = 0.001, 86_400.0
"""How far away the moment may be at which all are to expose."""
DEFAULT_UNTIL: Until = "classified"

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
SELECTOR_PATTERN = r"^(\*|!?@?[A-Za-z0-9][A-Za-z0-9._-]{0,63})\Z"
ID_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}\Z"
_NAME = re.compile(NAME_PATTERN)

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Selector = Annotated[str, Meta(pattern=SELECTOR_PATTERN)]
Id = Annotated[str, Meta(pattern=ID_PATTERN)]
Short = Annotated[str, Meta(max_length=256)]
Groups = Annotated[tuple[Name, ...], Meta(max_length=MAX_GROUPS)]
Quorum = Annotated[int, Meta(ge=-(2**31), lt=2**31)] | Annotated[str, Meta(max_length=16)] | None
"""Bounded only: what can be one, and of how many cameras, is for ``answers_needed`` to say."""
Role = Literal["camera", "controller", "listener"]
Topic = Literal["snaps", "shots", "cameras", "pictures"]
Moment = Annotated[float, Meta(ge=0, le=253_402_300_799)]
"""Seconds since the epoch, UTC, up to the year 9999."""
At = Moment | Annotated[str, Meta(max_length=40)] | None
"""Seconds since the epoch, or ISO 8601 with its offset: ``moment_of`` reads it."""
InS = Annotated[float, Meta(ge=MIN_AHEAD_S, le=MAX_AHEAD_S)]
Ticks = Annotated[float, Meta(ge=0, le=1e12)]
"""Seconds of a client's clock that nobody sets, such as ``time.monotonic()``; from whenever."""
DeadlineS = Annotated[float, Meta(ge=MIN_DEADLINE_S, le=MAX_DEADLINE_S)]
SleepS = Annotated[float, Meta(ge=0, le=MAX_SLEEP_S)]
TtlS = Annotated[float, Meta(ge=MIN_TTL_S, le=MAX_TTL_S)]
Stage = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,31}\Z")]
Durations = Annotated[dict[Stage, Annotated[float, Meta(ge=0)]], Meta(max_length=16)]

PLAIN_SNAP = "snap"


class Message(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """Frozen, tagged by ``type``; fields left at their default are not sent."""


def is_name(text: str) -> bool:
    """Whether this can be the name of a camera or a group."""
    return _NAME.match(text) is not None


def failure(code: Failure, detail: str) -> ShotError:
    """Returns a shot's error with its text cut to what a message carries."""
    return ShotError(code=code, detail=detail[:256])
