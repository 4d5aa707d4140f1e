"""Outputs that the platform can compute itself: tables and verifications, each a closed piece of JSON.

What leaves the airlock is the platform's own computation of the specification, not what this kernel computed; the
preview here is the analyst's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench import page
from workbench.data import load
from workbench.errors import WorkbenchError

Condition = tuple[str, str] | tuple[str, str, Any] | dict[str, Any]

AGGREGATES = (
    "count", "entities", "sum", "mean", "std", "var", "min", "max", "median", "mode",
    "p05", "p10", "p25", "p75", "p90", "p95",
)  # fmt: skip
REPAIRS = ("none", "suppress", "round", "midpoint6")
_REPAIRS = {
    "none": "无 none", "suppress": "隐去小格 suppress", "round": "取整 round", "midpoint6": "六取中 midpoint-6",
}  # fmt: skip
_SIGNS = {"==": "eq", "=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_ACCEPTED = "==, !=, <, <=, >, >=, in, is_null, not_null"
_OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "in", "is_null", "not_null")


@dataclass(frozen=True)
class Table:
    """A table of a release: `aggregate` of `value` by `rows` and `columns`, over the rows that meet `where`.

    `merges` shows labels as one, `coding` makes values coarser, `repair` is what the platform does to blocked cells.
    """

    release: str
    rows: tuple[str, ...]
    columns: tuple[str, ...] = ()
    where: tuple[dict[str, Any], ...] = ()
    value: str | None = None
    aggregate: str = "count"
    repair: str = "none"
    merges: tuple[dict[str, Any], ...] = ()
    coding: dict[str, float] | None = None

    @property
    def specification(self) -> dict[str, Any]:
        """The JSON that the platform recomputes."""
        return {
            "kind": "table",
            "release": self.release,
            "where": list(self.where),
            "rows": list(self.rows),
            "columns": list(self.columns),
            "value": self.value,
            "aggregate": self.aggregate,
            "repair": self.repair,
            "merges": list(self.merges),
            "coding": self.coding,
        }

    def preview(self, entity: str | None = None) -> pl.DataFrame:
        """Return the table as this kernel computes it; `entity` names the column whose distinct values are counted.

        Nothing is left out or rounded in it: repairs are the platform's.
        """
        frame = self.scan()
        by = [*self.rows, *self.columns]
        figure = _figure(self.aggregate, self.value, entity)
        if not by:
            return frame.select(figure).collect()
        return frame.group_by(by).agg(figure).sort(by, nulls_last=True).collect()

    def scan(self) -> pl.LazyFrame:
        """Return the rows that the table is of, with labels merged and values coded."""
        frame = load(self.release).filter(_all(self.where))
        for name in {one["column"] for one in self.merges}:
            known = {label: one["into"] for one in self.merges if one["column"] == name for label in one["labels"]}
            label = pl.col(name).cast(pl.String)
            frame = frame.with_columns(label.replace(known).alias(name))
        if self.coding and self.value:
            frame = frame.with_columns(_coded(pl.col(self.value), self.coding).alias(self.value))
        return frame

    def _repr_html_(self) -> str:
        figure = self.aggregate + (f" of {self.value}" if self.value else "")
        by = " × ".join([*self.rows, *self.columns]) or "全部 all rows"
        repair = _REPAIRS[self.repair]
        pairs = [("数据 release", self.release), ("统计 figure", figure), ("分组 by", by),
                 ("条件 where", said(self.where) or "无 none"), ("修复 repair", repair)]  # fmt: skip
        pairs += [("合并 merged", f"{one['column']}: {one['into']}") for one in self.merges]
        pairs += [("取整 coded", ", ".join(f"{name} {figure:g}" for name, figure in (self.coding or {}).items()))][
            : bool(self.coding)
        ]
        how = page.quiet("预览 ", page.tag("code", ".preview()"), " · 预检 ", page.tag("code", "workbench.check(…)"))
        return page.join([page.heading("表 table"), page.facts(pairs), how])


@dataclass(frozen=True)
class Claim:
    """One yes-or-no question: true of a subject when one of its rows meets every condition."""

    name: str
    title: str
    where: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Verification:
    """A verification product to be: claims about the subjects of an entry. Its index is built by the platform."""

    entry: str
    subject: tuple[str, ...]
    claims: tuple[Claim, ...]

    @property
    def specification(self) -> dict[str, Any]:
        """The JSON from which the platform builds the index."""
        return {
            "kind": "verification",
            "entry": self.entry,
            "subject": list(self.subject),
            "claims": [{"name": one.name, "title": one.title, "where": list(one.where)} for one in self.claims],
        }

    def _repr_html_(self) -> str:
        head = page.heading("核验规格 verification", self.entry, f"主体 subject: {', '.join(self.subject)}")
        rows = [(page.tag("code", one.name), one.title, said(one.where)) for one in self.claims]
        return page.join([head, page.table(("核验项 claim", "标题 title", "成立条件 true when"), rows)])


def table(
    release: str,
    *,
    rows: Sequence[str],
    columns: Sequence[str] = (),
    where: Iterable[Condition] = (),
    value: str | None = None,
    aggregate: str = "count",
    repair: str = "none",
    merges: Iterable[dict[str, Any]] = (),
    coding: dict[str, float] | None = None,
) -> Table:
    """Return a table of `release`.

    Example: `workbench.table("social_insurance", rows=["district_code"], columns=["kind"], aggregate="entities")`

    A condition reads ("column", ">=", 18), ("column", "in", [...]) or ("column", "not_null").
    `repair` asks the platform to suppress cells that a rule blocks ("suppress"), or to round as well ("round",
    "midpoint6"); `merges` shows labels as one: {"column": ..., "labels": [...], "into": ...}; `coding` cuts values at
    `bottom` and `top` and rounds them to `step`. Refuses an aggregate that has no disclosure rule and a missing value.
    """
    if aggregate not in AGGREGATES:
        raise WorkbenchError(
            f"cannot make a table of {aggregate!r}", rule="airlock.specification", accepted=", ".join(AGGREGATES)
        )
    if value is None and aggregate not in {"count", "entities"}:
        raise WorkbenchError(
            f"cannot make a table of {aggregate!r} without a value", rule="airlock.specification",
            accepted="value: name the column to compute it of",
        )  # fmt: skip
    if repair not in REPAIRS:
        raise WorkbenchError(
            f"cannot repair by {repair!r}", rule="airlock.specification", accepted=", ".join(REPAIRS)
        )  # fmt: skip
    return Table(
        release, tuple(rows), tuple(columns), conditions(where), value, aggregate, repair, tuple(merges), coding
    )


def claim(name: str, title: str, where: Iterable[Condition]) -> Claim:
    """Return a claim; `name` stands in the product's address, `title` is what consumers read.

    Example: `workbench.claim("insured", "参保 insured", [("kind", "==", "pension"), ("paid", "==", True)])`

    Refuses a claim without a condition: it would be true of everybody.
    """
    listed = conditions(where)
    if not listed:
        raise WorkbenchError(f"cannot claim {name!r} of everybody: at least one condition is needed")
    return Claim(name, title, listed)


def verification(entry: str, *, subject: Sequence[str], claims: Iterable[Claim]) -> Verification:
    """Return a verification of `entry`'s subjects; `subject` names the columns that identify one.

    Example: `workbench.verification("social_insurance", subject=["resident_id", "name"], claims=[claim])`

    Refuses one without a subject or a claim.
    """
    listed = tuple(claims)
    if not listed or not subject:
        raise WorkbenchError("cannot make a verification without a subject column and a claim")
    return Verification(entry, tuple(subject), listed)


def conditions(where: Iterable[Condition]) -> tuple[dict[str, Any], ...]:
    """Return conditions as the platform reads them; refuses an unknown operator."""
    return tuple(_condition(one) for one in where)


def _condition(one: Condition) -> dict[str, Any]:
    if isinstance(one, dict):
        column, sign, value = one["column"], one["op"], one.get("value")
    else:
        column, sign, value = (*one, None)[:3]
    operator = _SIGNS.get(sign, sign)
    if operator not in _OPERATORS:
        raise WorkbenchError(f"cannot use the operator {sign!r}", rule="airlock.specification", accepted=_ACCEPTED)
    if operator == "in":
        value = list(value or ())
    return {"column": column, "op": operator} | ({} if value is None else {"value": value})


def said(where: Sequence[dict[str, Any]]) -> str:
    """Return conditions in a line, as a person would write them."""
    signs = {operator: sign for sign, operator in _SIGNS.items() if sign != "="}
    parts = [" ".join([one["column"], signs.get(one["op"], one["op"]), str(one.get("value", ""))]) for one in where]
    return "; ".join(part.strip() for part in parts)


def _all(where: Sequence[dict[str, Any]]) -> pl.Expr:
    tests = [_test(one) for one in where]
    return functools.reduce(lambda left, right: left & right, tests, pl.lit(value=True))


def _test(one: dict[str, Any]) -> pl.Expr:
    column, operator = pl.col(one["column"]), one["op"]
    if operator == "is_null":
        return column.is_null()
    if operator == "not_null":
        return column.is_not_null()
    if operator == "in":
        return column.is_in(one["value"]).fill_null(value=False)
    compared: pl.Expr = getattr(column, operator)(one["value"])
    return compared.fill_null(value=False)


def _figure(aggregate: str, value: str | None, entity: str | None) -> pl.Expr:
    if aggregate == "entities":
        # Without a known entity column every row is one, as it is for the platform.
        figure = pl.len() if entity is None else pl.col(entity).drop_nulls().n_unique()
    elif aggregate == "count":
        figure = pl.len() if value is None else pl.col(value).count()
    elif aggregate.startswith("p") or aggregate == "mode":
        column = pl.col(str(value))
        share = 0.0 if aggregate == "mode" else int(aggregate[1:]) / 100
        figure = column.drop_nulls().mode().min() if aggregate == "mode" else column.quantile(share, "nearest")
    else:
        figure = getattr(pl.col(str(value)), aggregate)()
    return figure.alias(f"{aggregate}_{value}" if value else aggregate)


def _coded(value: pl.Expr, coding: dict[str, float]) -> pl.Expr:
    value = value.cast(pl.Float64).clip(coding.get("bottom"), coding.get("top"))
    step = coding.get("step")
    return value if step is None else (value / step).round() * step
