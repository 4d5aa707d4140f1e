"""Makes a sheet from a file: what `shuzha import` proposes to a provider who brings any CSV or Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from shuzha.catalog.checks import check_draft, is_column_name
from shuzha.catalog.model import (
    Element,
    ElementType,
    EntryDraft,
    Finding,
    Opening,
    Role,
    Sharing,
    SubjectKind,
    TermsKind,
    Title,
)
from shuzha.catalog.normal import normalise
from shuzha.catalog.reader import Upload, file_errors, open_upload
from shuzha.catalog.scanning import SAMPLE_ROWS, Scanner, scan_frame
from shuzha.core.errors import Invalid
from shuzha.core.ids import new_id

DEPARTMENT_CLASS = "3"
ON_APPLICATION = "依申请，按申请用途使用 (on application, for the stated purpose)"
# An entity key must be found in nearly every row; these types say whose data a row is.
_SUBJECTS: Mapping[str, SubjectKind] = {"CN_RESIDENT_ID": SubjectKind.PERSON, "CN_USCC": SubjectKind.ORGANISATION}
_SUBJECT_RATE = 0.95
_WHOLE = r"^-?(?:0|[1-9]\d{0,17})$"
_FRACTION = r"^-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$"
_CODE_LETTERS = 6  # Whole numbers of one length, this long, are codes: a region, a post code.
_SEPARATED = "[-/年]"
_TRUTH = r"^(?i:true|false|是|否)$"
_NO_TITLE = Title("", "")


def infer_draft(
    path: Path,
    code: str,
    name: str,
    title: Title,
    scratch: Path,
    *,
    file_name: str = "",
    scanner: Scanner = scan_frame,
) -> EntryDraft:
    """Return a sheet that the whole file fits: types from every row, roles and grades from a scan of the first.

    Rows about nobody in particular give a sheet without entity key. Refuses what the reader refuses, and column names
    that an element cannot have, by their place: without a header the first line would be data. `scratch` is a folder
    for a working copy, which is removed.
    """
    working = scratch / f"{new_id('smp')}.utf8"
    try:
        upload = open_upload(path, file_name or path.name, working)
        _check_names(upload)
        with file_errors(upload.file_name):
            sheet = _infer(upload, EntryDraft(code, name, title, "", ()), scanner)
    finally:
        working.unlink(missing_ok=True)
    check_draft(sheet)
    return sheet


def _infer(upload: Upload, blank: EntryDraft, scanner: Scanner) -> EntryDraft:
    counts = _count_forms(upload)
    findings = {found.element: found for found in scanner(upload.frame.head(SAMPLE_ROWS).collect())}
    elements = tuple(_element(upload, column, counts, findings.get(column)) for column in upload.columns)
    entity, kind = _find_subject(findings, counts)
    return replace(
        blank,
        abstract=f"{blank.title.zh} / {blank.title.en}: {len(elements)} columns, from {upload.file_name}",
        classification=DEPARTMENT_CLASS,
        subject_kind=kind,
        entity_key=entity,
        key_columns=(entity,) if entity and _is_unique(upload, entity) else (),
        sharing=Sharing(TermsKind.CONDITIONAL, condition=ON_APPLICATION),
        opening=Opening(TermsKind.CONDITIONAL, condition=ON_APPLICATION),
    ).with_elements(elements)


def _check_names(upload: Upload) -> None:
    for place, name in enumerate(upload.columns, 1):
        if not is_column_name(name) or upload.columns.count(name) > 1:
            raise Invalid(
                f"{upload.file_name}: the name of column {place} cannot be an element's", rule="element.name",
                accepted="a header line of different names of 1 to 64 letters, digits, `_ . -`",
            )  # fmt: skip


def _count_forms(upload: Upload) -> Mapping[str, Any]:
    """Return, for each column, how many cells are filled and how many have each form, from one pass over the file."""
    asked = [pl.len().alias("rows")]
    schema = upload.frame.collect_schema()
    for place, name in enumerate(upload.columns):
        if not isinstance(schema[name], pl.String):
            asked.append(pl.col(name).count().alias(f"filled {place}"))
            continue
        text = pl.col(name).str.strip_chars()
        filled = text.is_not_null() & (text != "")
        asked.append(filled.sum().alias(f"filled {place}"))
        asked += [
            text.str.len_chars().min().alias(f"shortest {place}"),
            text.str.len_chars().max().alias(f"longest {place}"),
        ]
        for form, met in _forms(name, text).items():
            asked.append((filled & met).sum().alias(f"{form} {place}"))
    row = upload.frame.select(asked).collect(engine="streaming").row(0, named=True)
    places = {name: str(place) for place, name in enumerate(upload.columns)}
    return {"rows": row["rows"], **{name: _of_place(row, place) for name, place in places.items()}}


def _of_place(row: Mapping[str, int], place: str) -> dict[str, int]:
    return {key.split(" ")[0]: count for key, count in row.items() if key.endswith(f" {place}")}


def _forms(name: str, text: pl.Expr) -> dict[ElementType, pl.Expr]:
    def becomes(kind: ElementType) -> pl.Expr:
        return normalise(Element(name, _NO_TITLE, kind), pl.String(), "").is_not_null()

    separated = text.str.contains(_SEPARATED)
    return {
        ElementType.BOOLEAN: text.str.contains(_TRUTH),
        ElementType.INTEGER: text.str.contains(_WHOLE),
        ElementType.NUMBER: text.str.contains(_FRACTION) & ~text.str.contains(r"^-?0\d"),
        ElementType.DATE: separated & becomes(ElementType.DATE),
        ElementType.DATETIME: separated & text.str.contains(":") & becomes(ElementType.DATETIME),
    }


def _element(upload: Upload, name: str, counts: Mapping[str, Any], found: Finding | None) -> Element:
    own = counts[name]
    role = found.role if found else Role.PLAIN
    kind = _type_of(upload.frame.collect_schema()[name], own, role)
    nullable = own["filled"] < counts["rows"]
    return Element(name, Title(name, name), kind, role, found.grade if found else 1, nullable)


def _type_of(found: pl.DataType, own: Mapping[str, int], role: Role) -> ElementType:
    if isinstance(found, pl.String):
        # Identifiers and codes stay text, also where all are digits: nobody adds them up, and zeros in front count.
        full = [form for form in _forms("", pl.lit("")) if own["filled"] and own[form] == own["filled"]]
        is_code = own["shortest"] == own["longest"] and (own["longest"] or 0) >= _CODE_LETTERS
        if not full or role is Role.DIRECT or (is_code and full[0] is ElementType.INTEGER):
            return ElementType.TEXT
        return full[0]
    if found.is_integer():
        return ElementType.TEXT if role is Role.DIRECT else ElementType.INTEGER
    if isinstance(found, pl.Date):
        return ElementType.DATE
    if isinstance(found, pl.Datetime):
        return ElementType.DATETIME
    if isinstance(found, pl.Boolean):
        return ElementType.BOOLEAN
    return ElementType.NUMBER if found.is_numeric() else ElementType.TEXT


def _find_subject(findings: Mapping[str, Finding], counts: Mapping[str, Any]) -> tuple[str | None, SubjectKind]:
    for name, found in findings.items():
        whole = counts[name]["filled"] == counts["rows"] and found.hit_rate >= _SUBJECT_RATE
        for word, kind in _SUBJECTS.items():
            if whole and word in found.types:
                return name, kind
    return None, SubjectKind.NONE


def _is_unique(upload: Upload, name: str) -> bool:
    asked = upload.frame.select(pl.col(name).n_unique() == pl.len())
    return bool(asked.collect(engine="streaming").item())
