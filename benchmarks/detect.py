"""Find what is on a picture: ours against TensorFlow.js with the graph that ours was made of.

Both get the same 300 x 300 pixels, and each works on one thread; ours also chooses one box for each
object, which is a hundredth of it. They take turns in rounds.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from tools.build_models import ssdlite

from benchmarks.pictures import photograph
from benchmarks.table import Row, print_table
from objectclassification.classification.detector import Detector

ROOT: Final = Path(__file__).parents[1]
PROGRAM: Final = ROOT / "tools" / "run_graph.js"
LIBRARIES: Final = ROOT / ".trees" / "tfjs" / "node_modules"
"""Where `make bench` puts TensorFlow.js."""

ROUNDS: Final = 5
PICTURES: Final = 6
"""In each round; the first of each round is not counted."""


def measure() -> list[Row]:
    """Times both; nothing where there is no TensorFlow.js.

    Returns:
        A row, or none.
    """
    if not LIBRARIES.is_dir():
        print("left out: there is no TensorFlow.js to compare the detector with")
        return []
    detector = Detector()
    small = cv2.resize(photograph(), detector.size, interpolation=cv2.INTER_AREA)
    picture = np.ascontiguousarray(small[..., ::-1], np.uint8)
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        graph = ssdlite.original(Path(folder))
        Path(folder, "pixels").write_bytes(picture.tobytes() * PICTURES)
        command = ["node", str(PROGRAM), str(graph), f"{folder}/pixels", os.devnull]
        for _ in range(ROUNDS):
            said = subprocess.run(
                command,
                env=os.environ | {"NODE_PATH": str(LIBRARIES)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            theirs += map(float, said.stdout.split()[1:])
            ours += [_time_ms(detector, picture) for _ in range(PICTURES)][1:]
    what = "detect: 300 x 300 pixels to boxes, one thread"
    return [Row(what, ours, "TensorFlow.js, WebAssembly, the original graph", theirs)]


def _time_ms(detector: Detector, picture: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    found = detector.detect(picture)
    elapsed_ms = (time.perf_counter() - start) * 1000
    assert found.predictions[0].label == "motorcycle"
    return elapsed_ms


def main() -> None:
    """Prints the table."""
    print_table(measure())


if __name__ == "__main__":
    main()
