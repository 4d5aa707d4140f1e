"""What a release is still good for: per column, how much information stayed, how far its distribution moved.

Measures: *information* is the entropy of the released column over that of the original, times the share of rows kept
(for a generalization, the mutual information of both over what there was); *distance* is Hellinger's, between 0 and
1, where both hold the same labels; *shift* is Wasserstein's (the mean way that a value moved) in units of the
original's range, where both are numbers or bands of numbers; *correlation* is one less the mean change of the
column's association with every other (Cramér's V, bias corrected: W. Bergsma, J. Korean Statistical Society 42, 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.hierarchy import ANY
from desensitize.leaves import as_leaf
from desensitize.risk.comparison import common_columns
from desensitize.tables import Table, collect, open_table

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]
_BAND = r"^\[(-?[0-9.]+),(-?[0-9.]+)\)$"
_MOST_LABELS = 20
_BINS = 10
_FINE_BINS = 50


@dataclass(frozen=True, slots=True)
class ColumnUtility:
    """One column: shares between 0 and 1; None where a measure does not apply. `missing_added` counts nulls and `*`."""

    name: str
    information: float
    distance: float | None
    shift: float | None
    missing_added: float
    correlation: float | None


@dataclass(frozen=True, slots=True)
class Utility:
    """What a release keeps: its columns, the share of rows, and how many rows of each table were looked at."""

    columns: tuple[ColumnUtility, ...]
    rows_kept: float
    information: float
    correlation: float | None
    rows_compared: int

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        return asdict(self)


def measure_utility(
    original: Table,
    released: Table,
    columns: Sequence[str] | None = None,
    *,
    most_rows: int = 100_000,
    most_correlated: int = 16,
) -> Utility:
    """Return what `released` keeps of `original`, for these columns (by default all that both have).

    Of a larger table, `most_rows` rows evenly spaced are compared; correlations take the first `most_correlated`
    columns. Columns of nested types are left out.
    """
    before, after = open_table(original), open_table(released)
    names = [name for name in (columns or common_columns(original, released)) if _is_flat(before, after, name)]
    rows = [int(collect(table.select(pl.len())).item()) for table in (before, after)]
    texts = [_sample(table, names, count, most_rows) for table, count in zip((before, after), rows, strict=True)]
    kept = min(1.0, rows[1] / rows[0]) if rows[0] else 1.0
    correlated = _correlations(texts, names[:most_correlated])
    made = tuple(_measure(name, texts[0][name], texts[1][name], kept, correlated.get(name)) for name in names)
    return Utility(
        columns=made,
        rows_kept=kept,
        information=_mean([column.information for column in made]) or 0.0,
        correlation=_mean([column.correlation for column in made if column.correlation is not None]),
        rows_compared=min(texts[0].height, texts[1].height),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _is_flat(before: pl.LazyFrame, after: pl.LazyFrame, name: str) -> bool:
    kinds = (before.collect_schema()[name], after.collect_schema()[name])
    return not any(kind.is_nested() or kind in (pl.Binary, pl.Object) for kind in kinds)


def _sample(table: pl.LazyFrame, names: Sequence[str], rows: int, most: int) -> pl.DataFrame:
    schema = table.collect_schema()
    step = max(1, -(-rows // most))
    chosen = table.select(as_leaf(name, schema[name]).alias(name) for name in names)
    if step > 1:
        numbered = chosen.with_row_index("\x00row").filter(pl.col("\x00row") % step == 0)
        chosen = numbered.select(names)
    return collect(chosen)


def _measure(name: str, before: pl.Series, after: pl.Series, kept: float, correlation: float | None) -> ColumnUtility:
    had, has = _entropy(before), _entropy(after)
    information = min(1.0, has / had) * kept if had > 0 else kept * float(after.null_count() < max(1, len(after)))
    missing = max(0.0, _missing(after) - _missing(before))
    numbers = _numbers(before, after)
    if numbers is not None:
        return ColumnUtility(name, information, _hellinger_of_numbers(*numbers), _shift(*numbers), missing, correlation)
    return ColumnUtility(name, information, _hellinger(before, after), None, missing, correlation)


def _count(values: pl.Series) -> pl.DataFrame:
    """Return each `label` that is not null and how often it occurs, `n`; sorted, so that sums come out the same."""
    return values.drop_nulls().alias("label").value_counts(name="n").sort("label")


def _entropy(values: pl.Series) -> float:
    counts = _count(values)["n"].to_numpy().astype(np.float64)
    total = len(values)
    if not total or not len(counts):
        return 0.0
    missing = total - counts.sum()
    shares = np.append(counts, missing)[np.append(counts, missing) > 0] / total
    return max(0.0, float(-(shares * np.log(shares)).sum()))


def _missing(values: pl.Series) -> float:
    return ((values.null_count() + int((values == ANY).sum())) / len(values)) if len(values) else 0.0


def _numbers(before: pl.Series, after: pl.Series) -> tuple[Floats, Floats] | None:
    """Return both columns as numbers, bands by their middle, or None where one is text."""
    original = before.drop_nulls()
    known = after.drop_nulls().filter(after.drop_nulls() != ANY)
    bands = known.str.extract_groups(_BAND).struct.unnest().cast(pl.Float64, strict=False)
    middles = (bands.to_series(0) + bands.to_series(1)) / 2
    released = middles.fill_null(known.cast(pl.Float64, strict=False))
    first = original.cast(pl.Float64, strict=False)
    if not len(first) or not len(released) or first.null_count() or released.null_count():
        return None
    if not (first.is_finite().all() and released.is_finite().all()):
        return None
    return first.to_numpy(), released.to_numpy()


def _hellinger(before: pl.Series, after: pl.Series) -> float | None:
    p, q = _count(before), _count(after)
    if not p.height or not q.height or q.join(p, on="label", how="anti").height:
        return None
    both = p.join(q, on="label", how="left").fill_null(0)
    overlap = np.sqrt(both["n"].to_numpy() / both["n"].sum() * (both["n_right"].to_numpy() / both["n_right"].sum()))
    return math.sqrt(max(0.0, 1.0 - float(overlap.sum())))


def _hellinger_of_numbers(before: Floats, after: Floats) -> float:
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _FINE_BINS + 1)))[1:-1]
    p, q = (np.bincount(np.searchsorted(edges, each), minlength=len(edges) + 1) / len(each) for each in (before, after))
    return math.sqrt(max(0.0, 1.0 - float(np.sqrt(p * q).sum())))


def _shift(before: Floats, after: Floats) -> float:
    """Return Wasserstein's distance of order 1: the area between both distribution functions, over the range."""
    points = np.sort(np.concatenate([before, after]))
    span = float(before.max() - before.min())
    if span == 0:
        return float(before.mean() != after.mean())
    heights = [np.searchsorted(np.sort(each), points[:-1], side="right") / len(each) for each in (before, after)]
    return min(1.0, float(np.sum(np.abs(heights[0] - heights[1]) * np.diff(points))) / span)


def _correlations(texts: Sequence[pl.DataFrame], names: Sequence[str]) -> dict[str, float]:
    """Return for each column one less the mean change of its association with the others."""
    if len(names) < 2 or not texts[0].height or not texts[1].height:
        return {}
    before, after = ({name: _codes(text[name]) for name in names} for text in texts)
    changed: dict[str, list[float]] = {name: [] for name in names}
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            change = abs(_cramer(before[first], before[second]) - _cramer(after[first], after[second]))
            changed[first].append(change)
            changed[second].append(change)
    return {name: 1.0 - sum(changes) / len(changes) for name, changes in changed.items()}


def _codes(values: pl.Series) -> Codes:
    """Return few codes for a column: bins of equal size for many numbers, else the frequent labels and the rest."""
    number = values.cast(pl.Float64, strict=False)
    if number.null_count() == values.null_count() and number.n_unique() > _MOST_LABELS:
        known = number.drop_nulls().to_numpy()
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)))[1:-1]
        return np.where(number.is_null().to_numpy(), -1, np.searchsorted(edges, number.fill_null(0).to_numpy())) + 1
    frequent = _count(values).sort("n", "label", descending=True).head(_MOST_LABELS)["label"].to_list()
    places = {label: place for place, label in enumerate(frequent, 1)}
    return np.array([places.get(value, 0) for value in values.to_list()], dtype=np.int64)


def _cramer(first: Codes, second: Codes) -> float:
    """Return Cramér's V with Bergsma's correction, 0 where a column holds one value only."""
    rows, columns = np.unique(first, return_inverse=True)[1], np.unique(second, return_inverse=True)[1]
    r, c, n = int(rows.max()) + 1, int(columns.max()) + 1, len(rows)
    if r < 2 or c < 2 or n < 2:
        return 0.0
    table = np.bincount(rows * c + columns, minlength=r * c).reshape(r, c).astype(np.float64)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / n
    square = float(((table - expected) ** 2 / expected).sum()) / n
    corrected = max(0.0, square - (r - 1) * (c - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return math.sqrt(corrected / least) if least > 0 else 0.0
