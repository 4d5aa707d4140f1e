"""Why may or may not: the parts beside each line say what the decision says."""

import dataclasses
import datetime as dt
import random

from policies import Context, Hours, Narrowing, Policies, Quota, Resource, ScopeState, make_scope
from policies.explain import explain, line_text, scope_permissions
from shuzha.core.actor import Actor
from tests.policies_kit import random_made, random_request

RELEASE = Resource("release", "rel_1", organisation="org_operator", authorization="aut_1", grant="grt_1")
DURING = dt.datetime(2026, 6, 1, 2, tzinfo=dt.UTC)
OPEN = Context(DURING, entry="ent_1", operation="view", place="workspace")


def test_a_yes_names_its_line_and_clause(policies, person):
    found = explain(policies, person("analyst"), "data:open", RELEASE, OPEN)
    assert found.decision.allowed
    assert found.lines[0].allows
    assert found.lines[0].number == found.decision.line
    assert any("data:open,analyst,own" in line for line in found.role_lines)


def test_a_no_shows_the_nearest_line_and_the_part_that_fails(policies, person):
    asked = dataclasses.replace(OPEN, columns=frozenset({"name"}))
    found = explain(policies, person("analyst"), "data:open", RELEASE, asked)
    failing = [part for part in found.lines[0].parts if not part.holds]
    assert [(part.name, part.asked) for part in failing] == [("columns", ("name",))]
    assert "age" in failing[0].granted


def test_what_is_not_said_is_named(policies, person):
    found = explain(policies, person("analyst"), "data:open", RELEASE, dataclasses.replace(OPEN, place=""))
    assert (found.decision.allowed, found.missing) == (False, ("place",))


def test_a_suspended_grant_says_so(policies, grants, make_grant, person):
    assert explain(policies, person("analyst"), "data:open", RELEASE, OPEN).standing == ""
    grants.put(make_grant(), active=False, reason="authorization aut_1 is suspended: late")
    found = explain(policies, person("analyst"), "data:open", RELEASE, OPEN)
    assert (found.decision.code, found.standing) == ("scope.inactive", "authorization aut_1 is suspended: late")


def test_a_permission_without_a_grant_is_explained_by_roles_alone(policies, person):
    found = explain(policies, person("analyst"), "entry:publish", Resource("entry", "ent_1"), Context(DURING))
    assert (found.lines, found.grant) == ((), "")
    assert found.role_lines == ("roles.csv: entry:publish,authority,any (J23 art. 7)",)


def test_a_request_that_cannot_be_decided_is_still_explained(policies, person):
    asked = dataclasses.replace(OPEN, columns=["age"])
    assert explain(policies, person("analyst"), "data:open", RELEASE, asked).decision.code == "fault"


def test_hours_and_quota_stand_in_the_text_of_a_line(make_grant):
    scope = make_grant(hours=Hours(510, 1_080, True), quota=Quota(100), narrowed=[Narrowing("view", ("age",))])
    texts = [line_text(line) for line in scope.lines]
    assert any("hours: 08:30-18:00 on working days" in text for text in texts)
    assert any("quota: 100 per day" in text for text in texts)


def test_a_line_allows_exactly_where_the_decision_does():
    chance, both = random.Random(11), set()
    makings = [random_made(chance, number) for number in range(40)]
    states = {made["grant"]: ScopeState(make_scope(**made), True) for made in makings}

    class Grants:
        def find_scope(self, grant_id):
            return states.get(grant_id)

    policies = Policies(Grants())
    analyst = Actor("acc_1", "x", "org_1", frozenset({"analyst", "operator", "consumer"}), "api")
    for _ in range(300):
        resource, context = random_request(chance, chance.choice(makings))
        found = explain(policies, analyst, chance.choice(scope_permissions()).value, resource, context)
        if found.missing or found.decision.code in ("scope.authorization", "relation.own"):
            assert not found.decision.allowed
            continue
        assert any(line.allows for line in found.lines) is found.decision.allowed, found
        both.add(found.decision.allowed)
    assert both == {True, False}
