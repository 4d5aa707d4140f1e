"""Privacy budgets over real records: who sets them, what they let pass, and that nobody overdraws them."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from desensitize import dp
from shuzha.authorization.agreement import Operation
from shuzha.budgets.model import Budget, sum_spends
from shuzha.budgets.store import BUDGETS, SPENDS
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.work import Database
from tests.authorization_kit import person
from tests.budgets_kit import SPENDER, BudgetCity
from tests.releases_kit import payments

ROOT = Path(__file__).parents[3]


def budget_of(city: BudgetCity, authorization: str = "") -> Budget:
    with city.database.read() as work:
        return next(one for one in work.list(BUDGETS) if one.authorization == authorization)


def test_count_is_answered_from_raw_rows_within_the_grant(city: BudgetCity) -> None:
    """The grant's row filter keeps one kind of payment: 200 people, though the raw table has 400 rows."""
    answer = city.ask(city.ready(), of="rows", rows=2)
    (row,) = answer["rows"]
    assert abs(row["estimate"] - 200) < 200
    assert row["low"] < row["estimate"] < row["high"]
    assert (answer["epsilon"], answer["delta"], answer["confidence"]) == (0.1, 0, 0.95)
    assert answer["left"]["left_epsilon"] >= 0.9
    json.dumps(answer)


def test_groups_sums_means_bins_and_quantiles_are_answered(city: BudgetCity) -> None:
    grant = city.ready(50.0)
    asked: list[dict[str, Any]] = [
        {"by": ["district_code"], "delta": 1e-8},
        {"by": ["paid"], "keys": [[True], [False]]},
        {"ask": "sum", "value": "base", "lower": 0, "upper": 25_000, "step": 100},
        {"ask": "mean", "value": "base", "lower": 0, "upper": 25_000, "by": ["paid"], "keys": [[True]]},
        {"ask": "histogram", "value": "base", "edges": [0, 10_000, 30_000]},
        {"ask": "quantile", "value": "base", "alpha": 0.5, "candidates": list(range(0, 30_000, 500))},
        {"where": [{"column": "base", "op": "gt", "value": 10_000}, {"column": "paid", "op": "eq", "value": True}]},
    ]
    for one in asked:
        answer = city.ask(grant, **({"epsilon": 4.0} | one))
        assert answer["rows"], one
        assert {"estimate", "low", "high"} <= set(answer["columns"])


def test_same_question_is_answered_from_the_record_and_costs_nothing(city: BudgetCity) -> None:
    grant = city.ready()
    first, second = city.ask(grant), city.ask(grant)
    assert (first["repeated"], second["repeated"]) == (False, True)
    assert first["rows"] == second["rows"]
    assert budget_of(city).answers == 1
    assert city.ask(grant, epsilon=0.2)["repeated"] is False


def test_new_data_pays_again(city: BudgetCity) -> None:
    grant = city.ready()
    city.ask(grant)
    city.ingest(city.entry_of(grant), payments(150), "bat_2")
    assert city.ask(grant)["repeated"] is False
    assert budget_of(city).answers == 2


def test_entry_without_a_budget_answers_nothing(city: BudgetCity) -> None:
    with pytest.raises(NotAllowed, match="no privacy budget") as caught:
        city.ask(city.ready(None))
    assert "sets on the entry's page" in (caught.value.accepted or "")


def test_spent_budget_refuses_and_says_what_would_fit(city: BudgetCity) -> None:
    grant = city.ready(0.25, 0.0)
    city.ask(grant, of="rows")
    city.ask(grant)
    with pytest.raises(NotAllowed, match="does not allow") as caught:
        city.ask(grant, rows=2)
    assert caught.value.rule == "dp.budget"
    assert "0.05" in (caught.value.accepted or "")
    assert budget_of(city).answers == 2


def test_share_of_an_authorization_holds_within_the_entrys_budget(city: BudgetCity) -> None:
    grant = city.ready(1.0, 0.0)
    city.ask(grant)
    city.cap(city.entry_of(grant), 0.15, 0.0, grant.authorization)
    assert budget_of(city, grant.authorization).spent.epsilon == Decimal("0.1")
    with pytest.raises(NotAllowed, match=grant.authorization):
        city.ask(grant, rows=2)
    assert budget_of(city).answers == 1
    with pytest.raises(Invalid, match="larger"):
        city.cap(city.entry_of(grant), 2.0, 0.0, grant.authorization)


def test_two_authorizations_share_one_cap(city: BudgetCity) -> None:
    grant = city.ready(0.15, 0.0)
    other = city.grant(city.authorize(city.entry_of(grant)), city.entry_of(grant))
    city.ask(grant)
    with pytest.raises(NotAllowed, match="entry"):
        city.ask(other)


def test_failed_computation_is_not_refunded(city: BudgetCity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The raw file is broken after the columns were read: the cost is stored before any figure is computed."""
    grant = city.ready()
    frame = pl.LazyFrame({"resident_id": ["a", "b"], "kind": ["pension", "pension"], "base": ["1", "many"]})
    broken = frame.with_columns(pl.col("base").cast(pl.Int64), pl.lit(True).alias("paid"))
    monkeypatch.setattr(type(city.zone), "scan", lambda *_: broken)
    with pytest.raises(Invalid) as caught:
        city.ask(grant, ask="sum", value="base", lower=0, upper=10)
    assert "many" not in str(caught.value)
    assert budget_of(city).answers == 1
    with city.database.read() as work:
        assert [one.answer for one in work.list(SPENDS)] == [{}]


REFUSED: dict[str, dict[str, Any]] = {
    "a column outside the grant": {"by": ["period"], "delta": 1e-9},
    "a column that names somebody": {"where": [{"column": "resident_id", "op": "eq", "value": "37010219800101000X"}]},
    "a sum without bounds": {"ask": "sum", "value": "base"},
    "two costs": {"rho": 0.1},
    "an unknown question": {"ask": "rows"},
    "an unknown field": {"seed": 1},
    "a condition that is code": {"where": [{"column": "base", "op": "eval", "value": "1"}]},
    "groups without delta": {"by": ["kind"]},
    "no bound on groups": {"groups": 0},
    "an endless list of keys": {"by": ["kind"], "keys": [["x"]] * 10_001},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_question_spends_nothing(city: BudgetCity, name: str) -> None:
    grant = city.ready()
    with pytest.raises((Invalid, NotAllowed)) as caught:
        city.ask(grant, **REFUSED[name])
    assert "37010219800101000X" not in str(caught.value)
    assert budget_of(city).answers == 0


def test_entry_of_another_name_is_refused(city: BudgetCity) -> None:
    from shuzha.budgets.answering import Asker

    grant = city.ready()
    with pytest.raises(Invalid, match="no entry"):
        city.answers.answer(Asker(city.analyst, "wsp_1", grant.id), "transit", {"ask": "count", "epsilon": 0.1})


def test_grant_without_aggregation_answers_nothing(city: BudgetCity) -> None:
    grant = city.ready(operations=(Operation.VERIFY,))
    with pytest.raises(NotAllowed, match="operation"):
        city.ask(grant)


@pytest.mark.parametrize("who", ["operator", "provider", "authority", "regulator", "stranger"])
def test_nobody_but_an_analyst_of_the_unit_spends(city: BudgetCity, who: str) -> None:
    grant = city.ready()
    actor = person("x", "org_rival", "analyst") if who == "stranger" else getattr(city, who)
    with pytest.raises(NotAllowed):
        city.ask(grant, actor)
    assert budget_of(city).answers == 0


def test_suspended_grant_answers_nothing_not_even_from_the_record(city: BudgetCity) -> None:
    grant = city.ready()
    city.ask(grant)
    city.service.suspend(city.authority, grant.authorization, "an inquiry")
    city.policies.forget(grant.authorization)
    with pytest.raises(NotAllowed, match="not in force"):
        city.ask(grant)


def test_suspension_while_computing_holds_the_answer_back(city: BudgetCity, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = city.ready()
    keep = city.budgets.keep_answer

    def suspends(spend: Any, answer: Any) -> Any:
        city.service.suspend(city.authority, grant.authorization, "an inquiry")
        city.policies.forget(grant.authorization)
        return keep(spend, answer)

    monkeypatch.setattr(city.budgets, "keep_answer", suspends)
    with pytest.raises(NotAllowed, match="not in force"):
        city.ask(grant)
    assert budget_of(city).answers == 1


def test_budget_is_set_by_its_provider_or_the_authority_alone(city: BudgetCity) -> None:
    entry = city.filled()
    for actor in (city.operator, city.analyst, city.other_provider, city.regulator):
        with pytest.raises(NotAllowed):
            city.budgets.set_budget(actor, entry.id, 1.0, 0.0, "please")
    for actor in (city.provider, city.authority):
        city.budgets.set_budget(actor, entry.id, 1.0, 0.0, "as agreed")


@pytest.mark.parametrize(("epsilon", "delta", "reason"), [(0, 0, "x"), (1, 0.5, "x"), (1e6, 0, "x"), (1, 0, " ")])
def test_cap_that_caps_nothing_is_refused(city: BudgetCity, epsilon: float, delta: float, reason: str) -> None:
    entry = city.filled()
    with pytest.raises(Invalid):
        city.budgets.set_budget(city.provider, entry.id, epsilon, delta, reason)


def test_changed_cap_keeps_what_was_spent(city: BudgetCity) -> None:
    grant = city.ready(1.0, 0.0)
    city.ask(grant)
    city.cap(city.entry_of(grant), 0.1, 0.0)
    with pytest.raises(NotAllowed):
        city.ask(grant, rows=2)
    city.cap(city.entry_of(grant), 0.2, 0.0)
    city.ask(grant, rows=2)
    assert budget_of(city).spent.epsilon == Decimal("0.2")


def test_entry_without_an_entity_key_has_no_budget(city: BudgetCity) -> None:
    entry = city.ingest(city.add_entry("2020102", entity_key=None), payments())
    with pytest.raises(Invalid, match="entity key"):
        city.cap(entry, 1.0)


def test_each_spend_is_an_event_without_values(city: BudgetCity) -> None:
    grant = city.ready()
    city.ask(grant, where=[{"column": "district_code", "op": "eq", "value": "370102"}])
    events = [one for one in city.database.events_after(0) if one.tag.startswith("budget:")]
    assert [one.tag for one in events] == ["budget:set", "budget:spend"]
    spent = events[1]
    assert (spent.user, spent.data["epsilon"], spent.data["columns"]) == ("acc_zhao", "0.1", ["district_code"])
    assert "370102" not in json.dumps([spent.content, dict(spent.data)])


def test_budgets_and_spends_are_seen_by_whom_they_concern(city: BudgetCity) -> None:
    grant = city.ready()
    city.cap(city.entry_of(grant), 0.5, 0.0, grant.authorization)
    city.ask(grant)
    seen = {
        name: (
            len(city.budgets.list_budgets(getattr(city, name), grant.entry)),
            len(city.budgets.list_spends(getattr(city, name), grant.entry)),
        )
        for name in ("provider", "authority", "regulator", "operator", "analyst", "other_provider", "rival")
    }
    assert seen == {
        "provider": (2, 1), "authority": (2, 1), "regulator": (2, 1), "operator": (1, 1), "analyst": (1, 1),
        "other_provider": (0, 0), "rival": (0, 0),
    }  # fmt: skip


def check_sums(city: BudgetCity, database: Database) -> None:
    with database.read() as work:
        (budget,), spends = work.list(BUDGETS), work.list(SPENDS)
    assert dp.fits(budget.cap, budget.spent)
    assert sum_spends(spends) == budget.spent


def test_threads_cannot_overspend(city: BudgetCity) -> None:
    grant = city.ready(1.0, 0.0)

    def ask(number: int) -> bool:
        try:
            city.ask(grant, rows=number + 1)
        except NotAllowed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(ask, range(16)))
    assert sum(passed) == 10
    check_sums(city, city.database)


def test_processes_cannot_overspend(city: BudgetCity) -> None:
    grant = city.ready(0.5, 0.0)
    city.ask(grant, epsilon=0.01)
    command = [sys.executable, "-c", SPENDER, city.database.url]
    started = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert budget_of(city).answers == 50
    check_sums(city, city.database)


def test_killed_spender_leaves_the_debit_or_nothing(city: BudgetCity) -> None:
    """A unit of work that dies in the middle takes back the budget's row and the spend together."""
    grant = city.ready()
    city.ask(grant)

    class Dies(Exception):
        pass

    def die() -> None:
        with city.database.work(city.analyst) as work:
            (budget,) = work.list(BUDGETS)
            work.save(BUDGETS, budget.with_loss(dp.Loss(0.1, 0.005)))
            raise Dies

    with pytest.raises(Dies):
        die()
    check_sums(city, city.database)
