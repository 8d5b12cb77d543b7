"""Notes of the servers that run on this machine, so that commands here find them.

Each server has a note of its own: a second one that comes and goes hides no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PATTERN = "server-*.toml"


def note_of(folder: Path, pid: int) -> Path:
    """Where the note of a server process is."""
    return folder / f"server-{pid}.toml"


def running_servers(folder: Path) -> Iterator[Path]:
    """The notes of servers that still run, the one started last first."""
    notes = {note: _started(note) for note in _readable(folder)}
    for note in sorted(notes, key=notes.__getitem__, reverse=True):
        if _is_running(_pid(note)):
            yield note


def forget_dead(folder: Path) -> None:
    """Deletes the notes of servers that were killed."""
    for note in _readable(folder):
        if not _is_running(_pid(note)):
            note.unlink(missing_ok=True)


def _readable(folder: Path) -> list[Path]:
    return [note for note in folder.glob(_PATTERN) if os.access(note, os.R_OK)]


def _started(note: Path) -> float:
    try:
        return note.stat().st_mtime
    except FileNotFoundError:  # it stopped just now
        return 0.0


def _pid(note: Path) -> int:
    text = note.stem.removeprefix("server-")
    return int(text) if text.isdecimal() else 0


def _is_running(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, so it is there
        return True
    return True
