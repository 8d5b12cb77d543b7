"""``objectclassification classify``: name the objects in picture files, without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from objectclassification.errors import EXIT_FAILED, ImageError

if TYPE_CHECKING:
    from objectclassification.classification.predictions import Classification


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(classify)


def classify(
    files: list[Path] = typer.Argument(..., metavar="FILE...", help="PNG, JPEG or WebP files."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    top: int = typer.Option(
        5, "--top", metavar="N", min=1, max=1000, help="Labels for each picture."
    ),
) -> None:
    """Say what is on pictures."""
    # Imported late: every other command starts without the classifier's libraries.
    from objectclassification.classification.classifier import Classifier

    classifier = Classifier()
    found: dict[Path, Classification] = {}
    failed = False
    for file in files:
        try:
            found[file] = classifier.classify(file, top=top)
        except ImageError as exc:
            failed = True
            print(f"error: {file}: {exc.detail}", file=sys.stderr)
        except OSError as exc:
            failed = True
            print(f"error: {file}: {exc.strerror}", file=sys.stderr)
    if as_json:
        print(json.dumps([_as_json(*item) for item in found.items()], indent=2))
    elif found:
        _print_table(found)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _as_json(file: Path, result: Classification) -> dict[str, Any]:
    return {
        "file": str(file),
        "predictions": [{"label": p.label, "score": round(p.score, 6)} for p in result.predictions],
        "model": result.model_id,
        "elapsed_ms": round(sum(result.elapsed_ms.values()), 3),
    }


def _print_table(found: dict[Path, Classification]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("file", "label", "score", "ms", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for file, result in found.items():
        cells = [str(file), f"{sum(result.elapsed_ms.values()):.0f}"]
        for prediction in result.predictions:
            table.add_row(cells[0], prediction.label, f"{prediction.score:.0%}", cells[1])
            cells = ["", ""]
    Console().print(table)
