"""The usage table `usage.db`: what follows from the usage log, for dedupe and reports.

`series` has one row for all uses of a day that are alike but for their moment and answer; `uses` one short row a use;
`repeats` the idempotency keys that callers chose; `reversals` which use was undone by which entry; `compute` what
workspaces used. The view `events` joins series and uses: one row a use. Commits do not wait for the disk, for the log
has.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shuzha.metering.compute import ComputeUse
from shuzha.metering.events import Series, UsageEvent, microseconds

DATABASE = "usage.db"
FORM = 2
SERIES_COLUMNS = (
    "day", "kind", "key_id", "consumer", "product", "authorization", "policy_version", "claim", "purpose", "price",
    "waived",
)  # fmt: skip
COLUMNS = ("log_index", "usage_id", "quantity", "occurred_at", *SERIES_COLUMNS)
_SERIES = ", ".join(SERIES_COLUMNS)
_OF_SERIES = ", ".join(f"series.{name}" for name in SERIES_COLUMNS)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, day TEXT NOT NULL, kind TEXT NOT NULL, key_id TEXT NOT NULL, consumer TEXT NOT NULL,
    product TEXT NOT NULL, authorization TEXT NOT NULL, policy_version TEXT NOT NULL, claim TEXT NOT NULL,
    purpose TEXT NOT NULL, price INTEGER NOT NULL, waived INTEGER NOT NULL, UNIQUE ({_SERIES})
);
CREATE INDEX IF NOT EXISTS series_by_consumer ON series (consumer, day);
CREATE TABLE IF NOT EXISTS uses (
    log_index INTEGER PRIMARY KEY, usage_id TEXT NOT NULL UNIQUE, series INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL, quantity INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS uses_by_series ON uses (series);
CREATE TABLE IF NOT EXISTS repeats (
    key_id TEXT NOT NULL, idempotency_key TEXT NOT NULL, log_index INTEGER NOT NULL,
    PRIMARY KEY (key_id, idempotency_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reversals (usage_id TEXT PRIMARY KEY, log_index INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS compute (
    id TEXT PRIMARY KEY, log_index INTEGER NOT NULL, day TEXT NOT NULL, workspace TEXT NOT NULL,
    operator TEXT NOT NULL, authorization TEXT NOT NULL, "grant" TEXT NOT NULL, cpu_milliseconds INTEGER NOT NULL,
    memory_byte_seconds INTEGER NOT NULL, storage_byte_seconds INTEGER NOT NULL
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS events AS
SELECT uses.log_index, uses.usage_id, uses.quantity, uses.occurred_at, {_OF_SERIES}
FROM uses JOIN series ON series.id = uses.series;
PRAGMA user_version = {FORM};
"""  # noqa: S608
_ADD_SERIES = (
    f"INSERT INTO series ({_SERIES}) VALUES ({', '.join('?' * len(SERIES_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT ({_SERIES}) DO UPDATE SET day = excluded.day RETURNING id"
)
_ADD_USE = "INSERT INTO uses VALUES (?, ?, ?, ?, ?)"
_ADD_REPEAT = "INSERT INTO repeats VALUES (?, ?, ?)"
_ADD_COMPUTE = "INSERT OR IGNORE INTO compute VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_REVERSAL = "INSERT INTO reversals VALUES (?, ?)"

UseRow = tuple[int, str, int, int, int]


class UsageTable:
    """The table as its one writer has it open; raises sqlite3.DatabaseError where the file is damaged or older."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = _connect(path)
        self._series: dict[tuple[Series, str], int] = {}

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def series_id(self, series: Series, day: str) -> int:
        """Return the number of the row of a series on a day, made where there is none."""
        found = self._series.get((series, day))
        if found is None:
            values = [day if name == "day" else getattr(series, name) for name in SERIES_COLUMNS]
            found = self._series[series, day] = int(self._database.execute(_ADD_SERIES, values).fetchone()[0])
        return found

    def add(self, uses: list[UseRow], repeats: list[tuple[str, str, int]], reversals: list[tuple[str, int]]) -> None:
        """Store rows in one transaction."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(_ADD_USE, uses)
            if repeats:
                self._database.executemany(_ADD_REPEAT, repeats)
            if reversals:
                self._database.executemany(_ADD_REVERSAL, reversals)
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def add_compute(self, uses: list[tuple[int, ComputeUse]]) -> None:
        """Store days of workspaces with their places in the log; one that is there already stays."""
        rows = [
            (
                use.id, index, use.day, use.workspace, use.operator, use.authorization, use.grant,
                use.cpu_milliseconds, use.memory_byte_seconds, use.storage_byte_seconds,
            )
            for index, use in uses
        ]  # fmt: skip
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany(_ADD_COMPUTE, rows)
        self._database.execute("COMMIT")

    def find_compute(self, identifier: str) -> int | None:
        """Return the place in the log of a workspace's day, or None."""
        return self._place("SELECT log_index FROM compute WHERE id = ?", identifier)

    def find_use(self, usage_id: str) -> int | None:
        """Return the place in the log of a use, or None."""
        return self._place("SELECT log_index FROM uses WHERE usage_id = ?", usage_id)

    def find_repeat(self, key_id: str, idempotency_key: str) -> int | None:
        """Return the place in the log of the use that was first sent under an idempotency key, or None."""
        return self._place(
            "SELECT log_index FROM repeats WHERE key_id = ? AND idempotency_key = ?", key_id, idempotency_key
        )

    def find_reversal(self, usage_id: str) -> int | None:
        """Return the place in the log of the event that undid a use, or None."""
        return self._place("SELECT log_index FROM reversals WHERE usage_id = ?", usage_id)

    def last(self) -> tuple[int, str] | None:
        """Return place and id of the last use, or None."""
        row = self._database.execute("SELECT log_index, usage_id FROM uses ORDER BY log_index DESC LIMIT 1").fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def highest_id(self) -> str:
        """Return the highest usage id there is, empty where there is none."""
        return str(self._database.execute("SELECT coalesce(max(usage_id), '') FROM uses").fetchone()[0])

    def _place(self, statement: str, *values: str) -> int | None:
        row = self._database.execute(statement, values).fetchone()
        return None if row is None else int(row[0])


def tidy(path: Path) -> None:
    """Move what the write-ahead log holds into the table; for any thread, on a connection of its own."""
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        database.close()


def row_of(index: int, event: UsageEvent) -> tuple[object, ...]:
    """Return the row that the view `events` has of an event, in the order of `COLUMNS`."""
    return (
        index, event.usage_id, event.quantity, microseconds(event.occurred_at), event.day, event.kind, event.key_id,
        event.consumer, event.product, event.authorization, event.policy_version, event.claim, event.purpose,
        event.price, event.waived,
    )  # fmt: skip


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        # The write-ahead log is moved into the table by `tidy`, beside the writer's loop.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "wal_autocheckpoint=0"):
            database.execute(f"PRAGMA {pragma}")
        form = database.execute("PRAGMA user_version").fetchone()[0]
        if form != FORM and database.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
            raise sqlite3.DatabaseError(f"it has form {form}, not {FORM}")
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    return database
