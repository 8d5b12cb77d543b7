"""The tokens of a hub alone: a TOML file of hashes that its operator edits.

::

    [[token]]
    id = "door"
    role = "camera"
    cameras = ["door"]
    sha256 = "…"        # printf %s "$TOKEN" | sha256sum

The first start makes the file with one admin token, and keeps the token itself in a file beside it
that only its owner can read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from objectclassification.auth import TokenRecord, TokenRole, hash_token, new_token
from objectclassification.config import read_toml, write_secret
from objectclassification.errors import ConfigurationError

ADMIN_TOKEN_SUFFIX = ".admin-token"  # noqa: S105 - a file name


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    role: TokenRole
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    cameras: tuple[str, ...] = ()
    name: str = ""
    created_at: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: tuple[_Entry, ...] = ()


def read_tokens(path: Path) -> list[TokenRecord]:
    """Returns the tokens in the file.

    Raises:
        ConfigurationError: the file cannot be read, or is not of the form above.
    """
    try:
        found = msgspec.convert(read_toml(path), _File)
    except msgspec.ValidationError as exc:
        raise ConfigurationError(f"{path}: {exc}") from exc
    return [TokenRecord(**msgspec.structs.asdict(entry)) for entry in found.token]


def make_admin(path: Path) -> str:
    """Makes the file with one admin token in it; returns the token.

    Both the file and the one beside it that keeps the token are readable by their owner only.

    Raises:
        ConfigurationError: they cannot be written.
    """
    token = new_token()
    made = datetime.now(UTC).isoformat(timespec="seconds")
    entry = (
        "[[token]]\n"
        'id = "admin"\n'
        'role = "admin"\n'
        f'sha256 = "{hash_token(token)}"\n'
        f'created_at = "{made}"\n'
    )
    try:
        write_secret(admin_token_path(path), token + "\n")
        write_secret(path, entry)
    except OSError as exc:
        raise ConfigurationError(f"cannot keep the tokens in {path}: {exc.strerror}") from exc
    return token


def admin_token_path(path: Path) -> Path:
    """Returns the file that keeps the admin token of a tokens file."""
    return path.with_name(path.name + ADMIN_TOKEN_SUFFIX)
