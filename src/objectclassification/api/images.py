"""Image bytes as responses."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import FileResponse, Response

from objectclassification.errors import NotFound
from objectclassification.store.blobs import Blobs
from objectclassification.store.pictures import StoredBlob

YEAR_S = 365 * 86_400


def image_response(
    request: Request, blobs: Blobs, blob: StoredBlob, *, immutable: bool
) -> Response:
    """Answers a blob, or 304 when the client has it.

    Args:
        request: for its ``If-None-Match``.
        blobs: where the bytes are.
        blob: which ones.
        immutable: whether this address always answers the same bytes.

    Raises:
        NotFound: the row is there, but the file is gone.
    """
    etag = f'"{blob.sha256}"'
    headers = {
        "ETag": etag,
        # Private: the image was shown to one token's owner, not to a shared cache.
        "Cache-Control": f"private, max-age={YEAR_S}, immutable" if immutable else "no-cache",
    }
    wanted = request.headers.get("if-none-match", "")
    if etag in (tag.strip().removeprefix("W/") for tag in wanted.split(",")) or wanted == "*":
        return Response(status_code=304, headers=headers)
    path = blobs.path(blob.key)
    if not path.is_file():
        raise NotFound("the image's file is gone: `objectclassification doctor` says more")
    return FileResponse(path, media_type=blob.media_type, headers=headers)
