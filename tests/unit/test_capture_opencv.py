"""What OpenCV keeps of each thread: nothing, in a program that takes pictures for ever."""

from __future__ import annotations

import subprocess
import sys

THREADS = 4000
MOST_BYTES = 200  # for each thread; OpenCV's own way keeps 900

MEASURE = f"""
import threading
import numpy, psutil
from objectclassification.capture.opencv import cv2, use_one_thread

def convert():
    cv2.cvtColor(numpy.zeros((240, 320, 3), numpy.uint8), cv2.COLOR_BGR2GRAY)

def resident_after(threads):
    for _ in range(threads):
        thread = threading.Thread(target=convert)
        thread.start()
        thread.join()
    return psutil.Process().memory_info().rss

use_one_thread()
before = resident_after({THREADS} // 4)
print((resident_after({THREADS}) - before) / {THREADS})
"""


def test_a_thread_leaves_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < MOST_BYTES
