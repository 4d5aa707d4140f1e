"""The design of a regression: its columns of numbers, read in parts that hold whole entities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from sandbox.airlock.formula import Factor, Formula, How, Term
from sandbox.airlock.recompute import check_columns
from shuzha.core.errors import Invalid

RULE: Final = "airlock.regression"
MAX_LEVELS: Final = 50
MAX_COLUMNS: Final = 80
NUMBERS: Final = 24_000_000
INTERCEPT: Final = "(intercept)"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the design: its name as it is published, the term it is of, and how it is computed.

    `dummy` says that it is one or zero: whether a row is of certain categories.
    """

    name: str
    term: int
    number: pl.Expr
    dummy: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of some whole entities: whose each is (a number), whether it is somebody's, the outcome, the design."""

    who: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    outcome: Numbers
    design: Numbers


class Design:
    """The columns of a formula over a table, and its whole rows in parts of at most `numbers` numbers."""

    def __init__(self, formula: Formula, frame: pl.LazyFrame, entity: str | None, *, numbers: int = NUMBERS) -> None:
        """Refuse columns that the data lacks or whose type does not fit, and too many categories."""
        schema = frame.collect_schema()
        check_columns(sorted({*formula.columns, *((entity,) if entity else ())}), schema)
        for factor in (formula.outcome, *(one for term in formula.terms for one in term)):
            _check_type(factor, schema)
        self.formula = formula
        self.entity = entity
        self.rows = frame.filter(whole_rows(formula))
        self.levels = {name: _levels(self.rows, name) for name in formula.categories}
        self.columns = (Column(INTERCEPT, -1, pl.lit(1.0), dummy=False), *self._columns())
        if len(self.columns) > MAX_COLUMNS:
            raise Invalid(
                f"a regression has {len(self.columns)} columns", rule=RULE, accepted=f"at most {MAX_COLUMNS} columns"
            )
        self.count = int(self.rows.select(pl.len()).collect(engine="streaming").item())
        self._parts = max(1, -(-self.count * (len(self.columns) + 2) // numbers))
        self._only: Part | None = None

    def parts(self) -> Iterator[Part]:
        """Yield all rows, each entity whole in one part; a table that fits in one part is read once."""
        if self._only is not None:
            yield self._only
            return
        for place in range(self._parts):
            part = self._read(place)
            if self._parts == 1:
                self._only = part
            yield part

    def dummies_of(self, term: int) -> list[int]:
        """Return the places of a term's columns that are one or zero."""
        return [place for place, column in enumerate(self.columns) if column.term == term and column.dummy]

    def _columns(self) -> Iterator[Column]:
        for place, term in enumerate(self.formula.terms):
            yield from _of_term(place, term, self.levels)

    def _read(self, place: int) -> Part:
        rows = self.rows
        who = pl.int_range(pl.len()) if self.entity is None else pl.col(self.entity).hash(0).reinterpret(signed=True)
        known = pl.lit(value=True) if self.entity is None else pl.col(self.entity).is_not_null()
        if self._parts > 1:
            if self.entity is None:
                rows = rows.slice(place * (self.count // self._parts + 1), self.count // self._parts + 1)
            else:
                rows = rows.filter(pl.col(self.entity).hash(1) % self._parts == place)
        found = rows.select(
            who.alias("who"), known.alias("known"), number(self.formula.outcome).alias("y"),
            *(column.number.alias(f"x{at}") for at, column in enumerate(self.columns)),
        ).collect(engine="streaming")  # fmt: skip
        design = found.select(pl.col("^x\\d+$").cast(pl.Float64)).to_numpy().reshape(found.height, len(self.columns))
        nobody = np.arange(found.height) - found.height
        return Part(
            np.where(found["known"].to_numpy(), found["who"].cast(pl.Int64).to_numpy(), nobody),
            found["known"].to_numpy(), found["y"].to_numpy(), np.ascontiguousarray(design),
        )  # fmt: skip


def number(factor: Factor) -> pl.Expr:
    """Return a column's number, or its logarithm; what has none is null."""
    value = pl.col(factor.column).cast(pl.Float64).fill_nan(None)
    if factor.how is How.LOG:
        return pl.when(value > 0).then(value.log())
    return value


def _check_type(factor: Factor, schema: pl.Schema) -> None:
    kind = schema[factor.column]
    if factor.how is How.CATEGORY:
        if kind.is_float() or kind.is_nested():
            raise Invalid(
                f"column `{factor.column}` holds no categories", rule=RULE, accepted="text, whole numbers, dates"
            )
    elif not (kind.is_numeric() or kind == pl.Boolean):
        raise Invalid(f"column `{factor.column}` is no number", rule=RULE, accepted=f"C({factor.column}), or a number")


def whole_rows(formula: Formula) -> pl.Expr:
    """Return whether a row has every column of the formula, as finite numbers or categories."""
    factors = {formula.outcome, *(one for term in formula.terms for one in term)}
    there = [
        pl.col(one.column).is_not_null() if one.how is How.CATEGORY else number(one).is_finite().fill_null(value=False)
        for one in sorted(factors, key=str)
    ]
    return pl.all_horizontal(there)


def _levels(rows: pl.LazyFrame, name: str) -> list[str]:
    """Return the categories of a column in order; the first is what the others are compared with."""
    found = rows.select(pl.col(name).unique()).head(MAX_LEVELS + 1).collect(engine="streaming").to_series()
    if len(found) > MAX_LEVELS:
        raise Invalid(f"column `{name}` has too many categories", rule=RULE, accepted=f"at most {MAX_LEVELS}")
    return [str(one) for one in found.sort().cast(pl.String)]


def _of_term(place: int, term: Term, levels: dict[str, list[str]]) -> Iterator[Column]:
    made: list[tuple[list[str], pl.Expr]] = [([], pl.lit(1.0))]
    for factor in term:
        made = [
            ([*names, name], before * one) for names, before in made for name, one in _of_factor(factor, levels)
        ]  # fmt: skip
    dummy = all(factor.how is How.CATEGORY for factor in term)
    for names, expression in made:
        yield Column(":".join(names), place, expression, dummy)


def _of_factor(factor: Factor, levels: dict[str, list[str]]) -> Sequence[tuple[str, pl.Expr]]:
    if factor.how is not How.CATEGORY:
        return [(str(factor), number(factor))]
    text = pl.col(factor.column).cast(pl.String)
    return [(f"{factor.column}[{level}]", (text == level).cast(pl.Float64)) for level in levels[factor.column][1:]]
