"""Counting what is shown on screens."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.workspaces.gate.meter import (
    RESERVE_BYTES,
    UNSETTLED,
    CannotCount,
    CityDay,
    Count,
    Meter,
    next_day,
    read_usage,
)
from sandbox.workspaces.gate.screen import Standing
from sandbox.workspaces.gate.upstream import RouteTable
from sandbox.workspaces.records.controls import ControlsWriter, FileControls


def make_meter(path: Path, day: str = "2026-03-02") -> Meter:
    return Meter(path / "usage.db", default_budget=1000, day=lambda: day)


def test_meter_adds_over_classes_and_keeps_workspaces_apart(tmp_path: Path) -> None:
    meter = make_meter(tmp_path)
    meter.add("w-one", "kernelws", shown=300, messages=1)
    meter.add("w-one", "http", shown=200, received=50)
    meter.add("w-two", "http", shown=5)
    assert meter.shown_today("w-one") == 500
    assert meter.left_today("w-one", None) == 500
    assert meter.left_today("w-one", 2000) == 1500
    assert meter.left_today("w-two", None) == 995


def test_meter_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    meter = make_meter(tmp_path)
    meter.add("w-one", "kernelws", shown=300, messages=2)
    meter.close()
    again = make_meter(tmp_path)
    assert again.shown_today("w-one") == 300
    again.add("w-one", "kernelws", shown=1, messages=1)
    again.save()
    (row,) = read_usage(tmp_path / "usage.db", "w-one")
    assert (row[0], row[1], row[2], row[3].shown, row[3].messages) == ("w-one", "2026-03-02", "kernelws", 301, 3)


def test_meter_begins_anew_with_a_day(tmp_path: Path) -> None:
    make_meter(tmp_path).add("w-one", "http", shown=1000)
    assert make_meter(tmp_path, "2026-03-03").left_today("w-one", None) == 1000


def test_usage_of_a_gate_that_never_ran_is_empty(tmp_path: Path) -> None:
    assert read_usage(tmp_path / "absent.db") == ()


def test_route_with_the_longest_prefix_wins_at_a_slash() -> None:
    table = RouteTable("http://hub")
    table.put("/user/u/w-one/", "http+unix://%2Fa", {})
    assert table.find("/user/u/w-one/lab?x=1").target == "http+unix://%2Fa"  # type: ignore[union-attr]
    assert table.find("/user/u/w-one").target == "http+unix://%2Fa"  # type: ignore[union-attr]
    assert table.find("/user/u/w-one-other/lab").target == "http://hub"  # type: ignore[union-attr]
    assert table.drop("/user/u/w-one")
    assert table.find("/user/u/w-one/lab").target == "http://hub"  # type: ignore[union-attr]


# --- a killed gate ---------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 700_000), st.booleans()), min_size=1, max_size=12))
def test_killed_gate_never_counts_less_than_was_shown(steps: list[tuple[int, bool]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        meter, shown = make_meter(Path(name)), 0
        for size, saved in steps:
            meter.add("w-one", "kernelws", shown=size, messages=1)
            shown += size
            if saved:
                meter.save()
            # The next gate, after a kill at this very moment: nothing was written since.
            after = make_meter(Path(name)).shown_today("w-one")
            assert after >= shown
            shown = max(shown, meter.shown_today("w-one"))
            assert after <= shown + RESERVE_BYTES + max(one for one, _ in steps)
            meter = make_meter(Path(name))
            shown = meter.shown_today("w-one")


def test_idle_workspace_loses_nothing_by_a_kill_and_a_clean_end_neither(tmp_path: Path) -> None:
    meter = make_meter(tmp_path)
    meter.add("w-one", "http", shown=1000)
    meter.save()
    assert make_meter(tmp_path).shown_today("w-one") >= 1000 + RESERVE_BYTES, "in use a kill costs the reservation"
    other = Meter(tmp_path / "other.db", default_budget=1000, day=lambda: "2026-03-02")
    other.add("w-one", "http", shown=1000)
    other.save()
    other.save()
    assert Meter(tmp_path / "other.db", default_budget=0, day=lambda: "2026-03-02").shown_today("w-one") == 1000
    other.add("w-one", "http", shown=5)
    other.close()
    assert Meter(tmp_path / "other.db", default_budget=0, day=lambda: "2026-03-02").shown_today("w-one") == 1005


def test_what_a_killed_gate_may_have_shown_has_a_class_of_its_own(tmp_path: Path) -> None:
    meter = make_meter(tmp_path)
    meter.add("w-one", "http", shown=10)
    counts = make_meter(tmp_path).counts_today("w-one")
    assert counts[UNSETTLED].shown == 10 + RESERVE_BYTES
    rows = {row[2]: row[3].shown for row in read_usage(tmp_path / "usage.db")}
    assert rows == {UNSETTLED: 10 + RESERVE_BYTES}


def test_what_cannot_be_written_down_is_not_counted_and_raises(tmp_path: Path) -> None:
    meter = make_meter(tmp_path)
    meter.add("w-one", "http", shown=10)
    meter._store.execute("pragma query_only=on")  # as a disk that takes no more
    meter.add("w-one", "http", shown=10)
    with pytest.raises(CannotCount):
        meter.add("w-one", "http", shown=RESERVE_BYTES)
    assert meter.shown_today("w-one") == 20
    meter._store.execute("pragma query_only=off")
    meter.add("w-one", "http", shown=RESERVE_BYTES)
    meter.close()
    with sqlite3.connect(tmp_path / "usage.db") as store:
        assert store.execute("select sum(shown) from screen_usage").fetchone() == (RESERVE_BYTES + 20,)


def test_midnight_settles_the_day_before(tmp_path: Path) -> None:
    days = ["2026-03-02"]
    meter = Meter(tmp_path / "usage.db", default_budget=1000, day=lambda: days[0])
    meter.add("w-one", "http", shown=600)
    days[0] = "2026-03-03"
    assert meter.left_today("w-one", None) == 1000
    meter.add("w-one", "http", shown=1)
    meter.close()
    assert {row[1]: row[3].shown for row in read_usage(tmp_path / "usage.db")} == {"2026-03-02": 600, "2026-03-03": 1}


def test_the_citys_day_begins_at_its_own_midnight() -> None:
    evening = dt.datetime(2026, 3, 2, 15, 59, tzinfo=dt.UTC)
    assert next_day(evening) == dt.datetime(2026, 3, 2, 16, tzinfo=dt.UTC)
    assert len(CityDay()()) == len("2026-03-02")


# --- budgets ---------------------------------------------------------------------------------------------------------


def test_budget_for_a_day_goes_before_the_lasting_one_on_that_day_only(tmp_path: Path) -> None:
    pen, read = ControlsWriter(tmp_path / "controls.json"), FileControls(tmp_path / "controls.json").read
    pen.start()
    assert read().budget_of("w-one", "2026-03-02") is None
    pen.set_budget("w-one", 500)
    pen.set_budget("w-one", 900, day="2026-03-02")
    assert [read().budget_of("w-one", day) for day in ("2026-03-02", "2026-03-03")] == [900, 500]
    pen.set_budget("w-one", 700)
    assert read().budget_of("w-one", "2026-03-02") == 700, "a lasting budget takes back one for a day"
    pen.suspend("w-one", "looked into")
    pen.forget("w-one")
    assert (read().budget_of("w-one", "2026-03-02"), dict(read().suspended)) == (None, {})


def test_orders_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    (tmp_path / "controls.json").write_text('{"suspended": {}, "budgets": {"w-one": 5}}')
    assert FileControls(tmp_path / "controls.json").read().budget_of("w-one", "2026-03-02") == 5


@pytest.mark.parametrize(
    ("shown", "budget", "state"), [(0, 100, "fine"), (79, 100, "fine"), (80, 100, "low"), (100, 100, "used"),
                                   (130, 100, "used"), (0, 0, "used")],
)  # fmt: skip
def test_standing_warns_before_it_ends(shown: int, budget: int, state: str) -> None:
    standing = Standing("w-one", "2026-03-02", budget, {"http": Count(shown=shown)})
    assert standing.state == state
    said = standing.to_dict(next_day())
    assert (said["left"], said["shown"]) == (max(budget - shown, 0), shown)
    assert (said["notice"] is None) is (state == "fine")
    if said["notice"]:
        assert said["notice"]["id"] == f"screen-{state}-2026-03-02"
        assert said["notice"]["zh"] != said["notice"]["en"]
