"""Image bytes as responses."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from objectclassification.api.problems import from_error
from objectclassification.errors import NotFound
from objectclassification.store.blobs import Blobs
from objectclassification.store.renditions import StoredBlob

GONE = "the image's file is gone: `objectclassification doctor` says more"
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
    try:
        path = blobs.path(blob.key)
        found = path.stat()
    except FileNotFoundError as exc:
        raise NotFound(GONE) from exc
    return _BlobResponse(path, media_type=blob.media_type, headers=headers, stat_result=found)


class _BlobResponse(FileResponse):
    """A file that may be deleted until it is open; then the answer is still a 404."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None

        async def once_open(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                await send(start)
                start = None
            await send(message)

        try:
            await super().__call__(scope, receive, once_open)
        except FileNotFoundError:
            await from_error(NotFound(GONE))(scope, receive, send)
