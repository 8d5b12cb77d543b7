"""OpenCV, made quiet before its first import; every other module here takes ``cv2`` from this one.

OpenCV, FFmpeg and V4L2 write their own lines to stderr. A command prints one clear line instead, so
they are silenced, unless the person at the machine has set these variables.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
# TCP: a lost packet is a torn picture over UDP. fpsprobesize 0: do not spend a second on guessing a
# frame rate nobody asked for (an RTSP open took 0.98 s with FFmpeg's default, 0.30 s so).
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fpsprobesize;0")

import cv2

__all__ = ["cv2"]
