"""Tables of one request, compared: the difference of two of them is a table too, and must not be about a few people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import polars as pl

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.recompute import condition
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import TableSpecification


def check_tables(
    tables: Mapping[str, TableSpecification], frame: pl.LazyFrame, *, entity: str | None, rules: Rules
) -> tuple[Finding, ...]:
    """Return a finding for each pair of tables over one release whose populations differ by too few entities.

    What is counted are those who are in one population and not in the other, within each combination of the labels
    that both tables show: a reader who subtracts sees no finer. Rows are counted where there is no `entity`.
    """
    schema = frame.collect_schema()
    findings = []
    for (first, one), (second, two) in combinations(tables.items(), 2):
        if one.where == two.where:
            continue
        apart = frame.filter(condition(one.where, schema) != condition(two.where, schema))
        shown = [name for name in one.dimensions if name in two.dimensions]
        who = pl.len() if entity is None else pl.col(entity).drop_nulls().n_unique()
        counted = apart.group_by(shown).agg(who.alias("")) if shown else apart.select(who.alias(""))
        least = counted.filter(pl.col("") > 0).select(pl.col("").min()).collect(engine="streaming").item()
        if least is not None and least < rules.min_difference:
            accepted = f"tables whose populations are equal or differ by at least {rules.min_difference} entities"
            place = f"outputs {first}, {second}"
            limit = rules.min_difference
            findings.append(
                Finding("differencing", Severity.BLOCK, accepted, None, int(least), limit, second, place)
            )  # fmt: skip
    return tuple(findings)
