"""A report: the analyst writes words and small tables as JSON, the platform makes the page.

A page or a document that somebody made can hold anything between its lines; so HTML and PDF are never taken, and this
is the one way to a report. The page runs nothing, loads nothing and prints well. Words are plain text.

    {"kind": "report", "title": "...", "sections": [{"heading": "...", "paragraphs": ["..."],
     "table": {"columns": ["...", ...], "rows": [["...", 1.5], ...]}}]}
"""

from __future__ import annotations

from html import escape
from typing import Annotated, Final, Literal

import msgspec
import polars as pl

from sandbox.airlock.files.kinds import FileType, Limits, Read, Unreadable, too_large
from sandbox.airlock.files.letters import plain_text
from sandbox.airlock.files.opaque import check_opaque_texts
from sandbox.airlock.files.tables import canonical, table_texts, write_csv, write_parquet
from sandbox.airlock.findings import Finding

_WORDS: Final = 2_000
_STYLE: Final = (
    "body{font:16px/1.6 system-ui,'Noto Sans CJK SC',sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{border-bottom:1px solid #999;padding:.2rem .8rem;"
    "text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "@media print{body{margin:0}section{break-inside:avoid}}"
)

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=_WORDS)]
Heading = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    columns: Annotated[list[Heading], msgspec.Meta(min_length=1, max_length=40)]
    rows: list[list[str | int | float | None]]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    heading: Heading
    paragraphs: Annotated[list[Words], msgspec.Meta(max_length=50)] = []
    table: _Table | None = None


class _Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["report"]
    title: Heading
    sections: Annotated[list[_Section], msgspec.Meta(min_length=1, max_length=50)]
    language: Literal["zh", "en"] = "zh"


def read_report(data: bytes, limits: Limits) -> Read:
    """Return a report read and made into the page that leaves; refuses what is not of the form above."""
    try:
        report = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Report, strict=True)
    except msgspec.ValidationError:
        raise Unreadable("a title and sections of heading, paragraphs and table") from None
    rows = sum(len(section.table.rows) for section in report.sections if section.table)
    if rows > limits.rows:
        return Read(FileType.REPORT, (too_large(f"at most {limits.rows} rows", rows, limits.rows),), rows=rows)
    title = plain_text(report.title)
    texts, tables, findings = [title], [], list[Finding]()
    groups: list[tuple[str, tuple[str, ...]]] = []
    parts: list[str] = []
    for number, section in enumerate(report.sections, 1):
        words = [plain_text(one) for one in section.paragraphs]
        heading = plain_text(section.heading)
        texts += [heading, *words]
        parts.append(f"<section><h2>{escape(heading)}</h2>{''.join(f'<p>{escape(one)}</p>' for one in words)}")
        if section.table is not None:
            given = _frame(section.table)
            made = canonical(given, limits)
            findings += [*made.findings]
            groups += [(f"section {number}, {place}", found) for place, found in table_texts(given, made.frame)]
            tables.append(write_parquet(made.frame))
            parts.append(_shown(made.frame))
        parts.append("</section>")
    findings += check_opaque_texts(texts, "text")
    page = _page(title, report.language, "".join(parts))
    return Read(FileType.REPORT, tuple(findings), page, rows, (("text", tuple(texts)), *groups), tuple(tables))


def _frame(table: _Table) -> pl.DataFrame:
    names, width = table.columns, len(table.columns)
    if len(set(names)) != width or any(len(row) != width for row in table.rows):
        raise Unreadable("a table whose rows are not as long as its headings, or a heading twice")
    columns = {
        name: [None if row[place] is None else str(row[place]) for row in table.rows]
        for place, name in enumerate(names)
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def _shown(frame: pl.DataFrame) -> str:
    """Return a table as HTML, its figures written as its CSV has them."""
    written = pl.read_csv(write_csv(frame), infer_schema=False)
    right = [' class="n"' if dtype.is_numeric() else "" for dtype in frame.schema.dtypes()]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in written.columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{side}>{escape(cell or '')}</td>" for side, cell in zip(right, row, strict=True))
        + "</tr>"
        for row in written.iter_rows()
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _page(title: str, language: str, body: str) -> bytes:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    ).encode()
