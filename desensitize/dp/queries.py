"""What can be asked with differential privacy: counts, sums, means, histograms and quantiles, as closed descriptions.

A query is data: it names columns, the privacy unit, every bound, and what it may cost; `cost()` says the whole price
before anything is read. Nothing that bounds an answer is ever taken from the table.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Literal, TypeAlias

from desensitize.dp.loss import Loss, check_delta
from desensitize.dp.noise import Noise, Sensitivity
from desensitize.errors import InvalidPlan

Key: TypeAlias = str | int | bool | dt.date | None
MOST_GROUPS = 100_000
MOST_UNITS = 2**40
KEYS_SHARE = 0.25
"""The part of the cost of a sum or mean that finds its groups where they are unknown."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Whose privacy is kept, and how much of the table one of them may be.

    `column` says whose row it is. One entity counts in at most `groups` groups, and there with at most `rows` rows;
    what is beyond is left out, chosen without looking at anybody else.
    """

    column: str
    groups: int = 1
    rows: int = 1

    def __post_init__(self) -> None:
        if not self.column:
            raise InvalidPlan("the privacy unit names no column; accepted: the column that says whose data a row is")
        for name in ("groups", "rows"):
            value = getattr(self, name)
            if not (isinstance(value, int) and 1 <= value <= 1_000_000):
                raise InvalidPlan(f"the unit's `{name}` is no bound; accepted: a whole number of at least 1")


@dataclass(frozen=True, slots=True)
class Groups:
    """By which columns figures are told apart.

    With `keys` the groups are known beforehand and all of them are shown, empty ones too. Without keys they come from
    the table, and only those that reach a noisy threshold are shown: that needs a `delta`.
    """

    by: tuple[str, ...] = ()
    keys: tuple[tuple[Key, ...], ...] | None = None
    delta: float = 0.0

    def __post_init__(self) -> None:
        if len(set(self.by)) != len(self.by):
            raise InvalidPlan("the groups name a column twice; accepted: each column once")
        if self.keys is not None:
            _check_keys(self.by, self.keys)
        if self.unknown:
            if self.delta == 0:
                raise InvalidPlan("groups that are not known beforehand need `delta`; accepted: keys, or such as 1e-9")
            check_delta(self.delta)
        elif self.delta:
            raise InvalidPlan("`delta` buys nothing where the groups are known; accepted: no delta")

    @property
    def unknown(self) -> bool:
        """Whether the groups come from the table itself."""
        return bool(self.by) and self.keys is None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what a value is clipped, and the step to which it is rounded (0.01 for fen of a yuan).

    `each` says what is clipped: one `row`'s value, or an `entity`'s sum within its group.
    """

    lower: float
    upper: float
    step: float = 1.0
    each: Literal["row", "entity"] = "row"

    def __post_init__(self) -> None:
        numbers = (self.lower, self.upper, self.step)
        if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
            raise InvalidPlan("a value needs `lower` and `upper`; accepted: finite numbers that are known beforehand")
        if self.lower >= self.upper or self.step <= 0:
            raise InvalidPlan("the bounds of a value hold nothing; accepted: lower below upper, and a step above 0")
        if max(abs(self.lower), abs(self.upper)) / self.step > MOST_UNITS or self.low >= self.high:
            raise InvalidPlan("the step does not fit the bounds; accepted: 1 to 2^40 steps between 0 and a bound")
        if self.each not in ("row", "entity"):
            raise InvalidPlan("`each` is unknown; accepted: row, entity")

    @property
    def low(self) -> int:
        """The lower bound in steps."""
        return steps_of(self.lower, self.step)

    @property
    def high(self) -> int:
        """The upper bound in steps."""
        return steps_of(self.upper, self.step)

    @property
    def centre(self) -> int:
        """The middle of the bounds in steps, from which means are counted."""
        return (self.low + self.high) // 2

    def times(self, unit: Unit) -> int:
        """Return how many values one entity brings to one group at most."""
        return unit.rows if self.each == "row" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many entities (or rows, at most `unit.rows` of each entity) there are in each group."""

    unit: Unit
    noise: Noise
    groups: Groups = field(default_factory=Groups)
    of: Literal["entities", "rows"] = "entities"

    def __post_init__(self) -> None:
        if self.of not in ("entities", "rows"):
            raise InvalidPlan("a count is `of` something unknown; accepted: entities, rows")

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one entity moves the counts."""
        return Sensitivity(cells_of(self.unit, self.groups), 1 if self.of == "entities" else self.unit.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, but for the unit's."""
        return self.groups.by

    def cost(self) -> Loss:
        """Return what the answer costs, whatever the table holds."""
        return self.noise.loss + Loss(0.0, 0.0, self.groups.delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """The sum of a column in each group, every value clipped to its bounds and rounded to its step.

    Where the groups are unknown, a quarter of the cost finds them by a thresholded count of entities.
    """

    unit: Unit
    noise: Noise
    value: str
    bounds: Bounds
    groups: Groups = field(default_factory=Groups)

    def __post_init__(self) -> None:
        check_value(self.value, self.groups)

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one entity moves the sums, in steps."""
        largest = max(abs(self.bounds.low), abs(self.bounds.high))
        return Sensitivity(cells_of(self.unit, self.groups), largest * self.bounds.times(self.unit))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, but for the unit's."""
        return (*self.groups.by, self.value)

    @property
    def parts(self) -> tuple[Noise, Noise]:
        """The noise that finds the groups (unused where they are known) and the noise of the sums."""
        if not self.groups.unknown:
            return self.noise, self.noise
        return self.noise.share(KEYS_SHARE), self.noise.share(1 - KEYS_SHARE)

    def cost(self) -> Loss:
        """Return what the answer costs, whatever the table holds."""
        if not self.groups.unknown:
            return self.noise.loss
        keys, sums = self.parts
        return keys.loss + sums.loss + Loss(0.0, 0.0, self.groups.delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a column in each group: a noisy sum around the middle of the bounds over a noisy count.

    The number of rows is never taken as known. The sum and the count cost the same; where the groups are unknown, a
    quarter of the cost finds them first.
    """

    unit: Unit
    noise: Noise
    value: str
    bounds: Bounds
    groups: Groups = field(default_factory=Groups)

    def __post_init__(self) -> None:
        check_value(self.value, self.groups)

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one entity moves the sums around the middle, in steps."""
        bounds = self.bounds
        largest = max(bounds.high - bounds.centre, bounds.centre - bounds.low)
        return Sensitivity(cells_of(self.unit, self.groups), largest * bounds.times(self.unit))

    @property
    def count_sensitivity(self) -> Sensitivity:
        """How far one entity moves the counts."""
        return Sensitivity(cells_of(self.unit, self.groups), self.bounds.times(self.unit))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, but for the unit's."""
        return (*self.groups.by, self.value)

    @property
    def parts(self) -> tuple[Noise, Noise]:
        """The noise that finds the groups (unused where they are known), and that of the sum and of the count each."""
        if not self.groups.unknown:
            return self.noise, self.noise.share(0.5)
        return self.noise.share(KEYS_SHARE), self.noise.share((1 - KEYS_SHARE) / 2)

    def cost(self) -> Loss:
        """Return what the answer costs, whatever the table holds."""
        keys, half = self.parts
        both = half.loss + half.loss
        return both + keys.loss + Loss(0.0, 0.0, self.groups.delta) if self.groups.unknown else both


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many rows (at most `unit.rows` of each entity in one bin) have a value in each bin [edge, next edge).

    The last bin has its upper edge too. What lies outside the edges is not counted. `unit.groups` bounds the bins.
    """

    unit: Unit
    noise: Noise
    value: str
    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = all(isinstance(one, int | float) and math.isfinite(one) for one in self.edges)
        if not numbers or not 2 <= len(self.edges) <= MOST_GROUPS or any(a >= b for a, b in pairwise(self.edges)):
            raise InvalidPlan("the bins have no sound edges; accepted: two rising finite numbers or more")
        if not self.value:
            raise InvalidPlan("a histogram names no column; accepted: a numeric column")

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one entity moves the counts."""
        return Sensitivity(min(self.unit.groups, len(self.edges) - 1), self.unit.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, but for the unit's."""
        return (self.value,)

    def cost(self) -> Loss:
        """Return what the answer costs, whatever the table holds."""
        return self.noise.loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A value of `candidates` near the `alpha`-quantile of a column, with an interval that is private too.

    One entity brings at most `unit.rows` values. Half of the cost finds the estimate, half the interval.
    """

    unit: Unit
    noise: Noise
    value: str
    alpha: float
    candidates: tuple[float, ...]
    step: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InvalidPlan("`alpha` is no share; accepted: 0 to 1, such as 0.5 for the median")
        numbers = all(isinstance(one, int | float) and math.isfinite(one) for one in self.candidates)
        if not numbers or not 2 <= len(self.candidates) <= MOST_GROUPS or not self.step > 0:
            raise InvalidPlan("a quantile needs `candidates`; accepted: two or more rising numbers known beforehand")
        units = self.units
        if any(a >= b for a, b in pairwise(units)) or max(map(abs, units)) > MOST_UNITS:
            raise InvalidPlan("the candidates do not rise by whole steps; accepted: rising numbers, a finer step")
        if not self.value:
            raise InvalidPlan("a quantile names no column; accepted: a numeric column")

    @property
    def units(self) -> tuple[int, ...]:
        """The candidates in steps."""
        return tuple(steps_of(one, self.step) for one in self.candidates)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, but for the unit's."""
        return (self.value,)

    @property
    def half(self) -> Noise:
        """The noise of the estimate, and that of the interval."""
        return self.noise.share(0.5)

    @property
    def sensitivity(self) -> Sensitivity:
        """How far one entity moves the numbers of values between cut points."""
        return Sensitivity(1, self.unit.rows)

    def cost(self) -> Loss:
        """Return what the answer costs, whatever the table holds."""
        return self.half.loss + self.half.loss


Query: TypeAlias = Count | Sum | Mean | Histogram | Quantile


def cells_of(unit: Unit, groups: Groups) -> int:
    """Return in how many figures one entity can be at most."""
    if not groups.by:
        return 1
    return unit.groups if groups.keys is None else min(unit.groups, len(groups.keys))


def check_value(value: str, groups: Groups) -> None:
    """Refuse a value that is not named, or by which the groups are made."""
    if not value:
        raise InvalidPlan("the query names no value; accepted: a numeric column")
    if value in groups.by:
        raise InvalidPlan(f"`{value}` is the value and a group at once; accepted: a value that makes no groups")


def steps_of(value: float, step: float) -> int:
    """Return how many whole steps a bound is, as it was written: 0.3 is three steps of 0.1."""
    try:
        return int((Decimal(repr(value)) / Decimal(repr(step))).to_integral_value())
    except InvalidOperation:
        raise InvalidPlan("a bound or step is no number; accepted: a finite number") from None


def value_of(steps: int, step: float) -> float:
    """Return the number that so many steps are."""
    return float(Decimal(steps) * Decimal(repr(step)))


def _check_keys(by: tuple[str, ...], keys: Iterable[tuple[Key, ...]]) -> None:
    listed = list(keys)
    if not by or not 1 <= len(listed) <= MOST_GROUPS:
        raise InvalidPlan(f"known groups need columns and 1 to {MOST_GROUPS} keys; accepted: `by` and `keys`")
    if any(len(key) != len(by) for key in listed):
        raise InvalidPlan("a known group has more or fewer parts than `by` has columns; accepted: one part a column")
    if len(set(listed)) != len(listed):
        raise InvalidPlan("a known group is listed twice; accepted: each once")
