"""Local recoding: classes with labels of their own, checked without the engine, and beside uniform labels."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from anonymity_kit import Naive
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import Hierarchy, InvalidInput, InvalidPlan, KAnonymity, KMap, LDiversity, TCloseness

ADULT = Path(__file__).parents[4] / "shared" / "data" / "adult"
needs_adult = pytest.mark.skipif(not ADULT.is_dir(), reason="the census extract ../shared/data/adult is not here")
AREA = Hierarchy.from_rows([("a1", "a", "*"), ("a2", "a", "*"), ("b1", "b", "*"), ("b2", "b", "*"), ("b3", "b", "*")])
SEX = Hierarchy.from_rows([("F", "*"), ("M", "*")])
ILLS = Hierarchy.from_rows([("cold", "mild", "*"), ("cough", "mild", "*"), ("cancer", "grave", "*")])
QUASI = {"age": Hierarchy.numbers((5, 10)), "area": AREA, "sex": SEX}
LINE = st.tuples(
    st.integers(18, 40),
    st.sampled_from(["a1", "a2", "b1", "b2", "b3"]),
    st.sampled_from(["F", "M", None]),
    st.sampled_from(["cold", "cough", "cancer"]),
    st.integers(0, 12),
)
MODELS: list[Any] = [
    LDiversity("illness", 2),
    LDiversity("illness", 1.6, "entropy"),
    LDiversity("illness", 2, "recursive", 1.5),
    TCloseness("illness", 0.3),
    TCloseness("illness", 0.3, "ordered"),
    TCloseness("illness", 0.3, "hierarchical", ILLS),
]


def _covers(label: str | None, leaf: Any, column: str) -> bool:
    """Say whether a label is true of a leaf, read as a person would read it."""
    if label is None or leaf is None:
        return label == leaf or label == "*"
    if label == "*" or label == str(leaf):
        return True
    if label.startswith("["):
        low, high = label.strip("[]").split(",")
        return int(low) <= int(leaf) <= int(high)
    return column == "area" and str(leaf).startswith(label)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(LINE, min_size=4, max_size=60),
    st.integers(1, 5),
    st.lists(st.sampled_from(MODELS), max_size=2),
    st.booleans(),
)
def test_every_locally_recoded_class_meets_every_model(
    lines: list[tuple[Any, ...]], k: int, models: list[Any], by_entity: bool
) -> None:
    columns = ["age", "area", "sex", "illness", "who"]
    frame = pl.DataFrame(lines, schema=columns, orient="row", schema_overrides={"sex": pl.String})
    who: list[object] = [line[4] if by_entity else place for place, line in enumerate(lines)]
    naive = Naive([line[:3] for line in lines], [line[3] for line in lines], who, [], [])
    wanted = [KAnonymity(k), *models]
    as_one = [naive.holds(model, list(range(len(lines))), 0) for model in wanted]
    call = {"k": k, "models": models, "entity": "who" if by_entity else None}
    if not all(as_one):
        with pytest.raises(InvalidInput, match="as a whole"):
            desensitize.recode_locally(frame, QUASI, **call)
        return
    made = desensitize.recode_locally(frame, QUASI, **call)
    assert isinstance(made.frame, pl.DataFrame)
    assert made.frame.columns == frame.columns
    assert made.frame.select("illness", "who").equals(frame.select("illness", "who"))
    assert made.risk == desensitize.measure_risk(made.frame, columns[:3], call["entity"])
    classes = defaultdict(list)
    for place, (label, line) in enumerate(zip(made.frame.select(columns[:3]).rows(), lines, strict=True)):
        classes[label].append(place)
        assert all(_covers(one, leaf, c) for one, leaf, c in zip(label, line, columns[:3], strict=False))
    for inside in classes.values():
        assert all(naive.holds(model, inside, 0) for model in wanted)
    assert len(classes) == made.classes.height
    assert sorted(map(len, classes.values())) == sorted(made.classes["class_rows"])
    assert sorted(len({who[p] for p in inside}) for inside in classes.values()) == sorted(
        made.classes["class_entities"]
    )


def test_local_recoding_cuts_where_both_sides_hold_enough() -> None:
    frame = pl.DataFrame({"age": [20, 21, 35, 36], "area": ["a1", "a2", "b1", "b2"]})
    made = desensitize.recode_locally(frame, {"age": Hierarchy.numbers(), "area": AREA}, k=2)
    assert isinstance(made.frame, pl.DataFrame)
    assert made.frame.rows() == [("[20,21]", "a")] * 2 + [("[35,36]", "b")] * 2
    named = desensitize.recode_locally(frame, {"age": Hierarchy.numbers((10,)), "area": AREA}, k=2, ordered=[])
    assert isinstance(named.frame, pl.DataFrame)
    assert named.frame["age"].to_list() == ["[20,30)", "[20,30)", "[30,40)", "[30,40)"]


def test_local_recoding_keeps_apart_what_a_hierarchy_never_joins() -> None:
    split = Hierarchy.from_rows([("F", "women"), ("M", "men")])
    frame = pl.DataFrame({"sex": ["F", "F", "M", "M"]})
    made = desensitize.recode_locally(frame, {"sex": split}, k=2)
    assert isinstance(made.frame, pl.DataFrame)
    assert made.frame["sex"].to_list() == ["F", "F", "M", "M"]
    with pytest.raises(InvalidInput, match="as a whole"):
        desensitize.recode_locally(frame, {"sex": split}, k=3)


@pytest.mark.parametrize("rows", [[], [None, None, None]])
def test_local_recoding_takes_an_empty_and_an_all_null_column(rows: list[None]) -> None:
    frame = pl.DataFrame({"sex": pl.Series(rows, dtype=pl.String), "age": pl.Series(rows, dtype=pl.Int64)})
    made = desensitize.recode_locally(frame.lazy(), {"sex": SEX, "age": Hierarchy.numbers()}, k=2)
    assert isinstance(made.frame, pl.LazyFrame)
    assert (made.frame.collect().height, made.loss) == (len(rows), 0.0)


def test_local_recoding_refuses_a_population_and_an_order_that_is_none() -> None:
    frame = pl.DataFrame({"sex": ["F", "M"]})
    with pytest.raises(InvalidPlan, match="uniform labels"):
        desensitize.recode_locally(frame, {"sex": SEX}, k=1, models=[KMap(frame, 2)])
    with pytest.raises(InvalidPlan, match="cannot be ordered"):
        desensitize.recode_locally(frame, {"sex": SEX}, k=1, ordered=["sex"])


@needs_adult
def test_compare_shows_what_local_labels_keep_on_the_census_extract() -> None:
    adult = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
    hierarchies = {name: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{name}.csv") for name in adult.columns}
    found = desensitize.compare(adult, hierarchies, k=10)
    measures = {name: (full, local) for name, full, local in found.table.rows()}
    assert measures["loss"][0] == pytest.approx(found.full.loss, abs=1e-9)
    assert measures["loss"][1] < 0.1 < 0.3 < measures["loss"][0]
    assert measures["rows left out"] == (592, 0)
    assert measures["classes"][1] > 2000
    assert measures["smallest class"] == (10, 10)
    assert isinstance(found.local.frame, pl.DataFrame)
    assert found.local.frame.group_by(adult.columns).len()["len"].min() == 10
    assert "<td>rows left out</td><td>592</td><td>0</td>" in found._repr_html_()
