"""What a fit reads. Imported without numpy, which a server loads once it teaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from objectclassification.store.embeddings import Seen, View


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a fit reads.

    Attributes:
        name: of the head.
        classes: what it is to tell apart.
        view: which embeddings.
        abstain: the margin below which it gives no answer, if somebody chose it.
        precision: the share of right answers that the margin is chosen for, if nobody chose it.
        labelled: pictures with label and vector, newest first.
        unread: labelled pictures that no model could look at.
        past: pictures with vectors, labelled or not, newest first.
        before: what the head answered for past pictures.
    """

    name: str
    classes: tuple[str, ...]
    view: View
    abstain: float | None
    precision: float
    labelled: tuple[Seen, ...]
    unread: int
    past: tuple[Seen, ...]
    before: Mapping[str, str | None]
