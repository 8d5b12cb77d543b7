"""Tries a model in a child process: what it says of one picture must be what such a model says."""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec

from objectclassification.classification.classifier import Classifier
from objectclassification.classification.detector import Detector
from objectclassification.classification.images import opened_as_rgb
from objectclassification.classification.model_file import load
from objectclassification.classification.outcome import Tried
from objectclassification.detection import Task
from objectclassification.errors import ModelError


class _Facts(msgspec.Struct, frozen=True):
    task: Task = "classification"


def tried(model: Path, picture: Path, device: str) -> Tried:
    """Loads a model and has it look at a picture.

    Args:
        model: its file.
        picture: a picture's file.
        device: where it runs.

    Raises:
        ModelError: it cannot be loaded, or failed, or said what no such model says.
    """
    file = load(model, threads=1, device=device)
    task = file.facts(_Facts).task
    kind = Detector(file) if task == "detection" else Classifier(file)
    image = opened_as_rgb(picture, min_short=1)
    start = time.perf_counter()
    try:
        if isinstance(kind, Detector):
            kind.check(image)
        elif not all(math.isfinite(found.score) for found in kind.classify(image).predictions):
            raise ModelError("its scores are not numbers")
    except (ModelError, MemoryError):
        raise
    except Exception as exc:  # the runtime's errors share no base class
        why = " ".join(str(exc).split())[:200]
        raise ModelError(f"it failed: {why}") from exc
    return Tried(kind.model_id, task, round((time.perf_counter() - start) * 1000, 3))
