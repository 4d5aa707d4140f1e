"""Nobody decides on his own: not in two roles, not in two accounts, not for a unit that also leads or authorizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shuzha.authorization import document
from shuzha.authorization.announcement import Mode
from shuzha.authorization.filing import verify_agreement
from shuzha.authorization.model import AuthorizationState, DemandState
from shuzha.authorization.qualification import clear_checks
from shuzha.authorization.store import AUTHORIZATIONS, FILINGS
from shuzha.core.errors import Conflict, NotAllowed, NotFound
from shuzha.people.model import Account, AccountState
from shuzha.people.staff import Identity
from shuzha.people.staff_store import IDENTITIES
from shuzha.people.store import ACCOUNTS
from tests.authorization_kit import City, person


def two_hats(*roles: str):
    """Return a colleague of the applicant who holds these roles too."""
    return person("li", "org_operator", "operator", *roles)


@pytest.mark.parametrize("verb", ["qualify", "approve", "publicize", "countersign", "restore"])
def test_no_authority_decides_for_its_own_unit(city: City, verb: str) -> None:
    before = {"qualify": "apply", "approve": "review", "publicize": "approve", "countersign": "sign"}
    found = city.authorize(city.add_entry(), to=before.get(verb, "countersign"))
    if verb == "qualify":
        city.attach(found)
    if verb == "restore":
        city.service.suspend(city.authority, found.id, "looked into")
    steps = {
        "qualify": lambda actor: city.service.qualify(actor, found.id, clear_checks(city.today), "in order"),
        "approve": lambda actor: city.service.approve(actor, found.id, "JZ-2026-7", "in order"),
    }
    step = steps.get(verb, lambda actor: getattr(city.service, verb)(actor, found.id, "in order"))
    for actor in (two_hats("authority"), person("colleague", "org_operator", "authority")):
        with pytest.raises(NotAllowed):
            step(actor)
    assert step(city.authority).reason == "in order"


def test_a_unit_does_not_lead_the_review_of_its_own_application(city: City) -> None:
    city.provider = provider = person("li", "org_operator", "operator", "provider")
    entry = city.change_entry(city.add_entry(), provider="org_operator")
    announced = city.announce(mode=Mode.FIELD, field="water", provider="org_operator")
    found = city.service.apply(city.operator, city.application(entry, announcement=announced))
    city.attach(found)
    city.service.qualify(city.authority, found.id, clear_checks(city.today), "in order")
    experts = [one.id for one in city.experts[:3]]
    with pytest.raises(NotAllowed, match="own application"):
        city.service.appoint_experts(provider, found.id, experts, "friends")
    with pytest.raises(NotAllowed, match="own application"):
        city.service.list_candidates(provider, found.id)
    with pytest.raises(NotAllowed, match="own application"):
        city.service.review(provider, found.id, "we are good")


def test_nobody_checks_or_grants_a_demand_of_his_own(city: City) -> None:
    entry = city.change_entry(city.add_entry(), provider="org_operator")
    authorization = city.authorize(entry)
    hats = two_hats("authority", "provider")
    draft = city.service.draft_demand(hats, city.draft(authorization, entry))
    city.service.submit_demand(hats, draft.id)
    with pytest.raises(NotAllowed):
        city.service.check_demand(hats, draft.id, "fine")
    assert city.service.check_demand(city.authority, draft.id, "fine").state is DemandState.CHECKED
    with pytest.raises(NotAllowed):
        city.service.grant_demand(hats, draft.id, "fine")
    colleague = person("wang", "org_operator", "provider")
    assert city.service.grant_demand(colleague, draft.id, "fine").demand == draft.id


def test_the_authority_that_the_document_names_countersigns_it_and_no_other(city: City) -> None:
    found = city.authorize(city.add_entry(), to="sign")
    other = person("zhou", "org_other_authority", "authority")
    with pytest.raises(NotAllowed, match="org_authority"):
        city.service.countersign(other, found.id)
    active = city.service.countersign(city.authority, found.id)
    key = bytes.fromhex(city.service.agreement_key())
    assert verify_agreement(city.service.read_agreement(city.operator, active.id), key).sound


def forge(city: City, found, **changes):
    """Sign as an organisation with a key that is not its own, as somebody who edits the records could."""
    stranger = type(city.keys).create(city.folder / "stranger")
    signer = person("li", found.operator, "operator")
    return document.sign_document(stranger, signer, found, city.clock.now())


def test_a_signature_by_a_key_that_is_not_the_units_holds_for_nobody(city: City) -> None:
    found = city.authorize(city.add_entry(), to="sign")
    with city.database.work(city.platform) as work:
        forged = work.save(AUTHORIZATIONS, replace(found, signatures=(forge(city, found),)))
    assert document.is_signed(forged, forged.signatures[0]), "it fits the key that it names"
    assert not city.service.is_signed(forged, forged.signatures[0])
    assert city.service.is_signed(found, found.signatures[0])
    with pytest.raises(Conflict, match="does not hold"):
        city.service.countersign(city.authority, found.id)
    with city.database.work(city.platform) as work:
        work.save(AUTHORIZATIONS, replace(forged, signatures=found.signatures))
    assert city.service.countersign(city.authority, found.id).state is AuthorizationState.ACTIVE


def test_the_platform_states_no_key_that_somebody_wrote_into_the_filing(city: City) -> None:
    found = city.authorize(city.add_entry())
    assert city.service.read_agreement(city.operator, found.id)
    with city.database.work(city.platform) as work:
        filing = work.get(FILINGS, found.id)
        signatures = (forge(city, found), filing.signatures[1])
        work.save(FILINGS, replace(filing, signatures=signatures))
    with pytest.raises(Conflict, match="does not hold"):
        city.service.read_agreement(city.operator, found.id)


def test_no_grant_rests_on_an_agreement_that_nobody_signed(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry, purposes=("statistics",))
    wider = replace(found, agreement=replace(found.agreement, purposes=("statistics", "loan-review")))
    with city.database.work(city.platform) as work:
        wider = work.save(AUTHORIZATIONS, wider)
    with pytest.raises(Conflict, match="not the one"):
        city.service.draft_demand(city.operator, city.draft(found, entry))
    with city.database.work(city.platform) as work:
        work.save(AUTHORIZATIONS, replace(wider, agreement=found.agreement))
    assert city.grant(found, entry, purposes=("statistics",)).scope.purposes == {"statistics"}


def tie(
    city: City, account: str, organisation: str, person_hash: str, state: AccountState = AccountState.ACTIVE
) -> None:
    with city.database.work(city.platform) as work:
        if work.find(ACCOUNTS, account) is None:
            work.add(ACCOUNTS, Account(
                account, account, account.replace("acc_", "u-"), account, organisation, frozenset({"analyst"}), "",
                state, city.clock.now(),
            ))  # fmt: skip
        work.add(
            IDENTITIES, Identity(f"idt_{account}", account, organisation, person_hash, "acc_root", city.clock.now())
        )


@pytest.mark.parametrize("state", list(AccountState))
def test_an_expert_who_works_for_a_party_under_another_account_is_no_third_party(city: City, state) -> None:
    found = city.authorize(city.add_entry(), to="qualify")
    tie(city, "acc_expert1", "org_institute1", "one person")
    tie(city, "acc_moonlight", "org_operator", "one person", state)
    tie(city, "acc_expert2", "org_institute2", "another person")
    with pytest.raises(NotAllowed, match="party"):
        city.service.appoint_experts(city.authority, found.id, ["acc_expert1"], "third parties")
    assert "acc_expert1" not in dict(city.service.list_candidates(city.authority, found.id))
    assert city.service.appoint_experts(city.authority, found.id, ["acc_expert2"], "third parties")


@pytest.mark.parametrize("role", ["registry", "regulator", "authority"])
def test_who_may_read_every_application_reads_none_blind(city: City, role: str) -> None:
    found = city.authorize(city.add_entry(), to="qualify")
    (asked,) = city.service.appoint_experts(city.authority, found.id, [city.experts[1].id], "third parties")
    city.service.declare_no_conflict(city.experts[1], asked.id)
    assert city.service.read_blind(city.experts[1], asked.id)

    def promote(expert):
        with city.database.work(city.platform) as work:
            account = work.get(ACCOUNTS, expert.id)
            return work.save(ACCOUNTS, replace(account, roles=frozenset({"expert", role}))).actor("portal")

    promote(city.experts[0])
    with pytest.raises(NotAllowed, match="whose application"):
        city.service.appoint_experts(city.authority, found.id, [city.experts[0].id], "third parties")
    promoted = promote(city.experts[1])
    with pytest.raises(NotAllowed, match="whose application"):
        city.service.score(promoted, asked.id, city.spread(asked, 80), "worth it")


def test_a_provider_sees_the_applications_for_its_own_entries_and_no_others(city: City) -> None:
    found = city.authorize(city.add_entry(), to="apply")
    rival = person("sun", "org_rival", "operator", "provider")
    for actor in (rival, city.other_provider):
        with pytest.raises(NotFound):
            city.service.get_authorization(actor, found.id)
        assert city.service.list_authorizations(actor) == ()
    assert city.service.list_authorizations(city.provider) == (found,)
