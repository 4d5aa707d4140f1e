"""How likely a person can be found again in a table, measured on its classes.

Words: a *class* is all rows equal on the quasi-identifiers and its *size* the rows, or with an entity the distinct
entities, in it. The *prosecutor* knows that a person is in the table (1/size), the *journalist* only that they are
in the population (1/size there), the *marketer* wants as many as possible (classes/rows). Formulas: El Emam; names
and strictness of comparisons as in ARX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput
from desensitize.leaves import as_entity, as_leaf
from desensitize.risk.policy import Limits, limits_of
from desensitize.risk.population import Population, estimate_population
from desensitize.tables import Table, collect, open_table, shown

__all__ = ["PROFILE_EDGES", "Limits", "Risk", "class_sizes", "judge_classes", "limits_of", "measure_risk"]
PROFILE_EDGES: tuple[int, ...] = (1, 2, 3, 5, 10, 20, 50, 100, 1000)


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
    population: Population | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        return asdict(self)


def measure_risk(
    frame: Table,
    quasi_identifiers: Sequence[str],
    entity: str | None = None,
    population: Table | None = None,
    *,
    population_size: int | None = None,
    limits: Limits | None = None,
    direct_identifiers: Sequence[str] = (),
) -> Risk:
    """Return the measured risk of `frame` against these limits (by default those of mode `agreement`).

    With `entity`, sizes count distinct entities. With `population` (a table with the same quasi-identifiers), the
    journalist's risk and the population's uniques are counted there; with `population_size` alone (people, or rows
    without `entity`) they are estimated. Refuses a column that is not there, an entity column with nulls, and a
    population smaller than the table.
    """
    table = open_table(frame)
    columns = list(quasi_identifiers)
    sizes = class_sizes(table, columns, entity)
    known, journalist = None, 1.0 / max(1, _least(sizes["size"]))
    if population is not None and sizes.height:
        known, journalist = _count_population(sizes, open_table(population), columns, entity)
    elif population_size is not None and sizes.height:
        known = estimate_population(sizes["size"].to_numpy(), population_size)
        journalist = known.journalist
    people = _People(entity, _count_entities(table, entity, int(sizes["rows"].sum())), known, journalist)
    return _judge(sizes, limits or limits_of("agreement"), tuple(columns), people, tuple(direct_identifiers))


def judge_classes(
    sizes: pl.DataFrame, quasi_identifiers: Sequence[str], entity: str | None, entities: int, limits: Limits
) -> Risk:
    """Return the risk of a table whose classes are counted already: `rows` and `size` of each, and all its entities."""
    people = _People(entity, entities, None, 1.0 / max(1, _least(sizes["size"])))
    return _judge(sizes, limits, tuple(quasi_identifiers), people, ())


@dataclass(frozen=True, slots=True)
class _People:
    """Whom a table is about: the entity column, how many there are, and what is known of the population."""

    entity: str | None
    number: int
    population: Population | None
    journalist: float


def _least(sizes: pl.Series) -> int:
    return int(sizes.min() or 0)  # type: ignore[arg-type]


def class_sizes(table: pl.LazyFrame, columns: Sequence[str], entity: str | None = None) -> pl.DataFrame:
    """Return one row for each class: its values `q0`, `q1`, … as text, its `rows` and its `size`.

    The size counts distinct entities, or rows without an entity. Refuses what `measure_risk` refuses.
    """
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
        found = collect(counted.with_columns(pl.col("rows").alias("size")))
        return found.filter(pl.col("rows") > 0)
    counted = (
        table.select(*named, as_entity(entity, schema[entity]).alias("e"))
        .group_by(keys)
        .agg(pl.len().alias("rows"), pl.col("e").n_unique().alias("size"), pl.col("e").null_count().alias("n"))
    )
    found = collect(counted)
    if found["n"].sum():
        raise InvalidInput(f"entity column `{shown(entity)}` holds nulls; every row must say whose it is")
    return found.drop("n").filter(pl.col("rows") > 0)


def _count_entities(table: pl.LazyFrame, entity: str | None, rows: int) -> int:
    if entity is None:
        return rows
    return int(collect(table.select(as_entity(entity, table.collect_schema()[entity]).n_unique())).item())


def _count_population(
    sizes: pl.DataFrame, population: pl.LazyFrame, columns: list[str], entity: str | None
) -> tuple[Population, float]:
    """Return what the population's table says of itself, and the highest risk of a class of the sample there."""
    holder = entity if entity is not None and entity in population.collect_schema() else None
    theirs = class_sizes(population, columns, holder).select(pl.exclude("rows", "size"), pl.col("size").alias("p"))
    keys = [name for name in theirs.columns if name != "p"]
    joined = sizes.join(theirs, on=keys, how="left", nulls_equal=True)
    # A class of the sample is at least as large in the population, whatever the table that was given says.
    least = joined.select(pl.max_horizontal("size", "p").min()).item()
    members, journalist = int(theirs["p"].sum()), 1.0 / max(1, int(least))
    uniques = int((theirs["p"] == 1).sum()) / members if members else 0.0
    fraction = min(1.0, int(sizes["size"].sum()) / members) if members else 1.0
    return Population(members, fraction, uniques, "counted", None, None, None, journalist), journalist


def _judge(
    sizes: pl.DataFrame, limits: Limits, columns: tuple[str, ...], people: _People, direct: tuple[str, ...]
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
    return Risk(
        limits=limits,
        quasi_identifiers=columns,
        entity=people.entity,
        rows=rows,
        entities=people.number,
        classes=sizes.height,
        smallest_class=least,
        average_class=members / sizes.height if sizes.height else 0.0,
        prosecutor=prosecutor,
        journalist=people.journalist if rows else 0.0,
        marketer=marketer,
        records_at_risk=exceeding / members if members else 0.0,
        uniques=int((size == 1).sum()) / members if members else 0.0,
        overall=overall,
        level=1 if direct else 4 if not columns else 3 if meets else 2,
        meets=meets and not direct,
        reasons=(*reasons, *(f"column `{column}` is a direct identifier" for column in direct)),
        profile=_profile(sizes),
        population=people.population,
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
