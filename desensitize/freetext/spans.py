"""Stretches of a text: what was found and where.

Words: a *span* is a found stretch with its label, `end` exclusive; spans of a text never overlap once they are settled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

PERSON, ORGANISATION, ADDRESS = "姓名", "机构", "地址"
OTHER = "其他"
LABEL = re.compile(r"\[([^\[\]0-9]{1,8})([0-9]+)\]")


class Span(NamedTuple):
    """A stretch of a text and the label that will stand there."""

    start: int
    end: int
    label: str


def settle(spans: Iterable[Span], length: int) -> list[Span]:
    """Return the spans in order of place, without overlaps: of two that overlap the longer, of equals the person.

    Two or more characters of the shorter one that stand outside the longer one are kept as a span of their own.
    """
    taken = bytearray(length)
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda one: (one.start - one.end, one.start, one.label != PERSON, one.label)):
        for start, end in _free(taken, span):
            if (start, end) == (span.start, span.end) or end - start > 1:
                kept.append(Span(start, end, span.label))
                taken[start:end] = b"\1" * (end - start)
    return sorted(kept)


def outside_labels(text: str, spans: Iterable[Span]) -> list[Span]:
    """Return the parts of the spans that stand outside the labels which are in the text already."""
    if "[" not in text:
        return list(spans)
    taken = bytearray(len(text))
    for match in LABEL.finditer(text):
        taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    return [Span(start, end, span.label) for span in spans for start, end in _free(taken, span)]


def _free(taken: bytearray, span: Span) -> list[tuple[int, int]]:
    """Return the stretches of `span` that are not taken."""
    if not any(taken[span.start : span.end]):
        return [(span.start, span.end)]
    free = []
    start: int | None = None
    for place in range(span.start, span.end + 1):
        open_ = place < span.end and not taken[place]
        if open_ and start is None:
            start = place
        if not open_ and start is not None:
            free.append((start, place))
            start = None
    return free
