"""The records of the closed grammar in which an analyst says what an output is; `specification` reads and checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from sandbox.airlock.formula import parse_formula
from shuzha.core.conditions import Op, Scalar

ColumnName = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Aggregate(StrEnum):
    """The figures that a table can hold; a rule exists for each (`disclosure`), and nothing else is accepted."""

    COUNT = "count"
    ENTITIES = "entities"
    SUM = "sum"
    MEAN = "mean"
    STD = "std"
    VAR = "var"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    MODE = "mode"
    P05 = "p05"
    P10 = "p10"
    P25 = "p25"
    P75 = "p75"
    P90 = "p90"
    P95 = "p95"

    @property
    def needs_value(self) -> bool:
        """Whether the figure is computed from a value column; the counts are of rows and of entities."""
        return self not in (Aggregate.COUNT, Aggregate.ENTITIES)

    @property
    def is_point(self) -> bool:
        """Whether the figure is one value out of the middle of the others: a median, a percentile, the mode."""
        return self in (Aggregate.MEDIAN, Aggregate.MODE) or self.value.startswith("p")

    @property
    def share(self) -> float:
        """Below which share of the values a percentile lies."""
        return int(self.value[1:]) / 100


class Repair(StrEnum):
    """What the platform does to cells that a rule blocks before it checks and releases the table."""

    NONE = "none"
    SUPPRESS = "suppress"
    ROUND = "round"
    MIDPOINT6 = "midpoint6"


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One test on one column; the conditions of a list hold together. A null value meets only `is_null`."""

    column: ColumnName
    op: Op
    value: Scalar | list[Scalar] | None = None


class Merge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels of a grouping column that are shown as one, `into`; what is not among them stays as it is."""

    column: ColumnName
    labels: Annotated[list[Annotated[str, msgspec.Meta(max_length=300)] | None], msgspec.Meta(min_length=1)]
    into: Text


class Coding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How values are made coarser before anything is computed of them: cut at `bottom` and `top`, rounded to `step`."""

    bottom: float | None = None
    top: float | None = None
    step: float | None = None


class TableSpecification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="table"):
    """A table: `aggregate` of `value` by `rows` and `columns`, over the release's rows that meet `where`.

    `merges` and `coding` change labels and values before anything is grouped or computed.
    """

    release: Text
    rows: list[ColumnName]
    columns: list[ColumnName] = []
    where: list[Condition] = []
    value: ColumnName | None = None
    aggregate: Aggregate = Aggregate.COUNT
    repair: Repair = Repair.NONE
    merges: list[Merge] = []
    coding: Coding | None = None

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The grouping columns, rows first."""
        return (*self.rows, *self.columns)

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that the table reads."""
        value = () if self.value is None else (self.value,)
        return frozenset((*self.dimensions, *value, *(one.column for one in self.where)))


class Model(StrEnum):
    """What is fitted: least squares, or the logistic model of a yes or no."""

    LINEAR = "linear"
    LOGISTIC = "logistic"


class Errors(StrEnum):
    """How standard errors are computed: as if rows were alike and independent, unlike (HC1), or alike by entity."""

    CLASSICAL = "classical"
    ROBUST = "robust"
    CLUSTERED = "clustered"


class RegressionSpecification(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="regression"
):
    """A regression over the release's rows that meet `where`; for its `formula` see `sandbox.airlock.formula`."""

    release: Text
    formula: Annotated[str, msgspec.Meta(min_length=3, max_length=1_000)]
    model: Model = Model.LINEAR
    where: list[Condition] = []
    errors: Errors = Errors.CLASSICAL

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that the regression reads."""
        return parse_formula(self.formula).columns | {one.column for one in self.where}


class Draw(StrEnum):
    """What a figure draws of its table: a bar or point for each cell, bins of a value, or boxes of its middle."""

    BAR = "bar"
    LINE = "line"
    HISTOGRAM = "histogram"
    BOX = "box"


class FigureSpecification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="figure"):
    """A figure of a table that the platform computes and draws: the first grouping runs along the bottom.

    A histogram counts the table's `value` between `edges` (values beyond them are in the end bins), by at most one
    grouping; a box shows its 5th, 25th, 50th, 75th and 95th percentile in each cell.
    """

    draw: Draw
    table: TableSpecification
    edges: list[float] = []

    @property
    def release(self) -> str:
        """The release that the table is of."""
        return self.table.release

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that the figure reads."""
        return self.table.used_columns


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One yes-or-no question: true of a subject when one of its rows meets every condition."""

    name: Text
    title: Text
    where: list[Condition]


class VerificationSpecification(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="verification"
):
    """A verification product to be: claims about the subjects of an entry, each named by its `subject` columns."""

    entry: Text
    subject: list[ColumnName]
    claims: list[Claim]

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that an index of this product reads."""
        return frozenset((*self.subject, *(one.column for claim in self.claims for one in claim.where)))


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that a caller of a data service chooses: which of the closed `domain` a column is compared with.

    One that is `optional` may be left out; then its column is not asked.
    """

    name: Text
    column: ColumnName
    domain: list[Scalar]
    op: Op = Op.EQ
    optional: bool = False


class ServiceSpecification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="service"):
    """A data service to be: one table of an entry, asked with parameters of closed domains, checked at each answer.

    It counts rows or entities, or adds up or averages a `value`, by the columns of `rows`, over the rows that meet
    `where` and what the caller chose.
    """

    entry: Text
    parameters: list[Parameter]
    rows: list[ColumnName] = []
    where: list[Condition] = []
    value: ColumnName | None = None
    aggregate: Aggregate = Aggregate.COUNT

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that an answer reads."""
        value = () if self.value is None else (self.value,)
        asked = (*(one.column for one in self.parameters), *(one.column for one in self.where))
        return frozenset((*self.rows, *value, *asked))

    @property
    def questions(self) -> int:
        """How many different questions can be asked."""
        return math.prod(len(one.domain) + one.optional for one in self.parameters)

    def table(self, release: str, chosen: Mapping[str, Scalar]) -> TableSpecification:
        """Return the table that a question asks for: `chosen` values by parameter, those left out not asked."""
        asked = [Condition(one.column, one.op, chosen[one.name]) for one in self.parameters if one.name in chosen]
        repair = Repair.SUPPRESS if self.rows else Repair.NONE
        return TableSpecification(
            release, list(self.rows), where=[*self.where, *asked], value=self.value, aggregate=self.aggregate,
            repair=repair,
        )  # fmt: skip


Specification = (
    TableSpecification
    | RegressionSpecification
    | FigureSpecification
    | VerificationSpecification
    | ServiceSpecification
)
