"""Other people's models: any ImageNet-like ONNX file becomes one that the classifier can read.

What the classifier reads has one form (:mod:`..classifier`): pixels go in as a picture has them,
and logits come out. Whatever a network wants of its pixels is written into the graph itself, in
front of it, once; so that nothing that runs later knows how many ways there are.

:mod:`.card` is what a caller must know of a file, :mod:`.source` what the file itself says, safely
read, and :mod:`.rewrite` the translation.
"""

from pathlib import Path

from objectclassification.classification.adoption.card import PREPROCESSING, Card, read_card

__all__ = ["PREPROCESSING", "Card", "adopt", "read_card"]


def adopt(file: Path, told: Card) -> bytes:
    """Makes a model that the classifier reads; see :func:`.rewrite.adopt`."""
    # Imported late: a card is read where nothing that reads models is installed.
    from objectclassification.classification.adoption import rewrite

    return rewrite.adopt(file, told)
