"""Every --help, as it is read on a terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from objectclassification.cli import build_app


def _helps(command: Any, path: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    context = command.context_class(command, info_name=path, parent=parent, terminal_width=80)
    yield path, command.get_help(context)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, name, context)


HELPS = list(_helps(typer.main.get_command(build_app()), "objectclassification"))


@pytest.mark.parametrize(("name", "text"), HELPS, ids=[name for name, _ in HELPS])
def test_a_help_reads_well(name: str, text: str) -> None:
    assert "[default: (" not in text
    assert not re.search(r"list\[|<str>|<path>|<int", text.split("\nOptions:")[-1])
    assert not re.search(r"\{[^}]*[a-z_.]", text.split("\n")[0]), "an argument's raw name"
    assert not re.search(r"\w\.\.\.$", text, re.MULTILINE), "a line of the list is cut off"


def test_install_comes_before_uninstall() -> None:
    text = dict(HELPS)["service"]
    assert 0 < text.index("\n  install ") < text.index("\n  uninstall ")
