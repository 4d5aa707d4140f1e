"""No decision allows what the agreement does not contain: the agreement's own lists are the oracle."""

from __future__ import annotations

import datetime as dt
import random

from policies import OWN_FILE, Context, Hours, Narrowing, Policies, Quota, Resource, ScopeState
from policies.rolebook import RoleBook
from policies.scopecheck import REQUIRED
from shuzha.authorization.agreement import Agreement, Allocation, Income, Operation, OutputKind, Place, Term
from shuzha.authorization.model import DemandDraft, check_demand_fits
from shuzha.authorization.scope import compile_scope
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid

FIRST = dt.date(2026, 3, 2)
ENTRIES = ("ent_1", "ent_2", "ent_3")
PURPOSES = ("loan-review", "statistics", "insurance")
ELEMENTS = ("age", "base", "district", "name")
INCOME = Income("price times calls", 1_000, Allocation(3_000, 2_000, 5_000))


def some(chance, words, least=1):
    return tuple(chance.sample(list(words), chance.randint(least, len(words))))


def random_term(chance):
    start = FIRST + dt.timedelta(days=chance.randrange(4))
    return Term(start, start + dt.timedelta(days=chance.randrange(5)))


def random_agreement(chance):
    return Agreement(
        some(chance, ENTRIES), random_term(chance), some(chance, PURPOSES), some(chance, Operation),
        some(chance, OutputKind), INCOME, "duties", "security", "exit", "disposal",
    )  # fmt: skip


def random_draft(chance, agreement):
    """Return a demand that asks mostly, and not always, for what the agreement holds."""

    def of(agreed, every):
        return some(chance, agreed if chance.random() < 0.95 else every)

    operations = of(agreement.operations, Operation)
    joins = of((OWN_FILE, *agreement.entries), ENTRIES) if Operation.JOIN in operations else ()
    narrowed = (Narrowing(operations[0], ("age",)),) if chance.random() < 0.3 else ()
    return DemandDraft(
        "aut_1", of(agreement.entries, ENTRIES)[0], "scenario", "value",
        tuple(dict.fromkeys(("age", *some(chance, ELEMENTS)))),
        operations, of(agreement.output_kinds, OutputKind), of(agreement.purposes, PURPOSES),
        agreement.term if chance.random() < 0.6 else random_term(chance),
        places=some(chance, Place), joins=joins, narrowed=narrowed,
        hours=Hours(480, 1_080) if chance.random() < 0.3 else None, quota=Quota(9) if chance.random() < 0.3 else None,
    )  # fmt: skip


def random_context(chance, draft):
    """Return a request that lies mostly, and not always, inside the demand."""

    def of(asked, every):
        return chance.choice(list(asked if chance.random() < 0.9 else ("", *every)))

    at = draft.term.start() + dt.timedelta(hours=chance.randrange(-3, 124))
    return Context(
        at, of([draft.entry], ENTRIES), frozenset(some(chance, draft.columns, 0)), of(draft.operations, Operation),
        of(draft.output_kinds, OutputKind), of(draft.purposes, PURPOSES), of(draft.places, Place),
        frozenset(some(chance, (OWN_FILE, *ENTRIES), 0)[:1] if chance.random() < 0.3 else ()),
    )  # fmt: skip


def is_agreed(agreement, context):
    day = (context.at + dt.timedelta(hours=8)).date()
    return (
        agreement.term.valid_from <= day <= agreement.term.valid_until
        and context.entry in agreement.entries
        and (not context.operation or context.operation in agreement.operations)
        and (not context.output_kind or context.output_kind in agreement.output_kinds)
        and (not context.purpose or context.purpose in agreement.purposes)
        and all(partner == OWN_FILE or partner in agreement.entries for partner in context.partners)
    )


def test_no_grant_of_a_demand_that_fits_allows_more_than_its_agreement():
    chance, allowed, granted = random.Random(16), 0, 0
    roles = RoleBook.load()
    everybody = Actor("acc_1", "x", "org_1", frozenset({"analyst", "operator", "consumer"}), "api")
    resource = Resource("data", organisation="org_1", authorization="aut_1", grant="grt_1")
    for _ in range(250):
        agreement = random_agreement(chance)
        draft = random_draft(chance, agreement)
        try:
            check_demand_fits(draft, agreement, ELEMENTS)
        except Invalid:
            continue
        granted += 1
        scope = compile_scope("grt_1", "aut_1", "org_1", draft, agreement)

        class One:
            def find_scope(self, grant_id, scope=scope):
                return ScopeState(scope, active=True)

        policies = Policies(One(), roles=roles)
        for _ in range(40):
            context, permission = random_context(chance, draft), chance.choice(sorted(REQUIRED))
            decision = policies.decide(everybody, permission, resource, context)
            assert decision.code != "fault"
            if decision.allowed:
                allowed += 1
                assert is_agreed(agreement, context), (permission, context, agreement)
                assert decision.clause
                assert decision.article.startswith("J23")
    assert granted > 50
    assert allowed > 50


def test_every_part_of_a_scope_cites_its_clause():
    agreement = random_agreement(random.Random(1))
    draft = DemandDraft(
        "aut_1", agreement.entries[0], "scenario", "value", ("age",), agreement.operations[:1],
        agreement.output_kinds[:1], agreement.purposes[:1], agreement.term,
    )  # fmt: skip
    scope = compile_scope("grt_1", "aut_1", "org_1", draft, agreement)
    cited = {each.part: each for each in scope.citations}
    parts = ("entries", "purposes", "operations", "output_kinds", "term")
    assert {part: cited[part].text() for part in parts} == {part: agreement.clause(part).citation() for part in parts}
    assert set(cited) == {*parts, "columns", "hours", "partners", "places", "parties", "quota", "suspension"}
