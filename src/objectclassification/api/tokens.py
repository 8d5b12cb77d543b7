"""``/api/tokens``: who may come in."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta
from sqlalchemy import Connection
from starlette.responses import Response
from uuid_utils import uuid7

from objectclassification.api.access import Admin, Used, answer, json_body, read_json
from objectclassification.api.parts import Parts
from objectclassification.auth import TokenRecord, TokenRole, hash_token, new_token
from objectclassification.bus import CameraReserved
from objectclassification.errors import BadMessage
from objectclassification.messages import Name, Short
from objectclassification.receipts import rfc3339
from objectclassification.store import snippets
from objectclassification.store import tokens as stored

router = APIRouter(prefix="/api/tokens", tags=["tokens"])


class TokenWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new token is for: a role, and for a camera its names."""

    role: TokenRole
    cameras: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()
    name: Short = ""


class TokenShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token as it is listed; ``token`` is there once, in the answer that made it."""

    id: str
    role: TokenRole
    cameras: tuple[str, ...]
    name: str
    created_at: str
    token: str | None = None


@router.post("", summary="Make a token")
async def add(request: Request, parts: Used, identity: Admin) -> Response:
    """Answers the token itself, this once; a camera's name gets its slot at the same time."""
    wanted = _read(await json_body(request))
    now = time.time()
    token, record = make(wanted, now)
    await parts.database.write(lambda c: keep(c, record, now))
    let_in(parts, record)
    return answer(shown(record, token), 201)


@router.get("", summary="The good tokens")
async def every(parts: Used, identity: Admin) -> Response:
    """Lists them without the tokens themselves, which nobody has but their owners."""
    return answer([shown(record) for record in await parts.database.read(stored.good)])


@router.delete("/{token_id}", summary="Revoke a token")
async def revoke(token_id: str, parts: Used, identity: Admin) -> Response:
    """Makes it bad for good, and closes its connections."""
    await parts.database.write(lambda c: stored.revoke(c, token_id, at=time.time()))
    parts.tokens.revoke(token_id)
    parts.snaps.revoke(token_id)
    return Response(status_code=204)


def make(wanted: TokenWanted, now: float) -> tuple[str, TokenRecord]:
    """Returns a fresh token and what is kept of it; it is not good yet."""
    token = new_token()
    record = TokenRecord(
        id=str(uuid7()),
        sha256=hash_token(token),
        role=wanted.role,
        cameras=wanted.cameras,
        name=wanted.name,
        created_at=rfc3339(now),
    )
    return token, record


def keep(connection: Connection, record: TokenRecord, now: float) -> None:
    """Writes a token down; a camera's name gets its slot."""
    stored.add(connection, record, at=now)
    for camera in record.cameras:
        snippets.reserve(connection, camera, at=now)


def let_in(parts: Parts, record: TokenRecord) -> None:
    """Makes a token good that was written down."""
    parts.tokens.add(record)
    for camera in record.cameras:
        parts.bus.publish(CameraReserved(camera))


def shown(record: TokenRecord, token: str | None = None) -> TokenShown:
    """A token as an answer has it."""
    return TokenShown(record.id, record.role, record.cameras, record.name, record.created_at, token)


def _read(body: bytes) -> TokenWanted:
    wanted = read_json(TokenWanted, body, "a token request")
    if (wanted.role == "camera") != bool(wanted.cameras):
        raise BadMessage("a camera token names its cameras, and no other token does")
    return wanted
