"""Every metric with every privacy model: the optimum equals that of trying every node, and a stated gap holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from anonymity_kit import Naive
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import DeltaPresence, Hierarchy, InvalidInput, KAnonymity, KMap, LDiversity, TCloseness
from desensitize.anonymity.boxes import BoxSearch
from desensitize.anonymity.lattice import Budget, Search
from desensitize.anonymity.task import make_task
from desensitize.transform.goals import METRICS

AGE = Hierarchy.from_rows([("20", "2x", "*"), ("21", "2x", "*"), ("35", "3x", "*"), ("36", "3x", "*")])
AREA = Hierarchy.from_rows([("a1", "a", "*"), ("a2", "a", "*"), ("b1", "b", "*"), ("b2", "b", "*"), ("b3", "b", "*")])
SEX = Hierarchy.from_rows([("F", "*"), ("M", "*")])
ILLS = Hierarchy.from_rows([("cold", "mild", "*"), ("cough", "mild", "*"), ("cancer", "grave", "*")])
QUASI = {"age": AGE, "area": AREA, "sex": SEX}

ROW = st.tuples(
    st.sampled_from(["20", "21", "35", "36"]), st.sampled_from(["a1", "a2", "b1", "b2", "b3"]), st.sampled_from("FM")
)
LINE = st.tuples(ROW, st.sampled_from(["cold", "cough", "cancer"]), st.integers(0, 9))
DIVERSITY = st.one_of(
    st.builds(LDiversity, st.just("illness"), st.integers(1, 3)),
    st.builds(LDiversity, st.just("illness"), st.sampled_from([1.5, 2, 2.4]), st.just("entropy")),
    st.builds(LDiversity, st.just("illness"), st.integers(1, 3), st.just("recursive"), st.sampled_from([0.7, 1, 3])),
)
LIMIT = st.sampled_from([0.15, 0.3, 0.5])
CLOSENESS = st.one_of(
    st.builds(TCloseness, st.just("illness"), LIMIT, st.sampled_from(["equal", "ordered"])),
    st.builds(TCloseness, st.just("illness"), LIMIT, st.just("hierarchical"), st.just(ILLS)),
)


@dataclass
class Case:
    naive: Naive
    models: list[Any]
    k: int
    share: float
    metric: str
    entity: str | None

    @property
    def limit(self) -> int:
        return math.floor(self.share * len(self.naive.rows) + 1e-9)

    @property
    def frame(self) -> pl.DataFrame:
        columns = dict(zip(QUASI, zip(*self.naive.rows, strict=True), strict=True))
        return pl.DataFrame({**columns, "illness": self.naive.illness, "who": self.naive.who})

    def values(self) -> dict[tuple[int, ...], float]:
        models = [KAnonymity(self.k), *self.models]
        tried = {n: self.naive.value_of(n, models, self.limit, self.metric) for n in self.naive.nodes()}
        return {levels: value for levels, value in tried.items() if value is not None}

    def read(self, most_tuples: int = 10**6) -> Any:
        return make_task(self.frame, QUASI, self.k, entity=self.entity, models=self.models).read(most_tuples)

    def search(self, kind: Any, read: Any, visits: int | None = None) -> Any:
        return kind(*read, self.metric, self.limit, Budget(visits)).run()


@st.composite
def cases(draw: Any) -> Case:
    lines = draw(st.lists(LINE, min_size=3, max_size=26))
    by_entity = draw(st.booleans())
    rows, illness = [line[0] for line in lines], [line[1] for line in lines]
    who: list[object] = [line[2] if by_entity else place for place, line in enumerate(lines)]
    others = draw(st.lists(st.tuples(ROW, st.integers(10, 19)), max_size=12))
    population = [
        *zip(rows, who, strict=True),
        *((row, one if by_entity else ("o", i)) for i, (row, one) in enumerate(others)),
    ]
    models: list[Any] = draw(st.lists(st.one_of(DIVERSITY, CLOSENESS), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        table = pl.DataFrame(dict(zip(QUASI, zip(*(row for row, _ in population), strict=True), strict=True)))
        if by_entity:
            table = table.with_columns(pl.Series("who", [who for _, who in population]))
        low = draw(st.sampled_from([0.0, 0.3]))
        high = draw(st.sampled_from([0.6, 1.0]))
        models.append(draw(st.sampled_from([KMap(table, 6), DeltaPresence(table, low, high)])))
    tables = [{row[0]: row for row in hierarchy.rows} for hierarchy in QUASI.values()]
    return Case(
        Naive(rows, illness, who, tables, population),
        models,
        draw(st.integers(1, 4)),
        draw(st.sampled_from([0.0, 0.1, 0.3, 0.6])),
        draw(st.sampled_from(METRICS)),
        "who" if by_entity else None,
    )


def check_optimum(case: Case, visits: int) -> None:
    values, fine, coarse = case.values(), case.read(), case.read(most_tuples=3)
    if not values:
        for kind in (Search, BoxSearch):
            with pytest.raises(InvalidInput, match="too few distinct entities"):
                case.search(kind, fine)
        return
    least = min(values.values())
    for kind in (Search, BoxSearch):
        proved = case.search(kind, fine)
        assert (proved.optimal, proved.gap) == (True, 0.0)
        assert proved.loss == pytest.approx(least, rel=1e-9, abs=1e-9)
        assert values[proved.levels] == pytest.approx(least, rel=1e-9, abs=1e-9)
        for read, most in ((fine, visits), (coarse, None)):
            try:
                cut = case.search(kind, read, most)
            except InvalidInput:  # nothing fit was found so early
                continue
            assert cut.loss >= least - 1e-9
            assert cut.loss - cut.gap <= least + 1e-9
            assert not cut.optimal or cut.loss == pytest.approx(least, rel=1e-9, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(cases(), st.integers(1, 12))
def test_search_finds_what_trying_every_node_finds(case: Case, visits: int) -> None:
    check_optimum(case, visits)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=4000, deadline=None)
@given(cases(), st.integers(1, 12))
def test_search_finds_what_trying_every_node_finds_many_times(case: Case, visits: int) -> None:
    check_optimum(case, visits)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_every_class_of_the_result_meets_every_model(case: Case) -> None:
    try:
        made = desensitize.anonymize(
            case.frame, QUASI, case.k, case.share, case.metric, entity=case.entity, models=case.models
        )
    except InvalidInput:
        assert not case.values()
        return
    assert isinstance(made.frame, pl.DataFrame)
    assert made.frame.height + made.suppressed == case.frame.height
    assert made.suppressed <= case.limit
    assert made.risk == desensitize.measure_risk(made.frame, list(QUASI), case.entity)
    levels = list(made.levels.values())
    original = [case.naive.generalize(row, levels) for row in case.naive.rows]
    classes = made.frame.group_by(list(QUASI)).len().drop("len").rows()
    outside: dict[tuple[str, ...], set[object]] = {}
    for row, who in case.naive.population:
        outside.setdefault(case.naive.generalize(row, levels), set()).add(who)
    for one in classes:
        inside = [place for place, row in enumerate(original) if row == one]
        for model in [KAnonymity(case.k), *case.models]:
            assert case.naive.holds(model, inside, len(outside[one]))
