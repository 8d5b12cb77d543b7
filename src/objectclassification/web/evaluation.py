"""An evaluation as one HTML file, which needs nothing else to be read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

import msgspec

from objectclassification.classification.evaluation import BoxEvaluation, Evaluation, confused
from objectclassification.web.pages import templates

MOST_IN_A_MATRIX: Final = 20
"""Classes; more of them fit on no screen, and the pairs that were confused are listed instead."""
MOST_PAIRS: Final = 30


class Matrix(msgspec.Struct, frozen=True):
    """Confusion as a table: a row for each true label, and for each a number of each ``names``."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


def report(found: Evaluation | BoxEvaluation, thumbnails: Mapping[str, bytes]) -> str:
    """Writes the report.

    Args:
        found: the evaluation.
        thumbnails: JPEGs of the mistakes, by their file, as far as there are any.
    """
    confusion = found.confusion if isinstance(found, Evaluation) else {}
    return templates.get_template("evaluation.html").render(
        found=found,
        boxed=isinstance(found, BoxEvaluation),
        matrix=matrix(confusion),
        pairs=confused(confusion)[:MOST_PAIRS],
        pictures={file: b64encode(jpeg).decode() for file, jpeg in thumbnails.items()},
    )


def matrix(confusion: Mapping[str, Mapping[str, int]]) -> Matrix | None:
    """The confusion matrix, or None if it is too large to be read; what was named anything that no
    picture shows is under the last name, ``other``.
    """
    if len(confusion) > MOST_IN_A_MATRIX:
        return None
    names = tuple(confusion)
    rows = []
    for truth, named in confusion.items():
        numbers = [named.get(name, 0) for name in names]
        rows.append((truth, (*numbers, sum(named.values()) - sum(numbers))))
    return Matrix((*names, "other"), tuple(rows))
