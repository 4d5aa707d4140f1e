"""From raw rows to subjects and claims, in polars: the only place where the index meets data.

A condition is translated operator by operator, its value cast to the column's own type; errors name columns only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from products.serving.subjects import subject_hash
from sandbox.airlock.specification import VerificationSpecification
from shuzha.core.conditions import Condition, Op, read_conditions
from shuzha.core.errors import Invalid

BITS = "__bits"

_COMPARE: Mapping[Op, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    Op.EQ: lambda column, value: column == value,
    Op.NE: lambda column, value: column != value,
    Op.LT: lambda column, value: column < value,
    Op.LE: lambda column, value: column <= value,
    Op.GT: lambda column, value: column > value,
    Op.GE: lambda column, value: column >= value,
}


def all_of(conditions: Iterable[Condition], schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """Return the expression that is true where every condition holds; a null meets `is_null` only."""
    found = [_one(condition, schema) for condition in conditions]
    return pl.all_horizontal(found).fill_null(value=False) if found else pl.lit(value=True)


def collect_subjects(
    rows: pl.LazyFrame, specification: VerificationSpecification, row_filter: tuple[Condition, ...]
) -> pl.DataFrame:
    """Return one row a subject: its fields as text and the claim bits; rows without a whole subject are left out."""
    schema = dict(rows.collect_schema())
    bits = pl.lit(0, pl.UInt8)
    for place, claim in enumerate(specification.claims):
        holds = all_of(claim_conditions(claim.where), schema)
        bits = bits | (holds.cast(pl.UInt8) * pl.lit(1 << place, pl.UInt8))
    subject = list(specification.subject)
    for name in subject:
        _type_of(name, schema)
    kept = rows.filter(all_of(row_filter, schema)).drop_nulls(subject)
    fields = [pl.col(name).cast(pl.String).alias(name) for name in subject]
    grouped = kept.select(*fields, bits.alias(BITS)).group_by(subject).agg(pl.col(BITS).bitwise_or())
    return grouped.collect(engine="streaming")


def claim_conditions(where: Iterable[Any]) -> tuple[Condition, ...]:
    """Return a specification's conditions in the grammar of the core."""
    return read_conditions({"column": one.column, "op": str(one.op), "value": one.value} for one in where)


def hash_subjects(
    frame: pl.DataFrame, subject: Iterable[str], key: bytes
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the subjects' keys as pairs of 64-bit words, and their claim bits."""
    columns = [frame[name].to_list() for name in subject]
    digests = b"".join([subject_hash(key, parts) for parts in zip(*columns, strict=True)])
    hashes = np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return hashes, frame[BITS].to_numpy().astype(np.uint8)


def _one(condition: Condition, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    kind = _type_of(condition.column, schema)
    column = pl.col(condition.column)
    match condition.op:
        case Op.IS_NULL:
            return column.is_null()
        case Op.NOT_NULL:
            return column.is_not_null()
        case Op.IN:
            members = condition.value if isinstance(condition.value, tuple) else (condition.value,)
            return pl.any_horizontal([column == _literal(condition.column, member, kind) for member in members])
        case _:
            return _COMPARE[condition.op](column, _literal(condition.column, condition.value, kind))


def _literal(name: str, value: object, kind: pl.DataType) -> pl.Expr:
    fits = isinstance(value, bool) == (kind == pl.Boolean) and (
        isinstance(value, str) != (kind.is_numeric() or kind == pl.Boolean)
    )
    if fits:
        try:
            literal = pl.Series("value", [value])
            text_to_time = isinstance(value, str) and kind.is_temporal()
            series = literal.str.strptime(kind) if text_to_time else literal.cast(kind, strict=True)  # type: ignore[arg-type]
            return pl.lit(series.item(), kind)
        except pl.exceptions.PolarsError:
            pass  # Its message would hold the value; the refusal below does not.
    raise Invalid(
        f"a condition on `{name}` has a value that its type {kind} cannot hold",
        rule="index.condition",
        accepted=str(kind),
    )


def _type_of(name: str, schema: Mapping[str, pl.DataType]) -> pl.DataType:
    if name not in schema:
        raise Invalid(f"the raw data has no column `{name}`", rule="index.columns", accepted=", ".join(schema))
    return schema[name]
