"""How detectors answer, told from the shapes and the names of their outputs.

========= ================================================================================
yolo      ``[N, 4 + classes, boxes]`` or ``[N, boxes, 4 + classes]``: YOLOv8, 9, 11, 12
yolov5    the same with ``5 + classes``, the fifth of which is how likely there is an object
ssd       boxes ``[N, boxes, 4]`` and scores ``[N, boxes, classes]``: SSD, DETR
end2end   ``[N, boxes, 6]``, each with its score and its class: YOLOv10, Ultralytics' ``nms=True``
chosen    boxes ``[N, boxes, 4]``, scores and classes ``[N, boxes]``, and perhaps how many there
          are: TensorFlow's object detection, torchvision (without N), YOLOv7's ``end2end``
========= ================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from objectclassification.classification.adoption.card import BoxOrder, Card, Style
from objectclassification.classification.adoption.source import Output, Source
from objectclassification.detection import Fit
from objectclassification.errors import ModelError

KNOWN: Final = (
    "[N, 4 + classes, boxes] (YOLO), [N, boxes, 6] (with its boxes chosen), "
    "boxes [N, boxes, 4] with scores [N, boxes, classes] (SSD), or with scores and classes "
    "[N, boxes] each (TensorFlow, torchvision)"
)
_A_BOX, _A_SCORE = re.compile("box|dets|loc", re.I), re.compile("scor|conf|prob", re.I)
_A_CLASS, _A_COUNT = re.compile("class|label|cls", re.I), re.compile("^num|count", re.I)
_RAW: Final = "raw_"
"""Before names of what TensorFlow's models have chosen from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one network answers.

    Attributes:
        style: one of the table's.
        boxes: the output with the boxes, or with everything.
        scores: with the scores, if it is another; and so on.
        classes: with the numbers of the classes.
        count: with how many boxes there are.
        rows_first: the table is ``[N, boxes, …]``, not ``[N, …, boxes]``.
        has_batch: its outputs' first size is that of a batch.
        anchors: how many boxes it gives, None if that changes.
        columns: how many scores for each box, of ``ssd``; None if it is open.
        box: what the numbers of its boxes are; None if nobody knows.
        unit: of these; None if nobody knows.
        first_class: the number of its first label; None if nobody knows.
        fit: how pictures come into such networks, if nobody says otherwise.
    """

    style: Style
    boxes: str
    scores: str = ""
    classes: str = ""
    count: str = ""
    rows_first: bool = True
    has_batch: bool = True
    anchors: int | None = None
    columns: int | None = None
    box: BoxOrder | None = None
    unit: Literal["pixels", "fractions"] | None = None
    first_class: int | None = None
    fit: Fit = "letterbox"


def recognise(source: Source, card: Card, classes: int) -> Answer:
    """Tells how a network answers.

    Args:
        source: the network.
        card: what is known of it.
        classes: how many labels it has.

    Raises:
        ModelError: in no way that is known, or in more than one.
    """
    if len(source.outputs) == 1:
        return _one_table(source, card, classes)
    return _several(source, card)


def _one_table(source: Source, card: Card, classes: int) -> Answer:
    (table,) = source.outputs
    if len(table.shape) != 3:
        raise _unknown(source)
    _, first, last = table.shape
    fitting = list(_fitting(first, last, classes, card.style))
    if not fitting:
        raise _unfit(source, table, classes)
    if len({style for style, _ in fitting}) > 1:
        names = " or ".join(f'style = "{style}"' for style, _ in fitting)
        raise ModelError(f"{source.file} answers {table}, which may be either: a card says {names}")
    style, rows_first = fitting[0]
    return Answer(
        style=style,
        boxes=table.name,
        rows_first=rows_first,
        anchors=first if rows_first else last,
        box="ltrb" if style == "end2end" else "cxcywh",
        unit="pixels",
        first_class=0,
    )


def _fitting(
    first: int | None, last: int | None, classes: int, told: Style | None
) -> Sequence[tuple[Style, bool]]:
    """Styles that a table of these sizes may be, and whether its rows are first."""
    # Of yolov5 only if somebody says so: it looks like yolo with a label too few.
    widths: dict[Style, int] = {"yolo": 4 + classes, "end2end": 6, "yolov5": 5 + classes}
    wanted = [told] if told else ["yolo", "end2end"]
    found: list[tuple[Style, bool]] = []
    for style in cast("list[Style]", wanted):
        width = widths.get(style)
        if width is not None and first == width and style != "end2end":
            found.append((style, False))
        elif width is not None and last == width:
            found.append((style, True))
    return found


def _several(source: Source, card: Card) -> Answer:
    outputs = [each for each in source.outputs if not each.name.lower().startswith(_RAW)]
    boxes = _only([each for each in outputs if each.shape[-1:] == (4,)], _A_BOX)
    if boxes is None or len(boxes.shape) not in (2, 3):
        raise _unknown(source)
    others = [each for each in outputs if each is not boxes]
    count = _only([each for each in others if _A_COUNT.search(each.name)])
    flat = [e for e in others if e is not count and len(e.shape) == len(boxes.shape) - 1]
    classes = _only([each for each in flat if _A_CLASS.search(each.name) or each.is_whole])
    scores = _only([each for each in flat if each is not classes], _A_SCORE)
    tables = [each for each in others if len(each.shape) == len(boxes.shape) == 3]
    has_batch, anchors = len(boxes.shape) == 3, boxes.shape[-2]
    if card.style in (None, "chosen") and classes is not None and scores is not None:
        box, unit, fit = _as_the_names_say(boxes.name, has_batch)
        return Answer(
            style="chosen",
            boxes=boxes.name,
            scores=scores.name,
            classes=classes.name,
            count="" if count is None else count.name,
            has_batch=has_batch,
            anchors=anchors,
            box=box,
            unit=unit,
            fit=fit,
        )
    table = _only(tables, _A_SCORE) or _only(tables, _A_CLASS)
    if card.style in (None, "ssd") and table is not None:
        return Answer(
            style="ssd",
            boxes=boxes.name,
            scores=table.name,
            anchors=anchors,
            columns=table.shape[2],
            fit="stretch",
        )
    raise _unknown(source)


def _as_the_names_say(
    boxes: str, has_batch: bool
) -> tuple[BoxOrder | None, Literal["pixels", "fractions"] | None, Fit]:
    if boxes.startswith("detection_boxes"):  # TensorFlow's object detection API
        return "tlbr", "fractions", "stretch"
    if not has_batch and boxes == "boxes":  # torchvision.models.detection
        return "ltrb", "pixels", "letterbox"
    return None, None, "letterbox"


def _only(outputs: list[Output], pattern: re.Pattern[str] | None = None) -> Output | None:
    """The one output there is, or the one of them with such a name."""
    if len(outputs) > 1 and pattern is not None:
        outputs = [each for each in outputs if pattern.search(each.name)]
    return outputs[0] if len(outputs) == 1 else None


def _unfit(source: Source, table: Output, classes: int) -> ModelError:
    """The error of a table whose width is another than the labels make it."""
    if 5 + classes in table.shape[1:]:
        return ModelError(
            f"{source.file} answers {table}: YOLOv5's of {classes} labels would, if a card says "
            f'style = "yolov5"; those of later ones answer {4 + classes} numbers for each box'
        )
    return ModelError(
        f"{source.file} answers {table}, which does not fit {classes} labels: YOLO's would answer "
        f"{4 + classes} numbers for each box, and one with its boxes chosen 6"
    )


def _unknown(source: Source) -> ModelError:
    answers = ", ".join(map(str, source.outputs)) or "nothing"
    return ModelError(
        f"{source.file} answers {answers}: neither a score for each class, [N, classes], as a "
        f"classifier, nor as a detector that is known: {KNOWN}"
    )
