"""Publish and subscribe inside the process.

The bus closes the loop at run time: the API and the worker say what happened, the hub hears it, and
neither imports the other. Messages carry ids and labels, never image bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from objectclassification.receipts import Found, PictureRef


@dataclass(frozen=True, slots=True)
class PictureUploaded:
    """A picture is stored, and its job is queued.

    Attributes:
        picture: what a shot says of it.
        camera: whose it is, None for a slot without a camera.
        snap: the snap it answers, or None.
        shown: whether the snap's shot shows it; another frame of a burst is only kept.
    """

    picture: PictureRef
    camera: str | None
    snap: str | None
    shown: bool = True


@dataclass(frozen=True, slots=True)
class PictureClassified:
    """What was found on a picture is stored; ``shown`` as in :class:`PictureUploaded`."""

    picture_id: str
    camera: str | None
    snap: str | None
    found: Found
    shown: bool = True


@dataclass(frozen=True, slots=True)
class ClassificationFailed:
    """A picture cannot be classified; it is kept. ``shown`` as in :class:`PictureUploaded`."""

    picture_id: str
    camera: str | None
    snap: str | None
    detail: str
    shown: bool = True


@dataclass(frozen=True, slots=True)
class CameraReserved:
    """A camera has its name and its slot, and may never have connected yet."""

    camera: str


@dataclass(frozen=True, slots=True)
class PicturesLabelled:
    """An operator said something of pictures.

    Attributes:
        picture_ids: of which.
        said: the class for each head; None took a label away.
    """

    picture_ids: tuple[str, ...]
    said: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class PicturesDeleted:
    """Pictures were deleted, which can be undone for a day."""

    picture_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PicturesRestored:
    """A deletion was undone."""

    picture_ids: tuple[str, ...]


Changed = PicturesLabelled | PicturesDeleted | PicturesRestored
Message = PictureUploaded | PictureClassified | ClassificationFailed | CameraReserved | Changed
Handler = Callable[[Message], None]


class Bus:
    """Calls every handler at once, in the order of subscription, on the caller's loop.

    Nothing is queued, so nothing can overflow: a handler must not block, and what it raises comes
    out of :meth:`publish`.
    """

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        """Adds a handler.

        Returns:
            A function that takes it away again.
        """
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def publish(self, message: Message) -> None:
        """Tells every handler."""
        for handler in tuple(self._handlers):
            handler(message)
