"""Each statistical parameter at another value than its default: its boundary goes along, by entity where rows are more.

Everybody has three rows here, so whatever counted rows in place of people would pass where it must not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from sandbox.airlock.claims import check_claims
from sandbox.airlock.disclosure import Rules, check_table
from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.regressions.judging import judge_regression
from sandbox.airlock.specification import (
    Claim,
    Condition,
    Errors,
    RegressionSpecification,
    VerificationSpecification,
)
from shuzha.core.conditions import Op

Case = tuple[Rules, int, int, Callable[[int, Rules], tuple[Finding, ...]], str]


def thrice(**columns: list[Any]) -> pl.DataFrame:
    """Return a table in which each of these people has three rows that say the same."""
    count = len(next(iter(columns.values())))
    return pl.concat([pl.DataFrame({"person": range(count), "place": ["A"] * count} | columns)] * 3)


def judged(frame: pl.DataFrame, rules: Rules, aggregate: str, value: str | None = "income") -> tuple[Finding, ...]:
    return check_table(frame, rows=["place"], value=value, aggregate=aggregate, entity="person", rules=rules).findings


def counted(people: int, rules: Rules) -> tuple[Finding, ...]:
    return judged(thrice(income=[1.0 + n for n in range(people)]), rules, "entities", None)


def led(by: int) -> Callable[[int, Rules], tuple[Finding, ...]]:
    """Return a sum of 1,000 of which the `by` largest hold so much together, and twenty others the rest."""

    def table(held: int, rules: Rules) -> tuple[Finding, ...]:
        rest = [(1_000 - held) / 20 + (place - 9.5) / 128 for place in range(20)]
        return judged(thrice(income=[held / by] * by + rest), rules, "sum")

    return table


def left(rest: int, rules: Rules) -> tuple[Finding, ...]:
    others = [rest / 20 + (place - 9.5) / 128 for place in range(20)]
    return judged(thrice(income=[100.0, 2.0, *others]), rules, "sum")


def spread(people: int, rules: Rules) -> tuple[Finding, ...]:
    return judged(thrice(income=[100.0 + n for n in range(people)]), rules, "std")


def insured(people: int, rules: Rules) -> tuple[Finding, ...]:
    return judged(thrice(insured=[True] * people + [False] * (200 - people)), rules, "mean", "insured")


def largest(holders: int, rules: Rules) -> tuple[Finding, ...]:
    frame = thrice(income=[500.0] * holders + [100.0 + n for n in range(30)])
    return tuple(one for one in judged(frame, rules, "max") if one.severity is Severity.BLOCK)


def near(second: int, rules: Rules) -> tuple[Finding, ...]:
    claims = [Claim(name, name, [Condition("level", Op.LT, level)]) for name, level in (("one", 100), ("two", second))]
    asked = VerificationSpecification("ent_1", ["person"], claims)
    return check_claims(asked, thrice(level=list(range(200))).lazy(), entity="person", rules=rules)


def alone(members: int, rules: Rules) -> tuple[Finding, ...]:
    """Return a regression on a dummy of so many people: each of them has that part of its own fitted value."""
    frame = thrice(income=[100.0 + (n * 37) % 91 for n in range(100)], shift=[1.0 * (n < members) for n in range(100)])
    asked = RegressionSpecification("rel_1", "income ~ shift", errors=Errors.CLUSTERED)
    return judge_regression(asked, frame.lazy(), entity="person", rules=rules).findings


OPEN = Rules(p_percent=0, nk_k=1, min_entities=1)
CASES: dict[str, Case] = {
    "min_entities": (Rules(min_entities=5), 5, 4, counted, "min_count"),
    "nk_n": (Rules(nk_n=1, p_percent=0), 899, 900, led(1), "dominance_nk"),
    "nk_k": (Rules(nk_k=0.5, p_percent=0), 499, 500, led(2), "dominance_nk"),
    "p_percent": (Rules(p_percent=0.2, nk_k=1), 20, 19, left, "dominance_p"),
    "min_dof": (Rules(min_dof=4, min_entities=1), 5, 4, spread, "dof"),
    "share_low": (dataclasses.replace(OPEN, share_low=0.2), 40, 39, insured, "class_disclosure"),
    "share_high": (dataclasses.replace(OPEN, share_high=0.8), 160, 161, insured, "class_disclosure"),
    "extreme_entities": (Rules(extreme_entities=5), 5, 4, largest, "extreme"),
    "min_difference": (Rules(min_difference=5), 105, 104, near, "differencing"),
    "max_leverage": (Rules(max_leverage=0.4, min_entities=1), 3, 2, alone, "leverage"),
}


@pytest.mark.boundary(
    rule="dominance_nk", parameter="nk_n, nk_k", passes="k = .5: the largest two of 22 hold .499; n = 1: the largest"
    " holds .899", fails=".500; .900",
)  # fmt: skip
@pytest.mark.boundary(
    rule="class_disclosure", parameter="share_low, share_high", passes="limits of .2 and .8: 40 or 160 of 200",
    fails="39 or 161",
)  # fmt: skip
@pytest.mark.boundary(
    rule="leverage", passes="a limit of .4: a dummy of 3 people with 9 rows, each of whom is a third of it",
    fails="of 2 people with 6 rows",
)  # fmt: skip
@pytest.mark.parametrize("name", CASES)
def test_another_parameter_moves_its_boundary(name: str) -> None:
    rules, passes, fails, table, rule = CASES[name]
    assert rule not in {one.rule for one in table(passes, rules)}
    assert rule in {one.rule for one in table(fails, rules)}
    # With the default the same two are on one side: it is the parameter that parts them.
    default = dataclasses.replace(rules, **{name: getattr(Rules(), name)})
    assert len({rule in {one.rule for one in table(number, default)} for number in (passes, fails)}) == 1


@pytest.mark.boundary(
    rule="rounding", passes="a base of 10: 203 rows of a regression are said as 200",
    fails="with the default of 5 as 205",
)  # fmt: skip
def test_another_base_rounds_otherwise() -> None:
    frame = pl.DataFrame({"person": range(203), "income": [100.0 + (n * 37) % 91 for n in range(203)]})
    frame = frame.with_columns(age=(pl.col("person") * 13 % 40).cast(pl.Float64))
    for rules, said in ((Rules(round_base=10), 200), (Rules(), 205)):
        asked = RegressionSpecification("rel_1", "income ~ age")
        made = judge_regression(asked, frame.lazy(), entity="person", rules=rules).frame
        assert made is not None
        assert made.filter(pl.col("term") == "(rows)")["estimate"].to_list() == [said]


def test_every_number_of_the_rules_is_moved() -> None:
    own = {field.name for field in dataclasses.fields(Rules)} - {"models", "structural_zeros", "round_base"}
    assert set(CASES) == own
