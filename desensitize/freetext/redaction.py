"""Redaction of free text.

What is found becomes a label such as `[手机号1]`, the same thing the same label within one cell.

Identifiers come from the definitions (patterns and check digits), and where `names` is asked for, people,
organisations and addresses from `names`. Each step works once on each distinct text that the step before it left,
since the first steps make many texts equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

import polars as pl

from desensitize.freetext.names import Span, find_by_rule, find_by_tagger
from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.definitions import IDENTIFIERS, python_pattern

_FULL_WIDTH = str.maketrans(
    {code: chr(code - 0xFEE0) for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()} | {0xFF20: "@"}
)
_CANDIDATE = (
    r"[0-9\x{FF10}-\x{FF19}]{4}|@|[0-9A-Fa-f]{2}:|[0-9]\."
    r"|[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z]"
)
_HAN = r"\p{Han}{2}"
_LABEL = re.compile(r"\[([^\[\]0-9]{1,8})([0-9]+)\]")
_REMEMBERED = 100_000


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


def redact_text(text: str, *, names: bool = True) -> str:
    """Return `text` with every found span replaced by its label and number; the same thing gets the same number."""
    without = _redact_identifiers(text)
    return _redact_tagged(_redact_ruled(without)) if names else without


def _redact_identifiers(text: str) -> str:
    return _replace(text, find_identifiers(text))


def _redact_ruled(text: str) -> str:
    return _replace(text, find_by_rule(text))


def _redact_tagged(text: str) -> str:
    return _replace(text, find_by_tagger(text))


def _replace(text: str, spans: Iterable[Span]) -> str:
    """Return `text` with labels for spans.

    Labels that stand there already are left as they are, and numbers go on from theirs.
    """
    labels = [match.span() for match in _LABEL.finditer(text)]
    counts: dict[str, int] = {}
    for label, number in _LABEL.findall(text):
        counts[label] = max(counts.get(label, 0), int(number))
    numbers: dict[tuple[str, str], int] = {}
    parts: list[str] = []
    place = 0
    for span in sorted(spans):
        if any(span.start < high and low < span.end for low, high in labels):
            continue
        thing = (span.label, text[span.start : span.end].translate(_FULL_WIDTH).upper())
        if thing not in numbers:
            counts[span.label] = numbers[thing] = counts.get(span.label, 0) + 1
        parts += [text[place : span.start], f"[{span.label}{numbers[thing]}]"]
        place = span.end
    return "".join([*parts, text[place:]])


def redact_expression(source: pl.Expr, *, names: bool) -> pl.Expr:
    """Return the expression that redacts a text column; cells that cannot hold anything are passed by."""
    steps = [_Step(_CANDIDATE, _redact_identifiers)]
    if names:
        steps += [_Step(_HAN, _redact_ruled), _Step(_HAN, _redact_tagged)]

    def redact_batch(values: pl.Series) -> pl.Series:
        for step in steps:
            values = step.run(values)
        return values

    return source.map_batches(redact_batch, return_dtype=pl.String, is_elementwise=True)


class _Step:
    """One piece of work on text, done once on each distinct text that matches `pattern`.

    And remembered between batches.
    """

    def __init__(self, pattern: str, work: Callable[[str], str]) -> None:
        self._pattern = pattern
        self._work = work
        self._known: dict[str, str] = {}

    def run(self, values: pl.Series) -> pl.Series:
        once = values.drop_nulls().unique()
        once = once.filter(once.str.contains(self._pattern))
        if not len(once):
            return values
        known, made = self._known, []
        for text in once:
            done = known.get(text)
            made.append(self._work(text) if done is None else done)
            if done is None and len(known) < _REMEMBERED:
                known[text] = made[-1]
        return values.replace(once, pl.Series(made, dtype=pl.String))
