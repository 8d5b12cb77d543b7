"""Pictures with what is on them: a folder for each class, or a CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from objectclassification.classification.boxes import Box
from objectclassification.errors import ConfigurationError

MOST_SAMPLES: Final = 1_000_000
"""Pictures, or rows: some 300 MB of names."""
MOST_NAMED: Final = 5
"""Wrong names that an error lists."""
LABELLED: Final = ("file", "label")
BOXED: Final = (*LABELLED, "left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture with what is on it.

    Attributes:
        name: of the file, below the folder: what reports call it.
        path: of the file.
        label: what is on it; of a picture with boxes, empty.
        boxes: label and box of every object, as fractions of the upright picture.
    """

    name: str
    path: Path
    label: str = ""
    boxes: tuple[tuple[str, Box], ...] = ()


@dataclass(frozen=True, slots=True)
class Samples:
    """All of them.

    Attributes:
        samples: in the order of their names, or of the CSV.
        boxed: whether they have boxes.
    """

    samples: Sequence[Sample]
    boxed: bool


def has_boxes(source: Path) -> bool:
    """Whether it is a CSV whose first line promises boxes; what cannot be read does not."""
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            return _header(csv.reader(file)) == BOXED
    except (OSError, csv.Error, UnicodeError):
        return False  # :func:`read_samples` says why


def read_samples(source: Path, labels: Sequence[str]) -> Samples:
    """Reads what is to be evaluated.

    Args:
        source: a folder with a folder for each class, or a CSV whose columns are :data:`LABELLED`
            or :data:`BOXED`. Files of a CSV are below its own folder; its boxes are fractions of
            the upright picture's width and height, and a picture on which nothing is has a row with
            nothing after its file.
        labels: of the model. The names of classes are among them, in capitals or not, ``_`` for
            spaces or not.

    Raises:
        ConfigurationError: it cannot be read, has no pictures, or has names that the model has not.
    """
    names = _Names(labels)
    try:
        if source.is_dir():
            found = Samples(list(_of_folder(source, names)), boxed=False)
        else:
            with source.open(newline="", encoding="utf-8-sig") as file:
                found = _of_csv(source, csv.reader(file, strict=True), names)
    except OSError as exc:
        raise ConfigurationError(f"{source} cannot be read: {exc.strerror}") from exc
    except (csv.Error, UnicodeError) as exc:
        raise ConfigurationError(f"{source} is not a CSV in UTF-8: {exc}") from exc
    names.check(source)
    if not found.samples:
        wanted = "it has a folder for each class, and the pictures in them"
        raise ConfigurationError(f"there are no pictures in {source}: {wanted}")
    return found


class _Names:
    """The model's labels as people write them, and what was written that is none of them."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._exact = set(labels)
        self._loose = {_loosely(label): label for label in labels}
        self._unknown: dict[str, None] = {}  # in the order they came

    def label(self, name: str) -> str:
        """What the model calls it; what it has no name for is noted, and comes back as it is."""
        if name in self._exact:
            return name
        label = self._loose.get(_loosely(name))
        if label is None and len(self._unknown) <= MOST_NAMED:
            self._unknown[name] = None
        return label or name

    def check(self, source: Path) -> None:
        """ConfigurationError if there were names that are no labels."""
        if not self._unknown:
            return
        some = list(self._unknown)[:MOST_NAMED]
        said = "; ".join(self._hint(name) for name in some)
        more = " and more" if len(self._unknown) > len(some) else ""
        raise ConfigurationError(f"{source} names what the model has no label for: {said}{more}")

    def _hint(self, name: str) -> str:
        close = get_close_matches(_loosely(name), self._loose, n=3)
        hint = f" (close: {', '.join(self._loose[one] for one in close)})" if close else ""
        return f"{name[:64]!r}{hint}"


def _loosely(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _of_folder(folder: Path, names: _Names) -> Iterator[Sample]:
    number = 0
    for class_ in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()):
        if class_.startswith("."):
            continue
        label = names.label(class_)
        for name in _files(folder, class_):
            number += 1
            _check_number(number, folder)
            yield Sample(name, folder / name, label)


def _files(folder: Path, class_: str) -> Iterator[str]:
    """Every file below a class's folder that is not hidden, by name."""
    for path, folders, files in os.walk(folder / class_):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(path, name), folder)


def _of_csv(source: Path, rows: Iterable[list[str]], names: _Names) -> Samples:
    lines = iter(rows)
    header = _header(lines)
    if header not in (LABELLED, BOXED):
        wanted = f"{','.join(LABELLED)} or {','.join(BOXED)}"
        raise ConfigurationError(f"the first line of {source} is not {wanted}")
    inside = source.parent.resolve()
    labelled: list[Sample] = []
    boxed: dict[str, list[tuple[str, Box]]] = {}
    for number, row in enumerate(lines, 2):
        if not row:
            continue
        _check_number(number, source)
        where = f"line {number} of {source}"
        if len(row) != len(header) or not row[0]:
            raise ConfigurationError(f"{where} does not have the {len(header)} values of the first")
        path = _inside(inside, row[0], where)
        if header == LABELLED:
            labelled.append(Sample(row[0], path, names.label(row[1])))
            continue
        boxes = boxed.setdefault(row[0], [])
        if any(row[1:]):
            boxes.append((names.label(row[1]), _box(row[2:], where)))
    if header == LABELLED:
        return Samples(labelled, boxed=False)
    return Samples(
        [Sample(name, inside / name, boxes=tuple(found)) for name, found in boxed.items()],
        boxed=True,
    )


def _header(lines: Iterator[list[str]]) -> tuple[str, ...]:
    return tuple(name.strip().casefold() for name in next(lines, []))


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file of a row; whoever wrote the CSV may not have us read what is elsewhere."""
    path = folder / name
    try:
        good = "\0" not in name and path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a loop of links
        good = False
    if not good:
        raise ConfigurationError(f"{where}: {name[:64]!r} is not below the CSV's own folder")
    return path


def _box(values: Sequence[str], where: str) -> Box:
    try:
        left, top, right, bottom = (float(value) for value in values)
    except ValueError:
        left = top = right = bottom = -1.0
    # So written that NaN is refused, too.
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ConfigurationError(
            f"{where}: {','.join(values)[:64]!r} is no box: left, top, right and bottom are "
            "fractions of the picture's width and height, 0 to 1"
        )
    return left, top, right, bottom


def _check_number(number: int, source: Path) -> None:
    if number > MOST_SAMPLES:
        raise ConfigurationError(f"{source} has more than {MOST_SAMPLES} pictures")
