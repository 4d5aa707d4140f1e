"""Labels: the same thing gets the same number within one text, also under a short form of a name.

`王建国` and, later, `王先生`, `老王` or `建国` are one person, as long as no other full name in the text fits the short
form; where two fit, or none, the short form is somebody of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from desensitize.freetext.spans import LABEL, PERSON, Span
from desensitize.freetext.words import all_surnames, any_of, words

_FULL_WIDTH = str.maketrans({code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
_BLANKS = re.compile(r"[\s·•・‧]+")
_DIGITS_APART = re.compile(r"(?<=[0-9])[- ](?=[0-9])")
_COUNTRY = re.compile(r"^(?:00|\+)?86[- ]?(?=1[0-9]{10}$)")


def replace_spans(text: str, spans: Iterable[Span]) -> str:
    """Return `text` with a numbered label for each span; numbers go on from those of the labels in the text."""
    settled = sorted(spans)
    if not settled:
        return text
    counts: dict[str, int] = {}
    for label, number in LABEL.findall(text):
        counts[label] = max(counts.get(label, 0), int(number[:9]))
    things = _things(text, settled)
    numbers: dict[tuple[str, str], int] = {}
    parts: list[str] = []
    place = 0
    for span, thing in zip(settled, things, strict=True):
        key = (span.label, thing)
        if key not in numbers:
            counts[span.label] = numbers[key] = counts.get(span.label, 0) + 1
        parts += [text[place : span.start], f"[{span.label}{numbers[key]}]"]
        place = span.end
    return "".join([*parts, text[place:]])


def _things(text: str, spans: Sequence[Span]) -> list[str]:
    """Return for each span what tells its thing from others of its label."""
    said = [_read(text[span.start : span.end]) for span in spans]
    people = {one for one, span in zip(said, spans, strict=True) if span.label == PERSON}
    full: dict[str, set[str]] = {}
    for name in people:
        if (family := _family(name)) and len(name) > len(family) and not _short_form(name):
            for short in (family, name[len(family) :]):
                full.setdefault(short, set()).add(name)
    return [_whole(one, full) if span.label == PERSON else one for one, span in zip(said, spans, strict=True)]


def _whole(name: str, full: dict[str, set[str]]) -> str:
    """Return the one full name that a short form fits, or the name as it is."""
    candidates = full.get(_short_form(name) or name, set())
    return next(iter(candidates)) if len(candidates) == 1 and name not in candidates else name


def _short_form(name: str) -> str:
    """Return the surname that a short form such as 王先生, 老王 or 王某 tells, or an empty text for a name in full."""
    family = _family(name)
    if family and _ENDING.fullmatch(name[len(family) :]):
        return family
    if name[:1] in "老小阿大" and 1 < len(name) <= 3 and _family(name[1:]) == name[1:]:
        return name[1:]
    return name if family == name else ""


def _family(name: str) -> str:
    if name[:2] in words("people", "compound_surnames"):
        return name[:2]
    return name[:1] if name[:1] in all_surnames() else ""


_ENDING = re.compile(rf"(?:某+|[*＊×xX○〇]+|{any_of(words('people', 'forms'), words('people', 'short_forms'))})")


def _read(thing: str) -> str:
    thing = _BLANKS.sub("", thing.translate(_FULL_WIDTH)).upper() if not thing.isascii() else thing.upper()
    return _COUNTRY.sub("", _DIGITS_APART.sub("", thing))
