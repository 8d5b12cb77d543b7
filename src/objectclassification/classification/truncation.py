"""Finds a picture that was cut short without decoding it, so that a PUT can say so at once."""

from __future__ import annotations

import os
from pathlib import Path

from objectclassification.errors import Undecodable

_TAIL_BYTES = 4096
"""Cameras append padding and notes after the end of an image; more than this was not seen."""

_ENDS = {
    # PNG, third edition, 5.6: an image ends with an empty IEND chunk and its CRC.
    "image/png": b"IEND\xaeB`\x82",
    # ITU-T T.81, B.1.1.2: entropy-coded data never holds this marker unstuffed.
    "image/jpeg": b"\xff\xd9",
}


def check_whole(path: Path, media_type: str) -> None:
    """Raises Undecodable when the file ends before its image does.

    Args:
        path: the file.
        media_type: ``image/png``, ``image/jpeg`` or ``image/webp``.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if media_type == "image/webp":  # RFC 9649, 2.4: the RIFF header says how long it is
            whole = size >= int.from_bytes(file.read(8)[4:8], "little") + 8
        else:
            file.seek(max(0, size - _TAIL_BYTES))
            whole = _ENDS[media_type] in file.read()
    if not whole:
        raise Undecodable(f"this {media_type} is cut short after {size} bytes")
