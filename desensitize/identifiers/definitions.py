r"""The one list of identifiers that all else is made from: recognizers, table detectors, redaction, proposals.

The definitions stand in `documents`, `contacts` and `organisations`; the words they use in `kinds`. Here is their
order, and how a pattern is written for each regex engine: `\b` is always the ASCII boundary.
"""

from __future__ import annotations

from desensitize.identifiers import contacts, documents, organisations
from desensitize.identifiers.kinds import DIRECT, OTHER, QUASI, SENSITIVE, Identifier

__all__ = [
    "BY_ENTITY",
    "DIRECT",
    "IDENTIFIERS",
    "OTHER",
    "QUASI",
    "SENSITIVE",
    "Identifier",
    "ascii_boundary",
    "list_rivals",
    "polars_pattern",
    "python_pattern",
]

# In order of priority: a cell that is one of them is not counted as a later one.
IDENTIFIERS: tuple[Identifier, ...] = (
    *documents.CHECKED,
    organisations.CREDIT_CODE,
    *contacts.FORMED,
    organisations.REAL_ESTATE,
    documents.MILITARY,
    *documents.WEAK,
    *organisations.WEAK,
    *contacts.WEAK,
)

BY_ENTITY: dict[str, Identifier] = {identifier.entity: identifier for identifier in IDENTIFIERS}


def list_rivals(identifier: Identifier) -> tuple[Identifier, ...]:
    """Return the identifiers that a text of this one may really be.

    They come earlier, are not weak, have a check, and share a length: a valid one of them is not counted here. What
    has no check of its own has a form that none of them shares, or is weak.
    """
    if identifier.check is None:
        return ()
    place = IDENTIFIERS.index(identifier)
    low, high = identifier.lengths
    return tuple(
        one
        for one in IDENTIFIERS[:place]
        if one.check is not None and not one.weak and one.lengths[0] <= high and low <= one.lengths[1]
    )


def polars_pattern(identifier: Identifier) -> str:
    """Return the pattern for polars: the boundary is the ASCII one of the Rust engine."""
    return ascii_boundary(identifier.pattern)


def ascii_boundary(pattern: str) -> str:
    """Return the pattern with the Rust engine's ASCII boundary."""
    return pattern.replace(r"\b", r"(?-u:\b)")


def python_pattern(identifier: Identifier) -> str:
    """Return the pattern for Python's `re` and `regex` (Presidio): the boundary is ASCII and case is as written."""
    return "(?-i:" + identifier.pattern.replace(r"\b", r"(?a:\b)") + ")"
