"""The risk of several releases together: what someone learns who joins them by the pseudonyms that they share.

Words: releases are *joined* by key columns that mean the same person in each. Someone who knows a person's row in
every release sees the tuple of all their quasi-identifiers, and in which releases the person is missing: that tuple's
class is at most as large as the person's class in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.leaves import as_leaf
from desensitize.risk.measures import Limits, Risk, limits_of, measure_risk
from desensitize.tables import Table, collect, open_table

MOST_ROWS = 100_000_000
_KEY = "\x00key"


@dataclass(frozen=True, slots=True)
class JoinedRisk:
    """The risk of a join, beside the smallest class of each release alone; `shared` people are in all of them."""

    risk: Risk
    releases: tuple[str, ...]
    keys: tuple[str, ...]
    people: int
    shared: int
    smallest_alone: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        return asdict(self)


def measure_joined_risk(
    releases: Mapping[str, Table],
    keys: Sequence[str],
    quasi_identifiers: Mapping[str, Sequence[str]],
    *,
    limits: Limits | None = None,
) -> JoinedRisk:
    """Return the risk of the join of these releases (by name) on the key columns, in distinct people.

    `quasi_identifiers` names those of each release. Refuses fewer than two releases, a column that a release lacks, a
    key with nulls, and a join of more than 100 million rows (people with many rows in each): drop repeated rows or
    quasi-identifiers first.
    """
    if len(releases) < 2 or not keys:
        raise InvalidPlan("a join has at least two releases and one key column")
    tables = {name: _reduce(name, open_table(table), keys, quasi_identifiers) for name, table in releases.items()}
    _check_size(tables)
    joined, columns = _join(tables)
    risk = measure_risk(joined, columns, _KEY, limits=limits or limits_of("agreement"))
    present = pl.all_horizontal([pl.col(_flag(name)) == "1" for name in tables])
    people, shared = joined.select(
        pl.col(_KEY).n_unique(), pl.col(_KEY).filter(present).n_unique().alias("shared")
    ).row(0)  # fmt: skip
    alone = {
        name: measure_risk(table, _columns(table), _KEY, limits=risk.limits).smallest_class
        for name, table in tables.items()
    }
    shown = tuple(name.removeprefix("\x00") for name in columns if not name.startswith("\x00in "))
    risk = Risk(**{**_fields(risk), "quasi_identifiers": shown, "entity": ", ".join(keys)})
    return JoinedRisk(risk, tuple(tables), tuple(keys), people, shared, alone)


def _fields(risk: Risk) -> dict[str, Any]:
    return {name: getattr(risk, name) for name in Risk.__dataclass_fields__}


def _flag(name: str) -> str:
    return f"\x00in {name}"


def _columns(table: pl.DataFrame) -> list[str]:
    return [column for column in table.columns if column != _KEY]


def _reduce(
    name: str, table: pl.LazyFrame, keys: Sequence[str], quasi_identifiers: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """Return a release's distinct rows: the key, its quasi-identifiers as text, and that the person is in it."""
    if name not in quasi_identifiers:
        raise InvalidPlan(f"name the quasi-identifiers of release `{name}`; an empty list is accepted")
    schema = table.collect_schema()
    for column in [*keys, *quasi_identifiers[name]]:
        if column not in schema:
            raise InvalidInput(f"column `{column}` is not in release `{name}`; it has: {', '.join(schema.names())}")
    key = pl.concat_str([as_leaf(column, schema[column]) for column in keys], separator="\x1f").alias(_KEY)
    chosen = [as_leaf(column, schema[column]).alias(f"\x00{name}.{column}") for column in quasi_identifiers[name]]
    found = collect(table.select(key, *chosen, pl.lit("1").alias(_flag(name))).unique())
    if found[_KEY].null_count():
        raise InvalidInput(f"a key column of release `{name}` holds nulls; every row must say whose it is")
    return found


def _check_size(tables: Mapping[str, pl.DataFrame]) -> None:
    rows: pl.DataFrame | None = None
    for number, table in enumerate(tables.values()):
        counted = table.group_by(_KEY).agg(pl.len().cast(pl.Float64).alias(f"n{number}"))
        rows = counted if rows is None else rows.join(counted, on=_KEY, how="full", coalesce=True)
    assert rows is not None
    product = rows.select(pl.reduce(lambda a, b: a * b, pl.exclude(_KEY).fill_null(1.0)).sum()).item()
    if product > MOST_ROWS:
        raise InvalidInput(
            f"the join would have {product:.0f} rows, people with many rows in each release; {MOST_ROWS} are accepted"
        )


def _join(tables: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, list[str]]:
    joined: pl.DataFrame | None = None
    for table in tables.values():
        joined = table if joined is None else joined.join(table, on=_KEY, how="full", coalesce=True)
    assert joined is not None
    return joined, _columns(joined)
