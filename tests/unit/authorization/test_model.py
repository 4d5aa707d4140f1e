from __future__ import annotations

import datetime as dt

import pytest

from policies import Permission
from shuzha.authorization.announcement import ANNOUNCEMENT
from shuzha.authorization.assessment import ASSESSMENT
from shuzha.authorization.model import AUTHORIZATION, DEMAND, GRANT
from shuzha.authorization.qualification import Check, Fact, check_facts, clear_checks, name_subjects
from shuzha.core.errors import Invalid
from shuzha.core.lawbook import LawBook

TODAY = dt.date(2026, 3, 2)


def test_every_lifecycle_verb_has_a_permission() -> None:
    tables = (ANNOUNCEMENT, AUTHORIZATION, ASSESSMENT, DEMAND, GRANT)
    named = {permission for table in tables for permission in table.permissions()}
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


def test_refuses_a_stale_or_unsourced_fact() -> None:
    law = LawBook.load("jinan")
    # Twenty working days after 2026-02-02, over the Spring Festival (15 to 23 February) and two make-up Saturdays.
    check_facts(clear_checks(dt.date(2026, 2, 2)), dt.date(2026, 3, 6), law)
    with pytest.raises(Invalid, match="looked up on 2026-02-02, more than 20 working days ago"):
        check_facts(clear_checks(dt.date(2026, 2, 2)), dt.date(2026, 3, 7), law)
    with pytest.raises(Invalid, match="does not say where"):
        check_facts((*clear_checks(TODAY)[:-1], Check(Fact.TAX_HEAD, True, TODAY, source=" ")), TODAY)


def test_a_fact_says_of_whom_it_was_looked_up_whatever_the_form_said() -> None:
    found = (Check(Fact.TAX, True, TODAY, subject="x"), Check(Fact.TAX_HEAD, True, TODAY))
    named = name_subjects(found, "org_a", "Han")
    assert [one.subject for one in named] == ["org_a", "Han"]
