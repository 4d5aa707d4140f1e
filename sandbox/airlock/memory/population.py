"""The population of an output: its entities by cell, known by keyed hashes, with a mark of what each adds there.

Words: the *family* of a table is what its figures say: `entities`, `rows`, or `sums` of values, of whichever column:
what is owed and what is paid differ in a few. Figures of one family can be subtracted from each other; of two families
only who is in the cells can be compared. Who has no value in a cell adds nothing to it and is not in it. Where a cell
has two values alone its sum and its mean count who has the larger one: those are a cell more (`_larger`).
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
import numpy as np
import polars as pl

from sandbox.airlock import recompute
from sandbox.airlock.formula import How, parse_formula
from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.layers import CLAIMS, MODELS, MODULUS, Array, Members
from sandbox.airlock.regressions.design import whole_rows
from sandbox.airlock.specification import (
    Aggregate,
    Coding,
    Condition,
    RegressionSpecification,
    Repair,
    TableSpecification,
    VerificationSpecification,
)
from shuzha.core.errors import Invalid

SCALE: Final = 10_000
# No column of the data has such a name; a specification's are the data's.
ENTITY, HASH, CELL, ROWS, SUM, TRUE = (f"memory\0{name}" for name in ("entity", "hash", "cell", "rows", "sum", "true"))
SHOWN, LOW, HIGH = (f"memory\0{name}" for name in ("shown", "low", "high"))


def family_of(table: TableSpecification) -> str:
    """Return which other tables the figures of this one can be subtracted from."""
    match table.aggregate:
        case Aggregate.COUNT:
            return "rows"
        case Aggregate.ENTITIES:
            return "entities"
    return "sums"


def table_members(
    table: TableSpecification, source: Source, result: pl.DataFrame, known: pl.LazyFrame, key: bytes
) -> Members:
    """Return who stands in the cells of a table, whose `result` says which of them it shows.

    `known` has the entity as the source writes it (ENTITY) and its keyed hash (HASH). Refuses an entity that it lacks.
    """
    figure = recompute.figure_name(table)
    dimensions = list(table.dimensions)
    labels = result.select(dimensions) if dimensions else pl.DataFrame({"": [None]})
    shown = result.select(pl.col(figure).is_not_null()).to_series()
    added = _added(table, source)
    if dimensions:
        numbered = labels.with_row_index(CELL).lazy()
        added = added.join(numbered, on=dimensions, how="left", nulls_equal=True)
    else:
        added = added.with_columns(pl.lit(0, dtype=pl.UInt32).alias(CELL))
    added = added.join(known, on=ENTITY, how="left").filter(pl.col(ROWS) > 0)
    rows = added.select(CELL, HASH, ROWS, SUM, SHOWN, LOW, HIGH).collect(engine="streaming")
    _check_known(rows)
    number, family = rows[ROWS].to_numpy(), family_of(table)
    marks = _marks(number, rows[SUM].to_numpy(), family, key)
    if family == "entities":
        number = np.minimum(number, 1)
    hidden = np.flatnonzero(~shown.to_numpy())
    exact = table.repair not in (Repair.ROUND, Repair.MIDPOINT6)
    more = _larger(rows, labels.height) if family == "sums" else rows.clear()
    if more.height:
        number, marks = (
            np.append(number, more[ROWS].to_numpy()),
            np.append(marks, np.ones_like(marks, shape=more.height)),
        )
        hidden = np.append(hidden, hidden + labels.height)
        rows, labels = pl.concat([rows, more]), pl.concat([labels, labels])
    counted = np.minimum(number, np.iinfo(np.uint16).max).astype(np.uint16)
    gone = frozenset(int(place) for place in hidden)
    return Members(rows[HASH].to_numpy(), rows[CELL].to_numpy(), marks, counted, labels, family, gone, exact)


def _larger(rows: pl.DataFrame, cells: int) -> pl.DataFrame:
    """Return who has the larger value, and how often, of each cell that has two values alone, as cells after these.

    Their marks say nothing, so that they add nothing to what everybody adds.
    """
    low, high = pl.col(LOW).min().over(CELL), pl.col(HIGH).max().over(CELL)
    at_ends = pl.all_horizontal((pl.col(end) == low) | (pl.col(end) == high) for end in (LOW, HIGH))
    times = ((pl.col(SHOWN) - pl.col(ROWS) * low) / (high - low)).round().cast(pl.Int64)
    found = rows.filter((low < high) & at_ends.all().over(CELL))
    found = found.with_columns(times.alias(ROWS), (pl.col(CELL) + cells).alias(CELL))
    return found.filter(pl.col(ROWS) > 0)


class Selection(Protocol):
    """A specification of anything else that is computed from rows of a release, such as a regression."""

    @property
    def where(self) -> list[Condition]:
        """Which rows."""
        ...

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that it reads."""
        ...


def row_members(asked: Selection, source: Source, known: pl.LazyFrame) -> Members:
    """Return whose rows something is computed from, those without a null in what it reads.

    One cell is of all of them, and of a regression one of each category in each of its terms: whoever has a fit and the
    counts reckons the sum of its outcome over all, and over each category. Only the populations are compared.
    """
    rows = _with_entity(source)
    rows = rows.filter(recompute.condition(asked.where, rows.collect_schema())).drop_nulls(
        [*asked.used_columns, ENTITY]
    )
    if isinstance(asked, RegressionSpecification):
        # Those without a logarithm are in no fit.
        rows = rows.filter(whole_rows(parse_formula(asked.formula)))
    groups = _categories(asked) if isinstance(asked, RegressionSpecification) else []
    parts, labels = [rows.select(ENTITY, pl.lit(0, dtype=pl.UInt32).alias(CELL))], ["all"]
    for group in groups:
        levels = rows.select(group).unique().sort(group).collect(engine="streaming")
        numbered = levels.with_row_index(CELL, offset=len(labels)).lazy()
        parts.append(rows.select(ENTITY, *group).join(numbered, on=group).select(ENTITY, CELL))
        labels += [
            ", ".join(f"{name} = {one}" for name, one in level.items()) for level in levels.iter_rows(named=True)
        ]
    found = pl.concat(parts).unique().join(known, on=ENTITY, how="left").select(CELL, HASH).collect(engine="streaming")
    _check_known(found)
    ones = np.ones(found.height, dtype=np.uint16)
    # Exact: six digits of an estimate are enough of a sum.
    told = pl.DataFrame({"rows": labels})
    return Members(found[HASH].to_numpy(), found[CELL].to_numpy(), ones, ones, told, MODELS)


def _categories(asked: RegressionSpecification) -> list[list[str]]:
    """Return the sets of columns whose categories a regression tells apart."""
    terms = parse_formula(asked.formula).terms
    found = (tuple(sorted({one.column for one in term if one.how is How.CATEGORY})) for term in terms)
    return [list(one) for one in dict.fromkeys(found) if one]


def claim_members(verification: VerificationSpecification, source: Source, known: pl.LazyFrame) -> Members:
    """Return of whom each claim is true, a cell for each claim; nothing of it is ever shown as a figure."""
    schema = source.frame.collect_schema()
    rows = _with_entity(source).drop_nulls(verification.subject)
    answers = [
        recompute.condition(claim.where, schema).any().alias(str(place))
        for place, claim in enumerate(verification.claims)
    ]
    found = rows.group_by(ENTITY).agg(answers).drop_nulls(ENTITY).join(known, on=ENTITY, how="left")
    asked = [str(place) for place in range(len(verification.claims))]
    long = found.unpivot(asked, index=HASH, variable_name=CELL, value_name=TRUE).filter(pl.col(TRUE))
    pairs = long.select(pl.col(CELL).cast(pl.UInt32), HASH).collect(engine="streaming")
    _check_known(pairs)
    labels = pl.DataFrame({"claim": [claim.name for claim in verification.claims]})
    ones = np.ones(pairs.height, dtype=np.uint16)
    # Who asks a claim learns of one subject at a time: there is no figure that could be added or subtracted.
    return Members(pairs[HASH].to_numpy(), pairs[CELL].to_numpy(), ones, ones, labels, CLAIMS, exact=False)


def _with_entity(source: Source) -> pl.LazyFrame:
    if source.entity is None:
        return source.frame.with_row_index(ENTITY)
    return source.frame.with_columns(pl.col(source.entity).alias(ENTITY))


def _added(table: TableSpecification, source: Source) -> pl.LazyFrame:
    """Return for each cell and entity how many rows with a value it has there (ROWS) and their sum (SUM).

    SUM is of values before they are rounded to a step: rounding moves everybody's a little, and would hide that a few
    are cut. SHOWN is the sum of what is shown, LOW and HIGH its ends.
    """
    coding = table.coding
    cut = (
        None if coding is None or (coding.bottom is None and coding.top is None) else Coding(coding.bottom, coding.top)
    )
    asked = msgspec.structs.replace(table, coding=cut)
    rows = recompute.population(asked, _with_entity(source)).drop_nulls(ENTITY)
    schema = rows.collect_schema()
    nothing = pl.lit(0.0)
    number, total, shown, low, high = pl.len(), nothing, nothing, nothing, nothing
    if table.value is not None:
        value = pl.col(table.value)
        value = value.fill_nan(None) if schema[table.value].is_float() else value
        number = value.count()
        if table.aggregate.needs_value and (schema[table.value].is_numeric() or schema[table.value] == pl.Boolean):
            value = value.cast(pl.Float64)
            coded = value if coding is None or coding.step is None else recompute.code(value, Coding(step=coding.step))
            total, shown, low, high = value.sum(), coded.sum(), coded.min(), coded.max()
    return rows.group_by(*table.dimensions, ENTITY).agg(
        number.cast(pl.Int64).alias(ROWS), total.alias(SUM), shown.alias(SHOWN),
        low.fill_null(0.0).alias(LOW), high.fill_null(0.0).alias(HIGH),
    )  # fmt: skip


def _marks(number: Array, total: Array, family: str, key: bytes) -> Array:
    """Return what each entity adds as a keyed residue plus one; zero where it has no value."""
    counted = np.zeros(len(number), dtype=np.int64) if family == "entities" else number % MODULUS
    factor = int.from_bytes(key[:8], "big") % (MODULUS - 1) + 1
    summed = np.mod(np.rint(total * SCALE), MODULUS).astype(np.int64)
    residue = (counted + summed * factor) % MODULUS
    return np.where(number > 0, residue + 1, 0).astype(np.uint16)


def _check_known(rows: pl.DataFrame) -> None:
    if sum(rows.null_count().row(0)):
        raise Invalid(
            "an output has entities or cells that its source does not explain", rule="airlock.memory",
            accepted="an output over a release as it was built",
        )  # fmt: skip
