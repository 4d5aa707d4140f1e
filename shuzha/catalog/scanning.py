"""What a sample shows: the engine's scan, kept as findings per element, and the proposals that follow from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

import desensitize
from shuzha.catalog.model import MAX_GRADE, Element, EntryDraft, Finding, Role, ScanEvidence
from shuzha.catalog.reader import file_errors, open_upload
from shuzha.core.errors import Invalid

Scanner = Callable[[pl.DataFrame], tuple[Finding, ...]]
SAMPLE_ROWS = 20_000
_ROLES = frozenset(role.value for role in Role)


def scan_frame(frame: pl.DataFrame) -> tuple[Finding, ...]:
    """Return a finding per column of a table: entity types, rate, role and grade; never a value.

    Refuses a table that the engine cannot read, such as one with nested columns.
    """
    try:
        report = desensitize.scan(frame)
    except desensitize.DesensitizeError as error:
        raise Invalid(f"the sample cannot be scanned: {error}", rule="entry.scan", accepted="plain columns") from None
    return tuple(
        Finding(
            column.name,
            _role(column.role, str(column.technique.get("technique"))),
            min(MAX_GRADE, max(1, column.grade)),
            tuple(found.entity for found in column.entities),
            round(column.hit_rate, 4),
        )
        for column in report
    )


def _role(role: str, technique: str) -> Role:
    if technique == "redact":
        return Role.FREE_TEXT
    return Role(role) if role in _ROLES else Role.PLAIN


def scan_file(
    path: Path,
    file_name: str,
    scratch: Path,
    *,
    names: Sequence[str] | None,
    at: dt.datetime,
    by: str,
    scanner: Scanner = scan_frame,
) -> ScanEvidence:
    """Return the evidence of a sample file's first rows; refuses what `open_upload` refuses."""
    upload = open_upload(path, file_name, scratch, names)
    with file_errors(file_name):
        frame = upload.frame.head(SAMPLE_ROWS).collect()
    return ScanEvidence(at, by, frame.height, scanner(frame))


def propose(sheet: EntryDraft, scan: ScanEvidence) -> EntryDraft:
    """Return the sheet with every role that was left plain, and every grade that is too mild, set to the scan's."""
    return sheet.with_elements(tuple(_propose(element, scan.find(element.name)) for element in sheet.elements))


def _propose(element: Element, found: Finding | None) -> Element:
    if found is None:
        return element
    role = found.role if element.role is Role.PLAIN else element.role
    return replace(element, role=role, grade=max(element.grade, found.grade))
