"""The tokens file of a hub alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from objectclassification.auth import Tokens, hash_token
from objectclassification.errors import ConfigurationError
from objectclassification.hub.token_file import admin_token_path, make_admin, read_tokens


def test_the_first_start_makes_one_admin(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "tokens.toml"
    token = make_admin(file)
    good = Tokens()
    good.load(read_tokens(file))
    assert good.authenticate(token).role == "admin"
    assert token not in file.read_text()
    assert admin_token_path(file).read_text().strip() == token
    for kept in (file, admin_token_path(file)):
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_operator_adds_tokens_by_their_hash(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(
        '[[token]]\nid = "door"\nrole = "camera"\ncameras = ["door"]\n'
        f'sha256 = "{hash_token("secret")}"\n'
    )
    good = Tokens()
    good.load(read_tokens(file))
    identity = good.authenticate("secret")
    assert identity.may_serve("door")
    assert not identity.may_serve("yard")


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        '[[token]]\nid = "a"\nrole = "king"\nsha256 = "' + "0" * 64 + '"\n',
        '[[token]]\nid = "a"\nrole = "admin"\nsha256 = "short"\n',
        '[[token]]\nid = "a"\nrole = "admin"\ntoken = "in clear"\n',
        'token = "text"\n',
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"tokens\.toml"):
        read_tokens(file)


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot keep the tokens"):
        make_admin(tmp_path / "file" / "tokens.toml")
