from __future__ import annotations

import datetime as dt

import pytest

from policies import Permission
from shuzha.authorization.model import AUTHORIZATION, DEMAND, GRANT, Check, Fact, check_facts, clear_checks
from shuzha.core.errors import Invalid
from shuzha.core.lawbook import LawBook

TODAY = dt.date(2026, 3, 2)


def test_every_lifecycle_verb_has_a_permission() -> None:
    named = {*AUTHORIZATION.permissions(), *DEMAND.permissions(), *GRANT.permissions()}
    assert named <= {permission.value for permission in Permission}


def test_every_clock_stands_in_the_law_book() -> None:
    law = LawBook.load("jinan")
    clocks = {move.clock for cycle in (AUTHORIZATION, DEMAND, GRANT) for move in cycle.moves if move.clock}
    assert all(law.get_rule(clock).days for clock in clocks)


def test_ended_states_are_final() -> None:
    assert {state.value for state in AUTHORIZATION.terminal} == {"expired", "terminated", "withdrawn", "rejected"}
    assert {state.value for state in DEMAND.terminal} == {"closed"}


def test_accepts_facts_that_are_all_clear() -> None:
    check_facts(clear_checks(TODAY), TODAY)


def test_refuses_a_missing_double_late_or_adverse_fact() -> None:
    clear = clear_checks(TODAY)
    with pytest.raises(Invalid, match="not looked up: tax_head"):
        check_facts(clear[:-1], TODAY)
    with pytest.raises(Invalid, match="given twice"):
        check_facts((*clear, clear[0]), TODAY)
    with pytest.raises(Invalid, match="dated after today"):
        check_facts((*clear[:-1], Check(Fact.TAX_HEAD, True, TODAY + dt.timedelta(days=1))), TODAY)
    with pytest.raises(Invalid, match="`tax_head` speaks against the unit"):
        check_facts((*clear[:-1], Check(Fact.TAX_HEAD, False, TODAY)), TODAY)
