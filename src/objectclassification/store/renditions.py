"""Forms of a picture that the server makes, beside those that cameras send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select

from objectclassification.errors import NotFound
from objectclassification.store.deletions import is_deleted
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import jobs, pictures, renditions

MEDIUM_SIDE: Final = 1024
"""Pixels of the longer side of a picture's ``medium``: they fill a tile of a dense screen, and what
a laptop's page has for one picture, with a fifth of a 1080p picture's bytes."""

_THERE = Prepared(
    select(renditions.c.id).where(
        renditions.c.picture_id == bindparam("picture"), renditions.c.name == bindparam("form")
    )
)
_NEW = Prepared(
    renditions.insert(), *(name for name in renditions.c.keys() if name != "idempotency_key")
)


@dataclass(frozen=True, slots=True)
class Made:
    """A smaller form of a picture whose blob is durable."""

    id: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    media_type: str = "image/jpeg"


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """Where a rendition's bytes are and what they are.

    Attributes:
        key: of the blob.
        name: ``full``, ``thumbnail``, …
        sha256: hash of the bytes, hexadecimal.
        media_type: for example ``image/jpeg``.
        size_bytes: their number.
        max_side: pixels of its longer side.
    """

    key: str
    name: str
    sha256: str
    media_type: str
    size_bytes: int
    max_side: int


@dataclass(frozen=True, slots=True)
class Forms:
    """What there is of a picture.

    Attributes:
        named: its renditions.
        is_waiting: whether nobody has looked at it yet.
        error: why it could not be classified, or None.
    """

    named: dict[str, StoredBlob]
    is_waiting: bool
    error: str | None

    @property
    def best(self) -> StoredBlob:
        """The full one, or the largest there is."""
        return self.named.get("full") or max(self.named.values(), key=lambda one: one.max_side)


def forms(connection: Connection, picture_id: str) -> Forms:
    """Returns what there is of a picture.

    Raises:
        NotFound: no such picture, or it was deleted.
    """
    query = (
        select(renditions, jobs.c.state, jobs.c.error)
        .join(jobs, jobs.c.picture_id == renditions.c.picture_id)
        .where(renditions.c.picture_id == picture_id, ~is_deleted(renditions.c.picture_id))
    )
    rows = connection.execute(query).all()
    if not rows:
        raise NotFound(f"no picture {picture_id}")
    named = {
        row.name: StoredBlob(
            row.id,
            row.name,
            row.sha256,
            row.media_type,
            row.size_bytes,
            max(row.width, row.height),
        )
        for row in rows
    }
    state, error = rows[0].state, rows[0].error
    return Forms(
        named, is_waiting=state in ("queued", "leased"), error=error if state == "failed" else None
    )


def add(connection: Connection, picture_id: str, snippet: int, name: str, made: Made) -> bool:
    """Adds a form to a picture.

    Returns:
        False if it has one of that name: its camera sent it, or somebody else was first.
    """
    if _THERE.first(connection, {"picture": picture_id, "form": name}) is not None:
        return False
    _NEW.run(
        connection,
        {
            "id": made.id,
            "picture_id": picture_id,
            "snippet": snippet,
            "name": name,
            "sha256": made.sha256,
            "size_bytes": made.size_bytes,
            "media_type": made.media_type,
            "width": made.width,
            "height": made.height,
        },
    )
    return True


def add_medium(connection: Connection, picture_id: str, made: Made) -> bool:
    """Adds the form of :data:`MEDIUM_SIDE`, as :func:`add` does.

    Raises:
        NotFound: the picture is gone meanwhile.
    """
    slot = select(pictures.c.snippet).where(pictures.c.id == picture_id)
    snippet = connection.execute(slot).scalar_one_or_none()
    if snippet is None:
        raise NotFound(f"no picture {picture_id}")
    return add(connection, picture_id, snippet, "medium", made)
