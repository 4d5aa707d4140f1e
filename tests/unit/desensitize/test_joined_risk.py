"""The risk of several releases together is never below that of one alone, and is that of naive counting."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize import InvalidInput, InvalidPlan, limits_of, measure_risk
from desensitize.risk.joined import measure_joined_risk

ROWS = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(["x", "y", None])), min_size=1, max_size=20
)  # fmt: skip
NAMES = {"a": ["town"], "b": ["town"]}


def table(rows: list[tuple[int, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"who": pl.Int64, "town": pl.String}, orient="row")


@given(ROWS, ROWS)
@settings(max_examples=60, deadline=None)
def test_equals_naive_counting_and_is_no_safer_than_each_alone(first, second) -> None:  # type: ignore[no-untyped-def]
    classes: dict[tuple[object, object], set[int]] = defaultdict(set)
    for who in {who for who, _ in [*first, *second]}:
        ours = {("in", town) for owner, town in first if owner == who} or {("out", None)}
        theirs = {("in", town) for owner, town in second if owner == who} or {("out", None)}
        for one in ours:
            for other in theirs:
                classes[one, other].add(who)
    sizes = [len(each) for each in classes.values()]
    found = measure_joined_risk({"a": table(first), "b": table(second)}, ["who"], NAMES)
    assert (found.risk.classes, found.risk.smallest_class) == (len(sizes), min(sizes))
    assert found.risk.uniques == pytest.approx(sizes.count(1) / sum(sizes))
    assert found.people == len({who for who, _ in [*first, *second]})
    assert found.shared == len({who for who, _ in first} & {who for who, _ in second})
    for name, rows in (("a", first), ("b", second)):
        alone = measure_risk(table(rows), ["town"], "who")
        assert found.smallest_alone[name] == alone.smallest_class
        assert found.risk.prosecutor >= alone.prosecutor


def test_two_safe_releases_can_be_unsafe_together() -> None:
    towns = pl.DataFrame({"who": range(100), "town": [f"t{who // 10}" for who in range(100)]})
    jobs = pl.DataFrame({"who": range(100), "job": [f"j{who % 10}" for who in range(100)]})
    found = measure_joined_risk(
        {"towns": towns, "jobs": jobs}, ["who"], {"towns": ["town"], "jobs": ["job"]}, limits=limits_of("enclave")
    )
    assert found.smallest_alone == {"towns": 10, "jobs": 10}
    assert (found.risk.smallest_class, found.risk.meets) == (1, False)
    assert found.risk.quasi_identifiers == ("towns.town", "jobs.job")
    assert found.risk.entity == "who"


def test_being_missing_in_a_release_is_told() -> None:
    first, second = table([(who, "x") for who in range(10)]), table([(who, "x") for who in range(9)])
    assert measure_joined_risk({"a": first, "b": second}, ["who"], NAMES).risk.smallest_class == 1


def test_refuses_one_release_nulls_and_unknown_columns() -> None:
    one = table([(1, "x")])
    with pytest.raises(InvalidPlan, match="two releases"):
        measure_joined_risk({"a": one}, ["who"], NAMES)
    with pytest.raises(InvalidPlan, match="`b`"):
        measure_joined_risk({"a": one, "b": one}, ["who"], {"a": []})
    with pytest.raises(InvalidInput, match="`shoe`"):
        measure_joined_risk({"a": one, "b": one}, ["shoe"], NAMES)
    with pytest.raises(InvalidInput, match="nulls"):
        measure_joined_risk({"a": one, "b": one.with_columns(who=pl.lit(None, dtype=pl.Int64))}, ["who"], NAMES)


def test_refuses_a_join_that_would_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desensitize.risk.joined.MOST_ROWS", 50)
    many = table([(1, f"t{number}") for number in range(10)])
    with pytest.raises(InvalidInput, match="100 rows"):
        measure_joined_risk({"a": many, "b": many}, ["who"], NAMES)
