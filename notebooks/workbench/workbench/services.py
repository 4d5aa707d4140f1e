"""Data services to be: one table of an entry that callers ask with parameters of closed domains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from workbench import page
from workbench.errors import WorkbenchError
from workbench.specifications import Condition, conditions

OPERATORS = {"==": "eq", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
ANSWERED = ("count", "entities", "sum", "mean")
MOST_QUESTIONS = 10_000


@dataclass(frozen=True)
class Parameter:
    """What a caller chooses: which of `domain` a column is compared with; one left out is not asked."""

    name: str
    column: str
    domain: tuple[Any, ...]
    op: str = "eq"
    optional: bool = False


@dataclass(frozen=True)
class Service:
    """A data service product to be: the platform computes and checks each answer over raw data."""

    entry: str
    parameters: tuple[Parameter, ...]
    rows: tuple[str, ...]
    where: tuple[dict[str, Any], ...]
    value: str | None
    aggregate: str

    @property
    def specification(self) -> dict[str, Any]:
        """The JSON from which the platform answers."""
        told = [
            {"name": one.name, "column": one.column, "op": one.op, "domain": list(one.domain), "optional": one.optional}
            for one in self.parameters
        ]
        return {
            "kind": "service", "entry": self.entry, "parameters": told, "rows": list(self.rows),
            "where": list(self.where), "value": self.value, "aggregate": self.aggregate,
        }  # fmt: skip

    def _repr_html_(self) -> str:
        head = page.heading("数据服务规格 service", self.entry, f"{self.aggregate} {self.value or ''}".strip())
        rows = [
            (page.tag("code", one.name), f"{one.column} {one.op}", f"{len(one.domain)}", "可选 optional" * one.optional)
            for one in self.parameters
        ]
        return page.join([head, page.table(("参数 parameter", "列 column", "取值数 values", ""), rows)])


def parameter(name: str, column: str, domain: Iterable[Any], *, op: str = "==", optional: bool = False) -> Parameter:
    """Return a parameter of a service; `domain` lists every value that a caller may send.

    Example: `workbench.parameter("district", "district_code", ["370102", "370103"], optional=True)`

    Refuses an empty domain and an operator other than ==, <, <=, > and >=.
    """
    listed = tuple(domain)
    if not listed:
        raise WorkbenchError(f"cannot choose {name!r} from nothing: a domain has one value or more")
    if op not in OPERATORS:
        raise WorkbenchError(f"cannot compare by {op!r}", rule="airlock.specification", accepted=", ".join(OPERATORS))
    return Parameter(name, column, listed, OPERATORS[op], optional)


def service(
    entry: str,
    *,
    parameters: Iterable[Parameter],
    rows: Sequence[str] = (),
    where: Iterable[Condition] = (),
    value: str | None = None,
    aggregate: str = "count",
) -> Service:
    """Return a data service over `entry`: a count, sum or mean by `rows`, asked with `parameters`.

    Example: `workbench.service("social_insurance", parameters=[district], rows=["kind"], aggregate="entities")`

    Refuses one without a parameter, more than 10,000 questions in all, and another aggregate.
    """
    listed = tuple(parameters)
    questions = prod(len(one.domain) + one.optional for one in listed)
    if not listed or questions > MOST_QUESTIONS:
        raise WorkbenchError(f"cannot serve {questions if listed else 0} questions", accepted=f"1 to {MOST_QUESTIONS}")
    if aggregate not in ANSWERED:
        raise WorkbenchError(
            f"cannot serve {aggregate!r}", rule="airlock.specification", accepted=", ".join(ANSWERED)
        )  # fmt: skip
    return Service(entry, listed, tuple(rows), conditions(where), value, aggregate)
