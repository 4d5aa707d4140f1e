"""Privacy models that a table can be asked to meet, as values: what a plan writes and what anonymization reaches.

Words: a *class* is all rows equal on the quasi-identifiers; a *sensitive* column holds what must not be told about a
person. Every model counts entities where the caller names an entity column, otherwise rows. An entity weighs one in
each class it is in, spread evenly over the distinct sensitive values it has there (null is a value of its own).

Sources: k-anonymity, Sweeney 2002; l-diversity, Machanavajjhala, Kifer, Gehrke and Venkitasubramaniam 2007;
t-closeness, Li, Li and Venkatasubramanian 2007; delta-presence, Nergiz, Atzori and Clifton 2007; k-map, Sweeney 2001.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias, TypeVar

from desensitize.errors import InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.tables import Table

METRICS: tuple[str, ...] = ("loss", "loss_arithmetic", "discernibility", "average_class_size", "entropy")
DIVERSITY_KINDS: tuple[str, ...] = ("distinct", "entropy", "recursive")
DISTANCES: tuple[str, ...] = ("equal", "ordered", "hierarchical")


@dataclass(frozen=True, slots=True)
class KAnonymity:
    """Every class holds at least `k` entities."""

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise InvalidPlan(f"k must be at least 1, not {self.k}")


@dataclass(frozen=True, slots=True)
class LDiversity:
    """Every class holds at least `l` well represented values of a sensitive column.

    All kinds ask for l entities with l different values, one each. `entropy` asks besides that the entropy of the
    class's values is at least log(l); `recursive` that its most frequent value is less than `c` times as frequent as
    the l-th and all rarer ones together. Refuses l below 1, and c without recursive or the other way round.
    """

    column: str
    l: float  # noqa: E741 (the model's own name for it)
    kind: str = "distinct"
    c: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in DIVERSITY_KINDS:
            raise InvalidPlan(f"l-diversity has the kinds {', '.join(DIVERSITY_KINDS)}, not `{self.kind}`")
        if not _is_number(self.l) or self.l < 1:
            raise InvalidPlan("l-diversity needs l, a number of at least 1")
        if self.kind != "entropy" and self.l != int(self.l):
            raise InvalidPlan(f"l-diversity of kind {self.kind} needs a whole number l")
        if (self.c is not None) != (self.kind == "recursive"):
            raise InvalidPlan("l-diversity of kind recursive needs c, and only that kind has one")
        if self.c is not None and (not _is_number(self.c) or self.c <= 0):
            raise InvalidPlan("recursive l-diversity needs a positive c")


@dataclass(frozen=True, slots=True)
class TCloseness:
    """In every class the values of a sensitive column are spread as in the table, up to an earth mover's distance `t`.

    Distances of two values: `equal` one; `ordered` the steps between them over the most steps (numbers by size, else
    as text, or by `order`); `hierarchical` the level of their lowest common ancestor over the top level, which needs
    a `hierarchy` with one value at its top. Refuses t outside 0 to 1.
    """

    column: str
    t: float
    distance: str = "equal"
    hierarchy: Hierarchy | None = field(default=None, repr=False)
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise InvalidPlan(f"t-closeness has the distances {', '.join(DISTANCES)}, not `{self.distance}`")
        if not _is_number(self.t) or not 0 <= self.t <= 1:
            raise InvalidPlan("t-closeness needs t, a number between 0 and 1")
        if (self.hierarchy is not None) != (self.distance == "hierarchical"):
            raise InvalidPlan("t-closeness by hierarchical distance needs a hierarchy, and only that distance has one")
        if self.order and self.distance != "ordered":
            raise InvalidPlan("only ordered t-closeness has an order")


@dataclass(frozen=True, slots=True)
class DeltaPresence:
    """In every class between `low` and `high` of the population's entities are in the table.

    `population` is a table with the same quasi-identifiers that holds everyone in the table too.
    """

    population: Table = field(repr=False)
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (_is_number(self.low) and _is_number(self.high) and 0 <= self.low <= self.high <= 1):
            raise InvalidPlan("delta-presence needs 0 <= low <= high <= 1")


@dataclass(frozen=True, slots=True)
class KMap:
    """Every class of the table has at least `k` entities in the population, a table with the same quasi-identifiers."""

    population: Table = field(repr=False)
    k: int = 5

    def __post_init__(self) -> None:
        KAnonymity(self.k)


Model: TypeAlias = KAnonymity | LDiversity | TCloseness | DeltaPresence | KMap
Made = TypeVar("Made", LDiversity, TCloseness)


def parse_goal(kind: type[Made], values: object) -> Made:
    """Return the model that `values` are or describe, such as `{"column": "illness", "l": 3}`.

    Refuses options that the model does not have, and missing ones, naming them.
    """
    if isinstance(values, kind):
        return values
    name = "l_diversity" if kind is LDiversity else "t_closeness"
    known = [one.name for one in fields(kind)]
    if not isinstance(values, Mapping):
        raise InvalidPlan(f"{name} takes a table with: {', '.join(known)}")
    if unknown := sorted(set(values) - set(known)):
        raise InvalidPlan(f"{name} has no option: {', '.join(unknown)}; it has: {', '.join(known)}")
    if missing := [one for one in known[:2] if one not in values]:
        raise InvalidPlan(f"{name} needs: {', '.join(missing)}")
    if not isinstance(values["column"], str):
        raise InvalidPlan(f"{name} needs the name of a column")
    made: dict[str, Any] = dict(values)
    if "order" in made:
        made["order"] = tuple(str(value) for value in made["order"])
    return kind(**made)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
