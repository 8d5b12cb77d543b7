"""A model's card: what its file does not say by itself, from a TOML file beside it or a caller."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from objectclassification.bounds import MODEL_NAME_PATTERN
from objectclassification.detection import Fit, Task
from objectclassification.errors import ModelError

MOST_LABELS: Final = 100_000
MOST_LABELS_BYTES: Final = 8 * 2**20
MOST_CARD_BYTES: Final = 2**20

Label = Annotated[str, Meta(min_length=1, max_length=256)]
Labels = Annotated[tuple[Label, ...], Meta(min_length=1, max_length=MOST_LABELS)]
Side = Annotated[int, Meta(ge=8, le=4096)]
Name = Annotated[str, Meta(pattern=MODEL_NAME_PATTERN)]
Channels = tuple[float, float, float]
Share = Annotated[float, Meta(ge=0, le=1)]
Style = Literal["yolo", "yolov5", "ssd", "end2end", "chosen"]
"""How a detector answers, see :mod:`.styles`."""
BoxOrder = Literal["ltrb", "tlbr", "cxcywh", "ltwh"]
"""The four numbers of a box: its edges by their first letters, its centre, width and height."""


class Preprocessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a network wants of its pixels: ``(value / scale - mean) / std``, for each channel.

    Attributes:
        mean: subtracted, in the order of ``color``.
        std: divided by.
        scale: of the pixels, which are 0 to 255, before both.
        color: the order of the channels.
    """

    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    scale: Annotated[float, Meta(gt=0)] = 255.0
    color: Literal["rgb", "bgr"] = "rgb"


PREPROCESSING: Final[dict[str, Preprocessing]] = {
    # torchvision's, timm's and most of what is exported from PyTorch.
    "imagenet": Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    # -1 to 1: TensorFlow's MobileNet, EfficientNet-Lite, Inception; timm's "inception".
    "tf": Preprocessing(scale=127.5, mean=(1.0, 1.0, 1.0)),
    # 0 to 1: CLIP-less exports of Ultralytics, Keras with a Rescaling of its own.
    "unit": Preprocessing(),
    # 0 to 255: networks that have their normalisation inside.
    "raw": Preprocessing(scale=1.0),
    # BGR less the means, 0 to 255: what came from Caffe, among it Keras' ResNet50 and VGG.
    "caffe": Preprocessing(scale=1.0, mean=(103.939, 116.779, 123.68), color="bgr"),
}
"""By the name that ``--preprocess`` takes."""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a model; None is what is not known.

    Attributes:
        id: its name.
        labels: names of its classes, in the order of its output.
        preprocess: a name of :data:`PREPROCESSING`, or the numbers.
        side: pixels of its square input, for a file that leaves it open.
        short_side: of a classifier: pixels that a picture's shorter side is scaled to before the
            middle is cut out.
        license: of the model, as SPDX writes it.
        task: what it does.
        fit: of a detector, and so is the rest: how a picture comes into its input.
        style: how it answers.
        box: what the four numbers of its boxes are.
        unit: of these: pixels of its input, or fractions of that.
        activation: what makes its scores 0 to 1, if that is not in the network.
        background: where its scores have one for nothing at all.
        first_class: the number of its first label, where it answers with numbers of classes.
        min_score: what an object must score.
        max_overlap: of two boxes of one label that share more, the surer one is kept.
    """

    id: Name | None = None
    labels: Labels | None = None
    preprocess: Preprocessing | str | None = None
    side: Side | None = None
    short_side: Annotated[int, Meta(ge=8, le=8192)] | None = None
    license: Annotated[str, Meta(max_length=256)] | None = None
    task: Task | None = None
    fit: Fit | None = None
    style: Style | None = None
    box: BoxOrder | None = None
    unit: Literal["pixels", "fractions"] | None = None
    activation: Literal["none", "sigmoid", "softmax"] | None = None
    background: Literal["none", "first", "last"] | None = None
    first_class: Annotated[int, Meta(ge=0, le=1)] | None = None
    min_score: Share | None = None
    max_overlap: Share | None = None

    def over(self, other: Card) -> Card:
        """This card, and where it says nothing, the other."""
        known = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(other, **known)

    def normalisation(self) -> Preprocessing | None:
        """The numbers of ``preprocess``.

        Raises:
            ModelError: a name that is not known.
        """
        if not isinstance(self.preprocess, str):
            return self.preprocess
        try:
            return PREPROCESSING[self.preprocess]
        except KeyError as exc:
            known = ", ".join(PREPROCESSING)
            raise ModelError(
                f"no preprocessing is called {self.preprocess!r}: there are {known}, or write the "
                "numbers into a TOML file beside the model (docs/models.md)"
            ) from exc


def read_card(file: Path) -> Card:
    """Reads a card from a TOML file.

    Raises:
        ModelError: it cannot be read, or says what no card can say.
    """
    try:
        if file.stat().st_size > MOST_CARD_BYTES + MOST_LABELS_BYTES:
            raise ModelError(f"{file} is too large for a model's card")
        return msgspec.convert(tomllib.loads(file.read_text()), Card)
    except OSError as exc:
        raise ModelError(f"{file} cannot be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ModelError(f"{file} is not TOML: {exc}") from exc
    except msgspec.ValidationError as exc:
        raise ModelError(f"{file} is no model's card: {exc}") from exc


def read_labels(file: Path) -> tuple[str, ...]:
    """Reads one label a line, in any script; a line may hold commas.

    Raises:
        ModelError: it cannot be read, or a line is empty or too long.
    """
    try:
        if file.stat().st_size > MOST_LABELS_BYTES:
            raise ModelError(f"{file} is too large for labels, one a line")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as exc:
        raise ModelError(f"{file} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ModelError(f"{file} is not UTF-8: save it as UTF-8") from exc
    labels = tuple(line.strip() for line in lines)
    while labels and not labels[-1]:
        labels = labels[:-1]
    for number, label in enumerate(labels, 1):
        if not 0 < len(label) <= 256:
            raise ModelError(f"{file}, line {number}: a label has 1 to 256 characters")
    return labels
