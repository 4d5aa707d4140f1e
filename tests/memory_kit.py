"""A differencing memory over people who exist in a table alone: outputs are compared, kept and compared again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.comparing import Effort
from sandbox.airlock.memory.identity import number_rows
from sandbox.airlock.memory.layers import Layers, Members, make_layers
from sandbox.airlock.memory.population import ENTITY, HASH
from sandbox.airlock.memory.service import Compared, Memory, Output
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.recompute import compute_table
from sandbox.airlock.specification import Aggregate, Condition, Repair, TableSpecification
from shuzha.core.actor import platform_actor
from shuzha.core.clock import FixedClock
from shuzha.core.conditions import Op
from shuzha.core.work import Database

NOW = dt.datetime(2026, 3, 2, 4, 0, tzinfo=dt.UTC)
KEY = bytes(range(32))


def source(frame: pl.DataFrame, release: str = "rel_1", entity: str | None = "person", version: int = 1) -> Source:
    return Source(
        release=release, name="incomes", grant="grt_1", demand="dem_1", authorization="aut_1", operator="org_unit",
        entry="ent_1", entry_code="20", entry_name="incomes", version=version, entity=entity, entity_missing=False,
        columns=tuple(frame.columns), frame=frame.lazy(),
    )  # fmt: skip


class NamedIdentities:
    """Who writes people by their names, or by their names after a colon: everybody knows who is meant."""

    def of_release(self, one: Source) -> pl.LazyFrame:
        if one.entity is None:
            return number_rows(one, one.release)
        named = one.frame.select(pl.col(one.entity).alias(ENTITY)).unique()
        number = pl.col(ENTITY).str.split(":").list.last().str.strip_prefix("p").cast(pl.UInt64)
        return named.with_columns((number * 2_654_435_761 + 7).alias(HASH))

    def of_entry(self, one: Source) -> pl.LazyFrame:
        return self.of_release(one)

    def key(self, entry: str) -> bytes:
        return KEY


def where(column: str, op: str, value: Any) -> Condition:
    return Condition(column, Op(op), value)


def table(*rows: str, aggregate: str = "entities", repair: str = "none", **changes: Any) -> TableSpecification:
    return TableSpecification("rel_1", list(rows), aggregate=Aggregate(aggregate), repair=Repair(repair), **changes)


def output(name: str, asked: TableSpecification, one: Source) -> Output:
    return Output(name, asked, one, compute_table(asked, one.frame, one.entity))


@dataclass
class Remembering:
    """A memory in a folder of its own; units release one request after another."""

    folder: Path
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.folder}/records.db", FixedClock(NOW))
        self.database.create_tables()
        self.zone = MemoryZone(self.folder / "raw" / "memory")
        self.memory = Memory(self.database, self.zone, NamedIdentities(), self.effort)
        self._requests = 0

    def compare(self, *outputs: Output, limit: int = 10, unit: str | None = None) -> tuple[Compared, ...]:
        return self.memory.compare(outputs, limit, unit=unit)

    def near(self, *outputs: Output, limit: int = 10, unit: str | None = None) -> set[tuple[str, int | None]]:
        """Return how the last of these outputs comes near."""
        return {(one.how.value, one.figure) for one in self.compare(*outputs, limit=limit, unit=unit)[-1].near}

    def release(self, *outputs: Output, unit: str = "org_unit", limit: int = 10) -> tuple[Compared, ...]:
        """Release these outputs as one request, if they may leave; return the last comparison."""
        self._requests += 1
        name = f"exp_{self._requests}"
        with self.memory.leaving(outputs, limit, export=name, organisation=unit) as leaving:
            with self.database.work(platform_actor("airlock")) as work:
                leaving.add_to(work)
            return leaving.compared


def layers(cells: Any, family: str = "entities", *, hidden: tuple[int, ...] = (), rows: Any = None) -> Layers:
    """Return the population in which entity n is in cell `cells[n]` (none where below zero)."""
    cells = np.asarray(cells)
    numbers = np.flatnonzero(cells >= 0)
    ones = np.ones(len(numbers), dtype=np.uint16)
    count = pl.DataFrame({"cell": range(int(cells.max(initial=0)) + 1)})
    added = ones if rows is None else np.asarray(rows, dtype=np.uint16)[numbers]
    return make_layers(numbers, Members(numbers, cells[numbers], added, added, count, family, frozenset(hidden)))
