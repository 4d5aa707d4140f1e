"""What is asked of an anonymization, checked: quasi-identifiers, privacy models, whose data a row is, what may go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from desensitize.anonymity.guard import Guard
from desensitize.anonymity.histogram import Histogram
from desensitize.anonymity.reading import MOST_TUPLES, Source, build
from desensitize.errors import InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.tables import Table, open_table
from desensitize.transform.goals import (
    DeltaPresence,
    KAnonymity,
    KMap,
    LDiversity,
    Model,
    TCloseness,
    parse_goal,
)


@dataclass(frozen=True, slots=True)
class Task:
    """A checked request: the opened table, its quasi-identifiers, the models, the entity column.

    `frame` is the table, if it is in memory.
    """

    table: pl.LazyFrame
    hierarchies: Mapping[str, Hierarchy]
    models: tuple[Model, ...]
    entity: str | None
    frame: pl.DataFrame | None = None

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Return the sensitive columns of the models, each once."""
        columns = (model.column for model in self.models if isinstance(model, LDiversity | TCloseness))
        return tuple(dict.fromkeys(columns))

    def read(self, most_tuples: int = MOST_TUPLES) -> tuple[Histogram, Guard]:
        """Return the histogram of the table and the guard of its models. Refuses what `reading.build` refuses."""
        populations = [model.population for model in self.models if isinstance(model, DeltaPresence | KMap)]
        if any(one is not populations[0] for one in populations):
            raise InvalidPlan("delta-presence and k-map of one anonymization take the same population")
        population = open_table(populations[0]) if populations else None
        histogram = build(
            Source(self.table, self.hierarchies, self.entity, self.sensitive, population, most_tuples, frame=self.frame)
        )
        return histogram, Guard(self.models, histogram)


def make_task(
    frame: Table,
    quasi_identifiers: Mapping[str, Hierarchy],
    k: int,
    l_diversity: object = None,
    t_closeness: object = None,
    entity: str | None = None,
    models: Sequence[Model] = (),
) -> Task:
    """Return the task that a caller's arguments describe.

    Refuses no quasi-identifier, k below 1, and models with unknown or missing options.
    """
    if not quasi_identifiers:
        raise InvalidPlan("give at least one quasi-identifier with its hierarchy")
    if unknown := [type(one).__name__ for one in models if not isinstance(one, Model)]:
        raise InvalidPlan(f"models are KAnonymity, LDiversity, TCloseness, DeltaPresence and KMap, not: {unknown}")
    wanted: list[Model] = [KAnonymity(k)]
    wanted += [parse_goal(LDiversity, one) for one in _list(l_diversity)]
    wanted += [parse_goal(TCloseness, one) for one in _list(t_closeness)]
    held = frame if isinstance(frame, pl.DataFrame) else None
    return Task(open_table(frame), dict(quasi_identifiers), (*wanted, *models), entity, held)


def count_limit(share: float, rows: int) -> int:
    """Return how many of `rows` may be suppressed. Refuses a share outside 0 to 1."""
    if not 0 <= share <= 1:
        raise InvalidPlan(f"the suppression limit is a share between 0 and 1, not {share}")
    return math.floor(share * rows + 1e-9)


def _list(values: object) -> list[object]:
    if values is None:
        return []
    return list(values) if isinstance(values, list | tuple) else [values]
