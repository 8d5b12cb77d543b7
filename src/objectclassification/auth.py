"""Tokens and roles.

A token is 256 random bits. The server keeps only its SHA-256, in memory and in the database: with
that much entropy a fast hash is enough (there is nothing to guess), and a look-up by hash needs no
comparison in constant time, because the hash of a guess tells nothing about the token beside it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from objectclassification.errors import ConfigurationError, Forbidden, Unauthorized

TokenRole = Literal["camera", "viewer", "operator", "admin"]
Right = Literal["read", "snap", "label", "admin"]

ROLES: tuple[TokenRole, ...] = get_args(TokenRole)
RIGHTS: dict[TokenRole, frozenset[Right]] = {
    "camera": frozenset(),
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "snap", "label"}),
    "admin": frozenset({"read", "snap", "label", "admin"}),
}
TOKEN_PREFIX = "oc_"  # noqa: S105 - it lets secret scanners find a leaked token; it is not one


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling.

    Attributes:
        token_id: id of the token, for rows and logs; never the token.
        role: what it may do.
        cameras: for the role camera, the names it was made for.
    """

    token_id: str
    role: TokenRole
    cameras: frozenset[str] = frozenset()

    def may(self, right: Right) -> bool:
        """Whether the role has the right."""
        return right in RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Raises Forbidden unless the role has the right."""
        if not self.may(right):
            article = "an" if self.role[0] in "ao" else "a"
            raise Forbidden(
                f"{article} {self.role} token may not do this; it takes {_who_may(right)}"
            )

    def may_serve(self, camera: str) -> bool:
        """Whether it may be this camera and PUT to its snippet."""
        return self.role == "admin" or (self.role == "camera" and camera in self.cameras)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as it is stored.

    Attributes:
        id: short public id.
        sha256: hash of the token, hexadecimal.
        role: what it may do.
        cameras: for the role camera, the names it was made for.
        name: what its maker called it.
        created_at: RFC 3339, UTC.
    """

    id: str
    sha256: str
    role: TokenRole
    cameras: tuple[str, ...] = ()
    name: str = ""
    created_at: str = ""

    @property
    def identity(self) -> Identity:
        """Who calls with this token."""
        return Identity(self.id, self.role, frozenset(self.cameras))


ANYONE = Identity(token_id="no-auth", role="admin")  # noqa: S106 - a label, not a secret
"""Who calls when the server runs with ``--no-auth``."""


def new_token() -> str:
    """Returns a fresh token of 256 bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Returns what is stored of a token: its SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(slots=True)
class Tokens:
    """The tokens that are good now, held in memory.

    Attributes:
        open: let everyone in as admin (``--no-auth``).
    """

    open: bool = False
    _by_hash: dict[str, TokenRecord] = field(default_factory=dict)

    def load(self, records: Iterable[TokenRecord]) -> None:
        """Replaces them all."""
        self._by_hash = {record.sha256: record for record in records}

    def add(self, record: TokenRecord) -> None:
        """Makes one good."""
        self._by_hash[record.sha256] = record

    def revoke(self, token_id: str) -> None:
        """Makes one bad; unknown ids change nothing."""
        self._by_hash = {k: r for k, r in self._by_hash.items() if r.id != token_id}

    def authenticate(self, token: str | None) -> Identity:
        """Returns who calls with this token.

        Raises:
            Unauthorized: there is none, or it is not good.
        """
        if self.open:
            return ANYONE
        if not token:
            raise Unauthorized("a token is needed: run `objectclassification login URL`")
        record = self._by_hash.get(hash_token(token))
        if record is None:
            raise Unauthorized("the token is unknown or was revoked")
        return record.identity


def parse_role(text: str) -> TokenRole:
    """Returns the role of that name.

    Raises:
        ConfigurationError: there is none.
    """
    for role in ROLES:
        if role == text:
            return role
    raise ConfigurationError(f"no role {text!r}: it is one of {', '.join(ROLES)}")


def _who_may(right: Right) -> str:
    return " or ".join(role for role in ROLES if right in RIGHTS[role])
