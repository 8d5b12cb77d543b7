"""``/api/sessions``: the browsers that are signed in, and how one signs in and out."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response
from uuid_utils import uuid7

from objectclassification.api.access import (
    Reader,
    Used,
    answer,
    keep_waiting,
    parts_of,
    session_of,
)
from objectclassification.api.parts import Parts
from objectclassification.auth import Identity, SessionRecord, TokenRole, cookie_name, hash_token
from objectclassification.errors import NotFound, Unauthorized
from objectclassification.receipts import rfc3339
from objectclassification.store import sessions as stored
from objectclassification.store import tokens as stored_tokens

router = APIRouter(prefix="/api/sessions", tags=["sessions"])

LASTS_S: Final = 30 * 86_400.0
"""After the last page that was opened."""
NOTED_EVERY_S: Final = 3600.0
"""How exactly it is known when a session was last used: each note is a write."""


class SessionShown(msgspec.Struct, frozen=True):
    """A browser that is signed in.

    Attributes:
        id: to end it with.
        token_id: the token it stands for.
        name: of that token.
        role: what it may do.
        created_at: RFC 3339, UTC.
        seen_at: when it last opened a page, to the hour.
        expires_at: when it ends unless it is used.
        agent: what the browser calls itself.
        address: from where it signed in.
        current: whether it is the one that asks.
    """

    id: str
    token_id: str
    name: str
    role: TokenRole
    created_at: str
    seen_at: str
    expires_at: str
    agent: str
    address: str
    current: bool


@router.get("", summary="The browsers that are signed in")
async def every(parts: Used, identity: Reader) -> Response:
    """Lists the sessions, newest first: an admin's answer has all, others' those of their token."""
    return answer(await list_sessions(parts, identity))


@router.delete("/{session_id}", summary="Sign a browser out")
async def end(session_id: str, parts: Used, identity: Reader) -> Response:
    """Ends a session, and closes its connections."""
    if session_id not in {shown.id for shown in await list_sessions(parts, identity)}:
        raise NotFound(f"no session {session_id}")
    await end_session(parts, session_id)
    return Response(status_code=204)


async def list_sessions(parts: Parts, identity: Identity) -> list[SessionShown]:
    """Returns the sessions that the caller may see and end, newest first."""
    rows = await parts.database.read(lambda c: stored.good(c, at=time.time()))
    tokens = {token.id: token for token in await parts.database.read(stored_tokens.good)}
    return [
        SessionShown(
            id=row.id,
            token_id=row.token_id,
            name=tokens[row.token_id].name,
            role=tokens[row.token_id].role,
            created_at=rfc3339(row.created_at),
            seen_at=rfc3339(row.seen_at),
            expires_at=rfc3339(row.expires_at),
            agent=row.agent,
            address=row.address,
            current=row.id == identity.session_id,
        )
        for row in rows
        if row.token_id in tokens and (identity.may("admin") or row.token_id == identity.token_id)
    ]


async def begin_session(request: Request, response: Response, token: str) -> None:
    """Signs a browser in: its cookie goes with the response.

    Args:
        request: from it.
        response: to it.
        token: a good one that may read.

    Raises:
        Unauthorized: the token is not good.
        Forbidden: it may not read.
    """
    parts = parts_of(request)
    try:
        identity = parts.tokens.authenticate(token)
    except Unauthorized:
        await keep_waiting(request)
        raise
    identity.require("read")
    cookie, now = secrets.token_urlsafe(32), time.time()
    record = SessionRecord(
        id=str(uuid7()),
        sha256=hash_token(cookie),
        token_id=identity.token_id,
        created_at=now,
        seen_at=now,
        expires_at=now + LASTS_S,
        agent=request.headers.get("user-agent", "")[:256],
        address=(request.client.host if request.client else "")[:64],
    )
    for ended in await parts.database.write(lambda c: stored.add(c, record)):
        parts.tokens.end_session(ended)
        parts.snaps.revoke(ended)
    parts.tokens.keep_session(record)
    _set_cookie(request, response, cookie)


async def go_on_with_session(request: Request, response: Response) -> None:
    """A page was opened: puts the end of its session off, now and then."""
    parts, cookie, now = parts_of(request), session_of(request), time.time()
    record = parts.tokens.session(cookie) if cookie is not None else None
    if cookie is None or record is None or now - record.seen_at < NOTED_EVERY_S:
        return
    used = replace(record, seen_at=now, expires_at=now + LASTS_S)
    parts.tokens.keep_session(used)
    await parts.database.write(
        lambda c: stored.seen(c, used.id, at=now, expires_at=used.expires_at)
    )
    _set_cookie(request, response, cookie)


async def end_session(parts: Parts, session_id: str) -> None:
    """Ends a session, and closes its connections."""
    await parts.database.write(lambda c: stored.end(c, session_id))
    parts.tokens.end_session(session_id)
    parts.snaps.revoke(session_id)


def forget_cookie(request: Request, response: Response) -> None:
    """Has the browser forget its session."""
    _set_cookie(request, response, "", max_age_s=0)


def _set_cookie(
    request: Request, response: Response, value: str, *, max_age_s: float = LASTS_S
) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(
        cookie_name(request.headers.get("host", ""), secure=secure),
        value,
        max_age=int(max_age_s),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
