"""No decision allows what was not granted: an independent, slow evaluator of what was granted is the oracle.

The oracle reads what a grant was made from (sets, narrowings, hours), never the policy lines that it compiles to; who
may is written by hand from the issue, not read from the roles file; which days are worked is a list of its own.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter

import pytest

from policies import Context, Policies, ScopeState, make_scope
from policies.scopecheck import REQUIRED
from shuzha.core.actor import Actor
from shuzha.core.calendar import WorkingCalendar
from tests.policies_kit import random_made, random_request

WORKED = {dt.date(2026, 2, 27): True, dt.date(2026, 2, 28): True, dt.date(2026, 3, 1): False} | {
    dt.date(2026, 3, day): True for day in (2, 3, 4, 5)
}
ROLES = ["analyst", "operator", "consumer", "provider", "authority"]
HOLDERS = {
    "data:export": {"analyst": "own", "operator": "own"},
    "data:index": {"operator": "own"},
    "data:join": {"analyst": "own", "operator": "own"},
    "data:open": {"analyst": "own"},
    "data:release": {"operator": "own", "analyst": "own"},
    "data:serve": {"consumer": "any"},
    "data:view": {"analyst": "own", "operator": "own"},
}
MUST_SAY = {  # Written from the reference page.
    "data:export": ("entry", "operation", "output_kind", "purpose", "place"),
    "data:index": ("entry", "columns", "operation", "output_kind", "place"),
    "data:join": ("entry", "columns", "operation", "partners", "place"),
    "data:open": ("entry", "operation", "place"),
    "data:release": ("entry", "columns"),
    "data:serve": ("entry", "output_kind", "purpose", "place"),
    "data:view": ("entry",),
}


def is_open(hours, at):
    if hours is None:
        return True
    there = at + dt.timedelta(hours=8)
    if hours.working_days and not WORKED.get(there.date(), False):
        return False
    return hours.opens <= there.hour * 60 + there.minute < hours.closes


def oracle(actor, permission, resource, context, made, active):
    """Say yes only where each thing that is asked was granted, one by one."""
    relations = {HOLDERS[permission].get(role) for role in actor.roles} - {None}
    if not ("any" in relations or ("own" in relations and actor.organisation == resource.organisation != "")):
        return False
    if not active or resource.organisation != made["holder"] or resource.authorization not in ("", "aut_1"):
        return False
    if not all(getattr(context, name) for name in MUST_SAY[permission]):
        return False
    if context.at < made["valid_from"] or not context.at < made["valid_until"]:
        return False
    if context.entry != made["entry"]:
        return False
    for name in ("operation", "output_kind", "purpose", "place"):
        if getattr(context, name) and getattr(context, name) not in made[f"{name}s"]:
            return False
    if context.partners and context.operation != "join":
        return False
    if permission in ("data:export", "data:index", "data:serve"):
        if context.partners or not context.output_kind:
            return False
        act = f"{'export' if permission == 'data:export' else 'serve'}:{context.output_kind}"
    else:
        act = context.operation or "use"
    if any(partner not in made["partners"] for partner in context.partners):
        return False
    columns, hours = made["columns"], made.get("hours")
    for narrowing in made["narrowed"]:
        if narrowing.act == act:
            columns = columns if narrowing.columns is None else narrowing.columns
            hours = narrowing.hours or hours
    return all(column in columns for column in context.columns) and is_open(hours, context.at)


@pytest.mark.parametrize(
    ("requests", "kept"),
    [
        pytest.param(3_000, 50_000, id="everything kept"),
        pytest.param(2_000, 64, id="little kept"),
        pytest.param(100_000, 2_000, marks=pytest.mark.slow, id="a hundred thousand"),
    ],
)
def test_random_requests_are_answered_as_the_oracle_answers(requests, kept):
    chance = random.Random(20260301 + kept)
    makings = [random_made(chance, number) for number in range(min(300, requests // 25))]
    states = {made["grant"]: ScopeState(make_scope(**made), chance.random() < 0.9) for made in makings}

    class Grants:
        def find_scope(self, grant_id):
            return states.get(grant_id)

    policies, allowed, refused = Policies(Grants(), kept_grants=kept, kept_answers=kept), Counter(), Counter()
    organisations = ("org_1", "org_2", "")
    actors = [Actor(f"acc_{role}", "x", org, frozenset({role}), "api") for role in ROLES for org in organisations]
    likely = {
        permission: [each for each in actors if each.organisation == "org_1" and each.roles & set(holders)]
        for permission, holders in HOLDERS.items()
    }
    permissions = sorted(REQUIRED)
    for _ in range(requests):
        made = chance.choice(makings)
        resource, context = random_request(chance, made)
        permission = chance.choice(permissions)
        actor = chance.choice(likely[permission] if chance.random() < 0.8 else actors)
        expected = oracle(actor, permission, resource, context, made, states[made["grant"]].active)
        decision = policies.decide(actor, permission, resource, context)
        assert decision.allowed is expected, (permission, resource, context, made, decision)
        assert decision.code != "fault"
        if expected:
            allowed[permission] += 1
            assert decision.version == states[made["grant"]].scope.version
            # The answer is still the answer at the last moment for which it may be kept.
            last = decision.valid_until - dt.timedelta(microseconds=1)
            later = Context(**{**{name: getattr(context, name) for name in Context.__slots__}, "at": last})
            assert oracle(actor, permission, resource, later, made, True), decision
        else:
            refused[decision.code] += 1
    assert set(allowed) == set(REQUIRED), "each permission must have been allowed at times"
    assert sum(allowed.values()) > requests / 40
    assert len(refused) > 12, refused


def test_the_oracles_days_are_the_calendars():
    calendar = WorkingCalendar()
    assert all(calendar.is_working_day(day) is worked for day, worked in WORKED.items())
    assert dict(REQUIRED) == MUST_SAY
