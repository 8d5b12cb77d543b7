"""A request's body on its way to a durable blob: streamed, hashed, bounded, checked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from uuid_utils import uuid7

from objectclassification.api.access import body_of
from objectclassification.api.counts import HttpCounts
from objectclassification.api.form import FormReader
from objectclassification.classification.header import ImageInfo, check_whole, probe
from objectclassification.config import ServerSettings
from objectclassification.errors import (
    Busy,
    DiskFull,
    NotAnImage,
    StoreError,
    TooLarge,
    Undecodable,
)
from objectclassification.store.blobs import NO_SPACE, Blobs, Incoming

PIECE_BYTES = 2**20
"""What is written in one hop to a thread; most JPEGs need one, and that one checks them too."""
TOKENS_AT_LEAST = 4
"""How many tokens it takes to hold all places: one's slow links must not shut out the rest."""
PLACE_WAIT_S = 2.0
"""How long a token's next picture waits for one of its own before it; bursts are no misuse."""

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
        counts: told of every byte.
    """

    def __init__(self, blobs: Blobs, settings: ServerSettings, counts: HttpCounts) -> None:
        self._blobs = blobs
        self._counts = counts
        self._settings = settings
        self._places = settings.max_uploads
        share = max(1, settings.max_uploads // TOKENS_AT_LEAST)
        self._shares: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(share)
        )

    async def receive(self, request: Request, key: str, token_id: str) -> Received:
        """Streams the request's image to the disk.

        Args:
            request: its body is the image.
            key: of the blob.
            token_id: whose picture it is; of all places, each token has only its share.

        Raises:
            Busy: too many bodies at the same time, of all or of this token.
            DiskFull: below the floor.
            StoreError: the disk failed.
            TooLarge, TimedOut, NotAnImage, Undecodable, TooManyPixels: what was sent.
        """
        incoming, image = await self._arrive(request, key, token_id, keep=True)
        return Received(key, incoming.sha256, incoming.size, image)

    @asynccontextmanager
    async def lent(self, request: Request, token_id: str) -> AsyncIterator[Path]:
        """Streams the request's image to a file that is gone afterwards.

        Args:
            request: its body is the image.
            token_id: whose it is; it holds a place while it arrives.

        Raises:
            As :meth:`receive`.
        """
        incoming, _ = await self._arrive(request, str(uuid7()), token_id, keep=False)
        try:
            yield incoming.path
        finally:
            incoming.discard()

    async def _arrive(
        self, request: Request, key: str, token_id: str, *, keep: bool
    ) -> tuple[Incoming, ImageInfo]:
        """Brings the body to the disk and checks it; whoever does not keep it discards it."""
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared not in (*_TYPES, *_UNSAID, "multipart/form-data"):
            raise NotAnImage(f"{declared} is not an image type we take: {', '.join(_TYPES)}")
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            self._check_size(int(length))
        async with self._share(token_id), self._place():
            self._blobs.check_room(int(length) if length.isdecimal() else 0)
            try:
                return await self._take(request, key, declared, keep=keep)
            except OSError as exc:
                if exc.errno in NO_SPACE:
                    raise DiskFull from exc
                raise StoreError(f"the picture cannot be written: {exc.strerror}") from exc

    async def _take(
        self, request: Request, key: str, declared: str, *, keep: bool
    ) -> tuple[Incoming, ImageInfo]:
        incoming = self._blobs.create(key)
        try:
            if declared == "multipart/form-data":
                form = FormReader(request.headers["content-type"])
                rest = await self._write(incoming, _files(form, self._chunks(request)))
                form.finish()
                declared = form.media_type
            else:
                rest = await self._write(incoming, self._chunks(request))
            image = await asyncio.to_thread(
                self._finish, incoming, key if keep else None, declared, rest
            )
        except BaseException:  # a client that went away is one, too
            incoming.discard()
            raise
        return incoming, image

    @asynccontextmanager
    async def _share(self, token_id: str) -> AsyncIterator[None]:
        share = self._shares[token_id]
        try:
            async with asyncio.timeout(PLACE_WAIT_S):
                await share.acquire()
        except TimeoutError as exc:
            raise Busy("this token's pictures hold all the places it may have") from exc
        try:
            yield
        finally:
            share.release()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places == 0:
            raise Busy(f"{self._settings.max_uploads} pictures are arriving already")
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def _write(self, incoming: Incoming, chunks: AsyncIterator[bytes]) -> bytearray:
        """Writes all but the last piece, which it returns: most images are one, and one hop."""
        piece = bytearray()
        async for chunk in chunks:
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                await asyncio.to_thread(incoming.write, bytes(piece))
                piece.clear()
        return piece

    async def _chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in body_of(request):
            size += len(chunk)
            self._counts.received_bytes += len(chunk)
            self._check_size(size)
            yield chunk

    def _check_size(self, size: int) -> None:
        limit = self._settings.max_body_bytes
        if size > limit:
            raise TooLarge(f"a picture has at most {limit // 2**20} MiB", limit=limit, unit="bytes")

    def _finish(
        self, incoming: Incoming, key: str | None, declared: str, rest: bytearray
    ) -> ImageInfo:
        """Writes the rest and checks the whole; with a key it becomes a blob, in the same hop."""
        incoming.write(rest)
        if incoming.size == 0:
            raise Undecodable("the body is empty: send the image's bytes")
        incoming.flush()
        image = probe(incoming.path, max_pixels=self._settings.max_pixels)
        if declared not in (*_UNSAID, image.media_type):
            raise NotAnImage(f"declared as {declared}, but the bytes are {image.media_type}")
        check_whole(incoming.path, image.media_type)
        if key is not None:
            self._blobs.keep(incoming, key)
        return image


async def _files(form: FormReader, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        yield form.feed(chunk)
