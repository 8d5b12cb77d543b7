"""Where frames come from: one port, an adapter for each kind of source.

``open_source`` picks the adapter by the address, from a table, and imports it only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from objectclassification.capture.address import Kind, expand, kind_of
from objectclassification.masking import mask
from objectclassification.receipts import Freshness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from objectclassification.capture.controls import Adjustment

    Pixels = NDArray[np.uint8]

STREAM_LATENCY_S = 0.1
"""What a stream's frames are old when they arrive, unless its owner states it: IP cameras spend one
to three frame intervals between exposure and network."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What a source is told.

    Attributes:
        size: width and height in pixels to ask a device for; others are not asked.
        latency_s: seconds from exposure to arrival, as the source's owner states them.
        open_timeout_s: the most an open may take.
        read_timeout_s: the longest wait for the next frame.
    """

    size: tuple[int, int] | None = None
    latency_s: float | None = None
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a frame was exposed.

    Attributes:
        taken_at: ``time.monotonic()`` seconds; exposed no earlier than this.
        uncertainty_s: and at most this much later.
        freshness: ``proven`` by the frame's own time stamp, ``estimated`` from its arrival, or a
            ``replay``, of which neither is true.
        sequence: counts the frames since the source was opened.
    """

    taken_at: float
    uncertainty_s: float
    freshness: Freshness
    sequence: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as the source gave it: pixels, or an encoded picture that is kept as it came.

    Attributes:
        stamp: when it was exposed.
        image: height x width x 3, BGR, uint8; None when only ``encoded`` is there.
        encoded: the original bytes.
        media_type: of ``encoded``, for example ``image/jpeg``.
    """

    stamp: Stamp
    image: Pixels | None = None
    encoded: bytes | None = None
    media_type: str | None = None


class Source(Protocol):
    """The port. Used by one thread; the constructor does no I/O, and ``open`` is called once.

    Attributes:
        live: frames come by themselves and must be taken off at their pace; else each ``grab``
            makes one. It may change with a ``grab``.
        warmup_s: how long frames are thrown away after a cold start, by default.
        latency_s: a frame is believed to be exposed this long before it arrives.
        notes: what a person should know, such as a granted mode that is not the one asked for.
    """

    live: bool
    warmup_s: float
    latency_s: float
    notes: tuple[str, ...]

    def open(self) -> None:
        """Makes the source ready.

        Raises:
            SourceUnavailable: there is no such source, or it cannot be read.
            SourceBusy: another program holds it.
        """

    def grab(self) -> Stamp | None:
        """Waits for the next frame and holds it, not decoded; None: nothing new, ask again.

        Raises:
            SourceStalled: no frame came within the read time-out.
            CaptureError: the source ended or sent rubbish; it must be opened anew.
        """

    def retrieve(self) -> Frame:
        """Returns the frame of the last ``grab``.

        Raises:
            CaptureError: it cannot be decoded.
        """

    def close(self) -> None:
        """Lets go of the device, the connection or the process. May be called twice."""


@runtime_checkable
class Adjustable(Protocol):
    """What a source also has that takes settings for one snap: a device.

    Attributes:
        mode: width and height in pixels that it gives by its own settings.
    """

    mode: tuple[int, int]

    def adjust(self, wanted: Adjustment | None) -> tuple[str, ...]:
        """Takes the next frames in another way, or, without an argument, as ever again.

        Called by the thread that owns the source, while it is open.

        Returns:
            A line on each thing that it did not do.
        """


_ADAPTERS: dict[Kind, str] = {
    "device": "objectclassification.capture.device:DeviceSource",
    "stream": "objectclassification.capture.stream:StreamSource",
    "http": "objectclassification.capture.http:HttpSource",
    "exec": "objectclassification.capture.helper:HelperSource",
    "file": "objectclassification.capture.files:FileSource",
}


def open_source(address: str, settings: SourceSettings) -> Source:
    """Makes the source that an address names, ready to be opened by its owner thread.

    Args:
        address: as the user wrote it; variables in its user and password are put in here.
        settings: what the source is told.

    Raises:
        ConfigurationError: no source reads this, or a variable is not set.
    """
    module, _, name = _ADAPTERS[kind_of(address)].partition(":")
    adapter = getattr(import_module(module), name)
    source: Source = adapter(expand(address), mask(address), settings)
    return source
