"""Which sets of columns single people out: uniqueness by combination, the smallest sets first.

Words: a *person* is an entity where an entity column is given, else a row; a person is *alone* in a combination of
columns when nobody else has the same values in one of their rows, and *hidden badly* when fewer than k people have;
a combination *singles out* when at least the share `least` of the people are alone in it; it is *minimal* when no
part of it does already. Measure and use: Sweeney (2000), "Simple demographics often identify people uniquely".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.errors import InvalidInput
from desensitize.tables import Table, collect, open_table

Codes = npt.NDArray[np.int64]
_EXACT_ROWS = 200_000_000
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Combination:
    """One minimal set of columns that singles people out.

    `alone` and `small` are shares of the people: alone in it, or in a class of fewer than k. `exact` says that they
    were measured on the whole table; else they were measured on the sample and `margin` is their 95 % half-width. A
    sample overstates: who is alone in a sample need not be alone in the table.
    """

    columns: tuple[str, ...]
    alone: float
    small: float
    exact: bool
    margin: float


@dataclass(frozen=True, slots=True)
class QuasiIdentifiers:
    """The minimal combinations that single people out, by size and then by share, and how they were looked for.

    `complete` is False where the cap on combinations stopped the search. It holds no value of the table.
    """

    combinations: tuple[Combination, ...]
    columns: tuple[str, ...]
    entity: str | None
    people: int
    looked_at: int
    k: int
    least: float
    max_size: int
    tried: int
    complete: bool

    @property
    def sampled(self) -> bool:
        """Say whether combinations were looked for in a sample of the people."""
        return self.looked_at < self.people

    @property
    def telling(self) -> tuple[str, ...]:
        """Return the columns that stand in any of the combinations, in the table's order."""
        used = {name for one in self.combinations for name in one.columns}
        return tuple(name for name in self.columns if name in used)

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as plain values for JSON."""
        return {**asdict(self), "sampled": self.sampled, "telling": list(self.telling)}


def find_quasi_identifiers(
    frame: Table,
    columns: Sequence[str] | None = None,
    entity: str | None = None,
    max_size: int = 3,
    *,
    sample: int = 100_000,
    k: int = 5,
    least: float = 0.01,
    max_combinations: int = 1000,
) -> QuasiIdentifiers:
    """Return the minimal combinations of up to `max_size` of `columns` in which a share `least` of people is alone.

    A table of more than `sample` rows is searched in a sample of its people; a combination found there is measured
    again on the whole table, as long as that stays cheap. Refuses unknown and nested columns and a size below 1.
    """
    table = open_table(frame)
    schema = table.collect_schema()
    names = _check_columns(schema, columns, entity)
    if max_size < 1 or k < 2 or not 0 < least <= 1 or sample < 1:
        raise InvalidInput("a search needs max_size >= 1, k >= 2, sample >= 1 and a share `least` above 0, at most 1")
    rows = int(collect(table.select(pl.len())).item()) if names else 0
    part = _draw(table, names, entity, min(1.0, sample / rows)) if rows else pl.DataFrame()
    search = _Search(table, part, names, entity, rows, k, least)
    found, tried, complete = search.run(max_size, max_combinations)
    people = rows if entity is None or not rows else int(collect(table.select(pl.col(entity).n_unique())).item())
    return QuasiIdentifiers(
        found, tuple(names), entity, people, search.people, k, least, max_size, tried, complete
    )  # fmt: skip


def _check_columns(schema: pl.Schema, columns: Sequence[str] | None, entity: str | None) -> list[str]:
    wanted = [name for name in schema if name != entity] if columns is None else list(columns)
    for name in [*wanted, *([entity] if entity else [])]:
        if name not in schema:
            raise InvalidInput(f"column `{name}` is not in the table; its columns: {', '.join(schema)}")
        if schema[name].is_nested() or schema[name] in (pl.Binary, pl.Object):
            raise InvalidInput(f"column `{name}` is {schema[name]}; only text, numbers, dates and truth values can be")
    return wanted


def _draw(table: pl.LazyFrame, names: list[str], entity: str | None, share: float) -> pl.DataFrame:
    """Return the rows of a sample of people: by hash of the entity, or of the row's place."""
    chosen = table.select(list(dict.fromkeys([*names, *([entity] if entity else [])])))
    if share < 1:
        key = pl.col(entity) if entity else pl.int_range(pl.len(), dtype=pl.UInt64)
        chosen = chosen.filter(key.hash(seed=1) < pl.lit(int(share * 2**64), pl.UInt64))
    return collect(chosen)


class _Search:
    """The people of the sample as codes, and how many of them are alone in a set of columns."""

    def __init__(
        self, table: pl.LazyFrame, part: pl.DataFrame, names: list[str], entity: str | None,
        rows: int, k: int, least: float,
    ) -> None:  # fmt: skip
        self._table, self._names, self._entity, self._k, self._least = table, names, entity, k, least
        self._whole = part.height == rows
        self._codes = {name: _encode(part[name]) for name in names} if rows else {}
        self._person = _encode(part[entity]) if entity and rows else None
        self.people = part.height if self._person is None else int(self._person.max(initial=-1)) + 1
        self._prefix: tuple[tuple[str, ...], Codes] = ((), np.zeros(0, np.int64))
        self._exact_left = 0 if self._whole else max(5, min(200, _EXACT_ROWS // max(1, rows)))

    def run(self, max_size: int, max_combinations: int) -> tuple[tuple[Combination, ...], int, bool]:
        """Return the minimal combinations, how many were tried, and whether all were."""
        found: list[Combination] = []
        tried = 0
        for columns in self._list_candidates(max_size):
            if any(set(one.columns) <= set(columns) for one in found):
                continue
            if tried == max_combinations:
                return tuple(_order(found)), tried, False
            tried += 1
            combination = self._measure(columns) if self.people else None
            if combination is not None:
                found.append(combination)
        return tuple(_order(found)), tried, True

    def _list_candidates(self, max_size: int) -> Iterator[tuple[str, ...]]:
        # The most telling columns first, so that the cap cuts off the least telling sets.
        telling = sorted(self._names, key=lambda name: -int(self._codes[name].max(initial=0)) if self._codes else 0)
        for size in range(1, min(max_size, len(telling)) + 1):
            yield from combinations(telling, size)

    def _measure(self, columns: tuple[str, ...]) -> Combination | None:
        alone, small = self._shares(columns)
        margin = 0.0 if self._whole else _Z95 * sqrt(max(alone * (1 - alone), 1 / self.people) / self.people)
        if alone < self._least - margin:
            return None
        named = tuple(name for name in self._names if name in columns)
        if self._whole:
            return Combination(named, alone, small, exact=True, margin=0.0)
        if self._exact_left:
            self._exact_left -= 1
            alone, small = _measure_table(self._table, named, self._entity, self._k)
            return Combination(named, alone, small, exact=True, margin=0.0) if alone >= self._least else None
        return Combination(named, alone, small, exact=False, margin=margin)

    def _key(self, columns: tuple[str, ...]) -> Codes:
        """Return the class of every row; sets come in an order in which all but the last column repeat."""
        if len(columns) == 1:
            return self._codes[columns[0]]
        if self._prefix[0] != columns[:-1]:
            self._prefix = (columns[:-1], self._key(columns[:-1]))
        last = self._codes[columns[-1]]
        return _densify(self._prefix[1] * (int(last.max()) + 1) + last)

    def _shares(self, columns: tuple[str, ...]) -> tuple[float, float]:
        key = self._key(columns)
        if self._person is None:
            counts = np.bincount(key)
            return float((counts == 1).sum()) / self.people, float(counts[counts < self._k].sum()) / self.people
        pairs = np.unique(key * self.people + self._person)
        owner, person = pairs // self.people, pairs % self.people
        counts = np.bincount(owner)[owner]
        return tuple(len(np.unique(person[counts < below])) / self.people for below in (2, self._k))  # type: ignore[return-value]


def _encode(values: pl.Series) -> Codes:
    """Return a dense code for every cell; a null is a value of its own."""
    if values.dtype in (pl.Boolean, pl.Categorical, pl.Enum):
        values = values.cast(pl.String)
    return _densify(values.rank("dense").fill_null(0).to_numpy().astype(np.int64))


def _densify(key: Codes) -> Codes:
    if len(key) and int(key.max()) < 4 * len(key) + 1024:
        present = np.zeros(int(key.max()) + 1, np.int64)
        present[key] = 1
        return (np.cumsum(present) - 1)[key]
    return np.asarray(np.unique(key, return_inverse=True)[1], np.int64)


def _measure_table(table: pl.LazyFrame, columns: Sequence[str], entity: str | None, k: int) -> tuple[float, float]:
    """Return the shares of people alone, and in classes below k, of the whole table."""
    if entity is None:
        classes = table.group_by(columns).agg(pl.len().alias("\x00n")).select("\x00n")
        counts = collect(classes).to_series().to_numpy()
        return float((counts == 1).sum() / counts.sum()), float(counts[counts < k].sum() / counts.sum())
    pairs = table.select(pl.col(columns), pl.col(entity).alias("\x00e")).unique()
    sized = collect(pairs.group_by(columns).agg(pl.col("\x00e"), pl.len().alias("\x00n")).filter(pl.col("\x00n") < k))
    people = int(collect(table.select(pl.col(entity).n_unique())).item())
    persons = sized.select("\x00e", "\x00n").explode("\x00e")
    alone = persons.filter(pl.col("\x00n") == 1)["\x00e"].n_unique()
    return alone / people, persons["\x00e"].n_unique() / people


def _order(found: list[Combination]) -> list[Combination]:
    return sorted(found, key=lambda one: (len(one.columns), -one.alone, one.columns))
