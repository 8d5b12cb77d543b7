"""The pictures that look most like one: exact nearest neighbours over all embeddings.

Embeddings are read from the database piece by piece and compared as they come: nothing is kept in
memory between two searches, a picture that was deleted cannot be found, and one that was classified
a moment ago is. docs/benchmarks.md says what that costs, and what an index would save.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from objectclassification.errors import Conflict, NotFound
from objectclassification.store.deletions import deleted_ids
from objectclassification.store.prepared import Prepared
from objectclassification.store.tables import embeddings, jobs, pictures, predictions

AT_ONCE = 256
"""Embeddings of one step: 1.3 MB of float32, which stay in a core's cache."""

_ALL = select(embeddings.c.picture_id, embeddings.c.vector).where(
    embeddings.c.model_sha256 == bindparam("model")
)
_OF_ALL = Prepared(_ALL)
_OF_CAMERA = Prepared(
    _ALL.join(pictures, pictures.c.id == embeddings.c.picture_id).where(
        pictures.c.camera == bindparam("camera")
    )
)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a search found.

    Attributes:
        compared: with how many pictures.
        nearest: their ids with the cosine similarity of their embeddings, -1 to 1; the most
            similar first, and of equals the newest.
    """

    compared: int
    nearest: tuple[tuple[str, float], ...]


def search(
    connection: Connection, picture_id: str, *, camera: str | None, limit: int
) -> Neighbours:
    """Compares a picture with every other that the same model looked at.

    Args:
        connection: to read with.
        picture_id: the picture.
        camera: only with pictures of this camera, or None for all.
        limit: the most to find.

    Raises:
        NotFound: there is no such picture.
        Conflict: it has no embedding, or not yet.
    """
    if picture_id in deleted_ids(connection):
        raise NotFound(f"no picture {picture_id}")
    model, vector = _embedding(connection, picture_id)
    return nearest(connection, model, vector, camera=camera, limit=limit, apart_from=picture_id)


def nearest(
    connection: Connection,
    model: str,
    vector: bytes,
    *,
    camera: str | None,
    limit: int,
    apart_from: str | None = None,
) -> Neighbours:
    """Compares an embedding with those of all pictures that the same model looked at.

    Args:
        connection: to read with.
        model: SHA-256 of the model.
        vector: the embedding: float16, little endian.
        camera: only with pictures of this camera, or None for all.
        limit: the most to find.
        apart_from: not with this picture.
    """
    # Imported with the first search: numpy is not for a server that has none.
    from objectclassification.store.vectors import similarities, widen

    one = widen([vector])[0]
    passed_over = {apart_from, *deleted_ids(connection)}
    statement = _OF_ALL if camera is None else _OF_CAMERA
    rows = statement.run(connection, {"model": model, "camera": camera})
    compared, best = 0, list[tuple[float, str]]()
    while some := rows.fetchmany(AT_ONCE):
        # A row of another length is damage; it must not end the search.
        usable = [row for row in some if row[0] not in passed_over and len(row[1]) == len(vector)]
        if not usable:
            continue
        compared += len(usable)
        # Rounded, so that how a sum was split among registers does not decide between equals.
        found = similarities(one, widen([row[1] for row in usable])).round(6)
        least = best[0][0] if len(best) == limit else -2.0
        for index in (found >= least).nonzero()[0]:
            candidate = (round(float(found[index]), 6), usable[index][0])
            if len(best) < limit:
                heapq.heappush(best, candidate)
            else:
                heapq.heappushpop(best, candidate)
    return Neighbours(compared, tuple((id_, near) for near, id_ in sorted(best, reverse=True)))


def _embedding(connection: Connection, picture_id: str) -> tuple[str, bytes]:
    """A picture's embedding, and whose it is: of several models, that of its labels."""
    namer = predictions.c.model_sha256.label("namer")
    rows = connection.execute(
        select(embeddings.c.model_sha256, embeddings.c.vector, namer)
        .outerjoin(
            predictions,
            (predictions.c.picture_id == embeddings.c.picture_id) & (predictions.c.rank == 0),
        )
        .where(embeddings.c.picture_id == picture_id)
        .order_by(embeddings.c.model_sha256)
    ).all()
    if not rows:
        raise _why_none(connection, picture_id)
    row = next((row for row in rows if row.model_sha256 == row.namer), rows[0])
    return row.model_sha256, row.vector


def _why_none(connection: Connection, picture_id: str) -> NotFound | Conflict:
    row = connection.execute(
        select(jobs.c.state, jobs.c.error).where(jobs.c.picture_id == picture_id)
    ).first()
    if row is None:
        return NotFound(f"no picture {picture_id}")
    if row.state == "failed":
        return Conflict(f"it could not be classified, so nothing is like it: {row.error}")
    if row.state == "done":
        return Conflict("the model that classified it gives no embedding to compare")
    return Conflict("it is not classified yet: ask again in a moment")
