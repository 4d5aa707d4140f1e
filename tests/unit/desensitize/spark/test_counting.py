"""Combinations counted batch by batch and folded say about every node what reading the whole table says."""

from __future__ import annotations

import itertools
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize import Hierarchy, InvalidInput
from desensitize.anonymity.guard import Guard
from desensitize.anonymity.reading import Source, build
from desensitize.spark.counting import Combinations, assemble
from desensitize.transform.goals import KAnonymity, KMap, LDiversity, TCloseness

HIERARCHIES = {
    "age": Hierarchy.numbers((5, 10)),
    "area": Hierarchy.from_rows([(f"{code}", f"{code[0]}*", "*") for code in ("11", "12", "21", "22")]),
}


def _make_table(seed: int, rows: int, people: int) -> pl.DataFrame:
    draw = random.Random(seed)
    made = [
        {
            "who": f"p{draw.randrange(people)}",
            "age": draw.choice([None, *range(20, 40, 3)]),
            "area": draw.choice(["11", "12", "21", "22", None]),
            "illness": draw.choice(["a", "b", "c", None]),
        }
        for _ in range(rows)
    ]
    schema = {"who": pl.String, "age": pl.Int64, "area": pl.String, "illness": pl.String}
    return pl.DataFrame(made, schema=schema)


def _count_in_batches(wanted: Combinations, table: pl.DataFrame, batch: int) -> pl.LazyFrame:
    parts = [wanted.count(part.lazy()).collect() for part in table.iter_slices(batch)]
    named = [*wanted.keys, *(["e"] if wanted.entity else [])]
    return pl.concat(parts).lazy().group_by(named).agg(pl.col("rows").sum())


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 120),
    people=st.integers(1, 60),
    batch=st.integers(1, 50),
    owned=st.booleans(),
    mapped=st.booleans(),
)
def test_folded_combinations_judge_every_node_as_the_table_does(
    seed: int, rows: int, people: int, batch: int, *, owned: bool, mapped: bool
) -> None:
    table, everyone = _make_table(seed, rows, people), _make_table(seed + 1, 2 * rows, people)
    entity = "who" if owned else None
    wanted = Combinations(tuple(HIERARCHIES), ("illness",), entity)
    found = wanted.fold(_count_in_batches(wanted, table, batch))
    owner = Combinations(tuple(HIERARCHIES), (), entity)
    crowd = owner.fold(_count_in_batches(owner, everyone, batch)) if mapped else None
    made = assemble(found, HIERARCHIES, ("illness",), crowd)
    population = everyone.lazy() if mapped else None
    read = build(Source(table.lazy(), HIERARCHIES, entity, ("illness",), population))
    models: list[Any] = [KAnonymity(3), LDiversity("illness", 2, "entropy"), TCloseness("illness", 0.4)]
    if mapped:
        models.append(KMap(everyone, 4))
    assert made.total_rows == table.height
    heights = [range(attribute.height) for attribute in read.attributes]
    assert heights == [range(attribute.height) for attribute in made.attributes]
    for levels in itertools.product(*heights):
        for model in models:
            one, two = (Guard([model], each).judge(each, levels, table.height) for each in (made, read))
            assert one.suppressed == two.suppressed, (levels, model)


def test_people_of_one_combination_travel_as_a_number() -> None:
    table = pl.DataFrame({"who": ["a", "a", "b", "c", "c"], "age": [20, 20, 20, 20, 30]})
    wanted = Combinations(("age",), (), "who")
    found = wanted.fold(wanted.count(table.lazy())).select("q0", "e", "rows", "people")
    assert set(found.rows()) == {("20", None, 3, 2), ("20", "C", 1, 1), ("30", "C", 1, 1)}


def test_rows_of_nobody_are_refused() -> None:
    wanted = Combinations(("age",), (), "who")
    table = pl.LazyFrame({"who": ["a", None], "age": [1, 2]})
    with pytest.raises(InvalidInput, match="`who` holds nulls"):
        wanted.fold(wanted.count(table))
