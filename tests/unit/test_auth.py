"""Tokens and roles."""

from __future__ import annotations

import hashlib

import pytest

from objectclassification.auth import (
    ANYONE,
    RIGHTS,
    ROLES,
    Right,
    TokenRecord,
    TokenRole,
    Tokens,
    hash_token,
    new_token,
    parse_role,
)
from objectclassification.errors import ConfigurationError, Forbidden, Unauthorized


def record(token: str, role: TokenRole = "viewer", *cameras: str) -> TokenRecord:
    return TokenRecord(id=f"id-of-{role}", sha256=hash_token(token), role=role, cameras=cameras)


def test_a_token_is_256_random_bits() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(token) == len("oc_") + 43 for token in made)  # 32 bytes in base64


def test_what_is_kept_of_a_token_is_its_sha256() -> None:
    assert hash_token("oc_secret") == hashlib.sha256(b"oc_secret").hexdigest()
    assert "oc_secret" not in repr(record("oc_secret"))


def test_a_good_token_says_who_calls() -> None:
    tokens = Tokens()
    tokens.add(record("t", "camera", "door"))
    identity = tokens.authenticate("t")
    assert (identity.token_id, identity.role) == ("id-of-camera", "camera")
    assert identity.cameras == {"door"}


@pytest.mark.parametrize("token", [None, "", "u", "T", "t ", " t", "t\x00", "tökén"])
def test_any_other_is_nobody(token: str | None) -> None:
    tokens = Tokens()
    tokens.add(record("t"))
    with pytest.raises(Unauthorized) as caught:
        tokens.authenticate(token)
    assert token is None or token == "" or token not in caught.value.detail.split()


def test_a_revoked_token_is_nobody() -> None:
    tokens = Tokens()
    tokens.load([record("t"), record("a", "admin")])
    tokens.revoke("id-of-viewer")
    tokens.revoke("never-there")
    with pytest.raises(Unauthorized):
        tokens.authenticate("t")
    assert tokens.authenticate("a").role == "admin"


def test_loading_replaces_all() -> None:
    tokens = Tokens()
    tokens.add(record("old"))
    tokens.load([record("new")])
    with pytest.raises(Unauthorized):
        tokens.authenticate("old")
    assert tokens.authenticate("new").role == "viewer"


def test_without_tokens_anyone_is_admin() -> None:
    assert Tokens(open=True).authenticate(None) is ANYONE
    assert ANYONE.may("admin")


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("camera", set()),
        ("viewer", {"read"}),
        ("operator", {"read", "snap", "label"}),
        ("admin", {"read", "snap", "label", "admin"}),
    ],
)
def test_each_role_has_the_rights_of_the_design(role: TokenRole, rights: set[Right]) -> None:
    identity = record("t", role, *(["door"] if role == "camera" else [])).identity
    every: tuple[Right, ...] = ("read", "snap", "label", "admin")
    assert {right for right in every if identity.may(right)} == rights == RIGHTS[role]
    for right in every:
        if right in rights:
            identity.require(right)
        else:
            with pytest.raises(Forbidden, match=rf"^an? {role} token may not do this"):
                identity.require(right)


def test_a_refusal_is_a_sentence() -> None:
    with pytest.raises(Forbidden, match=r"^an operator token may not do this; it takes admin$"):
        record("t", "operator").identity.require("admin")


@pytest.mark.parametrize("role", ROLES)
def test_who_may_serve_a_camera(role: TokenRole) -> None:
    identity = record("t", role, *(["door"] if role == "camera" else [])).identity
    assert identity.may_serve("door") == (role in ("camera", "admin"))
    assert identity.may_serve("yard") == (role == "admin")


def test_a_role_is_read_by_name() -> None:
    assert [parse_role(role) for role in ROLES] == list(ROLES)
    with pytest.raises(ConfigurationError, match="camera, viewer, operator, admin"):
        parse_role("root")
