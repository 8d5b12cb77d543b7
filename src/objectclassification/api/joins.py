"""``/api/joins``: codes that join a phone. Each becomes a token of its own, for one camera."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response

from objectclassification.api import tokens
from objectclassification.api.access import (
    Admin,
    Used,
    answer,
    json_body,
    note,
    read_json,
    refusals_of,
)
from objectclassification.api.parts import Parts
from objectclassification.api.reach import reachable_url, why_no_camera
from objectclassification.auth import Identity, TokenRecord, hash_token
from objectclassification.errors import NotFound
from objectclassification.messages import Name
from objectclassification.receipts import rfc3339
from objectclassification.store import joins

LIFETIME_S = 600.0
"""Long enough to find the phone, and to trust the server on it first."""
CODE_BYTES = 16
"""128 random bits: to try one in a thousand of them in ten minutes takes 5e32 requests a second."""

router = APIRouter(prefix="/api/joins", tags=["tokens"])


class JoinWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which camera a phone is to be."""

    camera: Name


class Join(msgspec.Struct, frozen=True):
    """A code for one phone, shown this once.

    Attributes:
        camera: what the phone becomes.
        code: good once, until ``expires_at``.
        link: what the phone opens; the code is behind the ``#``, which no server and no log sees.
        expires_at: RFC 3339, UTC.
        trust: where a phone learns to trust this server's own authority; None if it has none.
        warning: why no phone could use the link, and what to do; None if one can.
    """

    camera: str
    code: str
    link: str
    expires_at: str
    trust: str | None
    warning: str | None


class Redemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code, from whoever has scanned it."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]


class GoodCode(msgspec.Struct, frozen=True):
    """A code that nobody has used yet.

    Attributes:
        camera: what the phone becomes.
    """

    camera: str


@router.post("", summary="Make a code that joins a phone")
async def add(request: Request, parts: Used, identity: Admin) -> Response:
    """Answers the code, this once; an older one for the same camera is good no more."""
    wanted = read_json(JoinWanted, await json_body(request), "a join")
    return answer(await make(request, parts, identity, wanted.camera), 201)


@router.post("/look", summary="Say whether a code is still good")
async def look(request: Request, parts: Used) -> Response:
    """Answers its camera, and leaves it as it is: before somebody opens his camera in vain."""
    _, camera = await _good(request, parts, time.time())
    return answer(GoodCode(camera))


@router.post("/redeem", summary="Turn a code into a token")
async def redeem(request: Request, parts: Used) -> Response:
    """Answers a token for the code's camera, this once; nobody needs a token for that."""
    now = time.time()
    sha256, camera = await _good(request, parts, now)
    wanted = tokens.TokenWanted(role="camera", cameras=(camera,), name="a phone, joined by code")
    token, record = tokens.make(wanted, now)
    await parts.database.write(lambda c: _exchange(c, sha256, record, now))
    tokens.let_in(parts, record)
    note(request, camera=camera, token_id=record.id)
    return answer(tokens.shown(record, token), 201)


async def _good(request: Request, parts: Parts, now: float) -> tuple[str, str]:
    """A request's code, hashed, and its camera; guesses never get to the thread that writes."""
    code = read_json(Redemption, await json_body(request), "a code").code
    sha256 = hash_token(code)
    try:
        return sha256, await parts.database.read(lambda c: joins.good(c, sha256, at=now))
    except NotFound:
        await asyncio.sleep(refusals_of(request).wait_s(time.monotonic()))
        raise


async def make(request: Request, parts: Parts, identity: Identity, camera: str) -> Join:
    """Makes a code for a camera.

    Args:
        request: of whoever asks, as it says how this server is reached.
        parts: of the server.
        identity: who asks; an admin.
        camera: a good name.
    """
    code, now = secrets.token_urlsafe(CODE_BYTES), time.time()
    sha256, expires_at = hash_token(code), now + LIFETIME_S
    await parts.database.write(
        lambda c: joins.add(
            c, sha256, camera, made_by=identity.token_id, at=now, expires_at=expires_at
        )
    )
    url = reachable_url(request, parts.settings)
    return Join(
        camera=camera,
        code=code,
        link=f"{url}/join#{code}",
        expires_at=rfc3339(expires_at),
        trust=None if parts.authority is None else f"{url}/trust",
        warning=why_no_camera(url),
    )


def _exchange(connection: Connection, sha256: str, record: TokenRecord, now: float) -> None:
    joins.use(connection, sha256, at=now)
    tokens.keep(connection, record, now)
