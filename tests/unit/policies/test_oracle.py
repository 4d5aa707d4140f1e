"""No decision allows what was not granted: an independent, slow evaluator of what was granted is the oracle.

The oracle reads what a grant was made from (sets, narrowings, hours), never the policy lines that it compiles to; who
may is written by hand from the issue, not read from the roles file; which days are worked is a list of its own.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter

import pytest

from policies import OWN_FILE, Context, Hours, Narrowing, Policies, Resource, ScopeState, make_scope
from policies.scopecheck import REQUIRED
from shuzha.core.actor import Actor
from shuzha.core.calendar import WorkingCalendar

BASE = dt.datetime(2026, 2, 27, 10, 0, tzinfo=dt.UTC)  # a Friday; the Saturday after it is a make-up day
WORKED = {dt.date(2026, 2, 27): True, dt.date(2026, 2, 28): True, dt.date(2026, 3, 1): False, dt.date(2026, 3, 2): True}
COLUMNS = ["age", "a,b", "c)", "状态", "x||y"]
WORDS = {
    "entry": ["ent_1", "ent_2", ""],
    "operation": ["view", "train", "verify", "join", ""],
    "output_kind": ["verification", "model", ""],
    "purpose": ["loan-review", "a||b", ""],
    "place": ["workspace", "api", ""],
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


def some(chance, words, share=0.75):
    return [word for word in words if word and chance.random() < share]


def random_made(chance, number):
    """Return what a grant is made from."""
    start = BASE + dt.timedelta(hours=chance.randrange(48), seconds=chance.randrange(3))
    made = {
        "grant": f"grt_{number}", "authorization": "aut_1", "holder": "org_1",
        "entry": chance.choice(["ent_1", "ent_2"]),
        "columns": some(chance, COLUMNS), "operations": some(chance, WORDS["operation"]),
        "output_kinds": some(chance, WORDS["output_kind"]), "purposes": some(chance, WORDS["purpose"]),
        "places": some(chance, WORDS["place"]), "valid_from": start, "partners": some(chance, [OWN_FILE, "ent_9"]),
        "valid_until": start + dt.timedelta(hours=1 + chance.randrange(60)), "clause": "clause 1", "narrowed": [],
    }  # fmt: skip
    if chance.random() < 0.4:
        made["hours"] = random_hours(chance)
    acts = ["use", *made["operations"]]
    acts += [f"{deed}:{kind}" for deed in ("export", "serve") for kind in made["output_kinds"]]
    for act in chance.sample(acts, min(len(acts), chance.randrange(3))):
        hours = random_hours(chance) if chance.random() < 0.3 else None
        columns = tuple(some(chance, made["columns"])) if chance.random() < 0.7 else None
        made["narrowed"].append(Narrowing(act, columns, hours))
    return made


def random_hours(chance):
    opens = chance.choice([0, 510, 720])
    return Hours(opens, chance.choice([opens + 1, 1_080, 1_440]), chance.random() < 0.5)


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


def random_request(chance, made):
    near = {
        "entry": [made["entry"]], "operation": made["operations"], "purpose": made["purposes"],
        "output_kind": made["output_kinds"], "place": made["places"],
    }  # fmt: skip
    words = {
        name: chance.choice(near[name]) if near[name] and chance.random() < 0.9 else chance.choice(WORDS[name])
        for name in WORDS
    }
    pool = made["columns"] if chance.random() < 0.9 else COLUMNS
    partners = some(chance, [OWN_FILE, "ent_9", "ent_8"], 0.5) if words["operation"] == "join" else []
    at = random_moment(chance, made)
    columns = frozenset(column for column in pool if chance.random() < 0.4)
    resource = Resource(
        "release", organisation=chance.choice(["org_1"] * 9 + ["", "org_2"]),
        authorization=chance.choice(["", "aut_1", "aut_1", "aut_1", "aut_2"]), grant=made["grant"],
    )  # fmt: skip
    return resource, Context(at, columns=columns, partners=frozenset(partners), **words)


def random_moment(chance, made):
    tick = dt.timedelta(microseconds=chance.choice([-1, 0, 1]))
    if chance.random() < 0.3:
        return chance.choice([made["valid_from"], made["valid_until"]]) + tick
    edge = dt.datetime(2026, 2, 27, 16, 0, tzinfo=dt.UTC) + dt.timedelta(days=chance.randrange(4))
    minute = chance.choice([0, 510, 511, 720, 721, 1_080, 1_440, 600])
    return edge + dt.timedelta(minutes=minute) + tick


@pytest.mark.parametrize(
    ("requests", "kept"),
    [
        pytest.param(8_000, 50_000, id="everything kept"),
        pytest.param(8_000, 64, id="little kept"),
        pytest.param(100_000, 2_000, marks=pytest.mark.slow, id="a hundred thousand"),
    ],
)
def test_random_requests_are_answered_as_the_oracle_answers(requests, kept):
    chance = random.Random(20260301 + kept)
    makings = [random_made(chance, number) for number in range(300)]
    states = {made["grant"]: ScopeState(make_scope(**made), chance.random() < 0.9) for made in makings}

    class Grants:
        def find_scope(self, grant_id):
            return states.get(grant_id)

    policies, allowed, refused = Policies(Grants(), kept_grants=kept, kept_answers=kept), Counter(), Counter()
    organisations = ("org_1", "org_2", "")
    actors = [Actor(f"acc_{role}", "x", org, frozenset({role}), "api") for role in ROLES for org in organisations]
    likely = [actor for actor in actors if actor.organisation == "org_1"]
    permissions = sorted(REQUIRED)
    for _ in range(requests):
        made = chance.choice(makings)
        resource, context = random_request(chance, made)
        actor = chance.choice(likely if chance.random() < 0.8 else actors)
        permission = chance.choice(permissions)
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
