"""``docs/benchmarks.md``: each measurement has a section of its own there, between two marks."""

from __future__ import annotations

from benchmarks.environments import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def replace_section(name: str, text: str) -> None:
    """Puts a text between ``<!-- NAME: begin -->`` and its end; the rest of the page stays."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, begins, rest = PAGE.read_text().partition(begin)
    _, ends, tail = rest.partition(end)
    if not (begins and ends):
        raise SystemExit(f"{PAGE} has lost its markers {begin} and {end}")
    PAGE.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
