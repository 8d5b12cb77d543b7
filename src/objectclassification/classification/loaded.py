"""The models of one child process: each is loaded when a picture first needs it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Final

from objectclassification.classification.classifier import Classifier

MOST: Final = 3
"""Models of cameras that a child keeps loaded beside its own; some 60 MB each of the usual size."""


class Loaded:
    """A child's own model, and those that cameras use instead of it.

    Args:
        own: a model file, or None for the shipped one.

    Attributes:
        own: the model of every picture that names no other.

    Raises:
        ModelError: it cannot be used.
    """

    def __init__(self, own: Path | None) -> None:
        self.own = Classifier(own)
        self._others: OrderedDict[str, Classifier] = OrderedDict()

    def get(self, model: str | None) -> Classifier:
        """The model in a file, which is loaded now if it is not yet.

        Raises:
            ModelError: it cannot be used.
        """
        if model is None:
            return self.own
        if model not in self._others:
            self._others[model] = Classifier(Path(model))
            if len(self._others) > MOST:
                self._others.popitem(last=False)
        self._others.move_to_end(model)
        return self._others[model]
