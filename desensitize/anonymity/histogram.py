"""The table as anonymization sees it.

The distinct tuples of quasi-identifiers, how many rows and which entities stand behind each.

Words: an *attribute* is one quasi-identifier with its hierarchy bound to the values in the table; a *tuple* is one
combination of leaves; an *entity* is whose data a row is; it is *single* when all its rows fall in one tuple,
otherwise it appears as *pairs*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.errors import InvalidInput
from desensitize.hierarchy import Hierarchy
from desensitize.leaves import as_leaf
from desensitize.tables import collect, shown

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Levels = tuple[int, ...]
_KEY_SPACE = 2**62
_COUNTING_SPACE = 4_000_000


@dataclass(frozen=True, slots=True)
class Attribute:
    """A quasi-identifier: for each level the code of every leaf, the label of every code.

    And the share of the domain it covers.
    """

    column: str
    leaves: tuple[str | None, ...]
    codes: tuple[Ints, ...]
    labels: tuple[tuple[str | None, ...], ...]
    shares: tuple[Floats, ...]

    @property
    def height(self) -> int:
        """Return the number of levels."""
        return len(self.codes)


def bind(column: str, hierarchy: Hierarchy, leaves: Sequence[str | None]) -> Attribute:
    """Return the attribute of `column` for these leaves. Refuses what `Hierarchy.list_rows` refuses."""
    rows = hierarchy.list_rows(leaves, column)
    codes, labels, shares = [], [], []
    for level in range(len(rows[0])):
        index: dict[str | None, int] = {}
        code = np.fromiter((index.setdefault(row[level], len(index)) for row in rows), np.int64, len(rows))
        codes.append(code)
        labels.append(tuple(index))
        shares.append(np.bincount(code)[code] / len(rows))
    return Attribute(column, tuple(row[0] for row in rows), tuple(codes), tuple(labels), tuple(shares))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct tuples with their weights.

    `rows` behind each, `singles` (entities found nowhere else), and the pairs of the others.
    """

    attributes: tuple[Attribute, ...]
    leaf: tuple[Ints, ...]
    rows: Ints
    singles: Ints
    pair_tuple: Ints
    pair_entity: Ints
    pair_share: Floats

    @property
    def total_rows(self) -> int:
        """Return how many rows the table has."""
        return int(self.rows.sum())

    def classes(self, levels: Levels) -> tuple[Ints, int]:
        """Return, for every tuple, the number of its class at these levels, and how many class numbers there may be."""
        key = np.zeros(len(self.rows), np.int64)
        space = 1
        for attribute, leaf, level in zip(self.attributes, self.leaf, levels, strict=True):
            size = len(attribute.labels[level])
            if size == 1:
                continue
            if space * size >= _KEY_SPACE:
                key, space = _densify(key)
            key = key * size + attribute.codes[level][leaf]
            space *= size
        return (key, space) if space <= max(_COUNTING_SPACE, 4 * len(key)) else _densify(key)

    def rebase(self, levels: Levels) -> Histogram:
        """Return the histogram with all tuples merged that are equal at these levels.

        It serves every node at or above them.
        """
        key, _ = self.classes(levels)
        _, first, member = np.unique(key, return_index=True, return_inverse=True)
        size = len(first)
        rows = np.bincount(member, self.rows, size).astype(np.int64)
        singles = np.bincount(member, self.singles, size).astype(np.int64)
        pair_entity, pair_tuple = np.divmod(distinct(self.pair_entity * size + member[self.pair_tuple]), max(size, 1))
        now_single = np.bincount(pair_entity, minlength=1)[pair_entity] == 1
        singles += np.bincount(pair_tuple[now_single], minlength=size)
        pair_entity, pair_tuple = pair_entity[~now_single], pair_tuple[~now_single]
        leaves = tuple(leaf[first] for leaf in self.leaf)
        return Histogram(self.attributes, leaves, rows, singles, pair_tuple, pair_entity, _share_of_entity(pair_entity))


def distinct(keys: Ints) -> Ints:
    """Return the distinct keys in order; sorting whole numbers is several times faster than `numpy.unique` here."""
    ordered = np.sort(keys)
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    result: Ints = ordered[first]
    return result


def _share_of_entity(pair_entity: Ints) -> Floats:
    """Return one over the number of pairs of each pair's entity, so that each entity's pairs together weigh one."""
    if not len(pair_entity):
        return np.zeros(0, np.float64)
    result: Floats = 1.0 / np.bincount(pair_entity)[pair_entity]
    return result


def _densify(key: Ints) -> tuple[Ints, int]:
    values, dense = np.unique(key, return_inverse=True)
    return dense.astype(np.int64), len(values)


def build(frame: pl.LazyFrame, hierarchies: Mapping[str, Hierarchy], entity: str | None) -> Histogram:
    """Return the histogram of `frame`.

    Refuses a column that is not there, a null entity, and a leaf without generalization.
    """
    schema = frame.collect_schema()
    for column in [*hierarchies, *([entity] if entity else [])]:
        if column not in schema:
            raise InvalidInput(f"column `{column}` is not in the table; it has: {', '.join(schema.names())}")
    if entity in hierarchies:
        raise InvalidInput(f"column `{entity}` cannot be both the entity and a quasi-identifier")
    keys = {f"q{position}": column for position, column in enumerate(hierarchies)}
    wanted = [as_leaf(column, schema[column]).alias(key) for key, column in keys.items()]
    tuples, pairs = _collect(frame, wanted, list(keys), entity)
    attributes = tuple(
        bind(column, hierarchies[column], tuples[key].unique().to_list()) for key, column in keys.items()
    )
    leaf = tuple(_index(tuples[key], attribute) for key, attribute in zip(keys, attributes, strict=True))
    empty = np.zeros(0, np.int64)
    rows = tuples["rows"].to_numpy().astype(np.int64)
    if pairs is None:
        return Histogram(attributes, leaf, rows, rows.copy(), empty, empty, _share_of_entity(empty))
    singles = tuples["singles"].to_numpy().astype(np.int64)
    return Histogram(attributes, leaf, rows, singles, *pairs, _share_of_entity(pairs[1]))


def _collect(
    frame: pl.LazyFrame, wanted: list[pl.Expr], keys: list[str], entity: str | None
) -> tuple[pl.DataFrame, tuple[Ints, Ints] | None]:
    if entity is None:
        tuples = collect(frame.select(wanted).group_by(keys).agg(pl.len().alias("rows")))
        return tuples, None
    by_entity = frame.select(*wanted, pl.col(entity).alias("e")).group_by([*keys, "e"]).agg(pl.len().alias("rows"))
    found = collect(by_entity)
    if found["e"].null_count():
        raise InvalidInput(f"entity column `{shown(entity)}` holds nulls; every row must say whose it is")
    found = found.with_columns((pl.len().over("e") == 1).alias("single"))
    tuples = found.group_by(keys).agg(pl.col("rows").sum(), pl.col("single").sum().alias("singles")).with_row_index("t")
    several = found.filter(~pl.col("single"))
    several = several.join(tuples.select("t", *keys), on=keys, how="left", nulls_equal=True)
    numbers = several.select(pl.col("t").cast(pl.Int64), (pl.col("e").rank("dense").cast(pl.Int64) - 1))
    return tuples, (numbers["t"].to_numpy().astype(np.int64), numbers["e"].to_numpy().astype(np.int64))


def _index(values: pl.Series, attribute: Attribute) -> Ints:
    table = pl.DataFrame({"leaf": pl.Series(attribute.leaves, dtype=pl.String)}).with_row_index("code")
    found = values.to_frame("leaf").join(table, on="leaf", how="left", nulls_equal=True, maintain_order="left")
    return found["code"].to_numpy().astype(np.int64)
