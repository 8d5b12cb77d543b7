"""Tokens and roles.

A token is 256 random bits. The server keeps only its SHA-256, in memory and in the database: with
that much entropy a fast hash is enough (there is nothing to guess), and a look-up by hash needs no
comparison in constant time, because the hash of a guess tells nothing about the token beside it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
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
        session_id: of the browser's session, if that is how it comes.
    """

    token_id: str
    role: TokenRole
    cameras: frozenset[str] = frozenset()
    session_id: str | None = None

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


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A browser that signed in with a token, as it is stored.

    Attributes:
        id: public id.
        sha256: hash of what the browser's cookie holds, hexadecimal.
        token_id: the token it stands for; it ends with that.
        created_at: seconds since the epoch, UTC.
        seen_at: when it last opened a page.
        expires_at: when it ends by itself.
        agent: what the browser calls itself.
        address: from where it signed in.
    """

    id: str
    sha256: str
    token_id: str
    created_at: float
    seen_at: float
    expires_at: float
    agent: str = ""
    address: str = ""


ANYONE = Identity(token_id="no-auth", role="admin")  # noqa: S106 - a label, not a secret
"""Who calls when the server runs with ``--no-auth``."""
SCHEDULES = Identity(token_id="schedules", role="operator")  # noqa: S106 - a label, too
"""Who calls when a schedule's time has come."""


def new_token() -> str:
    """Returns a fresh token of 256 bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Returns what is stored of a token: its SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(slots=True)
class Tokens:
    """The tokens that are good now, and the browsers' sessions, held in memory.

    Attributes:
        open: let everyone in as admin (``--no-auth``).
    """

    open: bool = False
    _by_hash: dict[str, TokenRecord] = field(default_factory=dict)
    _by_id: dict[str, TokenRecord] = field(default_factory=dict)
    _sessions: dict[str, SessionRecord] = field(default_factory=dict)

    def load(self, records: Iterable[TokenRecord]) -> None:
        """Replaces them all."""
        self._by_hash, self._by_id = {}, {}
        for record in records:
            self.add(record)

    def add(self, record: TokenRecord) -> None:
        """Makes one good."""
        self._by_hash[record.sha256] = self._by_id[record.id] = record

    def revoke(self, token_id: str) -> None:
        """Makes one bad, and ends its sessions; unknown ids change nothing."""
        record = self._by_id.pop(token_id, None)
        if record is not None:
            del self._by_hash[record.sha256]
        self._sessions = {k: r for k, r in self._sessions.items() if r.token_id != token_id}

    def keep_session(self, record: SessionRecord) -> None:
        """Lets a browser's session in, or what is new of it."""
        self._sessions[record.sha256] = record

    def end_session(self, session_id: str) -> None:
        """Ends one; unknown ids change nothing."""
        self._sessions = {k: r for k, r in self._sessions.items() if r.id != session_id}

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

    def session(self, cookie: str) -> SessionRecord | None:
        """Returns the session of what a browser's cookie holds, if it is good now."""
        record = self._sessions.get(hash_token(cookie))
        return record if record is not None and record.expires_at > time.time() else None

    def authenticate_session(self, cookie: str) -> Identity:
        """Returns who calls with this session: whose token it stands for.

        Raises:
            Unauthorized: it has ended.
        """
        if self.open:
            return ANYONE
        record = self.session(cookie)
        token = self._by_id.get(record.token_id) if record is not None else None
        if record is None or token is None:
            raise Unauthorized("you are not signed in any more")
        return replace(token.identity, session_id=record.id)


def cookie_name(host: str, *, secure: bool) -> str:
    """Returns what a session's cookie is called.

    Browsers send cookies to every port of a host, so each server of a machine has a name of its
    own; ``__Host-`` keeps other hosts of a domain and plain HTTP from setting it (RFC 6265bis).

    Args:
        host: the ``Host`` header.
        secure: whether the browser speaks TLS.
    """
    port = host.rpartition(":")[2]
    name = f"oc_session_{port}" if port.isdecimal() else "oc_session"
    return f"__Host-{name}" if secure else name


def session_cookie(cookies: Iterable[str], host: str, *, secure: bool | None = None) -> str | None:
    """Returns what the session's cookie holds, from ``Cookie`` headers.

    Args:
        cookies: the headers.
        host: the ``Host`` header.
        secure: whether the browser speaks TLS; None: it is not known, and either name will do.
    """
    wanted = {cookie_name(host, secure=one) for one in (True, False) if secure in (None, one)}
    for pair in ";".join(cookies).split(";"):
        name, _, value = pair.strip().partition("=")
        if name in wanted and value:
            return value
    return None


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
