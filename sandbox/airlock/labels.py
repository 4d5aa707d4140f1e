"""Identifiers in what people read of an output: headings, row labels, file names. Figures are not looked at here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from desensitize.freetext.redaction import find_identifiers
from sandbox.airlock.findings import Finding, Severity

RULE: Final = "label_pii"
ACCEPTED: Final = "headings, labels and names without numbers of persons, contacts, cards, plates or organisations"
MAX_FINDINGS: Final = 50
SHORTEST: Final = 6


def find_identifier(text: str) -> str | None:
    """Return the kind (in Chinese) of the first identifier inside `text`, or None."""
    # Every identifier is this long and has a digit or an @: most labels need no closer look.
    if len(text) < SHORTEST or not ("@" in text or any(character.isdigit() for character in text)):
        return None
    # An underscore joins words for a regular expression and parts them for a reader.
    found = find_identifiers(text.replace("_", " "))
    return min(found).label if found else None


def check_labels(labels: pl.DataFrame, names: Sequence[str]) -> list[Finding]:
    """Return a finding for each heading or label that holds an identifier; the label is not repeated."""
    findings = [*check_texts(names, "heading")]
    for name, column in zip(names, labels.iter_columns(), strict=False):
        if column.dtype == pl.String or column.dtype.is_integer() or column.dtype in (pl.Categorical, pl.Enum):
            findings += check_texts(column.unique().drop_nulls().cast(pl.String).to_list(), f"labels of {name}")
    return findings


def check_texts(texts: Iterable[str], place: str) -> list[Finding]:
    """Return a finding for each of the first texts that holds an identifier; `place` says where they stand."""
    findings: list[Finding] = []
    for number, text in enumerate(texts, 1):
        kind = find_identifier(text)
        if kind is not None:
            findings.append(Finding(RULE, Severity.BLOCK, ACCEPTED, place=f"{place}, {number}: {kind}"))
        if len(findings) == MAX_FINDINGS:
            break
    return findings
