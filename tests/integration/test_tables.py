"""What the command line shows a person, at every width of a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from objectclassification.cli import build_app
from objectclassification.cli.tables import Rows
from tests.serving import Served

LONG = "a-camera-of-a-long-name-in-the-hall"
PIPE = 0
WIDTHS = (60, 80, 120, PIPE)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data")) as served:
        yield served


def _run(served: Served, width: int, *words: str) -> list[str]:
    """The lines of a command, on a terminal of that width."""
    env = {"OBJECTCLASSIFICATION_SERVER": served.url, "OBJECTCLASSIFICATION_TOKEN": served.token}
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(width)}
    result = CliRunner().invoke(build_app(), words, env=env | (terminal if width else {}))
    assert result.exit_code in (0, 1), result.exception
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.stdout)
    lines = [line.rstrip() for line in plain.splitlines()]
    assert not width or all(cell_len(line) <= width for line in lines)
    assert "…" not in plain
    return lines


@pytest.mark.parametrize("width", WIDTHS)
def test_a_list_of_tokens_is_whole(served: Served, width: int) -> None:
    served.new_token("camera", LONG)
    served.new_token("operator")
    listed = served.call("GET", "/api/tokens").json()
    lines = _run(served, width, "token", "list")
    for token in listed:
        for told in (token["id"], token["role"], token["created_at"][:10]):
            assert any(told in line for line in lines), told
    if width >= 80 or width == PIPE:
        about = {line.split()[0]: line for line in lines if line}
        for token in listed:
            assert {token["role"], token["created_at"][:10]} <= set(about[token["id"]].split())
    if width == PIPE:
        assert any(LONG in line for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_failures_code_and_reason_are_whole(served: Served, width: int) -> None:
    served.new_token("camera", "door")
    with served.camera("door"):
        lines = _run(served, width, "snap", "door", "--deadline", "0.3")
    failed = served.call("GET", "/api/snaps").json()["snaps"][0]["shots"][0]["error"]
    assert any(f"{failed['code']}:" in line for line in lines), lines
    assert set(failed["detail"].split()) <= set(" ".join(lines).split())


CELLS = st.text(st.sampled_from("ab [/]é世 \n"), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4), st.integers(12, 100))
def test_nothing_is_lost_at_any_width(rows: list[tuple[str, str, str]], width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(Rows(("one", "two", "three"), rows, right=("two",)))
    shown = out.getvalue()
    assert all(cell_len(line) <= width for line in shown.splitlines())
    for letter in "[/]é世":
        assert shown.count(letter) == sum(cell.count(letter) for row in rows for cell in row)


def test_a_long_id_is_whole_and_a_long_name_is_broken() -> None:
    out = io.StringIO()
    rows = [("i" * 36, "n" * 36), ("j", Text("short", "red"))]
    Console(file=out, width=56).print(Rows(("id", "name"), rows, whole=("id",)))
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["id", "name"],
        ["i" * 36, "n" * 18],
        ["n" * 18],
        ["j", "short"],
    ]
