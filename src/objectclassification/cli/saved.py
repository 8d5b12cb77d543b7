"""Saves the pictures that a snap came to."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from objectclassification.client.controller import Snapped
    from objectclassification.client.http import Http
    from objectclassification.config import Connection

BURST_S = 10.0
"""The other pictures of a burst come behind the one that answers; they are waited for this long."""
POLL_S = 0.1
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


def save_pictures(
    connection: Connection, result: Snapped, out: Path, *, frames: int = 1
) -> list[Path]:
    """Saves the pictures of a snap in a folder, which is made if it is missing.

    Args:
        connection: to the server that has them.
        result: what the snap came to.
        out: the folder.
        frames: how many pictures each shot has, if all of a burst are kept.

    Returns:
        The files, those that the shots show first.

    Raises:
        ConfigurationError: the folder cannot be written.
        ServerUnreachable, RequestError: as the server failed.
    """
    from objectclassification.client.http import Http
    from objectclassification.errors import ConfigurationError

    shown = {
        shot.picture.id: (shot.camera, shot.picture.media_type, shot.picture.url)
        for shot in result.shots
        if shot.picture is not None
    }
    files: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with Http(connection) as http:
            found = dict(shown)
            if frames > 1 and shown:
                for id_, *more in _burst(http, result.snap, frames * len(shown)):
                    found.setdefault(id_, (more[0], more[1], more[2]))
            for id_, (camera, media_type, url) in found.items():
                # The server names them: whatever it says, they are files in that folder.
                name = f"{camera}-{id_}{_SUFFIXES.get(media_type, '')}"
                files.append(out / re.sub(r"[^\w.-]", "_", name))
                files[-1].write_bytes(http.content(url))
    except OSError as exc:
        raise ConfigurationError(f"cannot save pictures in {out}: {exc.strerror}") from exc
    return files


def _burst(http: Http, snap: str, number: int) -> Iterator[tuple[str, str, str, str]]:
    """All pictures of a snap once they are there, or after a while those that are."""
    until = time.monotonic() + BURST_S
    while True:
        page = http.json("GET", f"/api/pictures?snap={snap}&limit=200")
        if len(page["pictures"]) >= min(number, 200) or time.monotonic() >= until:
            break
        time.sleep(POLL_S)
    for each in reversed(page["pictures"]):
        full = each["renditions"]["full"]
        yield each["id"], str(each["camera"]), full["media_type"], full["url"]
