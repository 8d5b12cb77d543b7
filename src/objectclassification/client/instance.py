"""The id by which the hub knows a camera program again after it was started anew."""

from __future__ import annotations

import re
from pathlib import Path

from uuid_utils import uuid7

from objectclassification.config import write_secret
from objectclassification.errors import ConfigurationError

_ID = re.compile(r"[0-9a-f-]{36}\Z")


def instance_id(spool: Path, first_camera: str) -> str:
    """Returns this program's instance, which it keeps in its spool.

    A program that lost its power may have left a connection that the hub still believes in: the
    same instance replaces it. The file is named after the camera, so that a copied SD card that was
    given another camera's name is another instance.

    Args:
        spool: the program's own folder, locked by it.
        first_camera: name of the first camera that it serves.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    file = spool / f"{first_camera}.instance"
    try:
        kept = file.read_bytes().decode(errors="replace").strip() if file.exists() else ""
        if not _ID.match(kept):  # none yet, or a power cut emptied or tore it
            kept = str(uuid7())
            write_secret(file, kept + "\n")
    except OSError as exc:
        raise ConfigurationError(f"cannot use {file}: {exc.strerror}") from exc
    return kept
