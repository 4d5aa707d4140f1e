"""Which sets of columns single people out: against counting by hand, sampled, capped, and in a scan's plan."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import InvalidInput
from desensitize.finding.combinations import find_quasi_identifiers


def people(rows: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "area": rng.choice(["330102", "330105", "330106"], rows),
            "born": [f"19{rng.integers(40, 99)}-{rng.integers(1, 13):02}-15" for _ in range(rows)],
            "sex": rng.choice(["男", "女"], rows),
            "status": ["办结"] * rows,
        }
    )


def count_by_hand(frame: pl.DataFrame, columns: tuple[str, ...], entity: str | None, k: int) -> tuple[float, float]:
    rows = list(zip(frame.select(columns).rows(), frame[entity] if entity else range(frame.height), strict=True))
    sizes = Counter(key for key, _ in set(rows))
    everyone = {person for _, person in rows}
    shares = [{person for key, person in rows if sizes[key] < below} for below in (2, k)]
    return len(shares[0]) / len(everyone), len(shares[1]) / len(everyone)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from([None, "a", "b", "c"])] * 3, st.integers(0, 6)), min_size=1, max_size=30),
    st.booleans(),
)
def test_shares_equal_counting_by_hand_and_combinations_are_minimal(rows: list[tuple[object, ...]], by: bool) -> None:
    frame = pl.DataFrame(rows, schema={"x": pl.String, "y": pl.String, "z": pl.String, "who": pl.Int64}, orient="row")
    entity = "who" if by else None
    found = find_quasi_identifiers(frame, ["x", "y", "z"], entity, k=3, least=0.2)
    told = {one.columns: (one.alone, one.small) for one in found.combinations}
    expected: dict[tuple[str, ...], tuple[float, float]] = {}
    for size in (1, 2, 3):
        for columns in combinations(("x", "y", "z"), size):
            alone, small = count_by_hand(frame, columns, entity, 3)
            if alone >= 0.2 and not any(set(done) <= set(columns) for done in expected):
                expected[columns] = (alone, small)
    assert told.keys() == expected.keys()
    assert all(told[columns] == pytest.approx(expected[columns]) for columns in told)
    assert found.complete
    assert not found.sampled


def test_a_sample_is_said_and_what_it_shows_is_measured_on_the_whole_table() -> None:
    frame = people(6000)
    found = find_quasi_identifiers(frame, sample=1500)
    assert found.sampled
    assert (found.people, found.looked_at < 2000) == (6000, True)
    for one in found.combinations:
        assert one.exact
        assert (one.alone, one.small) == pytest.approx(count_by_hand(frame, one.columns, None, 5))
    # In as many people as the sample has, birth dates alone leave many alone; in the whole table they do not.
    assert [one.columns for one in find_quasi_identifiers(frame.head(1500)).combinations] == [("born",)]
    assert [one.columns for one in found.combinations] == [("area", "born"), ("born", "sex")]
    by = frame.with_columns(who=pl.int_range(pl.len()) // 2)
    sampled = find_quasi_identifiers(by, ["born", "area"], "who", sample=2000, least=0.005)
    assert sampled.people == 3000
    for one in sampled.combinations:
        assert (one.alone, one.small) == pytest.approx(count_by_hand(by, one.columns, "who", 5))


def test_the_cap_on_combinations_is_said() -> None:
    found = find_quasi_identifiers(people(300), max_combinations=2, least=1.0)
    assert (found.tried, found.complete) == (2, False)


def test_empty_tables_and_wrong_columns() -> None:
    assert find_quasi_identifiers(people(0)).combinations == ()
    assert find_quasi_identifiers(pl.DataFrame()).combinations == ()
    assert find_quasi_identifiers(people(1)).combinations[0].alone == 1.0
    with pytest.raises(InvalidInput, match="column `none` is not in the table"):
        find_quasi_identifiers(people(5), ["none"])
    with pytest.raises(InvalidInput, match="column `l` is List"):
        find_quasi_identifiers(pl.DataFrame({"l": [[1]]}))
    with pytest.raises(InvalidInput, match="max_size"):
        find_quasi_identifiers(people(5), max_size=0)


def test_scan_reports_combinations_and_its_plan_generalizes_what_singles_out(tmp_path: Path) -> None:
    frame = people(400).with_columns(
        code=pl.Series([f"k{number % 150}" for number in range(400)]), gzje=pl.Series(range(400))
    )
    frame.write_csv(tmp_path / "t.csv")
    report = desensitize.scan(tmp_path / "t.csv", combinations=True)
    assert report.quasi_identifiers is not None
    assert "code" in report.quasi_identifiers.telling
    assert "gzje" not in report.quasi_identifiers.columns
    assert report.to_dict()["quasi_identifiers"]["combinations"][0]["alone"] > 0
    assert report["code"].role == "other"
    plan = report.to_plan()
    assert plan.anonymity is not None
    assert {"area", "born", "sex", "code"} == set(plan.anonymity.quasi_identifiers)
    without = desensitize.scan(frame)
    assert without.quasi_identifiers is None
    assert without.to_plan().anonymity is not None
    assert "code" not in without.to_plan().anonymity.quasi_identifiers  # type: ignore[union-attr]
    text = str(report.to_dict())
    assert not any(cell in text for cell in [*frame["born"].head(20), "k149"])
