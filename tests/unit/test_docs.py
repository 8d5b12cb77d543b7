"""The documents say what the code does: every setting, call and command is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from objectclassification.api import (
    cameras,
    deletions,
    heads,
    health,
    history,
    joins,
    models,
    pictures,
    rules,
    schedules,
    sessions,
    similar,
    snaps,
    snippets,
    tokens,
    unsure,
)
from objectclassification.cli import build_app
from objectclassification.config import ServerSettings

ROOT = Path(__file__).parents[2]
HTTP_API = (ROOT / "docs" / "http-api.md").read_text()
ROUTES = [
    (method, route.path)
    for room in (
        *(snippets, snaps, schedules, history, pictures, similar, deletions, cameras),
        *(heads, models, rules, unsure, tokens, joins, sessions, health),
    )
    for route in room.router.routes
    for method in route.methods
]


@pytest.mark.parametrize("name", ServerSettings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "settings.md").read_text()


def test_no_setting_is_documented_that_is_not_there() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.M)
    assert set(documented) == set(ServerSettings.model_fields)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_call_is_documented(method: str, path: str) -> None:
    assert f"| `{method} {path}` |" in HTTP_API


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    command = typer.main.get_command(build_app())
    names = set(command.commands)  # type: ignore[attr-defined]  # it is a click.Group
    assert names
    assert {name for name in names if not re.search(rf"^\| `{name}\b", readme, re.M)} == set()


@pytest.mark.parametrize("document", [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
