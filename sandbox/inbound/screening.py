"""What the rules say of a file that is to enter. Pure: tables in, findings and the bytes that may enter out.

Findings that rest on the file alone are shown to its applicant. Those that rest on the release too are *closed*:
whoever brings lists and reads what each was answered learns who is in the release, without ever joining.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from desensitize.transform.techniques import Pseudonymize
from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.labels import check_texts
from sandbox.inbound.joining import enter, measure_linkage, measure_match, pseudonyms
from sandbox.inbound.model import ImportColumn, ImportRequest, Rules, Use

RULES: Final[Mapping[str, str]] = {
    "own.direct": "A column that names somebody does not enter as it is",
    "own.free_text": "Free text may hold anything: a reviewer judges it",
    "own.label": "An identifier stands in a heading or a name",
    "own.key_type": "The key is of another kind than what it joins",
    "own.key_count": "A list of few people asks about each; one of very many asks about the city",
    "own.linkage": "Too few people share all that enters beside their pseudonym",
    "own.match": "Too few of a class are in the release: made-up people may fill it",
    "own.membership": "Who joins the list sees who of it is in the release",
    "own.asked": "People whom lists of this authorization have asked about so far",
    "own.quasi": "Quasi-identifiers enter: rows that are alone in them may be recognized in a release",
    "own.sensitive": "A sensitive column enters",
    "own.shared": "A column has the name of one of the release",
    "own.formula": "Cells begin as a formula of a spreadsheet does; they are kept as text",
    "own.dropped": "Columns are left out",
}
"""Each rule in a sentence: a message id."""

ACCEPTED: Final[Mapping[str, str]] = {
    "own.direct": "leave it out, or make it the key where the grant allows join",
    "own.free_text": "codes or categories",
    "own.label": "names without numbers of persons or organisations",
    "own.key_type": "values of the kind that the release's column holds",
    "own.key_count": "a number of people on the other side of the limit",
    "own.linkage": "coarser or fewer columns: at least {limit} people in each class",
    "own.match": "at least {limit} people of each class in the release, or none",
    "own.membership": "a purpose that needs these people",
    "own.asked": "a purpose that needs these people",
    "own.quasi": "rows that are nobody's",
    "own.sensitive": "what the purpose needs",
}
"""What each rule would accept: a message id, with the finding's limit where it has one."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key is made with: the release's column and technique, the scenario's secret, and where the release lies.

    `earlier` are the lists that the scenario has brought before; `asked` counts the people of all lists so far.
    """

    joins: str
    technique: Pseudonymize
    secret: bytes
    data: Path
    earlier: tuple[pl.DataFrame, ...] = ()
    asked: int = 0
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Screened:
    """What the rules say, openly and to reviewers alone, and the bytes that may enter (None when nothing may)."""

    findings: tuple[Finding, ...]
    closed: tuple[Finding, ...]
    content: bytes | None
    keys: int = 0


def screen(
    frame: pl.DataFrame, request: ImportRequest, released: Sequence[str], rules: Rules, key: Key | None
) -> Screened:
    """Return what the rules say of the table with the request's choice of columns, and what would enter.

    `released` are the columns of the workspace's releases. Refuses, with Invalid, a key with missing or repeated
    values.
    """
    kept = [column for column in request.columns if column.use is Use.KEEP]
    findings = [*_names(request, kept), *_kept(kept), *_notes(request, kept, released), *_quasi(frame, kept)]
    made = None if key is None else pseudonyms(frame[request.key], key.technique, key.secret)
    table = enter(frame, request.kept, request.joins, made)
    closed: list[Finding] = []
    if key is not None:
        findings += _key(request, table, key, rules)
        closed = _against_release(table, key, rules)
    blocked = any(finding.severity is Severity.BLOCK for finding in findings)
    return Screened(tuple(findings), tuple(closed), None if blocked else _write(table), table.height if key else 0)


def _write(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def _find(
    rule: str, severity: Severity, figure: float | None = None, limit: float | None = None, place: str = ""
) -> Finding:
    accepted = ACCEPTED.get(rule, "").format(limit=limit)
    return Finding(rule, severity, accepted, None, figure, limit, place=place)


def _names(request: ImportRequest, kept: Sequence[ImportColumn]) -> list[Finding]:
    named = [(request.name, "name"), *((column.name, "heading") for column in kept)]
    return [
        _find("own.label", Severity.BLOCK, place=found.place)
        for text, place in named
        for found in check_texts([text], place)
    ]


def _kept(kept: Sequence[ImportColumn]) -> list[Finding]:
    found = []
    for column in kept:
        if column.names_somebody:
            place = f"{column.name}: {', '.join(column.found) or 'direct'}"
            found.append(_find("own.direct", Severity.BLOCK, column.hit_rate, place=place))
        elif column.free_text:
            found.append(_find("own.free_text", Severity.REVIEW, place=column.name))
        elif column.role == "sensitive":
            found.append(_find("own.sensitive", Severity.REVIEW, column.grade, place=column.name))
    return found


def _notes(request: ImportRequest, kept: Sequence[ImportColumn], released: Sequence[str]) -> list[Finding]:
    dropped = [column.name for column in request.columns if column.use is Use.DROP]
    shared = sorted({column.name for column in kept} & set(released))
    notes = []
    for rule, names in (("own.dropped", dropped), ("own.shared", shared)):
        if names:
            notes.append(_find(rule, Severity.NOTE, len(names), place=", ".join(names)))
    if request.formulas:
        notes.append(_find("own.formula", Severity.NOTE, request.formulas))
    return notes


def _quasi(frame: pl.DataFrame, kept: Sequence[ImportColumn]) -> list[Finding]:
    quasi = [column.name for column in kept if column.role == "quasi"]
    if not quasi:
        return []
    alone = int((frame.group_by(quasi).len()["len"] == 1).sum())
    return [_find("own.quasi", Severity.REVIEW if alone else Severity.NOTE, alone, place=", ".join(quasi))]


def _key(request: ImportRequest, table: pl.DataFrame, key: Key, rules: Rules) -> list[Finding]:
    """Return what the list says by itself: its kind, its length, and how few share what enters beside a pseudonym."""
    column = request.find_column(request.key)
    found = []
    if key.kinds and column is not None and not set(column.found) & set(key.kinds):
        found.append(_find("own.key_type", Severity.BLOCK, place=f"{request.key}: {', '.join(key.kinds)}"))
    if not rules.least_keys <= table.height <= rules.most_keys:
        limit = rules.least_keys if table.height < rules.least_keys else rules.most_keys
        found.append(_find("own.key_count", Severity.BLOCK, table.height, limit, request.key))
    link = measure_linkage((*key.earlier, table), key.joins, rules.least_class)
    if link.below:
        found.append(_find("own.linkage", Severity.BLOCK, link.smallest, rules.least_class, _lists(key, link.below)))
    found.append(_find("own.membership", Severity.REVIEW, table.height))
    found.append(_find("own.asked", Severity.REVIEW, key.asked + table.height))
    return found


def _against_release(table: pl.DataFrame, key: Key, rules: Rules) -> list[Finding]:
    match = measure_match((*key.earlier, table), key.joins, key.data, rules.least_class)
    figure = _find("own.membership", Severity.NOTE, match.matched, match.people, "in the release")
    if not match.below:
        return [figure]
    block = _find("own.match", Severity.BLOCK, match.smallest, rules.least_class, _lists(key, match.below))
    return [figure, block]


def _lists(key: Key, below: int) -> str:
    return f"{below} classes below the limit" + (f", with {len(key.earlier)} earlier lists" if key.earlier else "")
