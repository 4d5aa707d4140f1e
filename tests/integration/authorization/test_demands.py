from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from policies import Context, Resource
from shuzha.authorization.agreement import Operation, OutputKind, Term
from shuzha.authorization.model import DemandState, GrantState
from shuzha.catalog.model import EntryState
from shuzha.core.conditions import Condition
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.authorization_kit import City


def test_a_demand_becomes_a_scope_with_its_clauses(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    grant = city.grant(authorization, entry)
    scope = grant.scope
    assert grant.state is GrantState.ACTIVE
    assert scope.version == scope.computed_version()
    assert scope.columns == {"resident_id", "period", "kind", "paid", "district_code"}
    assert scope.row_filter == '[{"column":"kind","op":"eq","value":"pension"}]'
    assert scope.valid_until == city.draft(authorization, entry).term.end()
    assert "entries: clause 1.1 (J23 art. 4)" in scope.clause
    assert "term: clause 2 (J23 art. 10(5))" in scope.clause
    assert city.service.get_grant(city.operator, grant.id) == grant
    state = city.service.find_scope(grant.id)
    assert state is not None
    assert state.active
    assert state.scope == scope


def test_a_decision_cites_the_agreement(city: City) -> None:
    entry = city.add_entry()
    grant = city.grant(city.authorize(entry), entry)
    resource = Resource("release", organisation="org_operator", authorization=grant.authorization, grant=grant.id)
    asked = Context(city.clock.now(), entry=entry.id, columns=frozenset({"period"}))
    decision = city.policies.decide(city.operator, "data:release", resource, asked)
    assert decision.allowed
    assert decision.version == grant.scope.version
    assert "clause 1.1 (J23 art. 4)" in decision.rule
    outside = replace(asked, columns=frozenset({"base"}))
    assert not city.policies.can(city.operator, "data:release", resource, outside)


def test_submit_and_check_give_the_day_of_the_answer(city: City) -> None:
    entry = city.add_entry()
    drafted = city.service.draft_demand(city.operator, city.draft(city.authorize(entry), entry))
    assert drafted.due is None
    submitted = city.service.submit_demand(city.operator, drafted.id)
    assert submitted.due == dt.date(2026, 3, 16)
    city.clock.advance(dt.timedelta(days=2))
    assert city.service.check_demand(city.authority, drafted.id, "clear").due == dt.date(2026, 3, 18)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"columns": ("resident_id", "salary")}, "column `salary`, which entry ent_.* does not have"),
        ({"columns": ()}, "names no column"),
        ({"columns": ("kind", "kind")}, "twice"),
        ({"operations": ()}, r"names no operations.*clause 1.3"),
        ({"output_kinds": (OutputKind.MODEL,)}, r"output_kinds `model`.*clause 1.4"),
        ({"purposes": ("advertising",)}, r"purposes `advertising`.*clause 1.2.*accepted: loan-review"),
        ({"places": ()}, "names no place"),
        ({"scenario": " "}, "leaves `scenario` empty; rule: J23 art. 16"),
        ({"value": ""}, "leaves `value` empty"),
        ({"row_filter": (Condition("salary", "gt", 1),)}, "names the column `salary`"),
        ({"entry": "ent_other"}, r"entries `ent_other`.*clause 1.1"),
    ],
)
def test_draft_refuses_what_the_agreement_does_not_hold(city: City, changes: dict[str, object], complaint: str) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    with pytest.raises(Invalid, match=complaint):
        city.service.draft_demand(city.operator, replace(city.draft(authorization, entry), **changes))
    assert city.service.list_demands(city.operator) == ()


def test_draft_refuses_a_term_past_the_authorization(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    end = authorization.agreement.term.valid_until
    for term in (Term(city.today, end + dt.timedelta(days=1)), Term(city.today - dt.timedelta(days=1), end)):
        with pytest.raises(Invalid, match=r"not within the authorization's; rule: clause 2 \(J23 art. 10\(5\)\)"):
            city.service.draft_demand(city.operator, city.draft(authorization, entry, term=term))


def test_draft_refuses_without_force_and_for_a_rival(city: City) -> None:
    entry = city.add_entry()
    signed = city.authorize(entry, to="sign")
    with pytest.raises(NotAllowed, match="is signed"):
        city.service.draft_demand(city.operator, city.draft(signed, entry))
    city.service.countersign(city.authority, signed.id)
    with pytest.raises(NotFound):
        city.service.draft_demand(city.rival, city.draft(signed, entry))
    with pytest.raises(NotAllowed):
        city.service.draft_demand(city.provider, city.draft(signed, entry))


def test_grant_is_given_by_the_entrys_own_provider_after_the_check(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    drafted = city.service.draft_demand(city.operator, city.draft(authorization, entry))
    city.service.submit_demand(city.operator, drafted.id)
    with pytest.raises(TransitionNotAllowed):
        city.service.grant_demand(city.provider, drafted.id, "yes")
    with pytest.raises(NotAllowed):
        city.service.check_demand(city.provider, drafted.id, "mine")
    city.service.check_demand(city.authority, drafted.id, "clear")
    for actor in (city.other_provider, city.operator, city.authority, city.platform):
        with pytest.raises(NotFound if actor is city.other_provider else NotAllowed):
            city.service.grant_demand(actor, drafted.id, "yes")
    assert city.service.grant_demand(city.provider, drafted.id, "yes").demand == drafted.id


def test_refuse_needs_a_reason_and_gives_no_scope(city: City) -> None:
    entry = city.add_entry()
    demand = city.demand(city.authorize(entry), entry)
    with pytest.raises(Invalid, match="without a reason"):
        city.service.refuse_demand(city.provider, demand.id, "")
    with pytest.raises(NotFound):
        city.service.refuse_demand(city.other_provider, demand.id, "no")
    refused = city.service.refuse_demand(city.provider, demand.id, "the scenario has no value to the public")
    assert refused.state is DemandState.REFUSED
    assert city.service.list_grants(city.operator) == ()
    with pytest.raises(TransitionNotAllowed):
        city.service.grant_demand(city.provider, demand.id, "after all")


def test_provider_cannot_refuse_before_the_authority_checked(city: City) -> None:
    entry = city.add_entry()
    drafted = city.service.draft_demand(city.operator, city.draft(city.authorize(entry), entry))
    city.service.submit_demand(city.operator, drafted.id)
    with pytest.raises(NotAllowed, match="has not checked it"):
        city.service.refuse_demand(city.provider, drafted.id, "no")


def test_return_is_no_refusal(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    demand = city.demand(authorization, entry)
    returned = city.service.return_demand(city.provider, demand.id, "name the banks")
    assert (returned.state, returned.due) == (DemandState.DRAFT, None)
    narrower = city.draft(authorization, entry, columns=("resident_id", "paid"), operations=(Operation.VERIFY,))
    city.service.change_demand(city.operator, demand.id, narrower)
    city.service.submit_demand(city.operator, demand.id)
    city.service.check_demand(city.authority, demand.id, "clear now")
    assert city.service.grant_demand(city.provider, demand.id, "yes").scope.columns == {"resident_id", "paid"}


def test_grant_refuses_an_entry_that_was_suspended_meanwhile(city: City) -> None:
    entry = city.add_entry()
    demand = city.demand(city.authorize(entry), entry)
    city.change_entry(entry, state=EntryState.SUSPENDED)
    with pytest.raises(NotAllowed, match="is suspended"):
        city.service.grant_demand(city.provider, demand.id, "yes")


def test_drafts_are_seen_by_their_own_unit_only(city: City) -> None:
    entry = city.add_entry()
    drafted = city.service.draft_demand(city.operator, city.draft(city.authorize(entry), entry))
    assert city.service.list_demands(city.provider) == ()
    assert city.service.list_demands(city.rival) == ()
    with pytest.raises(NotFound):
        city.service.get_demand(city.rival, drafted.id)
    submitted = city.service.submit_demand(city.operator, drafted.id)
    assert city.service.list_demands(city.provider) == (submitted,)
    assert city.service.list_demands(city.other_provider) == ()


def test_close_ends_the_grant(city: City) -> None:
    entry = city.add_entry()
    grant = city.grant(city.authorize(entry), entry)
    city.service.close_demand(city.operator, grant.demand, "the pilot is over")
    assert city.service.get_grant(city.operator, grant.id).state is GrantState.CLOSED
    state = city.service.find_scope(grant.id)
    assert state is not None
    assert not state.active
    assert "the pilot is over" in state.reason
