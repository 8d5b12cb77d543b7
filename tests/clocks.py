"""A wall clock that a test sets while programs run; this machine's own is not touched.

libfaketime stands between a program and the C library. What counts from boot stays as it is, as on
a machine whose clock somebody sets.
"""

from __future__ import annotations

from pathlib import Path

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def has_faketime() -> bool:
    """Whether Debian's library is installed."""
    return bool(_LIBRARIES)


class WallClock:
    """One machine's.

    Args:
        folder: for the file that says what time it is.

    Attributes:
        environment: of the programs on that machine.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(_LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead_s: int) -> None:
        """Sets it so far ahead of the true time, or behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}\n")
        new.replace(self._file)
