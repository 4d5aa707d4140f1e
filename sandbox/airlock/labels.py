"""Identifiers in what people read of an output: headings, row labels, file names. Figures are not looked at here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from desensitize.identifiers import is_luhn, is_resident_id
from sandbox.airlock.findings import Finding, Severity

RULE: Final = "label_pii"
ACCEPTED: Final = "headings, labels and names without resident IDs, mobile numbers, bank cards or e-mail addresses"
MAX_FINDINGS: Final = 50

_RESIDENT = re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?!\d)")
_MOBILE = re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d{9}(?!\d)")
_CARD = re.compile(r"(?<!\d)[3-6]\d{15,18}(?!\d)")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def find_identifier(text: str) -> str | None:
    """Return the kind of the first identifier inside `text` (resident_id, mobile, bank_card, email), or None."""
    if any(is_resident_id(found) for found in _RESIDENT.findall(text)):
        return "resident_id"
    if _MOBILE.search(text):
        return "mobile"
    if any(is_luhn(found) for found in _CARD.findall(text)):
        return "bank_card"
    return "email" if _MAIL.search(text) else None


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
