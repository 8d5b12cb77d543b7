"""Writes what a network wants of its pixels into its own graph, and its card into its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from onnx import helper

from objectclassification.classification.adoption import classifiers, detectors
from objectclassification.classification.adoption import source as sources
from objectclassification.classification.adoption.card import (
    PREPROCESSING,
    Card,
    Preprocessing,
)
from objectclassification.classification.adoption.source import Source
from objectclassification.classification.model_file import METADATA_KEY
from objectclassification.detection import Task
from objectclassification.errors import ModelError

_ADOPT: Final = {"classification": classifiers.adopt, "detection": detectors.adopt}


def adopt(file: Path, told: Card) -> bytes:
    """Makes a model that our :class:`Classifier` or :class:`Detector` reads.

    Args:
        file: any ONNX classifier, or a detector of a style that is known (:mod:`.styles`).
        told: what the caller knows; the file's own metadata say the rest.

    Returns:
        An ONNX file: uint8 RGB ``[N, height, width, 3]`` as ``image``. Of a classifier ``logits``
        ``[N, classes]``, and ``embedding`` ``[N, size]`` where there is one; of a detector
        ``boxes`` ``[N, anchors, 4]`` and ``scores`` ``[N, anchors, classes]``.

    Raises:
        ModelError: it cannot be used, or something must be said first.
        MissingExtra: the extra ``models`` is not installed.
    """
    source = sources.read(file)
    card = told.over(source.said)
    normalisation = card.normalisation()
    size = source.size or (None if card.side is None else (card.side, card.side))
    task = _task(source, card)
    _ask_for_what_is_missing(source, card, normalisation, size)
    assert size  # noqa: S101 - it was asked for
    if card.side and (card.side, card.side) != size:
        raise ModelError(f"{file} takes pictures of {size[0]} x {size[1]}, not {card.side}")
    model, facts = _ADOPT[task](source, card, normalisation or Preprocessing(), size)
    facts = {
        "id": card.id or file.stem,
        "task": task,
        "license": card.license,
        "source": file.name,
        "labels": card.labels,
        **facts,
    }
    helper.set_model_props(model, {METADATA_KEY: json.dumps(facts, ensure_ascii=False)})
    sources.check(file, model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _task(source: Source, card: Card) -> Task:
    if card.task is not None:
        return card.task
    return "classification" if classifiers.answers_as_one(source.outputs) else "detection"


def _ask_for_what_is_missing(
    source: Source,
    card: Card,
    normalisation: Preprocessing | None,
    size: tuple[int, int] | None,
) -> None:
    missing = []
    if card.labels is None:
        missing.append("its labels (--labels FILE, one a line, in the order of its output)")
    if normalisation is None:
        names = ", ".join(PREPROCESSING)
        missing.append(f"how it wants its pixels (--preprocess {names})")
    if size is None:
        missing.append("the pixels of its side (--side 224)")
    if missing:
        card_file = source.file.with_suffix(".toml").name
        raise ModelError(
            f"{source.file} does not say {'; nor '.join(missing)}. A file {card_file} beside it "
            "can say it"
        )
