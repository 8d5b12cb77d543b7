"""How a camera and its program are: what a camera answers to ``inspect``, and the API passes on.

Sizes are bounded as in :mod:`objectclassification.messages`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from objectclassification.receipts import Freshness

MOST_LINES = 40
LONGEST_LINE = 300
"""Of the log; an answer that is longer than a message may be has fewer lines, the newest."""

SourceState = Literal["closed", "opening", "warming", "warm", "failing", "stuck"]
Short = Annotated[str, Meta(max_length=256)]
Line = Annotated[str, Meta(max_length=LONGEST_LINE)]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class ProgramCondition(msgspec.Struct, frozen=True):
    """The camera program and what it runs on.

    Attributes:
        version: of this package.
        python: its version.
        opencv: its version; empty if it is not installed as a package.
        system: the operating system, its kernel and the machine.
        up_s: since the program started.
    """

    version: Short
    python: Short
    opencv: Short
    system: Short
    up_s: Seconds


class SourceCondition(msgspec.Struct, frozen=True):
    """Where the camera's frames come from. Ages are by the camera's own clock.

    Attributes:
        address: secrets masked.
        state: ``closed`` until the next snap; ``failing`` between two tries; ``stuck`` in a driver.
        taken: pictures since the program started.
        failed: tries without a picture since then.
        picture_age_s: since the newest picture was exposed; None: none yet.
        width: of that picture, in pixels.
        height: of that picture, in pixels.
        freshness: of that picture.
        error: the newest failure; empty: none yet.
        error_age_s: since then.
        notes: what the source has to say about itself.
    """

    address: Short
    state: SourceState
    taken: Count = 0
    failed: Count = 0
    picture_age_s: Seconds | None = None
    width: Count | None = None
    height: Count | None = None
    freshness: Freshness | None = None
    error: Short = ""
    error_age_s: Seconds | None = None
    notes: Annotated[tuple[Short, ...], Meta(max_length=8)] = ()


class SpoolCondition(msgspec.Struct, frozen=True):
    """The pictures of the program that are not uploaded yet, of all its cameras.

    Attributes:
        pictures: that wait.
        size_bytes: of these.
        max_bytes: the most they may take.
        free_bytes: of the disk that they are on.
        dropped: since the program started, because the spool or its disk was full.
        refused: that the server will not take, kept aside for a person to look at.
    """

    pictures: Count
    size_bytes: Count
    max_bytes: Count
    free_bytes: Count
    dropped: Count
    refused: Count


class Condition(msgspec.Struct, frozen=True):
    """All of it.

    Attributes:
        program: and what it runs on.
        source: of the camera that was asked about.
        spool: of the program.
        clock: whether the machine keeps its clock right.
        temperature_c: of the machine's hottest thermal zone, in °C; None: it has none.
        log: the program's last lines, secrets masked, the oldest first.
    """

    program: ProgramCondition
    source: SourceCondition
    spool: SpoolCondition
    clock: Literal["ntp", "unsynchronised", "unknown"]
    temperature_c: float | None = None
    log: Annotated[tuple[Line, ...], Meta(max_length=MOST_LINES)] = ()


class CameraReport(msgspec.Struct, frozen=True):
    """What a connected camera answered.

    Attributes:
        camera: its name.
        asked_at: RFC 3339, UTC, by the server's clock.
        round_trip_ms: on the way there and back; the camera's own work is not in it.
        clock_offset_ms: the camera's clock less the server's, on the assumption that both ways
            took equally long; it is shown here and used nowhere.
        clock_uncertainty_ms: by how much that may be wrong: half the round trip.
        condition: how it is.
    """

    camera: str
    asked_at: str
    round_trip_ms: float
    clock_offset_ms: float
    clock_uncertainty_ms: float
    condition: Condition
