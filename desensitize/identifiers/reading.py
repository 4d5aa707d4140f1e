"""Reading a cell as its writer meant it: full-width characters and typographic separators become ASCII.

One character becomes one character, so that a place in the text read is the same place in the text written. Chinese
punctuation (，。：；（）) stays: it separates. The table twin says the same of every cell (a test holds the two
together) and costs next to nothing on plain columns.
"""

from __future__ import annotations

import polars as pl

_BLANKS = "\u00a0\u2002\u2003\u2009\u202f\u3000"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_LETTERS = [code for code in range(0xFF10, 0xFF5B) if chr(code - 0xFEE0).isalnum()]
_FULL_WIDTH = [*_LETTERS, *(ord(one) for one in "＋－．＠＿％")]
READ_AS: dict[str, str] = {
    **{chr(code): chr(code - 0xFEE0) for code in _FULL_WIDTH},
    **dict.fromkeys(_BLANKS, " "),
    **dict.fromkeys(_HYPHENS, "-"),
}

_TABLE = str.maketrans(READ_AS)
# A character that is read as another one.
WIDE = "[" + "".join(rf"\x{{{ord(one):X}}}" for one in READ_AS) + "]"


def read_text(text: str) -> str:
    """Return `text` with every full-width character, wide blank and typographic hyphen as the ASCII one."""
    return text if text.isascii() else text.translate(_TABLE)


def read_column(cells: pl.Series) -> pl.Series:
    """Return the cells read like `read_text`, without the blanks around them.

    A column whose bytes are all ASCII is told by its lengths and only stripped.
    """
    if cells.str.len_bytes().sum() != cells.str.len_chars().sum():
        wide = cells.str.contains(WIDE)
        if wide.any():
            read = cells.filter(wide).str.replace_many(list(READ_AS), list(READ_AS.values()))
            cells = cells.scatter(wide.arg_true(), read)
    return cells.str.strip_chars()
