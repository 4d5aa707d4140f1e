"""Counting what is shown on screens."""

from __future__ import annotations

from pathlib import Path

from sandbox.workspaces.meter import Meter, read_usage
from sandbox.workspaces.upstream import RouteTable


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
