"""What a service manager told this process about itself, and where services keep their things."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

SYSTEM_STATE = Path("/var/lib/objectclassification")
"""The state folder of ``socket.service``; only root may look into it."""


def notify_socket() -> str | None:
    """Returns where systemd wants to hear from this service, or None if it did not start one."""
    return os.environ.get("NOTIFY_SOCKET") or None


def watchdog_s() -> float | None:
    """Returns after how many seconds of silence systemd takes this process for hung, if ever."""
    try:
        microseconds = int(os.environ["WATCHDOG_USEC"])
        meant = int(os.environ.get("WATCHDOG_PID", os.getpid()))
    except (KeyError, ValueError):
        return None
    # A parent's watchdog is inherited, and is not for us.
    return microseconds / 1e6 if microseconds > 0 and meant == os.getpid() else None


def prints_to_journal() -> bool:
    """Whether standard output is kept in the journal, which is no place for a secret."""
    return _is_journal(sys.stdout)


def logs_to_journal() -> bool:
    """Whether standard error is read by the journal, which then takes priorities."""
    return _is_journal(sys.stderr)


def _is_journal(stream: TextIO) -> bool:
    try:
        device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
        found = os.fstat(stream.fileno())
        return (int(device), int(inode)) == (found.st_dev, found.st_ino)
    except (OSError, ValueError):  # no such variable, or no real file under the stream
        return False


def sudo_caller_home() -> Path | None:
    """Returns the home folder of who became root with sudo, or None if nobody did."""
    caller = os.environ.get("SUDO_USER")
    if not caller or caller == "root" or os.geteuid() != 0:
        return None
    home = Path(f"~{caller}").expanduser()
    return home if home.is_absolute() else None
