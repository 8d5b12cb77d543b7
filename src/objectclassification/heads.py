"""Heads: questions that a server was taught, and the evidence for each. Shapes only, no I/O.

A **head** is a question with a name (``valve``), its **classes** are the answers (``open``,
``closed``), and a **label** is what an operator says of a picture. What a head was taught at one
time is a **version**.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from objectclassification.errors import BadMessage
from objectclassification.messages import Name

MOST_CLASSES = 32
"""Of one head: its confusion table is still read by a person."""
MAX_CLASS_CHARACTERS = 64
MOST_PICTURES = 2_000
"""The most, the newest, that a head is fitted to; it takes some 2 s for them."""
LEAST_CROP = 0.01
"""Of the picture's width or height; less is a few pixels."""
PRECISION = 0.95
"""The share of a head's answers that should be right, if nobody says otherwise."""
NO_HEAD = ""
"""The head of a label that just says what is on the picture."""

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Persian and the scripts of India are not written without them."""

Crop = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the picture's width and height, 0 to 1."""
ClassName = Annotated[str, Meta(min_length=1, max_length=256)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class Teaching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a head is to learn.

    Attributes:
        classes: its answers; all that pictures are labelled with if it is left out.
        camera: only from this camera's pictures, and only for them.
        crop: only from this rectangle of the picture.
        abstain: the margin below which it gives no answer; found from the pictures if left out.
        precision: the share of right answers that it is found for, :data:`PRECISION` if left out.
    """

    classes: Annotated[tuple[ClassName, ...], Meta(max_length=MOST_CLASSES)] = ()
    camera: Name | None = None
    crop: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    abstain: Fraction | None = None
    precision: Annotated[float, Meta(gt=0, lt=1)] | None = None


class ClassEvidence(msgspec.Struct, frozen=True):
    """How well pictures of one class were told.

    Attributes:
        name: the class.
        pictures: labelled with it.
        distinct: of these, without counting the same scene twice.
        right: share of them that was told right, 0 to 1.
        low: of the 95 % interval around it.
        high: of the 95 % interval around it.
    """

    name: str
    pictures: int
    distinct: int
    right: float
    low: float
    high: float


class Mistake(msgspec.Struct, frozen=True):
    """A labelled picture that a head which never saw it calls something else.

    Attributes:
        picture: its id.
        label: what the operator said.
        said: what the head said.
        margin: how sure it was.
    """

    picture: str
    label: str
    said: str
    margin: float


class Finding(msgspec.Struct, frozen=True):
    """What a person should know before a version is switched on.

    Attributes:
        code: stable name: ``too_few``, ``too_similar``, ``contradiction``, ``not_told_apart``,
            ``not_read`` or ``abstains_often``.
        detail: one line that says what to do, on the command line.
        classes: that it is about.
        pictures: ids of those that it is about.
    """

    code: str
    detail: str
    classes: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """A past picture that would have another answer.

    Attributes:
        picture: its id.
        before: the answer it has; None if the head abstained.
        now: the answer it would have.
        margin: how sure the new version is.
    """

    picture: str
    before: str | None
    now: str | None
    margin: float


class Changes(msgspec.Struct, frozen=True):
    """What would become of past pictures.

    Attributes:
        looked_at: how many past pictures, the newest ones.
        answered: how many of them have an answer of this head.
        changed: how many of these would have another one.
        now: how many of all would have each answer; ``""`` counts those it abstains from.
        examples: some that change, the surest first.
    """

    looked_at: int
    answered: int
    changed: int
    now: dict[str, int]
    examples: tuple[Change, ...]


class Evidence(msgspec.Struct, frozen=True):
    """How good a version is, on pictures that it did not see: each was held out in turn.

    Attributes:
        pictures: labelled ones it was fitted to.
        accuracy: share that was told right when held out, 0 to 1.
        low: of the 95 % interval around it.
        high: of the 95 % interval around it.
        balanced_accuracy: the mean of the classes' shares.
        given: share of the pictures whose margin is large enough for an answer.
        accuracy_given: share of right ones among these; None if there are none.
        classes: in the order of the confusion table.
        confusion: a row for each label, a column for each answer.
        mistakes: the surest first.
        findings: what a person should know.
        changes: what would become of past pictures.
        fit_ms: what the fit took.
        precision: the share of right answers that the margin was chosen for; None if it was given.
    """

    pictures: int
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float
    given: float
    accuracy_given: float | None
    classes: tuple[ClassEvidence, ...]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    findings: tuple[Finding, ...]
    changes: Changes
    fit_ms: float
    precision: float | None = None


class Version(msgspec.Struct, frozen=True):
    """What a head was taught at one time.

    Attributes:
        head: its name.
        number: 1 is the first.
        classes: its answers.
        camera: whose pictures it is for; None is every camera's.
        crop: the rectangle it looks at; None is the whole picture.
        abstain: the margin below which it gives no answer.
        model_sha256: whose embeddings it reads.
        stale: whether the server has another model now: it abstains until it is fitted anew.
        active: whether it answers.
        created_at: RFC 3339, UTC.
        by: the id of the token that taught it.
        evidence: how good it is.
        refitted_from: the version that was fitted anew for another model; None if it was taught.
    """

    head: str
    number: int
    classes: tuple[str, ...]
    camera: str | None
    crop: Crop | None
    abstain: float
    model_sha256: str
    stale: bool
    active: bool
    created_at: str
    by: str
    evidence: Evidence
    refitted_from: int | None = None


class HeadShown(msgspec.Struct, frozen=True):
    """A head.

    Attributes:
        name: the question.
        labels: how many pictures have each label.
        active: the number of the version that answers, if one does.
        versions: how many there are.
        stale: whether the active version was taught on another model.
        stale_because: what keeps it so, in one line; None if it is not, or nothing was tried yet.
    """

    name: str
    labels: dict[str, int]
    active: int | None
    versions: int
    stale: bool
    stale_because: str | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """A picture that is worth a label.

    Attributes:
        picture: its id.
        camera: whose it is.
        url: path of its thumbnail.
        why: ``close`` (the head can hardly decide) or ``different`` (from all labelled ones).
        said: what the newest version says of it, if there is one.
        margin: how sure that is.
    """

    picture: str
    camera: str | None
    url: str
    why: Literal["close", "different"]
    said: str | None
    margin: float | None


def clean_class(text: str) -> str:
    """A class's name as it is stored: any script, commas too; what looks the same is the same.

    Raises:
        BadMessage: it is empty or too long, or holds what cannot be seen or turns lines around.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > MAX_CLASS_CHARACTERS:
        raise BadMessage(f"a class's name has 1 to {MAX_CLASS_CHARACTERS} characters")
    if not all(letter.isprintable() or letter in _JOINERS for letter in name):
        raise BadMessage("a class's name has only characters that can be seen")
    return name


def clean_crop(crop: Crop | None) -> Crop | None:
    """A rectangle as it is stored; the whole picture is None.

    Raises:
        BadMessage: it is none.
    """
    if crop is None:
        return None
    left, top, right, bottom = (round(edge, 4) for edge in crop)
    if right - left < LEAST_CROP or bottom - top < LEAST_CROP:
        raise BadMessage(
            "a crop is left,top,right,bottom as fractions of the picture, such as 0.4,0.2,0.6,0.5"
        )
    whole = (left, top, right, bottom) == (0, 0, 1, 1)
    return None if whole else (left, top, right, bottom)
