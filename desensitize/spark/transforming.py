"""A plan carried out on a Spark table by the expressions of the one-machine engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from desensitize.spark.batches import Shape, Work, map_batches
from desensitize.spark.keys import KeySource, read_key
from desensitize.spark.schemas import write_schema
from desensitize.spark.tables import SparkTable
from desensitize.tables import hide
from desensitize.transform.expressions import build_expressions
from desensitize.transform.keys import SecretKey
from desensitize.transform.plan import Plan


@dataclass(frozen=True, slots=True)
class _Transform:
    """The job that carries out a plan. It says where the key lies; each task reads it there."""

    plan: Mapping[str, Any]
    columns: tuple[tuple[str, pl.DataType], ...]
    key: KeySource | None
    fingerprint: str | None
    entity: str | None

    def prepare(self) -> Work:
        key = read_key(self.key, self.fingerprint)
        expressions = _expressions(Plan.from_dict(self.plan), dict(self.columns), key, self.entity)
        return lambda frame: frame.select(expressions)


def transform(table: SparkTable, plan: Plan, key: KeySource | None, entity: str | None = None) -> SparkTable:
    """Return the table that a plan makes of another, lazily; `entity`, a column of the input, rides along hidden.

    Refuses what `build_expressions` refuses, and a key source that gives the driver no key.
    """
    secret = read_key(key)
    made = table.empty().select(_expressions(plan, table.schema, secret, entity)).collect_schema()
    fingerprint = None if secret is None else secret.fingerprint()
    job = _Transform(plan.to_dict(), tuple(table.schema.items()), key, fingerprint, entity)
    schema = write_schema(made, table.frame.schema, table.schema)
    return SparkTable(map_batches(table.frame, Shape.of(table.schema), job, schema), made)


def _expressions(
    plan: Plan, schema: Mapping[str, pl.DataType], key: SecretKey | None, entity: str | None
) -> list[pl.Expr]:
    hidden = [] if entity is None else [pl.col(entity).alias(hide(entity))]
    return [*build_expressions(plan, schema, key), *hidden]
