"""Optimal k-anonymity: the ARX optimum on real census data, full enumeration on small tables.

And an independent check of the promise.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
import desensitize.tables
from desensitize import Hierarchy, InvalidInput, InvalidPlan, LDiversity, TCloseness
from desensitize.anonymity.lattice import Budget, Search
from desensitize.anonymity.task import make_task
from desensitize.transform.goals import METRICS

ADULT = Path(__file__).parents[4] / "shared" / "data" / "adult"
needs_adult = pytest.mark.skipif(not ADULT.is_dir(), reason="the census extract ../shared/data/adult is not here")

AGE = Hierarchy.from_rows([("20", "2x", "*"), ("21", "2x", "*"), ("35", "3x", "*"), ("36", "3x", "*")])
SEX = Hierarchy.from_rows([("F", "*"), ("M", "*")])


def _adult_hierarchies(columns: list[str]) -> dict[str, Hierarchy]:
    return {column: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{column}.csv") for column in columns}


@needs_adult
@pytest.mark.parametrize(
    ("k", "limit", "loss", "levels", "suppressed"),
    [
        (5, 0.0, 0.5731509655590044, [0, 4, 1, 1, 3, 2, 2, 1, 0], 0),
        (5, 0.01, 0.3624067230103620, [0, 3, 1, 1, 2, 2, 1, 1, 0], 294),
        (5, 0.02, 0.3137130352819242, [0, 3, 0, 2, 2, 1, 1, 2, 0], 506),
        (10, 0.02, 0.3423367035654990, [0, 4, 0, 1, 2, 1, 1, 2, 0], 592),
    ],
)
def test_anonymize_finds_the_optimum_that_arx_finds(
    k: int, limit: float, loss: float, levels: list[int], suppressed: int
) -> None:
    adult = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
    result = desensitize.anonymize(adult, _adult_hierarchies(adult.columns), k=k, suppression_limit=limit)
    assert result.loss == pytest.approx(loss, abs=1e-8)
    assert list(result.levels.values()) == levels
    assert (result.suppressed, result.optimal, result.gap) == (suppressed, True, 0.0)
    assert isinstance(result.frame, pl.DataFrame)
    assert result.frame.height == adult.height - suppressed
    assert result.frame.group_by(adult.columns).len()["len"].min() >= k


@needs_adult
def test_measure_risk_gives_the_figures_that_arx_gives() -> None:
    adult = desensitize.tables.open_table(ADULT / "adult.csv")
    raw = desensitize.measure_risk(adult, adult.collect_schema().names())
    assert raw.records_at_risk == pytest.approx(0.778131, abs=1e-6)
    assert raw.prosecutor == 1.0
    assert raw.marketer == pytest.approx(0.6465751608, abs=1e-9)
    assert raw.uniques == pytest.approx(0.5142895033, abs=1e-9)
    made = desensitize.anonymize(adult, _adult_hierarchies(adult.collect_schema().names()), k=5)
    assert (made.risk.records_at_risk, made.risk.prosecutor) == (0.0, 0.2)
    assert made.risk.marketer == pytest.approx(0.0074858376, abs=1e-9)


def _smallest_class(rows: list[tuple[object, ...]], entities: list[object]) -> int:
    """Return the least number of distinct entities behind equal rows, counted without the engine."""
    found = defaultdict(set)
    for row, entity in zip(rows, entities, strict=True):
        found[row].add(entity)
    return min((len(members) for members in found.values()), default=10**9)


def _enumerate(
    rows: list[tuple[str, ...]], entities: list[object], hierarchies: list[Hierarchy], k: int, limit: int
) -> float:
    """Return the least loss over all nodes, each computed straight from the definition."""
    best = math.inf
    tables = [{row[0]: row for row in hierarchy.rows} for hierarchy in hierarchies]
    for levels in itertools.product(*(range(len(hierarchy.rows[0])) for hierarchy in hierarchies)):
        made = [tuple(t[v][lv] for t, v, lv in zip(tables, row, levels, strict=True)) for row in rows]
        members = defaultdict(set)
        for row, entity in zip(made, entities, strict=True):
            members[row].add(entity)
        kept = [row for row in made if len(members[row]) >= k]
        gone = len(made) - len(kept)
        if gone > limit:
            continue
        product = 1.0
        for place, table in enumerate(tables):
            size, count = len(table), len(rows)
            leaves = [sum(other[levels[place]] == row[place] for other in table.values()) for row in kept]
            x = sum(leaves) / size + gone
            product *= (1 + (x - count / size) / (count - count / size)) ** (1 / len(tables))
        best = min(best, product - 1)
    return best


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["20", "21", "35", "36"]), st.sampled_from("FM"), st.integers(0, 7)),
        min_size=6,
        max_size=40,
    ),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.booleans(),
)
def test_anonymize_keeps_its_promise_and_equals_full_enumeration(
    rows: list[tuple[str, str, int]], k: int, limit: float, by_entity: bool
) -> None:
    frame = pl.DataFrame(rows, schema={"age": pl.String, "sex": pl.String, "who": pl.Int64}, orient="row")
    entities: list[object] = [row[2] for row in rows] if by_entity else list(range(len(rows)))
    expected = _enumerate([row[:2] for row in rows], entities, [AGE, SEX], k, math.floor(limit * len(rows) + 1e-9))
    call = {"k": k, "suppression_limit": limit, "entity": "who" if by_entity else None}
    if math.isinf(expected):
        with pytest.raises(InvalidInput, match="too few"):
            desensitize.anonymize(frame, {"age": AGE, "sex": SEX}, **call)
        return
    result = desensitize.anonymize(frame, {"age": AGE, "sex": SEX}, **call)
    assert result.loss == pytest.approx(expected, abs=1e-9)
    out = result.frame.rows()
    held = [row[2] for row in out] if by_entity else list(range(len(out)))
    assert _smallest_class([row[:2] for row in out], held) >= k
    assert len(out) + result.suppressed == len(rows)
    assert result.classes["class_rows"].sum() == len(out)
    assert result.classes["class_entities"].min() is None or result.classes["class_entities"].min() >= k


def test_two_people_with_five_rows_each_are_a_class_of_two() -> None:
    frame = pl.DataFrame({"sex": ["F"] * 10, "who": ["a"] * 5 + ["b"] * 5})
    desensitize.anonymize(frame, {"sex": SEX}, k=5)
    with pytest.raises(InvalidInput, match="too few distinct entities"):
        desensitize.anonymize(frame, {"sex": SEX}, k=5, entity="who")
    assert desensitize.measure_risk(frame, ["sex"], entity="who").smallest_class == 2


def test_open_hierarchies_generalize_regions_dates_and_numbers() -> None:
    frame = pl.DataFrame(
        {
            "area": ["330106", "330105", "330203", "330205"],
            "born": pl.Series(["1990-01-05", "1990-02-07", "1991-05-01", "1991-06-30"]).str.to_date(),
            "wage": [5100, 5900, 5200, 5300],
        }
    )
    hierarchies = {"area": Hierarchy.regions(), "born": Hierarchy.dates(), "wage": Hierarchy.numbers((1000, 5000))}
    result = desensitize.anonymize(frame, hierarchies, k=2, suppression_limit=0)
    assert (
        result.frame.rows() == [("330100", "1990-Q1", "[5000,6000)")] * 2 + [("330200", "1991-Q2", "[5000,6000)")] * 2
    )


def test_null_is_a_value_of_its_own_until_the_top() -> None:
    frame = pl.DataFrame({"sex": ["F", "F", None, None], "age": ["20", "21", "20", None]})
    result = desensitize.anonymize(frame, {"sex": SEX, "age": AGE}, k=2, suppression_limit=0)
    assert result.frame.rows() == [("F", "*"), ("F", "*"), (None, "*"), (None, "*")]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [[], [None, None, None]])
def test_anonymize_takes_an_empty_and_an_all_null_column(rows: list[None], metric: str) -> None:
    frame = pl.DataFrame({"sex": pl.Series(rows, dtype=pl.String), "n": pl.Series(rows, dtype=pl.Int64)})
    result = desensitize.anonymize(frame, {"sex": SEX, "n": Hierarchy.numbers()}, k=2, metric=metric)
    assert (result.frame.height, result.suppressed, result.optimal) == (len(rows), 0, True)
    assert result.loss == {"discernibility": len(rows) ** 2, "average_class_size": len(rows)}.get(metric, 0.0)


# What the tests of ARX 3.9.2 expect on the census extract, occupation being sensitive where a model names it.
@needs_adult
@pytest.mark.parametrize(
    ("metric", "k", "limit", "model", "cost", "levels"),
    [
        ("entropy", 5, 0, None, 407289.5388925293, [1, 2, 1, 1, 3, 2, 2, 1, 1]),
        ("entropy", 100, 0, None, 453196.8932458743, [0, 4, 1, 1, 3, 2, 2, 1, 1]),
        ("entropy", 1, 0.04, LDiversity("occupation", 5, "entropy"), 228878.2039109517, [1, 0, 1, 1, 2, 2, 2, 1]),
        ("entropy", 1, 0, LDiversity("occupation", 5, "entropy"), 324620.5269918692, [1, 1, 1, 1, 3, 2, 2, 1]),
        ("discernibility", 5, 0, TCloseness("occupation", 0.2), 456853172, [1, 4, 1, 1, 3, 2, 2, 1]),
        ("discernibility", 5, 0, TCloseness("occupation", 0.1, "ordered"), 97868020, [1, 1, 1, 2, 3, 2, 2, 1]),
        ("discernibility", 100, 0, TCloseness("occupation", 0.2, "ordered"), 162312130, [1, 4, 1, 1, 1, 2, 2, 1]),
        ("entropy", 5, 0, "hierarchical", 398400.0741806447, [0, 4, 1, 1, 3, 2, 2, 1]),
    ],
)
def test_metrics_and_models_give_the_optima_that_arx_gives(
    metric: str, k: int, limit: float, model: Any, cost: float, levels: list[int]
) -> None:
    adult = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
    hierarchies = _adult_hierarchies(adult.columns)
    if model == "hierarchical":
        model = TCloseness("occupation", 0.2, "hierarchical", hierarchies["occupation"])
    if model is not None:
        del hierarchies["occupation"]
    models = [] if model is None else [model]
    result = desensitize.anonymize(adult, hierarchies, k, limit, metric, models=models)
    assert result.loss == pytest.approx(cost, rel=1e-12)
    assert (list(result.levels.values()), result.optimal) == (levels, True)


def test_a_table_of_many_tuples_is_read_coarser_and_says_that_this_is_no_proof() -> None:
    days = pl.date_range(pl.date(2000, 1, 1), pl.date(2005, 12, 31), eager=True)
    frame = pl.DataFrame({"born": days, "wage": range(len(days))})
    task = make_task(frame, {"born": Hierarchy.dates(), "wage": Hierarchy.numbers((100, 1000))}, 10)
    histogram, guard = task.read(most_tuples=200)
    assert any(histogram.floor)
    assert len(histogram.rows) <= 200
    assert histogram.total_rows == len(days)
    coarse = Search(histogram, guard, "loss", 0, Budget()).run()
    fine = desensitize.anonymize(frame, task.hierarchies, 10, 0)
    assert fine.optimal
    assert coarse.loss - coarse.gap <= fine.loss <= coarse.loss


def test_lattice_of_a_hundred_million_nodes_states_a_gap() -> None:
    frame = pl.DataFrame({f"c{one}": [f"2000-{1 + (one + row) % 12:02}-01" for row in range(60)] for one in range(11)})
    hierarchies = {name: Hierarchy.dates() for name in frame.columns}
    result = desensitize.anonymize(frame, hierarchies, k=3, max_visits=400)
    assert result.visited <= 410
    assert 0 <= result.gap <= result.loss
    assert result.classes["class_rows"].min() >= 3


def test_anonymize_refuses_one_row_unless_it_may_be_left_out() -> None:
    frame = pl.DataFrame({"sex": ["F"]})
    with pytest.raises(InvalidInput, match="too few distinct entities"):
        desensitize.anonymize(frame, {"sex": SEX}, k=2)
    assert desensitize.anonymize(frame, {"sex": SEX}, k=2, suppression_limit=1).frame.height == 0


def test_anonymize_keeps_other_columns_order_and_laziness() -> None:
    frame = pl.LazyFrame({"n": [1, 2, 3], "sex": ["F", "F", "M"]})
    result = desensitize.anonymize(frame, {"sex": SEX}, k=2, suppression_limit=0.4)
    assert isinstance(result.frame, pl.LazyFrame)
    assert result.frame.collect().rows() == [(1, "F"), (2, "F")]


def test_search_that_may_not_finish_states_its_gap() -> None:
    frame = pl.DataFrame({"sex": ["F", "M"] * 20, "age": ["20", "21", "35", "36"] * 10})
    result = desensitize.anonymize(frame, {"sex": SEX, "age": AGE}, k=15, suppression_limit=0, max_visits=1)
    assert not result.optimal
    assert 0 < result.gap <= result.loss


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"suppression_limit": 2}, "between 0 and 1"),
        ({"metric": "beauty"}, "available: loss, loss_arithmetic, discernibility, average_class_size, entropy"),
        ({"l_diversity": 2}, "l_diversity takes a table with: column, l, kind, c"),
        ({"l_diversity": {"column": "sex", "k": 2}}, "l_diversity has no option: k"),
        ({"l_diversity": {"column": "sex"}}, "l_diversity needs: l"),
        ({"l_diversity": {"column": "sex", "l": 2, "kind": "odd"}}, "kinds distinct, entropy, recursive"),
        ({"l_diversity": {"column": "sex", "l": 2.5}}, "needs a whole number l"),
        ({"l_diversity": {"column": "sex", "l": 2, "kind": "recursive"}}, "needs c"),
        ({"l_diversity": {"column": "sex", "l": 2}}, "it cannot be a quasi-identifier"),
        ({"t_closeness": {"column": "n", "t": 2}}, "between 0 and 1"),
        ({"t_closeness": {"column": "n", "t": 0.1, "distance": "odd"}}, "distances equal, ordered, hierarchical"),
        ({"t_closeness": {"column": "n", "t": 0.1, "distance": "hierarchical"}}, "needs a hierarchy"),
        ({"models": [3]}, "not: .*int"),
    ],
)
def test_anonymize_refuses_options_it_does_not_have(change: dict[str, object], words: str) -> None:
    with pytest.raises((InvalidPlan, InvalidInput), match=words):
        desensitize.anonymize(pl.DataFrame({"sex": ["F"]}), {"sex": SEX}, **change)


def test_anonymize_refuses_unknown_values_without_echoing_them() -> None:
    with pytest.raises(InvalidInput, match="column `sex`: 1 distinct values are not in its table hierarchy") as caught:
        desensitize.anonymize(pl.DataFrame({"sex": ["SECRET", "F"]}), {"sex": SEX}, k=1)
    assert "SECRET" not in str(caught.value)


def test_anonymize_refuses_an_unknown_column_and_an_entity_with_nulls() -> None:
    with pytest.raises(InvalidInput, match="column `age` is not in the table; it has: sex"):
        desensitize.anonymize(pl.DataFrame({"sex": ["F"]}), {"age": AGE})
    with pytest.raises(InvalidInput, match="entity column `who` holds nulls"):
        desensitize.anonymize(pl.DataFrame({"sex": ["F"], "who": [None]}), {"sex": SEX}, entity="who")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "at least one row"),
        ([("a", "*"), ("b",)], "same number"),
        ([("a", "*"), ("a", "*")], "each leaf once"),
        ([("a", "x", "p"), ("b", "x", "q")], "two different values at level 2"),
    ],
)
def test_hierarchy_refuses_rows_that_do_not_nest(rows: list[tuple[str, ...]], words: str) -> None:
    with pytest.raises(InvalidPlan, match=words):
        Hierarchy.from_rows(rows)


def test_anonymize_leaves_every_row_out_of_a_single_class_that_fails():
    table = pl.DataFrame({"a": ["x", "x"], "b": [1, 1]})
    result = desensitize.anonymize(table, {"a": Hierarchy.flat(), "b": Hierarchy.flat()}, k=3, suppression_limit=1.0)
    assert (result.frame.height, result.suppressed) == (0, 2)
