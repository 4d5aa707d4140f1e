"""Recounting: the usage table compared with the log it follows from, for whoever bills by it or reviews the bill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent
from shuzha.metering.reports import open_for_reading
from shuzha.metering.store import KIND
from shuzha.metering.table import COLUMNS, DATABASE, row_of

_EVENT = msgspec.json.Decoder(UsageEvent)
_ROW = f"SELECT {', '.join(COLUMNS)} FROM events WHERE log_index = ?"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which table and log differ; `fields` are the columns, none where a row or an entry is missing."""

    log_index: int
    what: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recount:
    """What a recount found: uses in the log, rows in the table, and where they differ (at most a hundred places)."""

    logged: int
    rows: int
    differences: tuple[Difference, ...]


def recount(log: LogReader, usage: Path, *, limit: int = 100) -> Recount:
    """Return how the table in folder `usage` compares with the log, entry by entry; equal when nothing differs.

    An erased payload has nothing to compare: its row counts as it stands.
    """
    table = open_for_reading(usage / DATABASE)
    end = log.indexed()
    logged, found = 0, list[Difference]()
    try:
        for entry in log.entries(0, end):
            row = table.execute(_ROW, (entry.index,)).fetchone()
            is_use = entry.header.kind == KIND
            logged += is_use
            if (row is None) == is_use:
                found.append(Difference(entry.index, "is not in the table" if is_use else "is no use in the log"))
            elif is_use and entry.payload is not None:
                found += _compare(entry.index, row, row_of(entry.index, _EVENT.decode(entry.payload)))
        rows = int(table.execute("SELECT count(*) FROM events WHERE log_index < ?", (end,)).fetchone()[0])
    finally:
        table.close()
    return Recount(logged, rows, tuple(found[:limit]))


def _compare(index: int, row: tuple[object, ...], expected: tuple[object, ...]) -> list[Difference]:
    fields = tuple(name for name, here, there in zip(COLUMNS, row, expected, strict=True) if here != there)
    return [Difference(index, f"differs in {', '.join(fields)}", fields)] if fields else []
