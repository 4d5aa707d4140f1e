from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from shuzha.authorization import document
from shuzha.authorization.agreement import Allocation, Income, Term
from shuzha.authorization.model import AuthorizationState
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.catalog.model import Authorizing, EntryState
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.authorization_kit import City


def test_walks_from_application_to_force(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry)
    assert found.state is AuthorizationState.ACTIVE
    assert found.providers == ("org_provider",)
    assert [signature.organisation for signature in found.signatures] == ["org_operator", "org_authority"]
    assert all(document.is_signed(found, signature) for signature in found.signatures)
    assert city.service.get_authorization(city.operator, found.id) == found
    tags = [event.tag for event in city.database.events_after(0)]
    verbs = ("apply", "attach", "attach", "qualify", "review", "approve", "publicize", "sign", "countersign")
    assert [tag for tag in tags if tag.startswith("authorization:")] == [f"authorization:{verb}" for verb in verbs]
    assert [tag for tag in tags if tag.startswith("announcement:")] == ["announcement:draft", "announcement:publish"]
    experts = [f"assessment:{verb}" for verb in (*["appoint"] * 3, *["declare", "score"] * 3)]
    assert [tag for tag in tags if tag.startswith("assessment:")] == experts


def test_apply_gives_the_day_of_the_decision(city: City) -> None:
    found = city.authorize(city.add_entry(), to="apply")
    assert found.due == dt.date(2026, 3, 30)
    assert not found.due_provisional
    assert city.service.reject(city.authority, found.id, "the plan has no scenario").due is None


def test_apply_refuses_a_term_past_the_laws_cap(city: City) -> None:
    entry = city.add_entry()
    with pytest.raises(Invalid, match=r"cap of 2 years.*济南市.*art. 10\(5\)"):
        city.authorize(entry, to="apply", term=Term(city.today, city.today + dt.timedelta(days=900)))
    assert city.service.list_authorizations(city.operator) == ()
    assert "authorization:apply" not in [event.tag for event in city.database.events_after(0)]


def test_apply_refuses_a_term_that_is_over(city: City) -> None:
    entry = city.add_entry()
    term = Term(city.today - dt.timedelta(days=9), city.today - dt.timedelta(days=1))
    with pytest.raises(Invalid, match="over already"):
        city.authorize(entry, to="apply", term=term)


def test_apply_refuses_an_allocation_that_does_not_sum(city: City) -> None:
    entry = city.add_entry()
    with pytest.raises(Invalid, match="sums to 9000 basis points"):
        city.authorize(entry, to="apply", income=Income("price", 0, Allocation(4_000, 4_000, 1_000)))


@pytest.mark.parametrize("field", ["title", "legal_representative", "responsible_person", "training_proof"])
def test_apply_refuses_an_empty_field(city: City, field: str) -> None:
    application = replace(city.application(city.add_entry()), **{field: " "})
    with pytest.raises(Invalid, match=f"leaves `{field}` empty"):
        city.service.apply(city.operator, application)


def test_apply_refuses_what_may_never_be_authorized(city: City) -> None:
    for code, changes in (
        ("2020102", {"secret": True}),
        ("2020103", {"authorizing": Authorizing(False, "law")}),
        ("2020104", {"state": EntryState.DRAFT}),
        ("2020105", {"state": EntryState.SUSPENDED}),
        ("2020106", {"endangers_safety": True}),
    ):
        entry = city.add_entry(code, **changes)
        with pytest.raises(NotAllowed, match=f"entry {code}.*J23 art. [78]"):
            city.authorize(entry, to="apply")


def test_apply_refuses_an_unknown_entry_and_a_stranger(city: City) -> None:
    entry = city.add_entry()
    with pytest.raises(NotFound):
        city.authorize(replace(entry, id="ent_none"), to="apply")
    for actor in (city.analyst, city.provider, city.authority, city.platform):
        with pytest.raises(NotAllowed):
            city.service.apply(actor, city.application(entry))


def test_each_step_refuses_another_order(city: City) -> None:
    found = city.authorize(city.add_entry(), to="qualify")
    with pytest.raises(TransitionNotAllowed, match="qualified"):
        city.service.approve(city.authority, found.id, "JZ-1", "in order")
    with pytest.raises(TransitionNotAllowed):
        city.service.sign(city.operator, found.id)
    with pytest.raises(TransitionNotAllowed):
        city.service.suspend(city.authority, found.id, "early")


def test_decisions_refuse_the_wrong_person_and_no_reason(city: City) -> None:
    found = city.authorize(city.add_entry(), to="publicize")
    for actor in (city.rival, city.authority, city.provider):
        with pytest.raises(NotFound if actor is city.rival else NotAllowed):
            city.service.sign(actor, found.id)
    signed = city.service.sign(city.operator, found.id)
    with pytest.raises(NotAllowed):
        city.service.countersign(city.operator, signed.id)
    active = city.service.countersign(city.authority, signed.id)
    with pytest.raises(Invalid, match="without a reason"):
        city.service.suspend(city.authority, active.id, " ")
    with pytest.raises(NotAllowed):
        city.service.suspend(city.operator, active.id, "please")
    assert city.service.get_authorization(city.authority, active.id).state is AuthorizationState.ACTIVE


def test_countersign_refuses_a_document_that_changed_after_the_operator_signed(city: City) -> None:
    signed = city.authorize(city.add_entry(), to="sign")
    assert document.is_signed(signed, signed.signatures[0])
    other = replace(signed, agreement=replace(signed.agreement, exit="none"))
    assert not document.is_signed(other, signed.signatures[0])
    with city.database.work(city.platform) as work:
        work.save(AUTHORIZATIONS, other)
    with pytest.raises(Conflict, match="not the one made public"):
        city.service.countersign(city.authority, signed.id)
    with city.database.work(city.platform) as work:
        found = work.get(AUTHORIZATIONS, signed.id)
        work.save(AUTHORIZATIONS, replace(found, document=document.document_hash(found)))
    with pytest.raises(Conflict, match=r"signature .* does not hold"):
        city.service.countersign(city.authority, signed.id)


def test_approval_may_fix_another_agreement(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry, to="review")
    final = city.agreement(entry, purposes=("statistics",))
    approved = city.service.approve(city.authority, found.id, "JZ-7", "narrowed", final)
    assert approved.agreement.purposes == ("statistics",)
    assert approved.authority == "org_authority"


def test_a_rival_does_not_learn_that_an_authorization_exists(city: City) -> None:
    found = city.authorize(city.add_entry())
    with pytest.raises(NotFound):
        city.service.get_authorization(city.rival, found.id)
    assert city.service.list_authorizations(city.rival) == ()
    for actor in (city.operator, city.analyst, city.authority, city.provider, city.regulator):
        assert city.service.list_authorizations(actor) == (found,)


def test_two_decisions_at_once_make_one_conflict(city: City) -> None:
    found = city.authorize(city.add_entry())
    with city.database.work(city.authority) as work:
        stale = work.get(AUTHORIZATIONS, found.id)
    city.service.suspend(city.authority, found.id, "late report")
    with pytest.raises(Conflict), city.database.work(city.authority) as work:
        work.save(AUTHORIZATIONS, stale)
