"""``token`` and ``snap``, as a person who errs meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from objectclassification.cli import build_app
from tests.serving import Served


def test_what_was_revoked_is_said(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        made = served.call("POST", "/api/tokens", json={"role": "viewer"}).json()
        env = {
            "OBJECTCLASSIFICATION_SERVER": served.url,
            "OBJECTCLASSIFICATION_TOKEN": str(served.token),
        }
        result = CliRunner().invoke(build_app(), ["token", "revoke", made["id"]], env=env)
    assert result.exit_code == 0, result.exception
    assert result.stdout == "revoked; its connections are closed\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("snap", "door", "--all"), "not both"),
        (("snap",), "or give --all"),
        (("token", "add", "--camera", "bad name"), "begins with a letter or a digit"),
    ],
    ids=str,
)
def test_a_mistake_is_said_in_words(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(build_app(), words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
