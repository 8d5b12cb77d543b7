"""The shipped detector as other people's exporters would have written it, in each of their styles.

Its network, weights and all, is in every one of them; what they answer is computed from the same
boxes and scores. So whatever is adopted must find the same as the shipped one does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from objectclassification.classification.adoption import Card
from objectclassification.classification.detector import MOST_OVERLAP, SHIPPED_DETECTOR, Detector

SIDE, LABELS = 300, Detector().labels
OF_ALL = Card(labels=LABELS, preprocess="raw", fit="stretch")
"""What must be said of any of them."""


class Export:
    """The network, and what an exporter puts behind it."""

    def __init__(self) -> None:
        model = onnx.load(SHIPPED_DETECTOR)
        del model.metadata_props[:]
        self.model = compose.add_prefix(model, "net/", rename_inputs=False)
        self.boxes, self.scores, self.logits = "net/boxes", "net/scores", "net/logits"
        del self.model.graph.output[:]

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{kind}/{len(self.model.graph.node)}/{number}" for number in range(outputs)]
        self.model.graph.node.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant/{len(self.model.graph.initializer)}"
        array = np.asarray(value, dtype)
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def give(self, name: str, called: str, *shape: Any, kind: int = TensorProto.FLOAT) -> None:
        self.model.graph.node.append(helper.make_node("Identity", [name], [called]))
        self.model.graph.output.append(helper.make_tensor_value_info(called, kind, shape))

    def take(
        self, shape: list[Any], kind: int, *steps: tuple[str, list[str], dict[str, Any]]
    ) -> None:
        """Has it take its pixels otherwise, and makes of them what the network takes."""
        graph, name = self.model.graph, "pixels"
        own = graph.input[0].name
        users = list(graph.node)
        for place, (operator, more, attributes) in enumerate(steps):
            node = helper.make_node(operator, [name, *more], [f"fed/{place}"], **attributes)
            graph.node.insert(place, node)
            name = f"fed/{place}"
        for node in users:
            node.input[:] = [name if each == own else each for each in node.input]
        graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", kind, shape))

    def part(self, name: str, start: int, end: int, axis: int = 2) -> str:
        edges = (self.constant([edge], np.int64) for edge in (start, end, axis))
        return str(self.node("Slice", name, *edges))

    def ordered(self, name: str, *columns: int) -> str:
        return str(self.node("Gather", name, self.constant(columns, np.int64), axis=2))

    def pixels(self, boxes: str) -> str:
        return str(self.node("Mul", boxes, self.constant(SIDE)))

    def centred(self) -> str:
        """Boxes as centre, width and height in pixels."""
        first, last = self.part(self.boxes, 0, 2), self.part(self.boxes, 2, 4)
        half = self.constant(0.5)
        centre = self.node("Mul", self.node("Add", first, last), half)
        return self.pixels(
            self.node("Concat", centre, self.node("Sub", last, first), axis=2),
        )

    def surest(self) -> tuple[str, str]:
        """Of each box its best score and that one's class, ``[1, 1917, 1]``, the class as float."""
        scores = self.node("ReduceMax", self.scores, axes=[2], keepdims=1)
        classes = self.node("ArgMax", self.scores, axis=2, keepdims=1)
        return scores, self.node("Cast", classes, to=TensorProto.FLOAT)

    def chosen(self) -> tuple[str, str, str]:
        """Boxes ``[K, 4]``, scores and classes ``[K]``, after a real ``NonMaxSuppression``."""
        by_class = self.node("Transpose", self.scores, perm=[0, 2, 1])
        limits = (
            self.constant(100, np.int64),
            self.constant(MOST_OVERLAP),
            self.constant(0.3),
        )
        found = self.node("NonMaxSuppression", self.boxes, by_class, *limits)
        columns = [
            self.node("Gather", found, self.constant(column, np.int64), axis=1) for column in (1, 2)
        ]
        boxes = self.node("Squeeze", self.boxes, self.constant([0], np.int64))
        picked = self.node("Gather", boxes, columns[1], axis=0)
        pairs = self.node("Squeeze", by_class, self.constant([0], np.int64))
        places = self.node("Concat", *(self._column(each) for each in columns), axis=1)
        return picked, self.node("GatherND", pairs, places), columns[0]

    def _column(self, name: str) -> str:
        return str(self.node("Unsqueeze", name, self.constant([1], np.int64)))


def ssd(export: Export) -> Card:
    export.give(export.boxes, "boxes", 1, 1917, 4)
    export.give(export.scores, "scores", 1, 1917, 80)
    return Card(box="ltrb", unit="fractions")


def ssd_with_background(export: Export) -> Card:
    """As PyTorch's SSD: nothing at all comes first; here the boxes are in pixels."""
    nothing = export.constant(np.zeros((1, 1917, 1)))
    export.give(export.node("Concat", nothing, export.scores, axis=2), "confidences", 1, 1917, 81)
    export.give(export.pixels(export.boxes), "locations", 1, 1917, 4)
    return Card(box="ltrb", unit="pixels", background="first")


def ssd_of_logits(export: Export) -> Card:
    """As DETR: centres as fractions, logits, and nothing at all comes last."""
    nothing = export.constant(np.full((1, 1917, 1), -9))
    rows = export.node("Concat", export.logits, nothing, axis=2)
    export.give(rows, "pred_logits", "batch", 1917, 81)
    centres = export.node("Div", export.centred(), export.constant(SIDE))
    export.give(centres, "pred_boxes", "batch", 1917, 4)
    return Card(box="cxcywh", unit="fractions", activation="sigmoid", background="last")


def yolo(export: Export) -> Card:
    rows = export.node("Concat", export.centred(), export.scores, axis=2)
    export.give(export.node("Transpose", rows, perm=[0, 2, 1]), "output0", 1, 84, 1917)
    return Card()


def yolo_rows_first(export: Export) -> Card:
    rows = export.node("Concat", export.centred(), export.scores, axis=2)
    export.give(rows, "output0", 1, 1917, 84)
    return Card()


def yolov5(export: Export) -> Card:
    there, _ = export.surest()
    which = export.node("Div", export.scores, there)
    rows = export.node("Concat", export.centred(), there, which, axis=2)
    export.give(rows, "output", 1, 1917, 85)
    return Card(style="yolov5")


def end2end(export: Export) -> Card:
    """As YOLOv10, but that its 300 boxes are not chosen: so that must be done."""
    scores, classes = export.surest()
    rows = export.node("Concat", export.pixels(export.boxes), scores, classes, axis=2)
    count, flat = export.constant([300], np.int64), export.constant([-1], np.int64)
    _, places = export.node("TopK", export.node("Reshape", scores, flat), count, outputs=2)
    export.give(export.node("Gather", rows, places, axis=1), "output0", 1, 300, 6)
    return Card(max_overlap=MOST_OVERLAP)


def torchvision(export: Export) -> Card:
    """Without a batch, as many as there are, and classes from 1."""
    front = export.constant([0], np.int64)
    export.take(
        [3, SIDE, SIDE],
        TensorProto.UINT8,
        ("Transpose", [], {"perm": [1, 2, 0]}),
        ("Unsqueeze", [front], {}),
    )
    boxes, scores, classes = export.chosen()
    export.give(export.node("Mul", boxes, export.constant(SIDE)), "boxes", "found", 4)
    labels = export.node("Add", classes, export.constant(1, np.int64))
    export.give(labels, "labels", "found", kind=TensorProto.INT64)
    export.give(scores, "scores", "found")
    return Card(first_class=1)


def tensorflow(export: Export) -> Card:
    """Padded to 100, with what must not be taken for a box behind the last, and raw outputs."""
    boxes, scores, classes = export.chosen()
    count = export.node("Shape", scores)
    rest = export.node("Sub", export.constant([100], np.int64), count)
    zero = export.constant([0], np.int64)
    wide = export.node("Concat", zero, zero, rest, zero, axis=0)
    long = export.node("Concat", zero, rest, axis=0)
    front = export.constant([0], np.int64)
    one, sure = export.constant(1), export.constant(0.99)
    boxes = export.node("Unsqueeze", export.node("Pad", boxes, wide, one), front)
    export.give(export.ordered(boxes, 1, 0, 3, 2), "detection_boxes:0", 1, 100, 4)
    scores = export.node("Unsqueeze", export.node("Pad", scores, long, sure), front)
    export.give(scores, "detection_scores:0", 1, 100)
    classes = export.node("Cast", classes, to=TensorProto.FLOAT)
    classes = export.node("Unsqueeze", export.node("Pad", classes, long, one), front)
    export.give(classes, "detection_classes:0", 1, 100)
    count = export.node("Cast", count, to=TensorProto.FLOAT)
    export.give(count, "num_detections:0", 1)
    export.give(export.boxes, "raw_detection_boxes:0", 1, 1917, 4)
    export.give(export.scores, "raw_detection_scores:0", 1, 1917, 80)
    return Card(first_class=0)


STYLES: tuple[Callable[[Export], Card], ...] = (
    ssd,
    ssd_with_background,
    ssd_of_logits,
    yolo,
    yolo_rows_first,
    yolov5,
    end2end,
    torchvision,
    tensorflow,
)


def exported(style: Callable[[Export], Card]) -> tuple[onnx.ModelProto, Card]:
    """A model in one of the styles, and what must be said of it."""
    export = Export()
    card = style(export).over(OF_ALL)
    onnx.checker.check_model(export.model)
    return export.model, card
