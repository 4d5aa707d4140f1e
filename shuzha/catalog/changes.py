"""What changed between two versions of an entry's table, from the table's own change feed.

Tables keep a change feed from their first batch on (Delta's change data feed): an append is its rows, a merge also
keeps the rows that it replaced. A table that was made before, a full batch and a cleaned table have no answer here:
the caller then reads all rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

FEED = "delta.enableChangeDataFeed"
CHANGE = "__change"
_TYPE = "_change_type"


def read_changes(table: DeltaTable, since: int, until: int, columns: Sequence[str]) -> pl.DataFrame | None:
    """Return the rows that came (`__change` > 0, how many of them) and went (< 0) after `since` up to `until`.

    A row that went and came again alike in these columns is none. None where the table cannot tell.
    """
    if until == since:
        return None
    if table.metadata().configuration.get(FEED) != "true" or not _only_adds(table, since, until):
        return None
    try:
        feed = table.load_cdf(starting_version=since + 1, ending_version=until, columns=[*columns, _TYPE])
        frame = pl.DataFrame(feed)
    except (DeltaError, FileNotFoundError):
        return None
    sign = pl.when(pl.col(_TYPE).is_in(["insert", "update_postimage"])).then(1).otherwise(-1).sum()
    return frame.group_by(list(columns)).agg(sign.alias(CHANGE)).filter(pl.col(CHANGE) != 0)


def _only_adds(table: DeltaTable, since: int, until: int) -> bool:
    """Return whether every version in between is an append or a merge."""
    found = 0
    for entry in table.history():
        if since < int(entry["version"]) <= until:
            found += 1
            mode = entry.get("operationParameters", {}).get("mode", "Append")
            if entry["operation"] not in {"WRITE", "MERGE"} or mode != "Append":
                return False
    return found == until - since
