"""One byte range of a file (RFC 9110, section 14): what a resumed download asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from products.serving.wire import Refusal

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes [first, end) of a file of `size` bytes."""

    first: int
    end: int
    size: int

    @property
    def content_range(self) -> bytes:
        """The header field that says which bytes these are."""
        return b"bytes %d-%d/%d" % (self.first, self.end - 1, self.size)


def read_range(text: str, condition: str, tag: str, size: int) -> Span | None:
    """Return the bytes that a `Range` asks for; None where the whole file is the answer.

    The whole is the answer to no range, to several, to another unit, and where `If-Range` names another file than
    `tag`. Refuses (416) a range that begins behind the end.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or (condition and condition.strip() != tag) or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, end = max(0, size - int(found[2])), size
    else:
        first, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if first >= end:
        raise Refusal(
            416, "range_unsatisfiable", "the file has no such bytes", rule="http.range",
            accepted=f"bytes=0-{size - 1}", headers=[(b"content-range", b"bytes */%d" % size)],
        )  # fmt: skip
    return Span(first, end, size)
