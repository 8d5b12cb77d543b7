"""Capture module: a picture exposed after it was asked for, saved, kept until it is uploaded.

What the other rooms use; everything here blocks (call it with ``asyncio.to_thread``)::

    with Capture("rtsp://door.lan/main", "opencv_frame_0.jpg") as capture:
        taken = capture.take(after=arrived_at, timeout_s=10.0)  # a Taken, or a CaptureError
    spool = Spool(folder)
    item = spool.add(taken, camera="door", upload="/snippets/1/", snap=snap_id)
    Uploader("https://hub.lan", token).send(item)  # the API's answer, a dict
    spool.remove(item)

``after`` and ``Taken.taken_at`` are ``time.monotonic()`` seconds of this machine.

* :class:`Capture` owns one source: one thread keeps its newest frame. Any number of threads may
  call :meth:`Capture.take` at once.
* :class:`Spool` holds the pictures that are not uploaded yet, through any crash.
* :class:`Uploader` does the PUT, again and again while that can help.

Names are imported when they are asked for: a spool needs no OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from objectclassification.capture.capture import Capture
    from objectclassification.capture.spool import Spool, SpoolItem
    from objectclassification.capture.taken import Taken
    from objectclassification.capture.upload import Uploader

__all__ = ["Capture", "Spool", "SpoolItem", "Taken", "Uploader"]

_HOME = {
    "Capture": "capture",
    "Spool": "spool",
    "SpoolItem": "spool",
    "Taken": "taken",
    "Uploader": "upload",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
