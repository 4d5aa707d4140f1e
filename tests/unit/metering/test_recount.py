"""A recount finds every row that is not what the log says."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent
from shuzha.metering.recount import Difference, recount
from shuzha.metering.store import UsageStore


@pytest.fixture
def data(open_usage: Callable[[], UsageStore], make_event: Callable[..., UsageEvent], tmp_path: Path) -> Path:
    store = open_usage()
    store.record([make_event(waived=number % 2 == 0, purpose="贷款") for number in range(6)])
    store.close()
    return tmp_path


def change(data: Path, statement: str) -> None:
    with sqlite3.connect(data / "usage" / "usage.db") as database:
        database.execute(statement)
    database.close()


def found_in(data: Path) -> tuple[Difference, ...]:
    log = LogReader(data / "logs" / "usage")
    result = recount(log, data / "usage")
    log.close()
    assert result.logged == 6
    return result.differences


def test_recount_finds_table_and_log_equal(data: Path) -> None:
    assert found_in(data) == ()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE uses SET quantity = 2 WHERE log_index = 3", Difference(3, "differs in quantity", ("quantity",))),
        ("UPDATE uses SET series = (SELECT series FROM uses WHERE log_index = 0) WHERE log_index = 1",
         Difference(1, "differs in waived", ("waived",))),
        ("DELETE FROM uses WHERE log_index = 5", Difference(5, "is not in the table")),
    ],
)  # fmt: skip
def test_recount_names_what_was_changed_in_the_table(data: Path, statement: str, expected: Difference) -> None:
    change(data, statement)
    assert found_in(data) == (expected,)


def test_recount_passes_over_an_erased_payload(data: Path, open_usage: Callable[[], UsageStore]) -> None:
    store = open_usage()
    store._log.erase(2, "court order 17")
    store.close()
    assert found_in(data) == ()
