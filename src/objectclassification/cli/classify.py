"""``objectclassification classify``: name the objects in picture files, without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from objectclassification.cli.options import Device
from objectclassification.cli.running import chosen
from objectclassification.cli.tables import Rows, corners, new_console
from objectclassification.errors import EXIT_FAILED, ImageError

if TYPE_CHECKING:
    from objectclassification.classification.predictions import Classification, Detection

    Found = tuple[Classification, Detection | None]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(classify)


def classify(
    files: list[Path] = typer.Argument(..., metavar="FILE", help="PNG, JPEG or WebP files."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    top: int = typer.Option(
        5, "--top", metavar="N", min=1, max=1000, help="Labels for each picture."
    ),
    detect: bool = typer.Option(
        False, "--detect", help="Also find where things are: boxes with labels."
    ),
    device: Device = None,
) -> None:
    """Say what is on pictures."""
    # Imported late: every other command starts without the classifier's libraries.
    from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier
    from objectclassification.classification.detector import Detector

    where = chosen(device, SHIPPED_MODEL)
    classifier = Classifier(device=where)
    detector = Detector(device=where) if detect else None
    found: dict[Path, Found] = {}
    failed = False
    for file in files:
        try:
            found[file] = (
                classifier.classify(file, top=top),
                detector.detect(file) if detector else None,
            )
        except ImageError as exc:
            failed = True
            print(f"error: {file}: {exc.detail}", file=sys.stderr)
        except OSError as exc:
            failed = True
            print(f"error: {file}: {exc.strerror}", file=sys.stderr)
    if as_json:
        print(json.dumps([_as_json(*item) for item in found.items()], indent=2))
    elif found:
        _print_table(found, boxes=detect)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _as_json(file: Path, found: Found) -> dict[str, Any]:
    labelled, detected = found
    result: dict[str, Any] = {
        "file": str(file),
        "predictions": [
            {"label": p.label, "score": round(p.score, 6)} for p in labelled.predictions
        ],
        "confidence": labelled.confidence,
        "unsure": _unsure(labelled),
        "model": labelled.model_id,
        "elapsed_ms": _elapsed_ms(found),
    }
    if detected is not None:
        result["boxes"] = [
            {
                "label": p.label,
                "score": round(p.score, 6),
                "box": [round(edge, 4) for edge in p.box or ()],
            }
            for p in detected.predictions
        ]
        result["detector"] = detected.model_id
    return result


def _unsure(found: Classification) -> bool | None:
    """Whether it is, as the model comes; a server may have another threshold."""
    from objectclassification.sureness import CALIBRATIONS

    calibration = CALIBRATIONS.get(found.model_sha256)
    return None if calibration is None else found.confidence < calibration.unsure_below


def _elapsed_ms(found: Found) -> float:
    return round(sum(sum(each.elapsed_ms.values()) for each in found if each is not None), 3)


def _print_table(found: dict[Path, Found], *, boxes: bool) -> None:
    names = ("file", "label", "score", *(("box",) if boxes else ()), "ms")
    rows: list[tuple[str, ...]] = []
    for file, result in found.items():
        cells = [str(file), f"{_elapsed_ms(result):.0f}"]
        unsure = _unsure(result[0])
        for prediction in (p for each in result if each is not None for p in each.predictions):
            label = f"unsure: {prediction.label}" if unsure else prediction.label
            unsure = False  # the best label only
            words = [cells[0], label, f"{100 * prediction.score:.0f} %"]
            if boxes:
                words.append(corners(prediction.box) if prediction.box is not None else "")
            rows.append((*words, cells[1]))
            cells = ["", ""]
    new_console().print(Rows(names, rows, right=names[2:]))
