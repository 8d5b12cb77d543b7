"""OpenCV, made quiet before its first import; every other module here takes ``cv2`` from this one.

OpenCV, FFmpeg and V4L2 write their own lines to stderr. A command prints one clear line instead, so
they are silenced, unless the person at the machine has set these variables.
"""

from __future__ import annotations

import os

_TOLD = "OPENCV_LOG_LEVEL" in os.environ
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
# TCP: a lost packet is a torn picture over UDP. fpsprobesize 0: do not spend a second on guessing a
# frame rate nobody asked for (an RTSP open took 0.98 s with FFmpeg's default, 0.30 s so).
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fpsprobesize;0")
# Without this OpenCV opens one stream at a time: a camera that does not answer kept every other one
# of the process from opening for its ten seconds. FFmpeg has needed no lock of ours since 4.0.
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
# V4L2 waits ten seconds for a frame by itself: longer than the watchdog, which then gives up a
# thread that would have come back.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")

import cv2  # noqa: E402 - it reads its variables when it is imported

if not _TOLD:
    # Not by its variable, which counts only if nobody has imported OpenCV before.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["cv2", "use_one_thread"]


def use_one_thread() -> None:
    """Has OpenCV work in the thread that calls it, in the whole process; for our own programs.

    Otherwise it keeps 0.9 kB for each thread that ever converted a picture (measured with 5.0), and
    a camera program has a thread for each shot: 0.5 MB a minute at ten snaps a second.
    """
    cv2.setNumThreads(1)
