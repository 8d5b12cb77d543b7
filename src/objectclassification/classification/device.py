"""Chooses where models run: by name, or the quickest of what there is, by a short measurement."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from objectclassification.classification.frames import Choice
from objectclassification.classification.model_file import devices, load
from objectclassification.errors import ConfigurationError, ModelError

AUTO: Final = "auto"
WARM_UP: Final = 2
"""Runs that do not count: a provider compiles at the first."""
RUNS: Final = 7
WORTH: Final = 1.2
"""How many times as quick as the processor a device must be: of near equals another one would win
at each start, and embeddings differ a little between devices."""


def choose(wanted: str, model: Path) -> Choice:
    """Chooses a device.

    Args:
        wanted: its name, or ``auto``.
        model: what runs there, and is measured with.

    Raises:
        ConfigurationError: there is no such device.
        ModelError: the model cannot be used on any.
    """
    there = devices()
    if wanted in there:
        return Choice(wanted)
    if wanted != AUTO:
        names = ", ".join(there)
        raise ConfigurationError(
            f"there is no device {wanted!r} here: this ONNX Runtime has {names}, see docs/models.md"
        )
    if len(there) == 1:
        return Choice(there[0])
    took_ms: dict[str, float] = {}
    failed: dict[str, str] = {}
    for device in there:
        try:
            took_ms[device] = _measured(model, device)
        except ModelError as exc:
            failed[device] = exc.detail
    if not took_ms:
        raise ModelError(next(iter(failed.values())))
    return Choice(quickest(took_ms), took_ms, failed)


def quickest(took_ms: Mapping[str, float]) -> str:
    """The device that takes least, or the processor where that is not worth it.

    Args:
        took_ms: of each device, milliseconds for one picture.
    """
    best = min(took_ms, key=took_ms.__getitem__)
    processor = took_ms.get("cpu", math.inf)
    return "cpu" if processor < took_ms[best] * WORTH else best


def _measured(model: Path, device: str) -> float:
    """Milliseconds for one picture, the median."""
    file = load(model, threads=1, device=device)
    fed: dict[str, Any] = {name: np.zeros((1, *shape), np.uint8) for name, shape in file.inputs}
    took: list[float] = []
    for _ in range(WARM_UP + RUNS):
        start = time.perf_counter()
        file.run(list(file.outputs), fed)
        took.append(time.perf_counter() - start)
    return round(median(took[WARM_UP:]) * 1000, 3)
