"""How likely a person can be found again in a table, measured on its classes.

Words: a *class* is all rows equal on the quasi-identifiers and its *size* the rows, or with an entity the distinct
entities, in it. The *prosecutor* knows that a person is in the table (1/size), the *journalist* only that they are
in the population (1/size there), the *marketer* wants as many as possible (classes/rows). Formulas: El Emam; names
and strictness of comparisons as in ARX.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.leaves import as_leaf
from desensitize.tables import Table, collect, open_table, shown

PROFILE_EDGES: tuple[int, ...] = (1, 2, 3, 5, 10, 20, 50, 100, 1000)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a release mode accepts.

    `threshold` for one class, `overall` for data risk times context, and where the numbers come from.
    """

    mode: str
    threshold: float
    measure: str
    context: float
    overall: float
    source: str

    @property
    def smallest_class(self) -> int:
        """Return the least class size whose risk does not exceed the threshold."""
        return -int(-1 // (self.threshold + 1e-12)) if self.threshold < 1 else 1


@dataclass(frozen=True, slots=True)
class Risk:
    """The measured re-identification risk of one table, and the GB/T 42460 level (1 worst, 4 best) that follows."""

    limits: Limits
    quasi_identifiers: tuple[str, ...]
    entity: str | None
    rows: int
    entities: int
    classes: int
    smallest_class: int
    average_class: float
    prosecutor: float
    journalist: float
    marketer: float
    records_at_risk: float
    uniques: float
    overall: float
    level: int
    meets: bool
    reasons: tuple[str, ...]
    profile: tuple[tuple[str, int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        return asdict(self)


@cache
def _policy() -> Mapping[str, Any]:
    text = resources.files("desensitize.risk").joinpath("risk_policy.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def limits_of(mode: str) -> Limits:
    """Return the limits of a release mode (`public`, `agreement`, `enclave`) from the policy data.

    Refuses another mode.
    """
    policy = _policy()
    if mode not in policy["mode"]:
        raise InvalidPlan(f"release mode `{mode}` is not one of: {', '.join(policy['mode'])}")
    values = policy["mode"][mode]
    return Limits(
        mode, values["threshold"], values["measure"], values["context"], policy["overall_limit"], policy["source"]
    )


def measure_risk(
    frame: Table,
    quasi_identifiers: Sequence[str],
    entity: str | None = None,
    population: Table | None = None,
    *,
    limits: Limits | None = None,
    direct_identifiers: Sequence[str] = (),
) -> Risk:
    """Return the measured risk of `frame` against these limits (by default those of mode `agreement`).

    With `entity`, sizes count distinct entities. With `population` (a table with the same quasi-identifiers), the
    journalist's risk is that of the population's classes. Refuses a column that is not there and an entity column
    with nulls.
    """
    table = open_table(frame)
    chosen = limits or limits_of("agreement")
    sizes = _class_sizes(table, list(quasi_identifiers), entity)
    entities = _count_entities(table, entity, int(sizes["rows"].sum()))
    journalist = 1.0 / max(1, _least(sizes["size"]))
    if population is not None and sizes.height:
        journalist = _journalist(sizes, open_table(population), list(quasi_identifiers), entity)
    return _judge(sizes, chosen, tuple(quasi_identifiers), entity, entities, journalist, tuple(direct_identifiers))


def _least(sizes: pl.Series) -> int:
    return int(sizes.min() or 0)  # type: ignore[arg-type]


def _class_sizes(table: pl.LazyFrame, columns: list[str], entity: str | None) -> pl.DataFrame:
    schema = table.collect_schema()
    for column in [*columns, *([entity] if entity else [])]:
        if column not in schema:
            raise InvalidInput(f"column `{column}` is not in the table; it has: {', '.join(schema.names())}")
    keys = [f"q{position}" for position in range(len(columns))] or ["q"]
    named = [as_leaf(column, schema[column]).alias(key) for column, key in zip(columns, keys, strict=False)]
    if not columns:
        named = [pl.lit(0).alias("q")]
    if entity is None:
        counted = table.select(named).group_by(keys).agg(pl.len().alias("rows"))
        return collect(counted.with_columns(pl.col("rows").alias("size")))
    counted = (
        table.select(*named, pl.col(entity).alias("e"))
        .group_by(keys)
        .agg(pl.len().alias("rows"), pl.col("e").n_unique().alias("size"), pl.col("e").null_count().alias("n"))
    )
    found = collect(counted)
    if found["n"].sum():
        raise InvalidInput(f"entity column `{shown(entity)}` holds nulls; every row must say whose it is")
    return found.drop("n")


def _count_entities(table: pl.LazyFrame, entity: str | None, rows: int) -> int:
    if entity is None:
        return rows
    return int(collect(table.select(pl.col(entity).n_unique())).item())


def _journalist(sizes: pl.DataFrame, population: pl.LazyFrame, columns: list[str], entity: str | None) -> float:
    holder = entity if entity is not None and entity in population.collect_schema() else None
    theirs = _class_sizes(population, columns, holder).select(pl.exclude("rows", "size"), pl.col("size").alias("p"))
    keys = [name for name in theirs.columns if name != "p"]
    joined = sizes.join(theirs, on=keys, how="left", nulls_equal=True)
    least = joined.select(pl.max_horizontal("size", "p").min()).item()
    return 1.0 / max(1, int(least))


def _judge(
    sizes: pl.DataFrame,
    limits: Limits,
    columns: tuple[str, ...],
    entity: str | None,
    entities: int,
    journalist: float,
    direct: tuple[str, ...],
) -> Risk:
    size = sizes["size"]
    members, rows = int(size.sum()), int(sizes["rows"].sum())
    least = _least(size)
    prosecutor = 1.0 / least if least else 0.0
    marketer = sizes.height / members if members else 0.0
    exceeding = int(size.filter(1.0 / size > limits.threshold + 1e-12).sum()) if members else 0
    data = 1.0 if exceeding else (prosecutor if limits.measure == "max" else marketer)
    overall = data * limits.context
    reasons = _reasons(exceeding, overall, limits)
    meets = not reasons
    level = 1 if direct else 4 if not columns else 3 if meets else 2
    return Risk(
        limits=limits,
        quasi_identifiers=columns,
        entity=entity,
        rows=rows,
        entities=entities,
        classes=sizes.height if rows else 0,
        smallest_class=least,
        average_class=members / sizes.height if sizes.height else 0.0,
        prosecutor=prosecutor,
        journalist=journalist if rows else 0.0,
        marketer=marketer,
        records_at_risk=exceeding / members if members else 0.0,
        uniques=int((size == 1).sum()) / members if members else 0.0,
        overall=overall,
        level=level,
        meets=meets and not direct,
        reasons=(*reasons, *(f"column `{column}` is a direct identifier" for column in direct)),
        profile=_profile(sizes),
    )


def _reasons(exceeding: int, overall: float, limits: Limits) -> tuple[str, ...]:
    found = []
    if exceeding:
        found.append(
            f"{exceeding} records lie in classes smaller than {limits.smallest_class}; mode {limits.mode} accepts none"
        )
    if overall > limits.overall + 1e-12:
        found.append(f"overall risk {overall:.4f} exceeds {limits.overall} (data risk times context {limits.context})")
    return tuple(found)


def _profile(sizes: pl.DataFrame) -> tuple[tuple[str, int, int], ...]:
    """Return (band of class size, classes in it, rows in it) for the bands of `PROFILE_EDGES`."""
    bands = []
    for low, high in zip(PROFILE_EDGES, [*PROFILE_EDGES[1:], None], strict=True):
        inside = sizes.filter((pl.col("size") >= low) & ((pl.col("size") < high) if high else pl.lit(value=True)))
        label = f"{low}+" if high is None else str(low) if high == low + 1 else f"{low}-{high - 1}"
        bands.append((label, inside.height, int(inside["rows"].sum())))
    return tuple(bands)
