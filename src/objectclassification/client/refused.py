"""Where pictures go that the API will never take: nothing is deleted before a person could look."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import structlog

from objectclassification.capture import SpoolItem
from objectclassification.errors import UploadRefused

FOLDER = "refused"
KEPT = 100
"""Pictures; the oldest give way."""

_log = structlog.get_logger(__name__)


def put_aside(item: SpoolItem, refusal: UploadRefused, folder: Path) -> None:
    """Moves a picture out of the spool into a folder, with a note of why; each write is one rename.

    Args:
        item: in the spool, whose own note the caller removes afterwards.
        refusal: what the API said.
        folder: made if it is missing.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):  # its file is what was missing
        item.path.replace(folder / f"{item.key}{item.path.suffix}")
    note = {
        "camera": item.camera,
        "snap": item.snap,
        "upload": item.upload,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    (folder / f"{item.key}.json").write_text(json.dumps(note, indent=2) + "\n")
    keys = sorted({path.stem for path in folder.iterdir()})  # UUIDv7: by age
    for key in keys[:-KEPT]:
        _log.warning("refused picture dropped", key=key, kept=KEPT)
        for path in folder.glob(f"{key}.*"):
            path.unlink()
