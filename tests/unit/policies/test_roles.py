import datetime as dt
import logging

import pytest

from policies import Context, Policies, Resource, check_exclusive
from policies.enforcers import TinyEnforcer
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotAllowed

NOW = Context(dt.datetime(2026, 6, 1, tzinfo=dt.UTC))
EXPORT = Resource("export", "exp_1", organisation="org_operator", author="acc_chen")


def test_decide_allows_a_provider_its_own_entry_only(policies, person):
    provider = person("provider", "org_medical")
    own = policies.decide(provider, "entry:submit", Resource("entry", "ent_1", organisation="org_medical"), NOW)
    other = policies.decide(provider, "entry:submit", Resource("entry", "ent_2", organisation="org_transit"), NOW)
    assert own.allowed
    assert "entry:submit,provider,own" in own.rule
    assert not other.allowed
    assert other.code == "relation.own"
    assert "only what belongs to the actor's organisation" in other.reason


def test_decide_says_who_may_where_the_role_is_missing(policies, person):
    decision = policies.decide(person("analyst"), "entry:publish", Resource("entry", "ent_1"), NOW)
    assert not decision.allowed
    assert "`entry:publish` on entry ent_1 is for: data authority 数据主管部门" in decision.reason
    assert "J23 art. 7" in decision.rule


def test_check_raises_with_reason_and_rule(policies, person):
    with pytest.raises(NotAllowed, match="is for: data authority") as caught:
        policies.check(person("operator"), "authorization:approve", Resource("authorization", "aut_1"), NOW)
    assert caught.value.rule is not None
    asked = Resource("authorization", "aut_1", "org_unit", "acc_applicant")
    assert policies.check(person("authority"), "authorization:approve", asked, NOW).allowed


@pytest.mark.parametrize(
    ("organisation", "identifier", "allowed"),
    [
        ("org_checkers", "acc_wang", True),
        ("org_operator", "acc_wang", False),  # of the author's organisation
        ("org_checkers", "acc_chen", False),  # the author, now elsewhere
        ("", "acc_wang", False),
    ],
)
def test_review_is_for_the_independent_only(policies, person, organisation, identifier, allowed):
    checker = person("checker", organisation, identifier)
    if not organisation:
        checker = Actor(identifier, "Wang", "", frozenset({"checker"}), "portal")
    assert policies.can(checker, "export:review", EXPORT, NOW) is allowed


def test_a_missing_attribute_denies(policies, person):
    checker = person("checker", "org_checkers")
    assert not policies.can(checker, "export:review", Resource("export", "exp_1", organisation="org_operator"), NOW)
    assert not policies.can(checker, "export:review", Resource("export", "exp_1", author="acc_chen"), NOW)
    nobody = Actor("acc_x", "x", "", frozenset({"provider"}), "portal")
    assert not policies.can(nobody, "entry:submit", Resource("entry", "ent_1"), NOW)
    assert not policies.can(person("analyst"), "workspace:start", Resource("workspace", "wsp_1"), NOW)


def test_platform_verbs_are_for_processes_only(policies):
    batch = Resource("batch", "bat_1", organisation="org_medical")
    assert policies.can(platform_actor("ingest"), "batch:ingest", batch, NOW)
    impostor = Actor("acc_1", "x", "org_operator", frozenset({"platform"}), "portal")
    assert not policies.can(impostor, "batch:ingest", batch, NOW)


def test_roles_that_exclude_each_other_are_denied_everything(policies):
    both = Actor("acc_1", "x", "org_1", frozenset({"administrator", "authority"}), "portal")
    decision = policies.decide(both, "account:create", Resource("account"), NOW)
    assert not decision.allowed
    assert decision.code == "roles.separation"


@pytest.mark.parametrize("roles", [{"administrator", "auditor"}, {"auditor", "checker"}, {"platform"}, {"king"}])
def test_check_exclusive_refuses(roles):
    with pytest.raises(Invalid):
        check_exclusive(roles)


def test_check_exclusive_lets_business_roles_stand_together():
    check_exclusive({"operator", "analyst", "consumer"})


def test_an_unknown_permission_is_denied(policies, person):
    assert policies.decide(person("authority"), "entry:fly", Resource("entry"), NOW).code == "permission.unknown"


def test_a_naive_moment_is_denied(policies, person):
    naive = Context(dt.datetime(2026, 6, 1))  # noqa: DTZ001
    assert not policies.can(person("authority"), "entry:publish", Resource("entry", "ent_1"), naive)


def test_a_fault_anywhere_is_a_denial_that_says_so(person, caplog):
    class BrokenGrants:
        def find_scope(self, grant_id):
            raise ConnectionError("the database went away")

    policies = Policies(BrokenGrants())
    release = Resource("release", "rel_1", organisation="org_operator", grant="grt_1")
    decision = policies.decide(person("analyst"), "data:view", release, NOW)
    assert (decision.allowed, decision.code) == (False, "fault")
    assert "could not be decided" in decision.reason
    assert "the database went away" in caplog.text


def test_an_enforcer_without_lines_allows_nothing_not_even_emptiness():
    assert TinyEnforcer("roles.conf", []).find_line("", "", "") is None
    assert TinyEnforcer("roles.conf", []).find_line(frozenset(), "", frozenset()) is None


def test_values_with_operators_of_the_matcher_are_only_values():
    strange = "a||b && !c) or (True"
    enforcer = TinyEnforcer("roles.conf", [(strange, strange, strange)])
    assert enforcer.find_line(frozenset({strange}), strange, frozenset({strange})) is not None
    assert enforcer.find_line(frozenset({"a"}), strange, frozenset({strange})) is None


def test_casbin_logs_no_request(policies, person, caplog):
    caplog.set_level(logging.DEBUG)
    policies.can(person("analyst"), "entry:publish", Resource("entry", "ent_secret"), NOW)
    assert "ent_secret" not in caplog.text
