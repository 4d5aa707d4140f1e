"""A table in memory is anonymized by numbered rows: to the same result as a streamed one, and proved as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import Anonymized, Hierarchy, InvalidInput, KAnonymity
from desensitize.anonymity import lattice
from desensitize.anonymity.folding import Folding
from desensitize.anonymity.guard import Guard
from desensitize.anonymity.histogram import Histogram
from desensitize.anonymity.placing import place_rows
from desensitize.anonymity.reading import Source, build
from desensitize.leaves import as_leaf

KINDS = pl.Enum(["a", "b", "c", "never"])
CELLS = st.tuples(
    st.sampled_from(["11", "12", "21", None]),
    st.sampled_from([0.0, -0.0, 1.5, 2.0, None]),
    st.sampled_from(["a", "b", "c", None]),
    st.booleans(),
    st.integers(0, 6),
    st.sampled_from(["cold", "cough"]),
)
QUASI = {
    "area": Hierarchy.from_rows([("11", "1", "*"), ("12", "1", "*"), ("21", "2", "*")]),
    "dose": Hierarchy.flat(),
    "kind": Hierarchy.flat(),
    "sex": Hierarchy.flat(),
}


@st.composite
def tables(draw: Any) -> pl.DataFrame:
    rows = draw(st.lists(CELLS, min_size=1, max_size=40))
    columns = dict(zip(("area", "dose", "kind", "sex", "who", "ill"), zip(*rows, strict=True), strict=True))
    frame = pl.DataFrame(columns, schema_overrides={"area": pl.String, "dose": pl.Float64, "kind": pl.String})
    frame = frame.with_columns(pl.col("kind").cast(draw(st.sampled_from([pl.String, KINDS, pl.Categorical]))))
    return frame.with_row_index("row").select(draw(st.permutations([*frame.columns, "row"])))


def attempt(table: pl.DataFrame | pl.LazyFrame, call: dict[str, Any]) -> Anonymized | str:
    try:
        return desensitize.anonymize(table, QUASI, **call)
    except InvalidInput as refusal:
        return str(refusal)


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(1, 4), st.sampled_from([0.0, 0.2, 0.6]), st.booleans(), st.booleans())
def test_table_in_memory_gives_what_a_streamed_one_gives(
    frame: pl.DataFrame, k: int, share: float, by_entity: bool, diverse: bool
) -> None:
    call: dict[str, Any] = {"k": k, "suppression_limit": share, "entity": "who" if by_entity else None}
    call["l_diversity"] = {"column": "ill", "l": 2} if diverse else None
    streamed, held = attempt(frame.lazy(), call), attempt(frame, call)
    if isinstance(streamed, str) or isinstance(held, str):
        assert streamed == held
        return
    assert isinstance(held.frame, pl.DataFrame)
    assert isinstance(streamed.frame, pl.LazyFrame)
    expected = streamed.frame.collect()
    assert held.frame.equals(expected)
    assert held.frame.schema == expected.schema
    # Equal tables may still differ in the sign of a zero.
    assert str(held.frame["dose"].to_list()) == str(expected["dose"].to_list())
    assert (held.levels, held.loss, held.suppressed, held.optimal) == (
        streamed.levels, streamed.loss, streamed.suppressed, True,
    )  # fmt: skip
    assert held.classes.equals(streamed.classes)
    assert held.risk == streamed.risk


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(1, 50))
def test_rows_are_placed_alike_however_they_are_sliced(frame: pl.DataFrame, slice_rows: int) -> None:
    leaves = {f"q{at}": as_leaf(column, frame.schema[column]).alias(f"q{at}") for at, column in enumerate(QUASI)}
    tuples, place = place_rows(frame, leaves, slice_rows)
    texts = frame.select(leaves.values())
    assert tuples.select(list(leaves))[place].equals(texts)
    assert tuples.height == texts.n_unique()
    assert tuples["rows"].to_list() == np.bincount(place, minlength=tuples.height).tolist()


def test_table_without_rows_has_no_tuples() -> None:
    tuples, place = place_rows(pl.DataFrame({"a": []}, schema={"a": pl.String}), {"q0": pl.col("a").alias("q0")})
    assert (tuples.height, len(place)) == (0, 0)


def read(seed: int, rows: int = 400) -> Histogram:
    drawn = np.random.default_rng(seed)
    quasi = {
        "a": Hierarchy.numbers((2, 4, 8)),
        "b": Hierarchy.numbers((3, 6)),
        "c": Hierarchy.flat(),
        "d": Hierarchy.flat(),
    }
    frame = pl.DataFrame({name: drawn.integers(0, 12, rows) // drawn.integers(1, 4) for name in quasi})
    return build(Source(frame.lazy(), quasi))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 40), st.integers(1, 30), st.data())
def test_a_glance_never_claims_more_than_is_left_out(seed: int, k: int, data: st.DataObject) -> None:
    histogram = read(seed)
    levels = tuple(data.draw(st.integers(0, attribute.height - 1)) for attribute in histogram.attributes)
    exact = Guard((KAnonymity(k),), histogram).judge(histogram, levels, 0).suppressed
    claimed = Folding(histogram).least_suppressed(levels, k)
    assert 0 <= claimed <= exact


def test_most_hopeless_nodes_are_seen_at_a_glance() -> None:
    histogram = read(1)
    guard, folding = Guard((KAnonymity(6),), histogram), Folding(histogram)
    nodes = [(a, b, c, d) for a in range(4) for b in range(3) for c in range(2) for d in range(2)]
    hopeless = [node for node in nodes if guard.judge(histogram, node, 0).suppressed > 40]
    seen = [node for node in hopeless if folding.least_suppressed(node, 6) > 40]
    assert len(hopeless) > 10
    assert len(seen) > 0.8 * len(hopeless)


def test_search_that_glances_visits_the_nodes_that_a_search_by_judging_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    histogram = read(2, 3000)
    guard = Guard((KAnonymity(8),), histogram)
    quick = lattice.Search(histogram, guard, "loss", 60, lattice.Budget()).run()
    monkeypatch.setattr(Folding, "least_suppressed", lambda *_: 0.0)
    assert lattice.Search(histogram, guard, "loss", 60, lattice.Budget()).run() == quick
    assert quick.optimal
