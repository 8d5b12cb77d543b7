"""A head: a linear classifier on embeddings, taught with a handful of pictures. Pure numpy, no I/O.

Ridge regression on one column of 0 and 1 for each class, in its dual form (Saunders, Gammerman and
Vovk 1998), with an intercept that is not shrunk, as a least-squares support vector machine has it
(Suykens and Vandewalle 1999). Each class weighs the same, however many pictures it has. One
eigendecomposition of the Gram matrix serves every ridge that is tried, and what each picture would
have been called by a head that never saw it comes in closed form (Cawley and Talbot 2004): nothing
is fitted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Indices = NDArray[np.intp]

TWINS: Final = 0.9995
"""Cosine from which two pictures are copies of one."""
SCENE: Final = 0.98
"""Cosine from which two pictures look like the same scene again: frames of a camera that stands
still, but for noise and a little light, have 0.98 to 0.997. A small thing that is turned may change
no more, so that this is only a reason to warn."""
_RIDGES: Final = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Tried, in units of the embeddings' own spread: smaller ones change nothing any more."""
_SHARPNESSES: Final = np.geomspace(1.0, 40.0, 24)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What was learnt.

    Attributes:
        weights: float32 ``[d + 1, k]``; the last row is the intercept.
        sharpness: what the outputs are multiplied by before their softmax.
    """

    weights: Vectors
    sharpness: float

    def scores(self, vectors: Vectors) -> Floats:
        """Scores of each class.

        Args:
            vectors: ``[n, d]``, as :func:`normalised` returns them.

        Returns:
            ``[n, k]``, 0 to 1, each row with the sum 1.
        """
        outputs = vectors @ self.weights[:-1] + self.weights[-1]
        return softmax(outputs.astype(np.float64), self.sharpness)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A head, and what it would have said of its own pictures without having seen them.

    Attributes:
        head: fitted to all pictures.
        held_out: ``[n, k]``, each picture's scores by a head fitted without it and its twins.
        twins: ``[n]``, the number of each picture's group of twins; these have one class.
        scenes: ``[n]``, the same for pictures of one class that look like the same scene.
        contradictions: pairs of twins with different classes.
        ridge: the one that was chosen.
    """

    head: Head
    held_out: Floats
    twins: Indices
    scenes: Indices
    contradictions: Indices
    ridge: float


def normalised(vectors: NDArray[np.floating]) -> Vectors:
    """Embeddings as heads read them: the square root of each activation, then the length 1.

    Activations are rarely and strongly above zero; with the root a few of them no longer decide
    alone (Tukey's ladder of powers, for few shots: Yang, Liu and Xu 2021). How strong they are
    together, the length, says little of what is on a picture.

    Args:
        vectors: ``[n, d]``.

    Returns:
        float32 ``[n, d]``; one of zeros stays.
    """
    raw = np.asarray(vectors, np.float32)
    found = np.sign(raw) * np.sqrt(np.abs(raw))
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1), np.float32)


def vectors(stored: Sequence[bytes]) -> Vectors:
    """Stored embeddings, float16 and little endian, as ``[n, d]``.

    Raises:
        ValueError: they differ in length.
    """
    found = np.frombuffer(b"".join(stored), "<f2").reshape(len(stored), -1)
    return found.astype(np.float32)


def softmax(outputs: Floats, sharpness: float) -> Floats:
    """Outputs as scores: ``[n, k]``, each row with the sum 1."""
    sharp = outputs * sharpness
    powers = np.exp(sharp - sharp.max(axis=1, keepdims=True))
    scores: Floats = powers / powers.sum(axis=1, keepdims=True)
    return scores


def margins(scores: Floats) -> Floats:
    """The best score less the second: ``[n]``."""
    two = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0], np.float64)


def fit(vectors: Vectors, classes: Indices, count: int) -> Fitted:
    """Fits a head.

    Args:
        vectors: ``[n, d]``, as :func:`normalised` returns them; at most
                :data:`~objectclassification.heads.MOST_PICTURES`.
        classes: ``[n]``, which class each is of: 0 to ``count`` - 1, each at least once.
        count: how many classes there are, at least 2.
    """
    gram = (vectors @ vectors.T).astype(np.float64)
    twins = groups(gram, classes, TWINS)
    targets = np.eye(count)[classes]
    kernel = _Kernel(gram, class_weights(classes, count))
    ridges = [kernel.spread * ridge for ridge in _RIDGES]
    tried = [kernel.held_out(targets, ridge, twins) for ridge in ridges]
    # The largest of those that do equally well.
    errors = [round(kernel.error(targets, outputs), 9) for outputs in tried]
    best = max(range(len(ridges)), key=lambda number: (-errors[number], number))
    sharpness = _sharpness(tried[best], classes, count)
    dual, intercept = kernel.solve(targets, ridges[best])
    # In double precision: of pictures that are nearly one, large coefficients cancel.
    weights = np.vstack([vectors.T.astype(np.float64) @ dual, intercept])
    return Fitted(
        Head(np.asarray(weights, np.float32), sharpness),
        softmax(tried[best], sharpness),
        twins,
        groups(gram, classes, SCENE),
        np.argwhere(np.triu((gram >= TWINS) & (classes[:, None] != classes[None, :]))),
        ridges[best],
    )


def class_weights(classes: Indices, count: int) -> Floats:
    """What each picture weighs: all classes together the same, 1 on average."""
    sizes = np.bincount(classes, minlength=count)
    return np.asarray(len(classes) / (count * sizes[classes]), np.float64)


def groups(gram: Floats, classes: Indices, least: float) -> Indices:
    """Groups pictures of one class that look the same.

    Args:
        gram: ``[n, n]``, cosines.
        classes: ``[n]``.
        least: the cosine from which they do.

    Returns:
        ``[n]``: each picture has the number of the first one that it looks like, or of what that
        one looks like.
    """
    alike = (gram >= least) & (classes[:, None] == classes[None, :])
    np.fill_diagonal(alike, True)
    found = np.arange(len(gram))
    for number, first in enumerate(alike.argmax(axis=1)):
        found[number] = found[min(first, number)]
    return found


class _Kernel:
    """The Gram matrix of weighted pictures, decomposed once.

    With ``W`` the weights and ``S = W^(1/2) K W^(1/2) = Q diag(e) Q'``, the inverse of ``A = K +
    ridge W^-1`` is ``W^(1/2) Q diag(1 / (e + ridge)) Q' W^(1/2)`` for every ridge. With the
    intercept, the dual solution is ``P Y``, where ``P = A^-1 - A^-1 1 1' A^-1 / (1' A^-1 1)``; what
    is left over at pictures ``B`` that were held out is ``(P_BB)^-1 (P Y)_B``.
    """

    def __init__(self, gram: Floats, weights: Floats) -> None:
        """Decomposes ``gram`` ``[n, n]``, with ``weights`` ``[n]``."""
        root = np.sqrt(weights)
        values, vectors = np.linalg.eigh(gram * np.outer(root, root))
        self._values = np.maximum(values, 0)
        self._vectors = vectors * root[:, None]
        self._weights = weights
        # The squared distances from the middle: so a ridge means the same for any camera.
        total = weights.sum()
        squares = weights @ np.diag(gram) - weights @ gram @ weights / total
        self.spread = max(float(squares), 1e-5 * total)

    def solve(self, targets: Floats, ridge: float) -> tuple[Floats, Floats]:
        """The dual coefficients ``[n, k]`` and the intercepts ``[k]``."""
        scale = 1 / (self._values + ridge)
        ones, inverse_targets = self._inverse(targets, scale)
        intercept = ones @ targets / ones.sum()
        return inverse_targets - np.outer(ones, intercept), intercept

    def held_out(self, targets: Floats, ridge: float, twins: Indices) -> Floats:
        """The outputs ``[n, k]`` for each picture of a head that saw neither it nor its twins."""
        scale = 1 / (self._values + ridge)
        ones, _ = self._inverse(targets, scale)
        dual, _ = self.solve(targets, ridge)
        diagonal = self._vectors**2 @ scale - ones**2 / ones.sum()
        outputs: Floats = targets - dual / diagonal[:, None]
        numbers, sizes = np.unique(twins, return_counts=True)
        for number in numbers[sizes > 1]:
            group = np.flatnonzero(twins == number)
            if len(group) == len(targets):  # nothing is left to learn from
                outputs[group] = 1 / targets.shape[1]
                continue
            some = self._vectors[group]
            block = (some * scale) @ some.T - np.outer(ones[group], ones[group]) / ones.sum()
            outputs[group] = targets[group] - np.linalg.solve(block, dual[group])
        return outputs

    def error(self, targets: Floats, outputs: Floats) -> float:
        """The mean squared error, each class weighing the same."""
        return float(self._weights @ ((targets - outputs) ** 2).sum(axis=1) / self._weights.sum())

    def _inverse(self, targets: Floats, scale: Floats) -> tuple[Floats, Floats]:
        """``A^-1 1`` and ``A^-1 Y``."""
        both = np.column_stack([np.ones(len(targets)), targets])
        found = self._vectors @ (scale[:, None] * (self._vectors.T @ both))
        return found[:, 0], found[:, 1:]


def _sharpness(outputs: Floats, classes: Indices, count: int) -> float:
    """The sharpness at which held-out scores are most likely.

    The targets are Laplace's rule, not 0 and 1 (Platt 1999 does so for two classes): five pictures
    that were all told apart are no reason to be sure of the sixth.
    """
    sizes = np.bincount(classes, minlength=count)[classes]
    targets = (np.eye(count)[classes] + 1 / sizes[:, None]) / (1 + count / sizes[:, None])
    weights = class_weights(classes, count)

    def loss(sharpness: float) -> float:
        scores = np.maximum(softmax(outputs, sharpness), 1e-12)
        return -float(weights @ (targets * np.log(scores)).sum(axis=1))

    return float(min(_SHARPNESSES, key=loss))
