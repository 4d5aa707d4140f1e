"""The domain of a synthetic table: which values each column may hold, said beforehand and never read from the data.

Words: a column's *cells* are its categories or bins, numbered from 0; null, where a column allows it, is the last
cell. What the data really hold must not be asked for the domain: that alone would tell that a rare value occurs.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.errors import InvalidPlan
from desensitize.hierarchy import ANY, Hierarchy
from desensitize.regions import REGIONS, list_cities, list_districts
from desensitize.transform.plan import Plan
from desensitize.transform.techniques import (
    GeneralizeAge,
    GeneralizeNumber,
    GeneralizeRegion,
    GeneralizeTable,
    Technique,
)

MOST_CELLS = 2_000
DECODINGS: tuple[str, ...] = ("uniform", "midpoint", "label")
_EPOCH = dt.date(1970, 1, 1)
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Value: TypeAlias = str | int | bool


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of named values: all text, all whole numbers, or all true and false.

    `other` is the one of them that takes every value outside; without it such a value is refused. `null` allows
    nulls, as a category of their own.
    """

    values: tuple[Value, ...]
    other: Value | None = None
    null: bool = False

    def __post_init__(self) -> None:
        if not self.values or len({type(value) for value in self.values}) != 1:
            raise InvalidPlan("values must name at least one category, all of one type")
        if not isinstance(self.values[0], str | int):
            raise InvalidPlan("values must be text, whole numbers, or true and false; numbers with edges are bins")
        if len(set(self.values)) != len(self.values):
            raise InvalidPlan("values must name each category once")
        if self.other is not None and self.other not in self.values:
            raise InvalidPlan("other must be one of the values")

    @classmethod
    def of_regions(cls, parent: str = "", *, level: str = "district", null: bool = False) -> Categories:
        """Return the current GB/T 2260 codes of a level under a parent code; without a parent, all provinces.

        Refuses a level that does not lie under the parent.
        """
        if not parent and level == "province":
            return cls(tuple(code for code in REGIONS if code.endswith("0000")), null=null)
        if level == "city":
            return cls(list_cities(parent), null=null)
        if level == "district" and parent and not parent.endswith("0000"):
            return cls(list_districts(parent), null=null)
        if level == "district" and parent:
            below = tuple(code for code in REGIONS if code[:2] == parent[:2] and not code.endswith("00"))
            return cls(below, null=null)
        raise InvalidPlan("level must be province without a parent, or city or district under a parent code")

    @property
    def size(self) -> int:
        """Return the number of cells, null among them."""
        return len(self.values) + self.null

    @property
    def dtype(self) -> pl.DataType:
        """Return the type of the synthetic column."""
        return {str: pl.String(), bool: pl.Boolean(), int: pl.Int64()}[type(self.values[0])]

    def encode(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Return the cell of every value; null stands for a value that no cell takes."""
        if isinstance(self.values[0], bool) and dtype == pl.String:
            column = column.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None)
        cast = column.cast(self.dtype, strict=False)
        outside = None if self.other is None else self.values.index(self.other)
        cells = cast.replace_strict(
            pl.Series(self.values, dtype=self.dtype), pl.int_range(len(self.values), dtype=pl.Int32, eager=True),
            default=outside, return_dtype=pl.Int32,
        )  # fmt: skip
        return (
            pl.when(column.is_null()).then(pl.lit(len(self.values) if self.null else None, pl.Int32)).otherwise(cells)
        )

    def decode(self, codes: Codes, random: np.random.Generator) -> pl.Series:
        """Return the values of these cells."""
        return pl.Series([*self.values, *([None] if self.null else [])], dtype=self.dtype).gather(codes)

    def to_dict(self) -> dict[str, Any]:
        """Return the column as a plan writes it."""
        return {"values": list(self.values), **({} if self.other is None else {"other": self.other}), **_null(self)}


@dataclass(frozen=True, slots=True)
class Bins:
    """A column of numbers or days, cut at rising edges: each bin holds its lower edge, the last one both.

    Values beyond the first and last edge count as the nearest bin. `decode` says what a synthetic row holds: a
    uniformly drawn value of the bin (a multiple of `step` above the lower edge, if given), its midpoint, or its
    label such as `[20,25)`. Days have step 1 unless said otherwise.
    """

    edges: tuple[float, ...] | tuple[dt.date, ...]
    decoding: str = "uniform"
    step: float | None = None
    null: bool = False

    def __post_init__(self) -> None:
        days = [isinstance(edge, dt.date) for edge in self.edges]
        if len(self.edges) < 2 or (any(days) and not all(days)):
            raise InvalidPlan("edges must be at least two numbers, or at least two days")
        numbers = _as_numbers(self.edges)
        if not np.isfinite(numbers).all() or (np.diff(numbers) <= 0).any():
            raise InvalidPlan("edges must be finite and rise")
        if self.decoding not in DECODINGS:
            raise InvalidPlan(f"decode must be one of: {', '.join(DECODINGS)}")
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise InvalidPlan("step must be a positive number")

    @property
    def of_days(self) -> bool:
        """Say whether the edges are days."""
        return isinstance(self.edges[0], dt.date)

    @property
    def size(self) -> int:
        """Return the number of cells, null among them."""
        return len(self.edges) - 1 + self.null

    @property
    def dtype(self) -> pl.DataType:
        """Return the type of the synthetic column: Int64 only if every value it can draw is whole."""
        if self.decoding == "label":
            return pl.String()
        if self.of_days:
            return pl.Date()
        whole = self.step is not None and float(self.step).is_integer() and self.decoding == "uniform"
        return (
            pl.Int64() if whole and all(float(edge).is_integer() for edge in _as_numbers(self.edges)) else pl.Float64()
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the bins as text, such as `[20,25)`; the last one is closed on both sides."""
        names = [str(edge) if isinstance(edge, dt.date) else f"{edge:g}" for edge in self.edges]
        made = [f"[{low},{high})" for low, high in itertools.pairwise(names[:-1])]
        return (*made, f"[{names[-2]},{names[-1]}]")

    def encode(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Return the cell of every value (a label is one too); null stands for a value that no cell takes."""
        wanted: pl.DataType = pl.Date() if self.of_days else pl.Float64()
        if self.of_days and dtype == pl.String:
            read = column.str.to_date("%Y-%m-%d", strict=False)
        else:
            read = column.cast(wanted, strict=False)
        if not self.of_days:
            read = read.fill_nan(None)
        inner = _as_numbers(self.edges)[1:-1]

        def find(values: pl.Series) -> pl.Series:
            numbers = values.to_physical().cast(pl.Float64).fill_null(0).to_numpy()
            cells = pl.Series(np.searchsorted(inner, numbers, side="right").astype(np.int32))
            return cells.set(values.is_null(), None)

        found = read.map_batches(find, return_dtype=pl.Int32, is_elementwise=True)
        if dtype == pl.String:
            named = pl.int_range(len(self.labels), dtype=pl.Int32, eager=True)
            found = pl.coalesce(found, column.replace_strict(self.labels, named, default=None, return_dtype=pl.Int32))
        null = pl.lit(len(self.edges) - 1 if self.null else None, pl.Int32)
        return pl.when(column.is_null()).then(null).otherwise(found)

    def decode(self, codes: Codes, random: np.random.Generator) -> pl.Series:
        """Return a value for each cell."""
        if self.decoding == "label":
            return pl.Series([*self.labels, *([None] if self.null else [])], dtype=pl.String).gather(codes)
        edges = _as_numbers(self.edges)
        empty = codes == len(edges) - 1
        cells = np.where(empty, 0, codes)
        low, high = edges[cells], edges[cells + 1]
        if self.decoding == "midpoint":
            drawn = (low + high) / 2
        else:
            drawn = self._draw(low, high, cells == len(edges) - 2, random)
        made = pl.Series(np.floor(drawn) if self.of_days else drawn)
        return made.cast(pl.Int32 if self.of_days else self.dtype).cast(self.dtype).set(pl.Series(empty), None)

    def _draw(self, low: Floats, high: Floats, last: npt.NDArray[np.bool_], random: np.random.Generator) -> Floats:
        step = 1.0 if self.of_days and self.step is None else self.step
        share = random.random(len(low))
        if step is None:
            # Rounding must not carry a value into the next bin.
            between: Floats = np.minimum(low + share * (high - low), np.nextafter(high, low))
            return between
        # Multiples of the step from the lower edge up: below the upper edge, and on it in the last bin.
        steps = (high - low) / step
        count = np.where(last, np.floor(steps + 1e-9) + 1, np.ceil(steps - 1e-9))
        drawn: Floats = low + step * np.floor(share * np.maximum(count, 1))
        return drawn

    def to_dict(self) -> dict[str, Any]:
        """Return the column as a plan writes it."""
        edges = [str(edge) if isinstance(edge, dt.date) else edge for edge in self.edges]
        step = {} if self.step is None else {"step": self.step}
        return {"edges": edges, "decode": self.decoding, **step, **_null(self)}


Column: TypeAlias = Categories | Bins


@dataclass(frozen=True, slots=True)
class Domain:
    """The columns of a synthetic table, in their order, with the values each may hold.

    Refuses no column, and a column of more than 2,000 cells: a level of a hierarchy, or wider bins, would do.
    """

    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        if not self.columns:
            raise InvalidPlan("the domain of a synthetic table names at least one column")
        for name, column in self.columns.items():
            if column.size > MOST_CELLS:
                raise InvalidPlan(
                    f"column `{name}` has {column.size} cells; a synthetic column takes at most {MOST_CELLS}: "
                    "use a coarser level of its hierarchy, or fewer bins"
                )
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the number of cells of each column."""
        return tuple(column.size for column in self.columns.values())

    @classmethod
    def from_hierarchies(
        cls, hierarchies: Mapping[str, Hierarchy], levels: Mapping[str, int], *, null: Sequence[str] = ()
    ) -> Domain:
        """Return the domain in which each column holds the labels of its hierarchy at a level (0 = its leaves).

        Refuses an open hierarchy (dates, numbers, regions): it knows only the values that a table shows it.
        """
        columns: dict[str, Column] = {}
        for name, hierarchy in hierarchies.items():
            if not hierarchy.rows:
                raise InvalidPlan(
                    f"column `{name}`: a {hierarchy.label} hierarchy lists no values; give Categories or Bins"
                )
            level = levels.get(name, 0)
            if not 0 <= level < len(hierarchy.rows[0]):
                raise InvalidPlan(f"column `{name}`: level must be between 0 and {len(hierarchy.rows[0]) - 1}")
            labels = tuple(dict.fromkeys(row[level] for row in hierarchy.rows))
            columns[name] = Categories(labels, null=name in null)
        return cls(columns)

    @classmethod
    def from_plan(cls, plan: Plan, given: Mapping[str, Column] | None = None, *, null: Sequence[str] = ()) -> Domain:
        """Return the domain of the columns that the plan leaves, in its order.

        A generalization by edges, by a table, or to provinces says itself which labels it makes; every other column
        must be `given`. Refuses a column for which nothing says it.
        """
        own = dict(given or {})
        columns: dict[str, Column] = {}
        for name, technique in plan.columns.items():
            if technique.technique == "drop":
                continue
            if name in own:
                columns[name] = own[name]
                continue
            labels = _list_labels(technique)
            if not labels:
                raise InvalidPlan(
                    f"column `{name}`: the plan does not say which values it can hold; give values or edges"
                )
            columns[name] = Categories(labels, ANY, null=name in null)
        return cls(columns)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Domain:
        """Return the domain that a plan's `[synthetic.columns]` describes.

        Refuses unknown options, naming the column.
        """
        return cls({name: _parse(name, spec) for name, spec in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return the domain as plain values; `from_dict` gives the same domain back."""
        return {name: column.to_dict() for name, column in self.columns.items()}


def _parse(name: str, spec: Any) -> Column:
    if not isinstance(spec, Mapping) or ("values" in spec) + ("edges" in spec) + ("regions" in spec) != 1:
        raise InvalidPlan(f"column `{name}` of the domain needs one of: values, edges, regions")
    options = dict(spec)
    allowed = {"values": {"other"}, "edges": {"decode", "step"}, "regions": {"level"}}
    kind = next(key for key in allowed if key in options)
    if unknown := set(options) - allowed[kind] - {kind, "null"}:
        raise InvalidPlan(f"column `{name}` of the domain has no option: {', '.join(sorted(unknown))}")
    null = options.get("null", False)
    if not isinstance(null, bool):
        raise InvalidPlan(f"column `{name}` of the domain: null must be true or false")
    try:
        if kind == "values":
            return Categories(tuple(options["values"]), options.get("other"), null)
        if kind == "regions":
            return Categories.of_regions(options["regions"], level=options.get("level", "district"), null=null)
        edges = tuple(_read_edge(edge) for edge in options["edges"])
        return Bins(edges, options.get("decode", "uniform"), options.get("step"), null)
    except InvalidPlan as error:
        raise InvalidPlan(f"column `{name}` of the domain: {error}") from error
    except (TypeError, ValueError) as error:
        raise InvalidPlan(f"column `{name}` of the domain: an option is of the wrong type") from error


def _read_edge(edge: Any) -> Any:
    return dt.date.fromisoformat(edge) if isinstance(edge, str) else edge


def _null(column: Column) -> dict[str, bool]:
    return {"null": True} if column.null else {}


def _as_numbers(edges: Sequence[float] | Sequence[dt.date]) -> npt.NDArray[np.float64]:
    """Return the edges as numbers; days as days since 1970."""
    return np.array([(e - _EPOCH).days if isinstance(e, dt.date) else e for e in edges], np.float64)


def _list_labels(technique: Technique) -> tuple[str, ...]:
    """Return the labels that a generalization makes whatever the table holds, `*` for the unreadable among them."""
    if isinstance(technique, GeneralizeNumber | GeneralizeAge) and technique.edges:
        named = [str(int(edge)) if float(edge).is_integer() else repr(edge) for edge in technique.edges]
        inner = [f"[{low},{high})" for low, high in itertools.pairwise(named)]
        return (f"<{named[0]}", *inner, f">={named[-1]}", ANY)
    if isinstance(technique, GeneralizeTable):
        return tuple(dict.fromkeys([*(row[technique.level] for row in technique.rows), ANY]))
    if isinstance(technique, GeneralizeRegion) and technique.level == "province":
        return (*(code for code in REGIONS if code.endswith("0000")), ANY)
    return ()
