"""Pictures as a file: a ZIP with a manifest, a table (CSV), or COCO's JSON.

Each is written while it is read: a page of rows, a piece of an image. Pictures that go meanwhile
are left out. What a person or a camera named goes into cells and strings, never into a file's name.
"""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec
from sqlalchemy import Connection

from objectclassification import __version__
from objectclassification.errors import NotFound
from objectclassification.receipts import Picture, rfc3339
from objectclassification.store import pictures
from objectclassification.store.blobs import Blobs
from objectclassification.store.renditions import StoredBlob
from objectclassification.store.writer import Database

PAGE: Final = 100
"""Pictures in memory at a time."""
PIECE_BYTES: Final = 262_144

_SUFFIXES: Final = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS: Final = (
    "picture",
    "captured_at",
    "received_at",
    "camera",
    "snap",
    "state",
    "label",
    "score",
    "verdict",
    "labelled",
    "answers",
    "boxes",
    "width",
    "height",
    "media_type",
    "size_bytes",
    "sha256",
    "model",
)


async def as_csv(
    database: Database, blobs: Blobs, ids: Sequence[str], *, made_at: float
) -> AsyncIterator[bytes]:
    """A row for each picture, UTF-8 with a mark, without which spreadsheets guess the encoding."""
    yield b"\xef\xbb\xbf" + _csv_lines([_COLUMNS])
    async for page in _pages(database, ids):
        yield _csv_lines([[_cell(value) for value in _row(picture)] for picture in page])


async def as_coco(
    database: Database, blobs: Blobs, ids: Sequence[str], *, made_at: float
) -> AsyncIterator[bytes]:
    """COCO's object detection format: boxes in pixels of the image as it is stored upright.

    https://cocodataset.org/#format-data. ``score`` of an annotation is the detector's, and
    ``labels`` of an image what operators said of it: both are ours.
    """
    about = {"description": "ObjectClassification", "version": __version__}
    encode = msgspec.json.encode
    yield b'{"info":' + encode({**about, "date_created": rfc3339(made_at)}) + b',"images":['
    numbers: dict[str, int] = {}
    async for page in _pages(database, ids):
        images = []
        for picture in page:
            numbers[picture.id] = len(numbers) + 1
            images.append(_coco_image(picture, numbers[picture.id]))
        yield _joined(images, first=len(numbers) == len(images))
    yield b'],"annotations":['
    categories: dict[str, int] = {}
    made = 0
    async for page in _pages(database, list(numbers)):
        boxes = []
        for picture in page:
            for found in _coco_boxes(picture, categories):
                made += 1
                boxes.append({"id": made, "image_id": numbers[picture.id], **found})
        yield _joined(boxes, first=made == len(boxes))
    named = [{"id": number, "name": label} for label, number in categories.items()]
    yield b'],"categories":' + encode(named) + b"}"


async def as_zip(
    database: Database, blobs: Blobs, ids: Sequence[str], *, made_at: float
) -> AsyncIterator[bytes]:
    """The images, and ``manifest.json`` with all that is known of each.

    The manifest comes last, since it says which images are really there: ``file`` is null where an
    image's own file is gone.
    """
    sink = _Sink()
    written: dict[str, str] = {}
    # What is a picture already gets no smaller.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        async for page in _pages(database, ids):
            for picture in page:
                blob = await database.read(lambda c, one=picture: _blob(c, one.id))  # type: ignore[misc]
                file = None if blob is None else await asyncio.to_thread(_opened, blobs, blob.key)
                if blob is None or file is None:
                    continue
                name = f"pictures/{picture.id}.{_SUFFIXES.get(blob.media_type, 'bin')}"
                written[picture.id] = name
                with file, archive.open(_entry(name, picture.captured_at), "w") as entry:
                    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                        entry.write(piece)
                        yield sink.taken()
        with archive.open(_entry("manifest.json", rfc3339(made_at)), "w") as manifest:
            about = {"version": __version__, "exported_at": rfc3339(made_at)}
            manifest.write(msgspec.json.encode(about)[:-1] + b',"pictures":[')
            first = True
            async for page in _pages(database, ids):
                manifest.write(_joined([_manifest_line(one, written) for one in page], first=first))
                first = False
                yield sink.taken()
            manifest.write(b"]}\n")
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What a ZIP is written to, a piece at a time: it cannot go back, and keeps nothing."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


async def _pages(database: Database, ids: Sequence[str]) -> AsyncIterator[list[Picture]]:
    """The pictures that are still there, a page that has some at a time."""
    for start in range(0, len(ids), PAGE):
        some = ids[start : start + PAGE]
        found = await database.read(lambda c, some=some: pictures.by_ids(c, some))  # type: ignore[misc]
        page = [found[id_] for id_ in some if id_ in found]
        if page:
            yield page


def _blob(connection: Connection, picture_id: str) -> StoredBlob | None:
    try:
        return pictures.blob(connection, picture_id, "full")
    except NotFound:  # it went since its page was read
        return None


def _opened(blobs: Blobs, key: str) -> BinaryIO | None:
    try:
        return blobs.path(key).open("rb")
    except FileNotFoundError:
        return None


def _entry(name: str, at: str) -> zipfile.ZipInfo:
    """A file of the ZIP; its time is UTC, as ZIP files know no zone."""
    moment = datetime.fromisoformat(at)
    entry = zipfile.ZipInfo(name, max(moment.timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
    entry.external_attr = 0o644 << 16
    return entry


def _manifest_line(picture: Picture, written: Mapping[str, str]) -> dict[str, Any]:
    return {"file": written.get(picture.id), **msgspec.to_builtins(picture)}


def _joined(values: Sequence[Any], *, first: bool) -> bytes:
    """Items of a JSON array, with the comma before them that they need."""
    text = b",\n".join(map(msgspec.json.encode, values))
    return text if first or not text else b",\n" + text


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def _row(picture: Picture) -> tuple[Any, ...]:
    best = picture.predictions[0] if picture.predictions else None
    stored = picture.ref()
    said = ((head or "", name) for head, name in picture.labels.items())
    heard = ((one.head, one.class_) for one in picture.answers if one.class_ is not None)
    return (
        picture.id,
        picture.captured_at,
        picture.received_at,
        picture.camera,
        picture.snap,
        picture.state,
        best.label if best else None,
        best.score if best else None,
        picture.verdict,
        "; ".join(f"{head}={name}" if head else name for head, name in said),
        "; ".join(f"{head}={name}" for head, name in heard),
        sum(found.box is not None for found in picture.predictions),
        stored.width,
        stored.height,
        stored.media_type,
        stored.size_bytes,
        stored.sha256,
        picture.model.id if picture.model else None,
    )


def _cell(value: Any) -> Any:
    """A spreadsheet runs a text that begins like a formula; with a quote before it, it does not
    (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _coco_image(picture: Picture, number: int) -> dict[str, Any]:
    width, height = upright_size(picture)
    return {
        "id": number,
        "file_name": f"{picture.id}.{_SUFFIXES.get(picture.ref().media_type, 'bin')}",
        "width": width,
        "height": height,
        "date_captured": picture.captured_at,
        "picture": picture.id,
        "camera": picture.camera,
        "labels": picture.labels,
    }


def _coco_boxes(picture: Picture, categories: dict[str, int]) -> Iterator[dict[str, Any]]:
    width, height = upright_size(picture)
    for found in picture.predictions:
        if found.box is None:
            continue
        left, top, right, bottom = found.box
        across, down = (right - left) * width, (bottom - top) * height
        yield {
            "category_id": categories.setdefault(found.label, len(categories) + 1),
            "bbox": [round(v, 2) for v in (left * width, top * height, across, down)],
            "area": round(across * down, 2),
            "iscrowd": 0,
            "score": found.score,
        }


def upright_size(picture: Picture) -> tuple[int, int]:
    """Pixels across and down once EXIF's orientation is followed, which stored sizes do not.

    The thumbnail is made upright: where it lies the other way, the image was turned.
    """
    stored, small = picture.ref(), picture.renditions.get("thumbnail")
    turned = small is not None and (stored.width - stored.height) * (small.width - small.height) < 0
    return (stored.height, stored.width) if turned else (stored.width, stored.height)
