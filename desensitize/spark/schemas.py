"""Types of columns: what polars sees of a Spark table, and what Spark gets back.

A Spark timestamp is an instant; its day is that of the session's time zone, which is fixed when a release is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput

# By Spark's own names of its types; the first of several that give one polars type is what Spark gets back.
_TYPES: Mapping[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "byte": pl.Int8(),
    "short": pl.Int16(),
    "integer": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "date": pl.Date(),
    "timestamp_ntz": pl.Datetime("us"),
    "void": pl.Null(),
    "string": pl.String(),
    "varchar": pl.String(),
    "char": pl.String(),
}


def read_schema(schema: Any, zone: str) -> pl.Schema:
    """Return the polars schema of a Spark schema; `zone` is the session's time zone.

    Refuses nested and binary columns, intervals and other types by name, names that stand twice, and for timestamps a
    zone that has no name in the tz database.
    """
    names = schema.fieldNames()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"these columns stand in the table more than once: {', '.join(twice)}")
    return pl.Schema({field.name: _read_type(field, zone) for field in schema.fields})


def write_schema(made: Mapping[str, pl.DataType], source: Any, before: Mapping[str, pl.DataType]) -> str:
    """Return the Spark schema, as text, of the columns made of a table; a type that is unchanged stays Spark's own.

    `source` and `before` are the table's Spark and polars schemas. Refuses types that Spark does not have.
    """
    own = {name: source[name].dataType.simpleString() for name in made if before.get(name) == made[name]}
    return ", ".join(f"{quote(name)} {own.get(name) or write_type(dtype)}" for name, dtype in made.items())


def quote(column: str) -> str:
    """Return a column's name as Spark reads it in expressions and schemas."""
    return f"`{column.replace('`', '``')}`"


def _read_type(field: Any, zone: str) -> pl.DataType:
    dtype = field.dataType
    name = dtype.typeName()
    if name == "decimal":
        return pl.Decimal(dtype.precision, dtype.scale)
    if name == "timestamp":
        return pl.Datetime("us", _check_zone(field.name, zone))
    if name in _TYPES:
        return _TYPES[name]
    raise InvalidInput(
        f"column `{field.name}` is {dtype.simpleString()}; only text, numbers, dates and truth values can be released"
    )


def _check_zone(column: str, zone: str) -> str:
    try:
        pl.Series([0], dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
    except pl.exceptions.PolarsError:
        raise InvalidInput(
            f"column `{column}` is a timestamp: set spark.sql.session.timeZone to a name such as Asia/Shanghai"
        ) from None
    return zone


def write_type(dtype: pl.DataType) -> str:
    """Return Spark's name of a polars type. Refuses types that Spark does not have."""
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision or 38},{dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "timestamp" if dtype.time_zone else "timestamp_ntz"
    for name, known in _TYPES.items():
        if dtype == known:
            return name
    raise InvalidInput(f"Spark has no type for {dtype}")
