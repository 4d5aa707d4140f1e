"""The histogram of a Spark table: counted where the rows are, put together on the driver.

Words: a *combination* is the leaves of the quasi-identifiers (`q0`, …), the values of sensitive columns (`s0`, …) and
the entity (`e`). Entities that appear in one combination only are *plain*: they travel to the driver as a number of
`people`, with no entity. Only the others, who must be told apart, travel one by one, as digests of what they are
called. Without an entity column every row is plain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from desensitize.anonymity.histogram import Crowd, Histogram, Sensitive, bind, weigh
from desensitize.anonymity.reading import as_ints, index_leaves, number_entities
from desensitize.errors import InvalidInput
from desensitize.hierarchy import Hierarchy
from desensitize.leaves import as_entity, as_leaf
from desensitize.tables import collect, shown


@dataclass(frozen=True, slots=True)
class Combinations:
    """What is counted in a table: quasi-identifiers, sensitive columns, and the entity column."""

    quasi_identifiers: tuple[str, ...]
    sensitive: tuple[str, ...] = ()
    entity: str | None = None

    @property
    def keys(self) -> list[str]:
        """Return the names under which leaves and sensitive values travel."""
        places = range(len(self.quasi_identifiers))
        return [*(f"q{place}" for place in places), *(f"s{place}" for place in range(len(self.sensitive)))]

    @property
    def columns(self) -> list[str]:
        """Return the columns of the table that are read."""
        return [*self.quasi_identifiers, *self.sensitive, *([self.entity] if self.entity else [])]

    def count(self, table: pl.LazyFrame) -> pl.LazyFrame:
        """Return the combinations in a table, or in a batch of it, with the `rows` of each."""
        schema = table.collect_schema()
        columns = [*self.quasi_identifiers, *self.sensitive]
        wanted = {key: as_leaf(column, schema[column]) for key, column in zip(self.keys, columns, strict=True)}
        if self.entity is not None:
            wanted["e"] = as_entity(self.entity, schema[self.entity])
        return table.select(**wanted).group_by(list(wanted)).agg(pl.len().cast(pl.Int64).alias("rows"))

    def fold(self, counted: pl.LazyFrame) -> pl.DataFrame:
        """Return the combinations with plain entities as numbers of `people`; others keep their `e`, one person each.

        Refuses null entities.
        """
        if self.entity is None:
            return collect(counted.with_columns(people=pl.col("rows")))
        found = collect(counted.with_columns(plain=pl.len().over("e") == 1))
        self.refuse_nulls(bool(found["e"].null_count()))
        owner = pl.when(~pl.col("plain")).then(pl.col("e"))
        keys = [*self.keys, "e"]
        return collect(
            found.lazy().with_columns(e=owner).group_by(keys).agg(pl.col("rows").sum(), people=pl.len().cast(pl.Int64))
        )

    def refuse_nulls(self, ownerless: bool) -> None:
        """Refuse a table with rows of nobody."""
        if ownerless:
            assert self.entity is not None
            raise InvalidInput(f"entity column `{shown(self.entity)}` holds nulls; every row must say whose it is")


def assemble(
    found: pl.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    sensitive: Sequence[str] = (),
    population: pl.DataFrame | None = None,
) -> Histogram:
    """Return the histogram of folded combinations, and of the population's if there is one.

    Refuses a leaf without generalization.
    """
    keys = [f"q{place}" for place in range(len(hierarchies))]
    every = [found.select(*keys, "rows")]
    if population is not None:
        every.append(population.select(*keys, pl.lit(0, pl.Int64).alias("rows")))
    tuples = pl.concat(every).group_by(keys).agg(pl.col("rows").sum()).sort(keys).with_row_index("t")
    attributes = tuple(
        bind(column, hierarchy, tuples[key].unique().to_list())
        for key, (column, hierarchy) in zip(keys, hierarchies.items(), strict=True)
    )
    leaf = tuple(index_leaves(tuples[key], attribute) for key, attribute in zip(keys, attributes, strict=True))
    rows = tuples["rows"].to_numpy().astype(np.int64)
    placed = _place(found, tuples, keys)
    return Histogram(
        attributes=attributes,
        leaf=leaf,
        rows=rows,
        entities=_crowd(placed, tuples.height),
        marginals=tuple(weigh(one, rows, len(a.leaves)) for one, a in zip(leaf, attributes, strict=True)),
        floor=(0,) * len(keys),
        sensitive=tuple(_sensitive(placed, f"s{place}", column) for place, column in enumerate(sensitive)),
        population=None if population is None else _crowd(_place(population, tuples, keys), tuples.height),
    )


def _place(found: pl.DataFrame, tuples: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return the combinations with the number of their tuple (`t`), and their entities numbered, null where plain."""
    placed = found.join(tuples.select("t", *keys), on=keys, how="left", nulls_equal=True).drop(keys)
    if "e" not in placed:
        return placed.with_columns(e=pl.lit(None, pl.Int64))
    return placed.with_columns(e=pl.col("e").rank("dense").cast(pl.Int64) - 1)


def _crowd(placed: pl.DataFrame, tuples: int) -> Crowd:
    plain = placed.filter(pl.col("e").is_null())
    singles = weigh(as_ints(plain["t"]), as_ints(plain["people"]), tuples).astype(np.int64)
    pairs = placed.drop_nulls("e").select("t", "e").unique().with_columns(single=pl.len().over("e") == 1)
    singles += np.bincount(as_ints(pairs.filter("single")["t"]), minlength=tuples)
    several = pairs.filter(~pl.col("single"))
    return Crowd.of(singles, as_ints(several["t"]), number_entities(several["e"]))


def _sensitive(placed: pl.DataFrame, key: str, column: str) -> Sensitive:
    values = placed[key].unique().sort(nulls_last=True)
    names = values.to_frame("value").with_row_index("v")
    placed = placed.join(names, left_on=key, right_on="value", how="left", nulls_equal=True)
    triples = placed.drop_nulls("e").select("t", "v", "e").unique().with_columns(single=pl.len().over("e") == 1)
    plain = pl.concat(
        [
            placed.filter(pl.col("e").is_null()).select("t", "v", "people"),
            triples.filter("single").select("t", "v", pl.lit(1, pl.Int64).alias("people")),
        ]
    )
    cells = plain.group_by("t", "v").agg(pl.col("people").sum())
    links = triples.filter(~pl.col("single"))
    return Sensitive(
        column,
        tuple(values.to_list()),
        as_ints(cells["t"]),
        as_ints(cells["v"]),
        as_ints(cells["people"]),
        as_ints(links["t"]),
        number_entities(links["e"]),
        as_ints(links["v"]),
    )
