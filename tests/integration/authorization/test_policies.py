"""Questions about policies over real records: why, what if, ODRL, and what a demand compiles to."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest

from policies import OWN_FILE, Context, Hours, Narrowing, Quota, Resource
from shuzha.authorization.agreement import Operation, OutputKind, Term
from shuzha.authorization.explaining import Change, PolicyVerbs, Question
from shuzha.authorization.model import Grant
from shuzha.core.errors import Invalid, NotFound
from shuzha.people.model import Account, AccountState
from shuzha.people.store import ACCOUNTS
from tests.authorization_kit import NOW, City


@pytest.fixture
def verbs(city: City) -> PolicyVerbs:
    return PolicyVerbs(city.database, city.policies, city.law, city.keys)


@pytest.fixture
def grant(city: City) -> Grant:
    entry = city.add_entry()
    operations = (Operation.VIEW, Operation.AGGREGATE, Operation.JOIN, Operation.VERIFY)
    return city.grant(
        city.authorize(entry), entry, operations=operations, quota=Quota(1_000),
        hours=Hours(480, 1_200), narrowed=(Narrowing("export:verification", ("period", "paid")),),
    )  # fmt: skip


def account(city: City, name: str, organisation: str, role: str) -> Account:
    with city.database.work(city.platform) as work:
        return work.add(
            ACCOUNTS,
            Account(
                f"acc_{name}", name, f"u-{name}", name, organisation, frozenset({role}), "", AccountState.ACTIVE, NOW
            ),
        )


def asked(grant: Grant, **changes: object) -> Question:
    question = Question(
        "data:export", grant=grant.id, columns=frozenset({"period"}), operation="aggregate",
        output_kind="verification", purpose="loan-review", place="workspace",
    )  # fmt: skip
    return dataclasses.replace(question, **changes)


def test_a_yes_cites_policy_line_clause_and_article(city: City, verbs: PolicyVerbs, grant: Grant) -> None:
    found = verbs.explain(city.operator, asked(grant))
    decision = found.decision
    assert decision.allowed
    assert (decision.clause, decision.article) == ("clause 1.4", "J23 art. 4(3)")
    assert decision.rule.startswith(f"scope {grant.id}@{grant.scope.version[:12]} line ")
    assert decision.rule.endswith("clause 1.4 (J23 art. 4(3))")


@pytest.mark.parametrize(
    ("changes", "code", "clause", "article"),
    [
        ({"purpose": "statistics"}, "scope.purpose", "clause 1.2", "J23 art. 16"),
        ({"operation": "train"}, "scope.operation", "clause 1.3", "J23 art. 4"),
        ({"output_kind": "report"}, "scope.output_kind", "clause 1.4", "J23 art. 4(3)"),
        ({"columns": frozenset({"kind"})}, "scope.columns", "the scenario demand", "J23 art. 16"),
        ({"place": "home"}, "scope.place", "the scenario demand", "J23 art. 15"),
        ({"at": NOW + dt.timedelta(days=200)}, "scope.expired", "clause 2", "J23 art. 10(5)"),
        ({"at": NOW - dt.timedelta(hours=6)}, "scope.hours", "the scenario demand", "J23 art. 16"),
        ({"purpose": ""}, "scope.purpose.missing", "clause 1.2", "J23 art. 16"),
    ],
)
def test_a_no_cites_the_clause_that_it_rests_on(
    city: City, verbs: PolicyVerbs, grant: Grant, changes: dict[str, object], code: str, clause: str, article: str
) -> None:
    decision = verbs.explain(city.operator, asked(grant, **changes)).decision
    assert (decision.allowed, decision.code, decision.clause, decision.article) == (False, code, clause, article)


def test_a_suspension_cites_art_14(city: City, verbs: PolicyVerbs, grant: Grant) -> None:
    city.service.suspend(city.authority, grant.authorization, "the report is late")
    found = verbs.explain(city.operator, asked(grant))
    assert (found.decision.code, found.decision.article) == ("scope.inactive", "J23 art. 14")
    assert "the report is late" in found.standing


def test_people_ask_about_themselves_units_about_their_own_the_authority_about_anybody(
    city: City, verbs: PolicyVerbs, grant: Grant
) -> None:
    account(city, "zhao", "org_operator", "analyst")
    account(city, "sun", "org_rival", "operator")
    assert verbs.explain(city.operator, asked(grant, account="zhao")).actor == "acc_zhao"
    assert verbs.explain(city.authority, asked(grant, account="acc_zhao")).decision.allowed
    assert not verbs.explain(city.authority, asked(grant, account="sun")).decision.allowed
    hidden = ((city.operator, "sun"), (city.analyst, "sun"), (city.provider, "zhao"), (city.authority, "nobody"))
    for actor, who in hidden:
        with pytest.raises(NotFound, match="no account"):
            verbs.explain(actor, asked(grant, account=who))
    with pytest.raises(NotFound):
        verbs.explain(city.rival, asked(grant))
    with pytest.raises(Invalid, match="time zone"):
        verbs.explain(city.operator, asked(grant, at=dt.datetime(2026, 4, 1)))  # noqa: DTZ001


def test_a_role_decision_is_explained_without_a_grant(city: City, verbs: PolicyVerbs) -> None:
    question = Question(
        "authorization:approve", kind="authorization", organisation="org_operator", author=city.operator.id
    )
    assert verbs.explain(city.authority, question).decision.allowed
    assert verbs.explain(city.operator, question).decision.code == "role.missing"


def test_a_grant_goes_out_as_odrl_and_is_known_again(city: City, verbs: PolicyVerbs, grant: Grant) -> None:
    document = json.loads(json.dumps(verbs.export_odrl(city.provider, grant.id)))
    assert document["assigner"].endswith("org_provider")
    assert verbs.check_odrl(city.regulator, document).identical
    assert not verbs.check_odrl(city.rival, document).known
    with pytest.raises(NotFound):
        verbs.export_odrl(city.rival, grant.id)
    document["shuzha:columns"].append("name")
    with pytest.raises(Invalid, match="hash"):
        verbs.check_odrl(city.regulator, document)


def test_what_if_names_the_clause_and_what_would_be_refused(city: City, verbs: PolicyVerbs, grant: Grant) -> None:
    kept = (Operation.VIEW, Operation.JOIN, Operation.VERIFY)
    found = verbs.what_if(city.authority, grant.authorization, Change(operations=kept))
    assert found.clauses == ("clause 1.3 (J23 art. 4): view, join, verify",)
    difference = found.differences[0]
    assert [(part.name, part.lost) for part in difference.parts] == [("operations", ("aggregate",))]
    assert {flip.context.operation for flip in difference.flips} == {"aggregate"}
    assert difference.narrows
    assert not difference.widens
    # Nothing has changed.
    assert verbs.explain(city.operator, asked(grant)).decision.allowed


def test_what_if_the_agreement_were_wider_changes_no_grant(city: City, verbs: PolicyVerbs, grant: Grant) -> None:
    change = Change(purposes=("loan-review", "statistics", "insurance"), output_kinds=tuple(OutputKind))
    found = verbs.what_if(city.operator, grant.authorization, change)
    assert len(found.clauses) == 2
    assert [(one.flips, one.parts) for one in found.differences] == [((), ())]


def test_what_if_the_term_ended_before_it_began_ends_the_grant(city: City, verbs: PolicyVerbs, grant: Grant) -> None:
    before = city.today - dt.timedelta(days=30)
    found = verbs.what_if(city.authority, grant.authorization, Change(term=Term(before, before)))
    assert found.differences[0].after == ""
    assert found.differences[0].narrows
    with pytest.raises(NotFound):
        verbs.what_if(city.rival, grant.authorization, Change())


def test_a_join_is_with_what_the_demand_names(city: City) -> None:
    entry, other = city.add_entry(), city.add_entry("2020102")
    authorization = city.authorize(entry, other)
    own = city.grant(authorization, entry, operations=(Operation.JOIN,))
    named = city.grant(authorization, entry, operations=(Operation.JOIN,), joins=(other.id,))

    def may(grant: Grant, partner: str) -> bool:
        resource = Resource("data", organisation="org_operator", grant=grant.id)
        context = Context(
            NOW, entry.id, frozenset({"period"}), "join", place="workspace", partners=frozenset({partner})
        )
        return city.policies.can(city.operator, "data:join", resource, context)

    assert [may(own, OWN_FILE), may(own, other.id)] == [True, False]
    assert [may(named, OWN_FILE), may(named, other.id)] == [False, True]
    with pytest.raises(Invalid, match="does not hold"):
        city.demand(authorization, entry, operations=(Operation.JOIN,), joins=("ent_9",))
    with pytest.raises(Invalid, match="does not ask to join"):
        city.demand(authorization, entry, joins=(OWN_FILE,))


def test_a_narrowing_of_what_is_not_asked_is_refused(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    with pytest.raises(Invalid, match="narrowed and not granted"):
        city.demand(authorization, entry, narrowed=(Narrowing("train", ("period",)),))
    assert city.service.list_demands(city.operator) == ()
