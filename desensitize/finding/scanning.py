"""Finding identifiers in a table: every column judged by hit rate, check digits and name, never by one hit.

Words: the *hit rate* is the share of non-null cells that are a valid identifier; the *share* is that rate without
what random text would give by chance; a column *is* of an identifier from a share of 0.8 (0.5 if its name says so),
*mixed* from 0.02, below that it has *stray* ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput
from desensitize.finding.roles import RULES, Rule, is_free_text, is_named, is_unique_code, match_share
from desensitize.identifiers.definitions import BY_ENTITY, DIRECT, OTHER, QUASI, SENSITIVE
from desensitize.identifiers.detectors import Hits, compact, count_hits
from desensitize.tables import Table, collect, open_table
from desensitize.transform.plan import Anonymity, Plan

IS, MIXED, STRAY, INSIDE, NAMED = "is", "mixed", "stray", "inside", "named"
_IS_SHARE, _NAMED_SHARE, _MIXED_SHARE, _RULE_SHARE = 0.8, 0.5, 0.02, 0.6
_SENTENCE = {
    IS: "{rate:.1%} of the cells are {what}",
    MIXED: "mixed: {rate:.1%} of the cells are {what}",
    STRAY: "stray: {rate:.3%} of the cells are {what}",
    INSIDE: "{rate:.1%} of the cells hold {what} inside text",
    NAMED: "the name says {what}; {rate:.1%} of the cells pass its check",
}


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
    """One column: what was found, its role.

    (direct, quasi, sensitive, other), proposed grade 1-4 and technique, and why.
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

    @property
    def hit_rate(self) -> float:
        """Return the hit rate of the first thing found, 0 if nothing was."""
        return self.entities[0].hit_rate if self.entities else 0.0


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found, column by column, and the plan that follows. It holds no value of the table."""

    rows: int
    columns: tuple[ColumnFinding, ...]

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
        """Return the proposed plan: every column's technique, and anonymity over the quasi-identifiers that pass."""
        columns = {column.name: dict(column.technique) for column in self.columns}
        quasi = {
            column.name: column.hierarchy
            for column in self.columns
            if column.role == QUASI and column.hierarchy and column.technique["technique"] != "drop"
        }
        plan = Plan.from_dict({"columns": columns})
        if not quasi:
            return plan
        return Plan(plan.columns, anonymity=Anonymity(quasi, k=k, entity=self.find_entity_column(), mode=mode))

    def find_entity_column(self) -> str | None:
        """Return the first column that says whose data a row is: a resident ID or credit code in every row."""
        keys = ("CN_RESIDENT_ID", "CN_RESIDENT_ID_15", "CN_USCC")
        for column in self.columns:
            if column.non_null == self.rows and any(f.entity in keys and f.how in (IS, NAMED) for f in column.entities):
                return column.name
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {"rows": self.rows, "grade": self.grade, "columns": [asdict(column) for column in self.columns]}


def scan(frame_or_path: Table, progress: Callable[[int, int], None] | None = None) -> ScanReport:
    """Return what every column of the table holds; every cell is looked at. `progress` hears (columns done, columns).

    Refuses what `open_table` refuses.
    """
    table = open_table(frame_or_path)
    schema = table.collect_schema()
    findings = []
    rows = int(collect(table.select(pl.len())).item()) if schema else 0
    for done, (name, dtype) in enumerate(schema.items()):
        findings.append(_scan_column(table, name, dtype))
        if progress is not None:
            progress(done + 1, len(schema))
    return ScanReport(rows, tuple(findings))


def _scan_column(table: pl.LazyFrame, name: str, dtype: pl.DataType) -> ColumnFinding:
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise InvalidInput(f"column `{name}` is {dtype}; only text, numbers, dates and truth values can be scanned")
    values = collect(table.select(pl.col(name))).to_series()
    readable = not (dtype.is_float() or dtype == pl.Boolean or isinstance(dtype, pl.Datetime))
    cells, weights = compact(values.cast(pl.String))
    total = int(weights.sum())
    hits = count_hits(cells, weights) if readable and total else []
    found = [one for hit in hits if (one := _judge(hit, name, total)) is not None]
    rule = None if any(f.how in (IS, NAMED) for f in found) else _find_rule(name, cells, weights)
    return _conclude(name, dtype, values, cells, found, rule)


def _judge(hit: Hits, column: str, total: int) -> Found | None:
    """Return what these hits say about the column, or None if chance explains them."""
    kind = hit.identifier
    named = is_named(column, kind.words)
    if kind.weak and not named:
        return None
    rate, looks = hit.valid / total, hit.looks / total
    share = max(0.0, (rate - kind.chance * looks) / (1 - kind.chance))
    noise = hit.looks * kind.chance + 3 * (hit.looks * kind.chance * (1 - kind.chance)) ** 0.5
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


def _find_rule(column: str, cells: pl.Series, weights: pl.Series) -> tuple[Rule, float] | None:
    for rule in RULES:
        named = is_named(column, rule.words)
        if not named and not rule.alone:
            continue
        if not named and cells.n_unique() < rule.least_distinct:
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


def _conclude(
    name: str,
    dtype: pl.DataType,
    values: pl.Series,
    cells: pl.Series,
    found: list[Found],
    rule: tuple[Rule, float] | None,
) -> ColumnFinding:
    non_null = len(values) - values.null_count()
    evidence = [_SENTENCE[f.how].format(rate=f.hit_rate, what=f.chinese) for f in found]
    text = dtype == pl.String and is_free_text(cells)
    if rule is not None and ((found and rule[0].role != DIRECT) or (text and rule[0].entity == "ORGANISATION")):
        rule = None
    if rule is not None:
        found = [Found(rule[0].entity, rule[0].chinese, IS, rule[1], rule[1]), *found]
        evidence.insert(0, f"name or values say {rule[0].chinese}; {rule[1]:.1%} of the cells fit")
    proposal = _propose(dtype, found, rule[0] if rule else None, text=text)
    if proposal.role == OTHER and dtype == pl.String and is_unique_code(cells, non_null):
        proposal = _Proposal(QUASI, 2, {"technique": "pseudonymize", "domain": name})
        evidence.append("nearly every value is different: each may name someone")
    elif text and not any(f.how in (IS, NAMED) for f in found):
        evidence.append("free text can name people")
    return ColumnFinding(
        name=name,
        dtype=str(dtype),
        non_null=non_null,
        distinct=values.drop_nulls().n_unique(),
        entities=tuple(found),
        role=proposal.role,
        grade=proposal.grade,
        technique=dict(proposal.technique),
        hierarchy=dict(proposal.hierarchy),
        mixed=any(f.how == MIXED for f in found),
        evidence=tuple(evidence),
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
    technique = {"technique": "redact"} if dtype == pl.String else {"technique": "drop"}
    return _Proposal(DIRECT if found else SENSITIVE, grade, technique)
