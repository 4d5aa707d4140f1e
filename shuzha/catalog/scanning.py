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

Scanner = Callable[[pl.DataFrame], tuple[Finding, ...]]
SAMPLE_ROWS = 20_000


def scan_frame(frame: pl.DataFrame) -> tuple[Finding, ...]:
    """Return a finding per column of a table: entity types, rate, role and grade; never a value."""
    return tuple(
        Finding(
            column.name,
            Role(column.role),
            min(MAX_GRADE, max(1, column.grade)),
            tuple(column.types),
            round(column.hit_rate, 4),
        )
        for column in desensitize.scan(frame).columns
    )


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
