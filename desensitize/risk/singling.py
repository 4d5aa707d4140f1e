"""Singling out: predicates that hold for one row of a release, and how many people they hold for elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from desensitize.risk.comparison import Side, Values

_TRIES = 6
_SIZES = 4


class Condition(NamedTuple):
    """A column compared with a value: `==`, `<=` or `>=`; a null equals a null."""

    column: str
    operator: str
    value: float


Predicate: TypeAlias = tuple[Condition, ...]


def list_predicates(
    released: Side, spans: Mapping[str, float], columns: Sequence[str], each: int, wanted: int, rng: np.random.Generator
) -> list[Predicate]:
    """Return distinct predicates on `each` columns that hold for exactly one row of the release; at most `wanted`.

    Where `each` columns of several give too few, one more is taken: an attacker would not stop there.
    """
    if each == 1:
        every = [one for column in columns for one in _alone(column, released.values[column], column in spans)]
        return [every[i] for i in rng.permutation(len(every))[:wanted]]
    middles = {name: _middle(released.values[name]) for name in columns if name in spans}
    distinct, often = _fold(released, columns)
    found: dict[Predicate, None] = {}
    for size in range(each, len(columns) + 1):
        for _ in range(_TRIES * wanted):
            if len(found) == wanted:
                return list(found)
            row = int(rng.integers(released.rows))
            chosen = sorted(rng.choice(len(columns), size, replace=False).tolist())
            predicate = tuple(_at(columns[i], released.values[columns[i]][row], middles) for i in chosen)
            if predicate not in found and often[_holds(distinct, predicate)].sum() == 1:
                found[predicate] = None
    return list(found)


def guess_predicates(
    released: Side, spans: Mapping[str, float], columns: Sequence[str], each: int, wanted: int, rng: np.random.Generator
) -> list[Predicate]:
    """Return predicates of random columns, operators and values: what one guesses without looking for one row."""
    distinct = {name: np.unique(released.values[name]) for name in columns}
    made = []
    for _ in range(wanted):
        chosen = sorted(rng.choice(len(columns), each, replace=False).tolist())
        made.append(tuple(_guess(columns[i], distinct[columns[i]], columns[i] in spans, rng) for i in chosen))
    return made


def count_matches(side: Side, predicates: Sequence[Predicate]) -> list[int]:
    """Return for how many entities of a table each predicate holds."""
    counts = []
    for predicate in predicates:
        rows = np.flatnonzero(_holds(side, predicate))
        counts.append(len(rows) if len(rows) < 2 else len(np.unique(side.owner[rows])))
    return counts


def expect_alone(counts: Sequence[int], people: int, wanted: int) -> float:
    """Return the share of predicates expected to hold for exactly one of `wanted` people, by counts among `people`.

    Fewer people than wanted: the share is known for every part of them (hypergeometric) and read on, straight in the
    logarithm of the number of people.
    """
    if not counts or people < 1:
        return 0.0
    if wanted <= people:
        return _share_alone(counts, people, wanted)
    sizes = sorted({max(1, round(people / 2**step)) for step in range(_SIZES)})
    shares = [_share_alone(counts, people, size) for size in sizes]
    if len(sizes) < 2:
        return shares[-1]
    slope, offset = np.polyfit(np.log(sizes), shares, 1)
    return float(min(1.0, max(0.0, slope * math.log(wanted) + offset)))


def _share_alone(counts: Sequence[int], people: int, taken: int) -> float:
    """Return the mean probability that exactly one of `count` is among `taken` drawn of `people`."""
    kinds, often = np.unique(np.asarray(counts), return_counts=True)
    total = 0.0
    for count, times in zip(kinds.tolist(), often.tolist(), strict=True):
        if count and taken - 1 <= people - count:
            log = math.log(count) + _log_choose(people - count, taken - 1) - _log_choose(people, taken)
            total += times * math.exp(log)
    return total / len(counts)


def _log_choose(total: int, taken: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(taken + 1) - math.lgamma(total - taken + 1)


def _fold(side: Side, columns: Sequence[str]) -> tuple[Side, npt.NDArray[np.int64]]:
    """Return the distinct rows of these columns, and how often each occurs."""
    matrix = np.column_stack([side.values[name].astype(np.float64) for name in columns])
    rows, often = np.unique(matrix, axis=0, return_counts=True)
    values = {name: np.ascontiguousarray(rows[:, position]) for position, name in enumerate(columns)}
    return Side(values, np.arange(len(rows)), len(rows)), often.astype(np.int64)


def _alone(column: str, values: Values, is_number: bool) -> list[Predicate]:
    """Return the predicates on one column that hold for one row: single values, and beyond the ends."""
    distinct, counts = np.unique(values, return_counts=True)
    found: list[Predicate] = [(Condition(column, "==", float(value)),) for value in distinct[counts == 1]]
    finite = distinct[~np.isnan(distinct)] if is_number else distinct[:0]
    if len(finite):
        ends = (("<=", float(finite[0])), (">=", float(finite[-1])))
        found += [(Condition(column, sign, end),) for sign, end in ends if np.count_nonzero(values == end) == 1]
    return found


def _middle(values: Values) -> float:
    return float(np.nanmedian(values)) if not np.isnan(values).all() else math.nan


def _at(column: str, value: float, middles: Mapping[str, float]) -> Condition:
    """Return the condition that a row meets: equal, or for numbers at least as far from the middle."""
    if column not in middles or math.isnan(value):
        return Condition(column, "==", float(value))
    return Condition(column, ">=" if value > middles[column] else "<=", float(value))


def _guess(column: str, distinct: npt.NDArray[Any], is_number: bool, rng: np.random.Generator) -> Condition:
    value = float(distinct[rng.integers(len(distinct))])
    signs = ("==", "<=", ">=") if is_number and not math.isnan(value) else ("==",)
    return Condition(column, str(rng.choice(signs)), value)


def _holds(side: Side, predicate: Predicate) -> npt.NDArray[np.bool_]:
    held = np.ones(side.rows, dtype=bool)
    for column, operator, value in predicate:
        values = side.values[column]
        if operator == "==":
            held &= np.isnan(values) if math.isnan(value) else values == value
        else:
            held &= values >= value if operator == ">=" else values <= value
    return held
