"""What is measured has a section of its own in the documents, between two marks."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environments import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def replace_section(name: str, text: str, page: Path = PAGE) -> None:
    """Puts a text between ``<!-- NAME: begin -->`` and its end; the rest of the page stays."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, begins, rest = page.read_text().partition(begin)
    _, ends, tail = rest.partition(end)
    if not (begins and ends):
        raise SystemExit(f"{page} has lost its markers {begin} and {end}")
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
