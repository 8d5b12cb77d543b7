"""The models of one child process: each is loaded when a picture first needs it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

from objectclassification.classification.classifier import Classifier
from objectclassification.classification.detector import Detector

MOST: Final = 3
"""Models of cameras that a child keeps loaded of each kind; some 60 MB each of the usual size."""

Kind = TypeVar("Kind")


class Loaded:
    """A child's own classifier, and the models that cameras use instead of it or beside it.

    A detector takes 60 ms once, and a child that is never asked for boxes has not its 70 MB.

    Args:
        own: a classifier's file, or None for the shipped one.
        device: where all of them run.

    Attributes:
        own: the classifier of every picture that names no other.

    Raises:
        ModelError: it cannot be used.
    """

    def __init__(self, own: Path | None, device: str) -> None:
        self.own = Classifier(own, device=device)
        self._classifiers = _Recent(partial(Classifier, device=device))
        self._detectors = _Recent(partial(Detector, device=device))

    def classifier(self, model: str | None) -> Classifier:
        """The classifier in a file, or the own one.

        Raises:
            ModelError: it cannot be used.
        """
        return self.own if model is None else self._classifiers.get(model)

    def detector(self, model: str | None) -> Detector:
        """The detector in a file, or the shipped one.

        Raises:
            ModelError: it cannot be used.
        """
        return self._detectors.get(model)


class _Recent(Generic[Kind]):
    """The models of one kind that were used last."""

    def __init__(self, load: Callable[[Path | None], Kind]) -> None:
        self._load = load
        self._models: OrderedDict[str | None, Kind] = OrderedDict()

    def get(self, model: str | None) -> Kind:
        if model not in self._models:
            self._models[model] = self._load(None if model is None else Path(model))
            if len(self._models) > MOST:
                self._models.popitem(last=False)
        self._models.move_to_end(model)
        return self._models[model]
