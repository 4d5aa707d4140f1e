"""Takes the file out of a request as it arrives: a raw body, or the file part of a form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import unquote

from fastapi import Request
from python_multipart.multipart import MultipartParser, parse_options_header

from shuzha.core.errors import Invalid


class FormFile:
    """Finds the first file part in the bytes of a `multipart/form-data` body; other parts are read past."""

    def __init__(self, boundary: bytes) -> None:
        self.file_name: str | None = None
        self._pieces: list[bytes] = []
        self._field = b""
        self._value = b""
        self._inside = False
        self._done = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header_end,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
            },
        )

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes of the file that this piece of the body brought."""
        self._parser.write(chunk)
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition" and not self._done:
            options = parse_options_header(self._value)[1]
            if b"filename" in options:
                self.file_name = options[b"filename"].decode("utf-8", errors="replace")
                self._inside = True
        self._field = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._pieces.append(data[start:end])

    def _on_part_end(self) -> None:
        self._done = self._done or self._inside
        self._inside = False


class RequestFile:
    """The file of one request: read `chunks`, then `file_name` is known (for a raw body it is the query's `file`)."""

    def __init__(self, request: Request) -> None:
        self._request = request
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary")
        self._form = FormFile(boundary) if kind == b"multipart/form-data" and boundary else None
        self._named = unquote(request.query_params.get("file", "")) or "upload"

    @property
    def file_name(self) -> str:
        """The name that the sender gave the file; it is text, never a path."""
        return (self._form.file_name if self._form else None) or self._named

    @property
    def announced_bytes(self) -> int:
        """The length of the body as its header says, 0 where it says nothing."""
        length = self._request.headers.get("content-length", "0")
        return int(length) if length.isdigit() else 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file in the order in which they arrive; refuses a form without a file."""
        async for piece in self._request.stream():
            data = self._form.feed(piece) if self._form else piece
            if data:
                yield data
        if self._form and self._form.file_name is None:
            raise Invalid(
                "the form has no file", rule="batch.file", accepted="one part with a file name, or a raw body"
            )
