"""The one file of a multipart form (RFC 7578), found while the form passes by.

Only what belongs to the file is given on: it goes to its place in the data folder as a raw body
does, without a second copy in a temporary file.
"""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from objectclassification.errors import RequestError

MAX_BESIDE_BYTES = 65_536
"""The most that all other fields of a form may hold."""
MAX_PARTS = 64
"""Each is read in Python, on the event loop; forms of a camera have one, of a page a handful."""


class FormReader:
    """Reads a form piece by piece; no I/O.

    Args:
        content_type: the request's, with its boundary.

    Attributes:
        media_type: what the file's part says it is; empty if it does not.

    Raises:
        RequestError: here and in every method, it is not a form we can read.
    """

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise RequestError("not a form we can read: its content type names no boundary")
        self.media_type = ""
        self._files = self._parts = 0
        self._in_file = False
        self._ended = False
        self._beside = 0
        self._found = bytearray()
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as exc:
            raise RequestError(f"not a form we can read: {exc}") from exc

    def feed(self, chunk: bytes) -> bytes:
        """Takes a piece of the form and returns the file's bytes in it."""
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise RequestError(f"not a form we can read: {exc}") from exc
        found = bytes(self._found)
        self._found.clear()
        return found

    def finish(self) -> None:
        """Checks that the form was whole and had one file."""
        if not self._ended:
            raise RequestError("not a form we can read: it is cut short")
        if self._files != 1:
            raise RequestError("the form must have the image as its one file")

    def _on_part_begin(self) -> None:
        self._headers.clear()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise RequestError(f"a form of over {MAX_PARTS} parts: send the image as its one file")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._in_file = b"filename" in options
        if self._in_file:
            self._files += 1
            declared, _ = parse_options_header(self._headers.get(b"content-type"))
            self.media_type = declared.decode("latin-1")
        if self._files > 1:
            raise RequestError("the form must have the image as its one file")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._found += data[start:end]
            return
        self._beside += end - start
        if self._beside > MAX_BESIDE_BYTES:
            raise RequestError("the form holds too much beside the image")

    def _on_end(self) -> None:
        self._ended = True
