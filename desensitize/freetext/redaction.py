"""Redaction of free text.

What is found becomes a label such as `[手机号1]`, the same thing the same label within one text. Identifiers come from
the definitions (patterns and check digits); where `names` is asked for, people, addresses and organisations too. What
is left is looked at again until nothing more is found, so redacting what was redacted changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from desensitize.errors import InvalidPlan
from desensitize.freetext.finding import CAUTIONS, find_names
from desensitize.freetext.numbering import replace_spans
from desensitize.freetext.spans import Span, outside_labels
from desensitize.freetext.tagger import Tagged
from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.definitions import IDENTIFIERS, Identifier, python_pattern
from desensitize.identifiers.reading import read_text
from desensitize.leaves import INVISIBLE

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
CANDIDATE = (
    rf"[0-9０-９]{{4}}|[@＠]|[0-9A-Fa-f]{{2}}[:\-\u2010-\u2015\u2212\ufe58\ufe63－]|[0-9０-９][.．]|[{_PROVINCES}][A-ZＡ-Ｚ]"
    f"|{INVISIBLE}"
)
_CANDIDATE = re.compile(CANDIDATE)
_INVISIBLE = re.compile(INVISIBLE)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str, Callable[[str], bool] | None], ...]:
    return tuple(
        (re.compile(_pattern(one)), one.label, SCALAR_CHECKS[one.check] if one.check else None) for one in IDENTIFIERS
    )


def _pattern(identifier: Identifier) -> str:
    """Return the pattern of an identifier, of a weak one only behind a word that says it (护照号 E12345678)."""
    if not identifier.weak:
        return f"(?P<it>{python_pattern(identifier)})"
    named = "|".join(re.escape(word) for word in identifier.words if not word.isascii())
    return rf"(?:{named})[^0-9A-Za-z，。；,;\n]{{0,8}}(?P<it>{python_pattern(identifier)})"


def find_identifiers(text: str) -> list[Span]:
    """Return the identifiers in `text` that match and pass their check.

    Where two overlap, the one of higher priority.
    """
    if not _CANDIDATE.search(text):
        return []
    read = read_text(text)
    taken = bytearray(len(text))
    found: list[Span] = []
    for pattern, label, check in _patterns():
        for match in pattern.finditer(read):
            start, end = match.span("it")
            if not any(taken[start:end]) and (check is None or check(match["it"])):
                found.append(Span(start, end, label))
                taken[start:end] = b"\1" * (end - start)
    return found


def redact_text(text: str, *, names: bool = True, caution: str = "high") -> str:
    """Return `text` with every found span replaced by its label and number; the same thing gets the same number.

    `caution` says how readily something is taken for a name: `strict` (whatever may be one),
    `high` (what is likely one) or `balanced` (what the rules are sure of).
    Refuses (InvalidPlan) another caution.
    """
    return redact_texts([text], names=names, caution=caution)[0]


def redact_texts(texts: Sequence[str], *, names: bool = True, caution: str = "high") -> list[str]:
    """Return the redacted texts; sentences that occur in several of them are looked at once."""
    check_caution(caution)
    made = [text if text.isascii() else _INVISIBLE.sub("", text) for text in texts]
    known: dict[str, Tagged] = {}
    open_ = list(range(len(made)))
    while open_:
        before = [made[index] for index in open_]
        now = [_redact_identifiers(text) for text in before]
        if names:
            now = [replace_spans(text, spans) for text, spans in zip(now, find_names(now, caution, known), strict=True)]
        for index, text in zip(open_, now, strict=True):
            made[index] = text
        open_ = [index for index, old, new in zip(open_, before, now, strict=True) if old != new]
    return made


def check_caution(caution: str) -> None:
    """Refuse a caution that does not exist."""
    if caution not in CAUTIONS:
        raise InvalidPlan(f"caution must be one of: {', '.join(CAUTIONS)}")


def _redact_identifiers(text: str) -> str:
    return replace_spans(text, outside_labels(text, find_identifiers(text)))
