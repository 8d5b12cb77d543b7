"""A request's body on its way to a durable blob: streamed, hashed, bounded, checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from objectclassification.classification.images import ImageInfo, probe
from objectclassification.classification.truncation import check_whole
from objectclassification.config import ServerSettings
from objectclassification.errors import (
    Busy,
    NotAnImage,
    RequestError,
    TimedOut,
    TooLarge,
    Undecodable,
)
from objectclassification.store.blobs import Blobs, Incoming

PIECE_BYTES = 2**20
"""What is written in one hop to a thread: most JPEGs need one."""

_TYPES = ("image/png", "image/jpeg", "image/webp")
_UNSAID = ("", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Received:
    """A durable blob.

    Attributes:
        key: its key, the rendition's id.
        sha256: hash of the bytes, hexadecimal.
        size_bytes: their number.
        image: what its header says.
    """

    key: str
    sha256: str
    size_bytes: int
    image: ImageInfo


class Receiver:
    """Takes bodies, a bounded number at a time.

    Args:
        blobs: where they go.
        settings: the limits.
    """

    def __init__(self, blobs: Blobs, settings: ServerSettings) -> None:
        self._blobs = blobs
        self._settings = settings
        self._places = settings.max_uploads

    async def receive(self, request: Request, key: str) -> Received:
        """Streams the request's image to the disk.

        Raises:
            Busy: too many bodies at the same time.
            DiskFull: below the floor.
            TooLarge, TimedOut, NotAnImage, Undecodable, TooManyPixels: what was sent.
        """
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared not in (*_TYPES, *_UNSAID, "multipart/form-data"):
            raise NotAnImage(f"{declared} is not an image type we take: {', '.join(_TYPES)}")
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            self._check_size(int(length))
        async with self._place():
            self._blobs.check_room(int(length) if length.isdecimal() else 0)
            incoming = self._blobs.create(key)
            try:
                if declared == "multipart/form-data":
                    declared = await self._form(request, incoming)
                else:
                    await self._raw(request, incoming)
                image = await asyncio.to_thread(self._keep, incoming, key, declared)
            finally:
                incoming.discard()
        return Received(key, incoming.sha256, incoming.size, image)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places == 0:
            raise Busy(f"{self._settings.max_uploads} pictures are arriving already")
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def _raw(self, request: Request, incoming: Incoming) -> None:
        piece = bytearray()
        async for chunk in self._chunks(request):
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                await asyncio.to_thread(incoming.write, bytes(piece))
                piece.clear()
        await asyncio.to_thread(incoming.write, bytes(piece))

    async def _form(self, request: Request, incoming: Incoming) -> str:
        parser = MultiPartParser(
            request.headers, self._chunks(request), max_files=1, max_fields=8, max_part_size=4096
        )
        try:
            form = await parser.parse()
        except MultiPartException as exc:
            raise RequestError(f"not a form we can read: {exc.message}") from exc
        try:
            files = [value for value in form.values() if isinstance(value, UploadFile)]
            if len(files) != 1:
                raise RequestError("the form must have the image as its one file")
            await asyncio.to_thread(_copy, files[0].file, incoming)
            return (files[0].content_type or "").lower()
        finally:
            await form.close()

    async def _chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        size = 0
        stream = request.stream()
        while True:
            try:
                async with asyncio.timeout(self._settings.body_timeout_s):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as exc:
                seconds = self._settings.body_timeout_s
                raise TimedOut(
                    f"no more of the body came for {seconds:g} s", after_s=seconds
                ) from exc
            size += len(chunk)
            self._check_size(size)
            yield chunk

    def _check_size(self, size: int) -> None:
        limit = self._settings.max_body_bytes
        if size > limit:
            raise TooLarge(f"a picture has at most {limit // 2**20} MiB", limit=limit, unit="bytes")

    def _keep(self, incoming: Incoming, key: str, declared: str) -> ImageInfo:
        if incoming.size == 0:
            raise Undecodable("the body is empty: send the image's bytes")
        incoming.flush()
        image = probe(incoming.path, max_pixels=self._settings.max_pixels)
        if declared not in (*_UNSAID, image.media_type):
            raise NotAnImage(f"declared as {declared}, but the bytes are {image.media_type}")
        check_whole(incoming.path, image.media_type)
        self._blobs.keep(incoming, key)
        return image


def _copy(source: BinaryIO, incoming: Incoming) -> None:
    source.seek(0)
    while piece := source.read(PIECE_BYTES):
        incoming.write(piece)
