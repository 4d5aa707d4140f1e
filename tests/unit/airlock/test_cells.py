"""The facts of each cell, against a slow and plain computation; in one pass or in parts by entity."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.airlock import cells
from sandbox.airlock.specification import Aggregate
from shuzha.core.errors import Invalid

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None]), st.sampled_from(["p", "q", "r", "s", None]),
        st.sampled_from([-3.0, 0.0, 1.0, 2.5, 2.5, None, math.nan]),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
SCHEMA = {"one": pl.String, "two": pl.Int64, "who": pl.String, "value": pl.Float64}


def plain(rows: list[tuple[Any, ...]], entity: bool) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The facts by cell, computed row by row."""
    held: dict[tuple[Any, ...], dict[Any, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for number, (one, two, who, value) in enumerate(rows):
        known = value if value is not None and not math.isnan(value) else None
        held[one, two][who if entity else number].append(known)
    found = {}
    for cell, people in held.items():
        values = {who: [v for v in some if v is not None] for who, some in people.items()}
        sums = sorted((abs(sum(some)) for some in values.values()), reverse=True)
        every = [v for some in values.values() for v in some]
        there = {who: some for who, some in values.items() if some and who is not None}
        found[cell] = {
            "rows": sum(len(some) for some in people.values()), "entities": len(there), "values": len(every),
            "absolute": sum(sums), "top_one": sums[0], "top_two": sum(sums[:2]), "top_n": sum(sums[:3]),
            "low": min(every, default=None), "high": max(every, default=None),
            "low_holders": sum(min(some) == min(every) for some in there.values()),
            "high_holders": sum(max(some) == max(every) for some in there.values()),
            "positive": sum(max(some) > 0 for some in there.values()),
        }  # fmt: skip
    return found


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, entity=st.booleans(), pairs=st.sampled_from([7, 1_000]))
def test_facts_are_those_of_a_plain_computation(rows: list[tuple[Any, ...]], entity: bool, pairs: int) -> None:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    asked = cells.table(frame, ["one", "two"], "value", "who" if entity else None, numeric=True)
    facts = cells.collect_facts(asked, cells.Wanted(3, ends=True), pairs=pairs)
    expected = plain(rows, entity)
    assert facts.height == len(expected)
    for row in facts.iter_rows(named=True):
        for name, figure in expected[row["d0"], row["d1"]].items():
            assert row[name] == (figure if figure is None else pytest.approx(figure)), name


@pytest.mark.parametrize(
    "labels",
    [
        [True, False, None], [1.5, math.nan, None], [dt.date(2026, 1, 1), dt.date(2026, 1, 2), None],
        [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 3, [None, None, None], ["b", "a", ""],
    ],
)  # fmt: skip
def test_facts_keep_labels_of_every_type(labels: list[Any]) -> None:
    frame = pl.DataFrame({"label": labels, "who": [1, 2, 3]})
    facts = cells.collect_facts(cells.table(frame, ["label"], None, "who", numeric=False), cells.Wanted())
    assert facts["d0"].dtype == frame["label"].dtype
    expected = frame.group_by("label").len().sort("label", nulls_last=True)
    assert facts["d0"].to_list().__repr__() == expected["label"].to_list().__repr__()
    assert facts["entities"].to_list() == expected["len"].to_list()


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a", "b", "c"])])
def test_facts_read_categories_as_text(kind: Any) -> None:
    frame = pl.DataFrame({"label": pl.Series(["a", "b", "a", None], dtype=kind)})
    facts = cells.collect_facts(cells.table(frame, ["label"], None, None, numeric=False), cells.Wanted())
    assert dict(facts.select("d0", "rows").iter_rows()) == {"a": 2, "b": 1, None: 1}


@pytest.mark.parametrize(
    ("aggregate", "shown", "holders"), [("mode", 5.0, 3), ("p25", 3.0, 1), ("p75", 5.0, 3), ("median", 4.5, 0)]
)
def test_facts_count_who_has_the_value_shown(aggregate: str, shown: float, holders: int) -> None:
    frame = pl.DataFrame({"value": [1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0, 5.0], "who": list("abcdeffg")})
    named = Aggregate(aggregate)
    assert frame.select(cells.point(named, pl.col("value"))).item() == shown
    facts = cells.collect_facts(cells.table(frame, [], "value", "who", numeric=True), cells.Wanted(point=named))
    assert (facts["point_holders"].to_list()[0] or 0) == holders


def test_facts_refuse_more_cells_than_can_be_judged() -> None:
    frame = pl.DataFrame({"one": range(1_001), "two": range(1_001)})
    with pytest.raises(Invalid, match="1002001 cells"):
        cells.collect_facts(cells.table(frame, ["one", "two"], None, None, numeric=False), cells.Wanted())
