"""Text in its one form: what the eye cannot see is taken out, and one look has one spelling.

Left out: controls, format and unassigned characters (zero-width ones, tags, marks of direction), private use,
variation selectors, blanks that are letters, and more than two marks on one letter. All blanks are one space. What
remains is in Unicode's composed form. Letters that look alike (Latin, Greek, Cyrillic) are counted, not changed:
which was meant cannot be known. A fraction inside a text is rounded like a figure: its last digits could say anything.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import polars as pl

_PLAIN: Final = r"^(?:[!-~]+(?: [!-~]+)*)?$"
_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180f]")
_MARKS: Final = 2
_LONG_FRACTION: Final = re.compile(r"\d+\.\d{4,}")
_LOOK_ALIKE: Final = r"[A-Za-z][\u0370-\u03ff\u0400-\u04ff]|[\u0370-\u03ff\u0400-\u04ff][A-Za-z]"


def plain_text(text: str, digits: int = 6) -> str:
    """Return `text` in its one form, on one line, its fractions with so many significant digits."""
    if not (text.isascii() and text.isprintable() and "  " not in text):
        kept = "".join(_seen(_SELECTORS.sub("", text)))
        text = unicodedata.normalize("NFC", kept)
    return _LONG_FRACTION.sub(lambda found: _rounded(found[0], digits), " ".join(text.split()))


def plain_column(column: pl.Series, digits: int = 6) -> pl.Series:
    """Return a column of text with every value in its one form; empty becomes null."""
    told = column.to_frame("c").select(
        (pl.col("c").str.contains(_PLAIN) & ~pl.col("c").str.contains(_LONG_FRACTION.pattern)).all()
    )
    if bool(told.item()):
        made = column
    else:
        known = column.unique().drop_nulls()
        forms = pl.Series([plain_text(one, digits) for one in known.to_list()], dtype=pl.String)
        made = column.replace_strict(known, forms, default=None, return_dtype=pl.String)
    return made.to_frame("c").select(pl.when(pl.col("c") != "").then(pl.col("c")))["c"].alias(column.name)


def count_look_alikes(column: pl.Series) -> int:
    """Return how many values mix Latin letters with Greek or Cyrillic ones inside a word."""
    return int(column.str.contains(_LOOK_ALIKE).sum() or 0)


def _seen(text: str) -> list[str]:
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category[0] == "Z" or character in "\t\n\r":
            kept.append(" ")
        elif category[0] != "C" and character not in _UNSEEN and marks <= _MARKS:
            kept.append(character)
    return kept


def _rounded(number: str, digits: int) -> str:
    """Return a decimal number with so many significant digits, never with an exponent."""
    whole = number.split(".")[0].lstrip("0")
    lead = len(number.split(".")[1]) - len(number.split(".")[1].lstrip("0")) if not whole else 0
    places = max(0, digits - len(whole) + lead)
    short = f"{float(number):.{min(places, 30)}f}"
    return short.rstrip("0").rstrip(".") if "." in short else short
