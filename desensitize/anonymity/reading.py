"""Reading a table into the histogram that anonymization works on.

A table of very many distinct tuples is read coarser: the attribute with the most values goes up a level until about
`MOST_TUPLES` are left. The histogram's `floor` says so, and what lies below it counts as not proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from desensitize.anonymity.histogram import (
    Attribute,
    Crowd,
    Floats,
    Histogram,
    Ints,
    Levels,
    Places,
    Sensitive,
    bind,
    weigh,
)
from desensitize.anonymity.placing import place_rows
from desensitize.errors import InvalidInput
from desensitize.hierarchy import Hierarchy
from desensitize.leaves import as_entity, as_leaf
from desensitize.tables import collect, shown

MOST_TUPLES = 2_000_000
_TUPLE = "\x00tuple"


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: the table, its hierarchies, whose data a row is, sensitive columns, and a population.

    `frame` is the same table, if it is in memory.
    """

    table: pl.LazyFrame
    hierarchies: Mapping[str, Hierarchy]
    entity: str | None = None
    sensitive: tuple[str, ...] = ()
    population: pl.LazyFrame | None = None
    most_tuples: int = MOST_TUPLES
    frame: pl.DataFrame | None = None

    @property
    def keys(self) -> dict[str, str]:
        """Return the quasi-identifiers by the names they travel under."""
        return {f"q{position}": column for position, column in enumerate(self.hierarchies)}


def build(source: Source) -> Histogram:
    """Return the histogram of a table.

    Refuses a column that is not there, a null entity, a leaf without generalization, and a column with two tasks.
    """
    _check_columns(source)
    leaves = _leaf_expressions(source.table, source.keys)
    coarse = _coarsen(source, leaves)
    if source.frame is not None and coarse is None and source.population is None:
        tuples, place = place_rows(source.frame, leaves)
        return _assemble(source, tuples, place=place)
    found = _collect(source.table, coarse.apply(leaves) if coarse else leaves, source.sensitive, source.entity)
    crowd = None
    if source.population is not None:
        theirs = _leaf_expressions(source.population, source.keys)
        owner = source.entity if source.entity in source.population.collect_schema() else None
        crowd = _collect(source.population, coarse.apply(theirs) if coarse else theirs, (), owner)
    return _assemble(source, found, crowd, coarse)


def _check_columns(source: Source) -> None:
    schema = source.table.collect_schema()
    for column in [*source.hierarchies, *source.sensitive, *([source.entity] if source.entity else [])]:
        if column not in schema:
            raise InvalidInput(f"column `{shown(column)}` is not in the table; it has: {', '.join(schema.names())}")
    if source.entity in source.hierarchies:
        raise InvalidInput(f"column `{source.entity}` cannot be both the entity and a quasi-identifier")
    for column in source.sensitive:
        if column in source.hierarchies or column == source.entity:
            raise InvalidInput(f"column `{column}` is sensitive: it cannot be a quasi-identifier or the entity too")
    if source.population is None:
        return
    theirs = source.population.collect_schema()
    for column in source.hierarchies:
        if column not in theirs:
            raise InvalidInput(f"quasi-identifier `{column}` is not in the population")


def _leaf_expressions(table: pl.LazyFrame, keys: Mapping[str, str]) -> dict[str, pl.Expr]:
    schema = table.collect_schema()
    return {key: as_leaf(column, schema[column]).alias(key) for key, column in keys.items()}


@dataclass(frozen=True, slots=True)
class _Coarse:
    """The levels a large table is read at, its attributes, and how many rows each leaf has."""

    attributes: tuple[Attribute, ...]
    floor: Levels
    marginals: tuple[Floats, ...]

    def apply(self, leaves: Mapping[str, pl.Expr]) -> dict[str, pl.Expr]:
        """Return the expressions with each leaf replaced by the first leaf of its value at the floor."""
        made = {}
        for (key, leaf), attribute, level in zip(leaves.items(), self.attributes, self.floor, strict=True):
            if not level:
                made[key] = leaf
                continue
            code = attribute.codes[level]
            _, first = np.unique(code, return_index=True)
            names = pl.Series(attribute.leaves, dtype=pl.String)
            made[key] = leaf.replace_strict(names, names.gather(first[code]), return_dtype=pl.String).alias(key)
        return made


def _coarsen(source: Source, leaves: Mapping[str, pl.Expr]) -> _Coarse | None:
    """Return the coarser reading of a table with too many tuples, or None when it can be read as it is."""
    rows = int(collect(source.table.select(pl.len())).item())
    if rows <= source.most_tuples or _estimate_tuples(source.table, leaves) <= source.most_tuples:
        return None
    counts = [
        collect(source.table.group_by(leaf).agg(pl.len().cast(pl.Int64).alias("rows"))) for leaf in leaves.values()
    ]
    known = [set(count.to_series(0).to_list()) for count in counts]
    if source.population is not None:
        for values, leaf in zip(known, _leaf_expressions(source.population, source.keys).values(), strict=True):
            values.update(collect(source.population.select(leaf.unique())).to_series().to_list())
    attributes = tuple(
        bind(column, source.hierarchies[column], list(values))
        for column, values in zip(source.hierarchies, known, strict=True)
    )
    marginals = tuple(
        weigh(index_leaves(count.to_series(0), attribute), as_ints(count["rows"]), len(attribute.leaves))
        for count, attribute in zip(counts, attributes, strict=True)
    )
    floor = [0] * len(attributes)
    while any(level < a.height - 1 for a, level in zip(attributes, floor, strict=True)):
        sizes = [
            len(a.labels[level]) if level < a.height - 1 else 0 for a, level in zip(attributes, floor, strict=True)
        ]
        floor[int(np.argmax(sizes))] += 1
        coarse = _Coarse(attributes, tuple(floor), marginals)
        if _estimate_tuples(source.table, coarse.apply(leaves)) <= source.most_tuples:
            break
    return coarse


def _estimate_tuples(table: pl.LazyFrame, leaves: Mapping[str, pl.Expr]) -> int:
    packed = table.select(pl.struct(list(leaves.values())).hash().alias("h"))
    return int(collect(packed.select(pl.col("h").approx_n_unique())).item())


def _collect(
    table: pl.LazyFrame, leaves: Mapping[str, pl.Expr], sensitive: Sequence[str], entity: str | None
) -> pl.DataFrame:
    """Return the distinct combinations of leaves, sensitive values (`s0`, …) and entity (`e`) with their rows."""
    schema = table.collect_schema()
    wanted = [*leaves.values(), *(as_leaf(c, schema[c]).alias(f"s{place}") for place, c in enumerate(sensitive))]
    by = [*leaves, *(f"s{place}" for place in range(len(sensitive)))]
    if entity is not None:
        wanted.append(as_entity(entity, schema[entity]).alias("e"))
        by.append("e")
    found = collect(table.select(wanted).group_by(by).agg(pl.len().cast(pl.Int64).alias("rows")))
    if entity is not None and found["e"].null_count():
        raise InvalidInput(f"entity column `{shown(entity)}` holds nulls; every row must say whose it is")
    return found


def _assemble(
    source: Source,
    found: pl.DataFrame,
    population: pl.DataFrame | None = None,
    coarse: _Coarse | None = None,
    place: Places | None = None,
) -> Histogram:
    """Return the histogram of the combinations `found`; with `place`, they are of the tuples alone."""
    keys = list(source.keys)
    every = found.select(*keys, "rows")
    if population is not None:
        every = pl.concat([every, population.select(*keys, pl.lit(0, pl.Int64).alias("rows"))])
    distinct = population is None and len(found.columns) == len(every.columns)
    tuples = (every if distinct else every.group_by(keys).agg(pl.col("rows").sum())).with_row_index("t")
    if coarse:
        attributes = coarse.attributes
    else:
        attributes = tuple(
            bind(column, source.hierarchies[column], tuples[key].unique().to_list())
            for key, column in source.keys.items()
        )
    leaf = tuple(index_leaves(tuples[key], attribute) for key, attribute in zip(keys, attributes, strict=True))
    rows = tuples["rows"].to_numpy().astype(np.int64)
    if place is not None and (source.sensitive or source.entity is not None):
        numbered = source.table.with_columns(pl.Series(_TUPLE, place))
        placed = _collect(numbered, {"t": pl.col(_TUPLE).alias("t")}, source.sensitive, source.entity)
    else:
        placed = tuples if distinct else _place(found, tuples, keys)
    made = Histogram(
        attributes=attributes,
        leaf=leaf,
        rows=rows,
        entities=_crowd(placed, tuples.height) if source.entity is not None else Crowd.of_rows(rows),
        marginals=coarse.marginals
        if coarse
        else tuple(weigh(one, rows, len(a.leaves)) for one, a in zip(leaf, attributes, strict=True)),
        floor=coarse.floor if coarse else (0,) * len(keys),
        sensitive=tuple(_sensitive(placed, f"s{number}", column) for number, column in enumerate(source.sensitive)),
        population=None if population is None else _crowd(_place(population, tuples, keys), tuples.height),
        place=place,
    )
    # Tuples come from the table engine in any order; merging at the floor merges none of them and puts them in one.
    return made.in_order()


def _place(found: pl.DataFrame, tuples: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return the combinations with the number of their tuple (`t`) in the place of its leaves."""
    return found.join(tuples.select("t", *keys), on=keys, how="left", nulls_equal=True).drop(keys)


def _crowd(placed: pl.DataFrame, tuples: int) -> Crowd:
    empty = np.zeros(0, np.int64)
    if "e" not in placed:
        singles = np.bincount(as_ints(placed["t"]), placed["rows"].to_numpy(), tuples).astype(np.int64)
        return Crowd.of(singles, empty, empty)
    pairs = placed.select("t", "e").unique().with_columns((pl.len().over("e") == 1).alias("single"))
    singles = np.bincount(as_ints(pairs.filter("single")["t"]), minlength=tuples).astype(np.int64)
    several = pairs.filter(~pl.col("single"))
    return Crowd.of(singles, as_ints(several["t"]), number_entities(several["e"]))


def _sensitive(placed: pl.DataFrame, key: str, column: str) -> Sensitive:
    values = placed[key].unique().sort(nulls_last=True)
    names = values.to_frame("value").with_row_index("v")
    placed = placed.join(names, left_on=key, right_on="value", how="left", nulls_equal=True)
    links = placed.clear().select("t", "v", pl.lit(0).alias("e"))
    if "e" in placed:
        triples = placed.select("t", "v", "e").unique().with_columns((pl.len().over("e") == 1).alias("single"))
        links = triples.filter(~pl.col("single"))
        cells = triples.filter("single").group_by("t", "v").agg(pl.len().alias("rows"))
    else:
        cells = placed.group_by("t", "v").agg(pl.col("rows").sum())
    return Sensitive(
        column,
        tuple(values.to_list()),
        as_ints(cells["t"]),
        as_ints(cells["v"]),
        as_ints(cells["rows"]),
        as_ints(links["t"]),
        number_entities(links["e"]),
        as_ints(links["v"]),
    )


def as_ints(values: pl.Series) -> Ints:
    """Return whole numbers as an array."""
    return values.to_numpy().astype(np.int64)


def number_entities(entities: pl.Series) -> Ints:
    """Return a number from 0 for each entity, the same for the same one."""
    return as_ints(entities.rank("dense")) - 1 if len(entities) else np.zeros(0, np.int64)


def index_leaves(values: pl.Series, attribute: Attribute) -> Ints:
    """Return the place of each value among the leaves of an attribute."""
    table = pl.DataFrame({"leaf": pl.Series(attribute.leaves, dtype=pl.String)}).with_row_index("code")
    found = values.to_frame("leaf").join(table, on="leaf", how="left", nulls_equal=True, maintain_order="left")
    return as_ints(found["code"])
