"""Fit, print, and write into ``docs/unsure.md``: ``python -m tools.calibrate``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Final

from benchmarks.page import replace_section

from objectclassification.classification.classifier import Classifier
from objectclassification.classification.scores import Share, cover, separation
from objectclassification.sureness import CALIBRATIONS, DEFAULT_PRECISION
from tools.calibrate.fit import (
    calibration,
    confidences,
    fit,
    held_out,
    held_out_coverage,
    is_right,
)
from tools.calibrate.photographs import Photograph, photographs

PAGE: Final = Path(__file__).parents[2] / "docs" / "unsure.md"
PRECISIONS: Final = (0.8, 0.85, 0.9, 0.95)
STEPS: Final = 5
"""Rows of the reliability table: with 15 most would have a handful of photographs."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = photographs(Path(folder))
    known = [one for one in found if one.right]
    unknown = [one for one in found if not one.right]
    page = "\n".join(report(known, unknown))
    print(page)
    replace_section("calibration", page, PAGE)


def report(known: Sequence[Photograph], unknown: Sequence[Photograph]) -> list[str]:
    """The tables, and what to put into the code."""
    right = [is_right(one) for one in known]
    temperature = fit(known)
    raw = list(zip(confidences(known, 1), right, strict=True))
    fitted = list(zip(confidences(known, round(temperature, 2)), right, strict=True))
    honest = list(zip(held_out(known), right, strict=True))
    best = cover(fitted, DEFAULT_PRECISION)
    if best is None:
        raise SystemExit(f"no threshold makes {DEFAULT_PRECISION:.0%} of the answers right")
    below = ceil(best.below * 100) / 100
    now = CALIBRATIONS.get(Classifier().model_sha256)
    return [
        f"Temperature {temperature:.2f}, unsure below {below:g}; the package has "
        f"{now and now.temperature:g} and {now and now.unsure_below:g}.",
        "",
        *_sources(known, unknown, temperature, below),
        "",
        *_numbers(
            (raw, confidences(unknown, 1)),
            (honest, confidences(unknown, round(temperature, 2))),
        ),
        "",
        *_reliability(honest),
        "",
        *_coverage(fitted, honest),
    ]


def _sources(
    known: Sequence[Photograph], unknown: Sequence[Photograph], temperature: float, below: float
) -> list[str]:
    lines = [
        "| photographs | how many | best label right | not unsure | of these right |",
        "|---|---|---|---|---|",
    ]
    names = list(dict.fromkeys(one.source for one in known))
    for name in (*names, None):
        some = [one for one in known if name in (None, one.source)]
        rights = [is_right(one) for one in some]
        sure = [sure >= below for sure in confidences(some, round(temperature, 2))]
        given = [one for one, is_sure in zip(rights, sure, strict=True) if is_sure]
        lines.append(
            f"| {name or '**all**'} | {len(some)} | {_share(sum(rights), len(rights))} "
            f"| {len(given)} | {_share(sum(given), len(given))} |"
        )
    passed = sum(one >= below for one in confidences(unknown, round(temperature, 2)))
    lines.append(f"| foods that no label fits | {len(unknown)} | - | {passed} | none |")
    return lines


def _numbers(*columns: tuple[Sequence[tuple[float, bool]], Sequence[float]]) -> list[str]:
    """A column for each: answers to the known photographs, and confidences of the unknown ones."""
    rows: list[list[str]] = [[], [], []]
    for answers, unknown in columns:
        good = [confidence for confidence, right in answers if right]
        bad = [confidence for confidence, right in answers if not right]
        rows[0].append(f"{calibration(answers).error():.3f}")
        rows[1].append(f"{separation(good, bad) or 0:.3f}")
        rows[2].append(f"{separation(good, unknown) or 0:.3f}")
    names = (
        "ECE, 15 bins",
        "AUROC, right against wrong",
        "AUROC, right against foods that no label fits",
    )
    return [
        "| | score as it is | confidence, held out |",
        "|---|---|---|",
        *(f"| {name} | {' | '.join(row)} |" for name, row in zip(names, rows, strict=True)),
    ]


def _reliability(answers: Sequence[tuple[float, bool]]) -> list[str]:
    lines = ["| confidence, held out | photographs | mean | right |", "|---|---|---|---|"]
    for step in range(STEPS):
        low, high = step / STEPS, (step + 1) / STEPS
        some = [one for one in answers if low < one[0] <= high]
        if some:
            mean = sum(confidence for confidence, _ in some) / len(some)
            share = _share(sum(right for _, right in some), len(some))
            lines.append(f"| {low:g} to {high:g} | {len(some)} | {mean:.2f} | {share} |")
    return lines


def _coverage(
    fitted: Sequence[tuple[float, bool]], honest: Sequence[tuple[float, bool]]
) -> list[str]:
    lines = [
        "| wanted | unsure below | answered | held out: answered | held out: right |",
        "|---|---|---|---|---|",
    ]
    for precision in PRECISIONS:
        found = cover(fitted, precision)
        answered, share = held_out_coverage(honest, precision)
        if found is not None:
            lines.append(
                f"| {precision:.0%} | {found.below:.2f} | {found.answered / len(fitted):.0%} "
                f"| {answered / len(honest):.0%} | {_share(share.right, share.of)} |"
            )
    return lines


def _share(right: int, of: int) -> str:
    found = Share.counted(right, of)
    return f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})"


if __name__ == "__main__":
    main()
