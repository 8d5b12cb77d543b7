"""Tries a model on a picture, in a child process of its own, before anybody relies on it."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from objectclassification.classification.outcome import Tried
from objectclassification.classification.pool import ClassifierPool
from objectclassification.errors import ChildDied, ModelError

MOST_BYTES: Final = 512 * 2**20
"""Of a model with all its numbers: a child process has 2 GiB, and a runtime needs it twice."""
SIDE: Final = 256


async def try_model(file: Path, *, timeout_s: float, device: str) -> Tried:
    """Loads a model in a child, with a child's limits, and has it look at a picture.

    Args:
        file: the model.
        timeout_s: for loading it and the picture.
        device: where it is to run, or ``auto``.

    Returns:
        What it is.

    Raises:
        ModelError: it cannot be loaded, failed, or said what no such model says.
    """
    pool = ClassifierPool(1, timeout_s=timeout_s, device=device)
    try:
        with TemporaryDirectory() as folder:
            picture = Path(folder, "picture.png")
            await asyncio.to_thread(picture.write_bytes, gradient())
            return await pool.try_model(file, picture)
    except ChildDied as exc:
        raise ModelError(
            f"it was tried on a picture, and {exc.detail}: it takes more memory or time than a "
            "child process has, or it ended it"
        ) from exc
    except ModelError as exc:
        raise ModelError(f"it was tried on a picture: {exc.detail}") from exc
    finally:
        await pool.close()


def gradient() -> bytes:
    """A PNG with every brightness (PNG 1.2, chapters 3 and 4); no decoder is loaded for it."""
    row = bytes(value for column in range(SIDE) for value in (column, 255 - column, 128))
    lines = b"".join(b"\0" + row for _ in range(SIDE))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
