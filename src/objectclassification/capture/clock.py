"""What this machine's clocks are worth: the wall clock's state, and time that survives a reboot."""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from pathlib import Path
from typing import Literal

Clock = Literal["ntp", "unsynchronised", "unknown"]

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_MAXERROR_OFFSET = 24  # struct timex on 64-bit Linux: modes, offset, freq, then maxerror in µs
_TIMEX_BYTES = 208


def wall_clock() -> tuple[Clock, float | None]:
    """Tells whether the wall clock is kept right, and by how many milliseconds it may be off.

    A Raspberry Pi has no clock of its own and wakes in the past, so that a picture's time is worth
    only what this says.
    """
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return "unknown", None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    status = ctypes.CDLL(None).adjtimex(timex)
    if status < 0:
        return "unknown", None
    if status == _TIME_ERROR:
        return "unsynchronised", None
    microseconds = ctypes.c_long.from_buffer(timex, _MAXERROR_OFFSET).value
    return "ntp", microseconds / 1000


@functools.cache
def boot_id() -> str:
    """Names this boot of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def since_boot_s() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine is suspended."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
