"""Style sheets, ES modules and images, as they are in ``static/``.

Their addresses have one hash of all of them in the folder: so they may be kept for ever, and an
import of a module (``./api.js``) leads to the module of the same release.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from objectclassification.api.images import YEAR_S
from objectclassification.errors import NotFound

router = APIRouter(include_in_schema=False)

_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FILES: Final = {
    path.name: path.read_bytes()
    for path in sorted(Path(__file__).with_name("static").iterdir())
    if path.suffix in _TYPES
}
_VERSION: Final = hashlib.sha256(
    b"".join(name.encode() + content for name, content in _FILES.items())
).hexdigest()[:16]


def asset(name: str) -> str:
    """Returns the address of a file of ``static/``.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in _FILES:
        raise KeyError(name)
    return f"/static/{_VERSION}/{name}"


@router.get("/static/{version}/{name}")
async def static(version: str, name: str, request: Request) -> Response:
    """A file; under the address of another release it is what it is now, and is not kept."""
    content = _FILES.get(name)
    if content is None:
        raise NotFound(f"no file {name}")
    etag = f'"{_VERSION}"'
    kept = f"public, max-age={YEAR_S}, immutable" if version == _VERSION else "no-cache"
    headers = {"ETag": etag, "Cache-Control": kept}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)
