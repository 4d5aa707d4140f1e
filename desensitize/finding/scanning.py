"""Finding identifiers in a table: every column judged by hit rate, check digits and name, never by one hit.

Words: the *hit rate* is the share of non-null cells that are a valid identifier; the *share* is that rate without
what random text would give by chance; a column *is* of an identifier from a share of 0.8 (0.5 if its name says so),
*mixed* from 0.02, below that it has *stray* ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput
from desensitize.finding.cautions import find_cautions
from desensitize.finding.combinations import QuasiIdentifiers, find_quasi_identifiers
from desensitize.finding.evidence import GRADE_SOURCES, Evidence
from desensitize.finding.roles import (
    RULES,
    Rule,
    is_free_text,
    is_named,
    is_running_number,
    is_unique_code,
    match_share,
    reads_like_sentences,
)
from desensitize.identifiers.definitions import BY_ENTITY, DIRECT, IDENTIFIERS, OTHER, QUASI, SENSITIVE
from desensitize.identifiers.detectors import Hits, compact, count_hits
from desensitize.leaves import drop_invisible
from desensitize.tables import Table, collect, open_by_place, run_quietly
from desensitize.transform.plan import Anonymity, Plan

IS, MIXED, STRAY, INSIDE, NAMED = "is", "mixed", "stray", "inside", "named"
_IS_SHARE, _NAMED_SHARE, _MIXED_SHARE, _RULE_SHARE = 0.8, 0.5, 0.02, 0.6
_AT_ONCE_BYTES = 512 << 20
_INSIDE_PROSE = ("ORGANISATION", "CN_ADDRESS")  # prose about places and organisations is neither
_DEVIATIONS = 4  # one column in 30,000 by chance
_MOST_COMBINED, _FLAT_VALUES, _CHEAP_ROWS = 20, 1000, 100_000


@dataclass(frozen=True, slots=True)
class Found:
    """One kind of thing in one column.

    How it was found (is, mixed, stray, inside, named), its hit rate and its share.
    """

    entity: str
    chinese: str
    how: str
    hit_rate: float
    share: float


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """One column: what was found, its role (direct, quasi, sensitive, other), proposed grade 1-4 and technique.

    `evidence` and `evidence_zh` say why in English and Chinese, without a value; `grade_source` says where the grade
    is from.
    """

    name: str
    dtype: str
    non_null: int
    distinct: int
    entities: tuple[Found, ...]
    role: str
    grade: int
    technique: dict[str, Any]
    hierarchy: dict[str, Any]
    mixed: bool
    evidence: tuple[str, ...]
    evidence_zh: tuple[str, ...] = ()
    grade_source: str = ""

    @property
    def hit_rate(self) -> float:
        """Return the hit rate of the first thing found, 0 if nothing was."""
        return self.entities[0].hit_rate if self.entities else 0.0


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found, column by column, and the plan that follows. It holds no value of the table.

    `quasi_identifiers` are the combinations of columns that single people out, where they were asked for.
    """

    rows: int
    columns: tuple[ColumnFinding, ...]
    quasi_identifiers: QuasiIdentifiers | None = None

    def __iter__(self) -> Iterator[ColumnFinding]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> ColumnFinding:
        """Return the finding of column `name`. Refuses a name that was not scanned."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InvalidInput(f"column `{name}` was not scanned; scanned: {', '.join(c.name for c in self.columns)}")

    @property
    def grade(self) -> int:
        """Return the proposed grade of the whole table: the highest of its columns."""
        return max((column.grade for column in self.columns), default=1)

    def to_plan(self, k: int = 5, mode: str = "enclave") -> Plan:
        """Return the proposed plan: every column's technique, and anonymity over the quasi-identifiers.

        Where combinations were looked for, columns of role other that stand in one are generalized too.
        """
        columns = {column.name: dict(column.technique) for column in self.columns}
        telling = self.quasi_identifiers.telling if self.quasi_identifiers else ()
        quasi = {
            column.name: column.hierarchy or {"kind": "flat"}
            for column in self.columns
            if (column.role == QUASI and column.hierarchy and column.technique["technique"] != "drop")
            or (column.role == OTHER and column.name in telling and _may_be_flat(column))
        }
        plan = Plan.from_dict({"columns": columns})
        if not quasi:
            return plan
        return Plan(plan.columns, anonymity=Anonymity(quasi, k=k, entity=self.find_entity_column(), mode=mode))

    def cautions(self, language: str = "en", plan: Plan | None = None) -> Mapping[str, str]:
        """Return, by column, why a person should look at it: the plan (by default the proposed one) leaves it as it is.

        Such columns single people out, or hold exact sensitive values; one sentence each, in `en` or `zh`.
        """
        return find_cautions(self.columns, self.quasi_identifiers, plan or self.to_plan(), language)

    def find_entity_column(self) -> str | None:
        """Return the first column that says whose data a row is: a resident ID or credit code in every row."""
        keys = ("CN_RESIDENT_ID", "CN_RESIDENT_ID_15", "CN_USCC")
        for column in self.columns:
            if column.non_null == self.rows and any(f.entity in keys and f.how in (IS, NAMED) for f in column.entities):
                return column.name
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        chinese = self.cautions("zh")
        combined = {"quasi_identifiers": self.quasi_identifiers.to_dict()} if self.quasi_identifiers else {}
        return {
            "rows": self.rows,
            "grade": self.grade,
            "columns": [asdict(column) for column in self.columns],
            "cautions": {name: {"en": text, "zh": chinese[name]} for name, text in self.cautions("en").items()},
            **combined,
        }


def scan(
    frame_or_path: Table, progress: Callable[[int, int], None] | None = None, *, combinations: bool | None = False
) -> ScanReport:
    """Return what every column of the table holds; every cell is looked at. `progress` hears (columns done, columns).

    With `combinations` the report also says which sets of columns single people out (`find_quasi_identifiers`, with
    its defaults, over columns that are neither direct nor sensitive); None: if the table has at most 100,000 rows.
    Refuses nested columns and what `open_by_place` refuses.
    """
    table = open_by_place(frame_or_path)
    schema = run_quietly(table.collect_schema)
    for name, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise InvalidInput(f"column `{name}` is {dtype}; only text, numbers, dates and truth values can be scanned")
    if isinstance(frame_or_path, str | Path) and Path(frame_or_path).stat().st_size <= _AT_ONCE_BYTES:
        # A text file is parsed as a whole for every column that is asked of it.
        table = collect(table).lazy()
    findings = []
    rows = int(collect(table.select(pl.len())).item()) if schema else 0
    for done, (name, dtype) in enumerate(schema.items()):
        # By place and not by name: a name such as `^x$` would be read as a pattern.
        values = collect(table.select(pl.nth(done).alias("cell"))).to_series()
        findings.append(_scan_column(values, name, dtype))
        if progress is not None:
            progress(done + 1, len(schema))
    report = ScanReport(rows, tuple(findings))
    if combinations is None:
        combinations = rows <= _CHEAP_ROWS
    return replace(report, quasi_identifiers=_combine(table, report)) if combinations else report


def _combine(table: pl.LazyFrame, report: ScanReport) -> QuasiIdentifiers:
    """Return the combinations over the columns that others may know: at most twenty, quasi-identifiers first."""
    open_to_others = [
        column
        for column in report.columns
        if column.role in (QUASI, OTHER)
        and column.distinct > 1
        and column.technique["technique"] != "redact"
        and not column.name.startswith("^")
    ]
    ranked = sorted(open_to_others, key=lambda column: (column.role != QUASI, -column.distinct))[:_MOST_COMBINED]
    names = [column.name for column in open_to_others if column in ranked]
    return find_quasi_identifiers(table, names, report.find_entity_column())


def _may_be_flat(column: ColumnFinding) -> bool:
    return column.technique["technique"] == "keep" and column.distinct <= _FLAT_VALUES


def _scan_column(values: pl.Series, name: str, dtype: pl.DataType) -> ColumnFinding:
    readable = not (dtype.is_float() or dtype == pl.Boolean or isinstance(dtype, pl.Datetime))
    cells, weights, distinct = compact(values.cast(pl.String))
    cells = drop_invisible(cells)
    total = int(weights.sum())
    looked_for = [one for one in IDENTIFIERS if not one.weak or is_named(name, one.words, one.pinyin)]
    hits = count_hits(cells, weights, looked_for) if readable and total else []
    found = [one for hit in hits if (one := _judge(hit, name, total)) is not None]
    found.sort(key=lambda one: one.how not in (IS, NAMED))
    rule = None if any(f.how in (IS, NAMED) for f in found) else _find_rule(name, cells, weights, distinct)
    return _conclude(name, _Column(dtype, cells, total, distinct), found, rule)


def _judge(hit: Hits, column: str, total: int) -> Found | None:
    """Return what these hits say about the column, or None if chance explains them."""
    kind = hit.identifier
    named = is_named(column, kind.words, kind.pinyin)
    rate, looks = hit.valid / total, hit.looks / total
    share = max(0.0, (rate - kind.chance * looks) / (1 - kind.chance))
    noise = hit.looks * kind.chance + _DEVIATIONS * (hit.squares * kind.chance * (1 - kind.chance)) ** 0.5
    if share >= (_NAMED_SHARE if named else _IS_SHARE):
        return Found(kind.entity, kind.chinese, IS, rate, share)
    if named and looks >= _IS_SHARE:
        return Found(kind.entity, kind.chinese, NAMED, rate, share)
    if hit.valid > noise and share >= _MIXED_SHARE:
        return Found(kind.entity, kind.chinese, MIXED, rate, share)
    if hit.holds:
        return Found(kind.entity, kind.chinese, INSIDE, (hit.holds + hit.valid) / total, hit.holds / total)
    if hit.valid > noise and share > 0:
        return Found(kind.entity, kind.chinese, STRAY, rate, share)
    return None


def _find_rule(column: str, cells: pl.Series, weights: pl.Series, distinct: int) -> tuple[Rule, float] | None:
    for rule in RULES:
        named = is_named(column, rule.words, rule.pinyin)
        if not named and not rule.alone:
            continue
        if not named and distinct < rule.least_distinct:
            continue
        share = match_share(rule, cells, weights)
        if share >= (_RULE_SHARE if named else _IS_SHARE) or is_named(column, rule.sure) or (named and not len(cells)):
            return rule, share
    return None


@dataclass(frozen=True, slots=True)
class _Proposal:
    role: str = OTHER
    grade: int = 1
    technique: Mapping[str, Any] = field(default_factory=lambda: {"technique": "keep"})
    hierarchy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Column:
    dtype: pl.DataType
    cells: pl.Series
    non_null: int
    distinct: int

    def cells_and_counts(self) -> tuple[pl.Series, int, int]:
        return self.cells, self.non_null, self.distinct


def _conclude(name: str, column: _Column, found: list[Found], rule: tuple[Rule, float] | None) -> ColumnFinding:
    text = column.dtype == pl.String and is_free_text(column.cells)
    prose = text and reads_like_sentences(column.cells)
    if rule is not None and ((found and rule[0].role != DIRECT) or (prose and rule[0].entity in _INSIDE_PROSE)):
        rule = None
    evidence = Evidence()
    if rule is not None:
        evidence.add("rule", rule[1], rule[0].entity, rule[0].chinese)
    for one in found:
        evidence.add(one.how, one.hit_rate, one.entity, one.chinese)
    if rule is not None:
        found = [Found(rule[0].entity, rule[0].chinese, IS, rule[1], rule[1]), *found]
    proposal = _propose(column.dtype, found, rule[0] if rule else None, text=text)
    if proposal.role == OTHER and column.dtype == pl.String and is_unique_code(*column.cells_and_counts()):
        proposal = _Proposal(QUASI, 2, {"technique": "pseudonymize", "domain": name})
        evidence.add("unique")
    elif proposal == _Proposal() and is_running_number(*column.cells_and_counts()):
        # Nobody knows a person by it, but whoever keeps the original finds the row again.
        proposal = _Proposal(technique={"technique": "pseudonymize", "domain": name})
        evidence.add("running")
    elif text and not any(f.how in (IS, NAMED) for f in found):
        evidence.add("text")
    return ColumnFinding(
        name=name,
        dtype=str(column.dtype),
        non_null=column.non_null,
        distinct=column.distinct,
        entities=tuple(found),
        role=proposal.role,
        grade=proposal.grade,
        technique=dict(proposal.technique),
        hierarchy=dict(proposal.hierarchy),
        mixed=any(f.how == MIXED for f in found),
        evidence=tuple(evidence.english),
        evidence_zh=tuple(evidence.chinese),
        grade_source=GRADE_SOURCES[proposal.grade],
    )


def _propose(dtype: pl.DataType, found: list[Found], rule: Rule | None, *, text: bool) -> _Proposal:
    """Return role, grade and technique: of what the column is, else of the rule that fits, else of what it holds."""
    main = next((BY_ENTITY[f.entity] for f in found if f.how in (IS, NAMED) and f.entity in BY_ENTITY), None)
    if main is not None:
        return _Proposal(main.role, main.grade, main.proposal)
    if rule is not None:
        return _Proposal(rule.role, rule.grade, rule.proposal, rule.hierarchy)
    if not found and not text:
        return _Proposal()
    grade = max((BY_ENTITY[f.entity].grade for f in found), default=2)
    technique = {"technique": "redact", "caution": "strict"} if dtype == pl.String else {"technique": "drop"}
    return _Proposal(DIRECT if found else SENSITIVE, grade, technique)
