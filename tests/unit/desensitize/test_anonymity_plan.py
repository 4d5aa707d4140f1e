"""The part [anonymity] of a plan: what it may ask for, what a release by it holds, and what is refused."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import InvalidPlan, LDiversity, Plan, TCloseness

TEXT = """
[columns]
area = "keep"
illness = "keep"
who = "drop"

[anonymity]
k = 3
entity = "who"
suppression_limit = 0.2
mode = "enclave"
metric = "entropy"
l_diversity = { column = "illness", l = 2, kind = "recursive", c = 3.0 }

[anonymity.t_closeness]
column = "illness"
t = 0.4
distance = "hierarchical"
hierarchy = { kind = "table", rows = [["cold", "mild", "*"], ["cough", "mild", "*"], ["cancer", "grave", "*"]] }

[anonymity.quasi_identifiers.area]
kind = "region"
"""
AREAS = ["330106", "330105", "330203", "330205"]
FRAME = pl.DataFrame(
    {
        "area": [AREAS[one % 4] for one in range(40)],
        "illness": [("cold", "cough", "cancer")[one % 3] for one in range(40)],
        "who": [one // 2 for one in range(40)],
    }
)


def _plan(**change: Any) -> Plan:
    values = Plan.from_toml(TEXT).to_dict()
    values["anonymity"] = {**values["anonymity"], **change}
    return Plan.from_dict(values)


def test_plan_with_every_option_comes_back_from_its_toml() -> None:
    plan = Plan.from_toml(TEXT)
    assert Plan.from_toml(plan.to_toml()) == plan
    assert Plan.from_dict(plan.to_dict()) == plan
    assert plan.anonymity is not None
    diverse, close = plan.anonymity.goals()
    assert diverse == LDiversity("illness", 2, "recursive", 3.0)
    assert isinstance(close, TCloseness)
    assert (close.t, close.distance, close.hierarchy is not None) == (0.4, "hierarchical", True)


def test_plan_without_options_says_nothing_of_them() -> None:
    plan = Plan.from_dict({"columns": {"area": "keep"}, "anonymity": {"quasi_identifiers": {"area": {"kind": "flat"}}}})
    assert sorted(plan.to_dict()["anonymity"]) == ["k", "mode", "quasi_identifiers", "suppression_limit"]


def test_protect_reaches_what_the_plan_asks_for() -> None:
    release = desensitize.protect(FRAME, Plan.from_toml(TEXT))
    made = release.frame.collect()
    assert made.columns == ["area", "illness"]
    assert made.group_by("area").agg(pl.col("illness").n_unique())["illness"].min() == 3
    assert release.measurement is not None
    assert release.measurement.optimal


def test_protect_leaves_out_classes_of_one_illness() -> None:
    telling = FRAME.with_columns(illness=pl.when(pl.col("area") == "330106").then(pl.lit("cold")).otherwise("illness"))
    plain = desensitize.protect(telling, _plan(l_diversity=None, t_closeness=None, suppression_limit=0)).frame.collect()
    assert plain.filter(pl.col("area") == "330106")["illness"].n_unique() == 1
    diverse = desensitize.protect(telling, _plan(t_closeness=None, suppression_limit=0)).frame.collect()
    assert diverse.group_by("area").agg(pl.col("illness").n_unique())["illness"].min() >= 2


def test_protect_recodes_locally_when_the_plan_says_so() -> None:
    release = desensitize.protect(FRAME, _plan(local=True))
    assert release.frame.collect().height == FRAME.height
    assert release.measurement is not None
    assert (release.measurement.optimal, release.measurement.suppressed) == (False, 0)
    assert release.measurement.gap == release.measurement.loss
    assert release.risk is not None
    assert release.risk.smallest_class >= 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "no option: colour; it has: .*metric"),
        ({"metric": "beauty"}, "metric must be one of: loss, "),
        ({"k": 0}, "k is a whole number"),
        ({"suppression_limit": 3}, "share between 0 and 1"),
        ({"local": "yes"}, "local is true or false"),
        ({"l_diversity": 3}, "l_diversity takes a table"),
        ({"l_diversity": {"column": "illness", "l": 2, "q": 1}}, "l_diversity has no option: q"),
        ({"l_diversity": {"column": "illness", "l": 2, "kind": "odd"}}, "kinds distinct, entropy, recursive"),
        ({"t_closeness": {"column": "illness"}}, "t_closeness needs: t"),
        ({"t_closeness": {"column": "illness", "t": 0.2, "distance": "odd"}}, "distances equal, ordered"),
        (
            {"t_closeness": {"column": "c", "t": 0.2, "distance": "hierarchical", "hierarchy": {"kind": "odd"}}},
            "t_closeness of c.*kind must be one of",
        ),
    ],
)
def test_plan_refuses_unknown_anonymity(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlan, match=words):
        _plan(**change)


@pytest.mark.parametrize("column", ["who", "nothing"])
def test_protect_refuses_a_sensitive_column_that_is_not_released(column: str) -> None:
    plan = _plan(l_diversity={"column": column, "l": 2}, t_closeness=None)
    with pytest.raises(InvalidPlan, match=f"sensitive column `{column}` .* not a column that the plan releases"):
        desensitize.protect(FRAME, plan)
