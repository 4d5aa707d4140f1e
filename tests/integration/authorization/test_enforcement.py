from __future__ import annotations

import datetime as dt

import pytest

from policies import Context, Policies, Resource
from shuzha.authorization.model import AuthorizationState, Grant, GrantState
from shuzha.authorization.service import FORGET_TAGS, GrantScopes, forget_ids
from shuzha.core.errors import Invalid, TransitionNotAllowed
from shuzha.core.outbox import Follower
from shuzha.core.work import Database
from tests.authorization_kit import City


def ask(policies: Policies, city: City, grant: Grant) -> bool:
    resource = Resource("release", organisation="org_operator", authorization=grant.authorization, grant=grant.id)
    asked = Context(city.clock.now(), entry=grant.entry, columns=frozenset({"period"}))
    return policies.can(city.operator, "data:release", resource, asked)


def follow(database: Database, policies: Policies) -> Follower:
    def forget(event) -> None:
        for identifier in forget_ids(event):
            policies.forget(identifier)

    return Follower(database, {tag: [forget] for tag in FORGET_TAGS})


@pytest.fixture
def grant(city: City) -> Grant:
    entry = city.add_entry()
    return city.grant(city.authorize(entry), entry)


def test_suspension_denies_at_once_after_forget(city: City, grant: Grant) -> None:
    assert ask(city.policies, city, grant)
    city.service.suspend(city.authority, grant.authorization, "the report is late")
    city.policies.forget(grant.authorization)
    assert not ask(city.policies, city, grant)
    resource = Resource("release", organisation="org_operator", authorization=grant.authorization, grant=grant.id)
    asked = Context(city.clock.now(), entry=grant.entry, columns=frozenset({"period"}))
    assert (
        "suspended: the report is late" in city.policies.decide(city.operator, "data:release", resource, asked).reason
    )
    city.service.restore(city.authority, grant.authorization, "it came")
    city.policies.forget(grant.authorization)
    assert ask(city.policies, city, grant)


def test_suspension_reaches_another_process_by_its_event(city: City, grant: Grant) -> None:
    elsewhere = Database(city.database.url, city.clock)
    others = Policies(GrantScopes(elsewhere), refresh_seconds=3_600)
    follower = follow(elsewhere, others)
    assert ask(others, city, grant)
    city.service.suspend(city.authority, grant.authorization, "the report is late")
    assert ask(others, city, grant)
    follower.step()
    assert not ask(others, city, grant)


def test_suspension_names_every_open_grant(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    grants = [city.grant(authorization, entry) for _ in range(2)]
    closed = city.grant(authorization, entry)
    city.service.close_demand(city.operator, closed.demand, "done")
    city.service.suspend(city.authority, authorization.id, "the report is late")
    event = city.database.events_after(0)[-1]
    assert event.tag == "authorization:suspend"
    assert event.data["authorization"] == authorization.id
    assert event.data["grants"] == [grant.id for grant in grants]
    assert event.data["reason"] == "the report is late"
    assert event.approver == city.authority.id


def test_one_grant_can_be_suspended_alone(city: City) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    first, second = city.grant(authorization, entry), city.grant(authorization, entry)
    city.service.suspend_grant(city.authority, first.id, "an objection is open")
    city.policies.forget(first.id)
    assert not ask(city.policies, city, first)
    assert ask(city.policies, city, second)
    city.service.restore_grant(city.authority, first.id, "answered")
    city.policies.forget(first.id)
    assert ask(city.policies, city, first)


@pytest.mark.parametrize(("verb", "who"), [("terminate", "authority"), ("withdraw", "operator")])
def test_the_end_closes_grants_and_demands(city: City, grant: Grant, verb: str, who: str) -> None:
    getattr(city.service, verb)(getattr(city, who), grant.authorization, "no longer needed")
    city.policies.forget(grant.authorization)
    assert not ask(city.policies, city, grant)
    assert city.service.get_grant(city.operator, grant.id).state is GrantState.CLOSED
    assert city.service.get_demand(city.operator, grant.demand).state == "closed"
    with pytest.raises(TransitionNotAllowed):
        city.service.restore(city.authority, grant.authorization, "again")


def test_the_clock_ends_a_grant_before_any_job_has_run(city: City, grant: Grant) -> None:
    last = grant.scope.valid_until - dt.timedelta(microseconds=1)
    city.clock.advance(last - city.clock.now())
    assert ask(city.policies, city, grant)
    city.clock.advance(dt.timedelta(microseconds=1))
    assert not ask(city.policies, city, grant)


def test_expire_due_ends_what_is_over_and_bears_a_repeat(city: City, grant: Grant) -> None:
    assert city.service.expire_due(city.platform) == ()
    city.clock.advance(grant.valid_until - city.clock.now())
    assert city.service.expire_due(city.platform) == (grant.id,)
    assert city.service.get_grant(city.operator, grant.id).state is GrantState.CLOSED
    authorization = city.service.get_authorization(city.operator, grant.authorization)
    assert authorization.state is AuthorizationState.ACTIVE
    city.clock.advance(authorization.valid_until - city.clock.now())
    assert city.service.expire_due(city.platform) == (authorization.id,)
    assert city.service.expire_due(city.platform) == ()
    assert city.service.get_authorization(city.operator, authorization.id).state is AuthorizationState.EXPIRED


def test_restore_refuses_after_the_term(city: City, grant: Grant) -> None:
    found = city.service.suspend(city.authority, grant.authorization, "late")
    city.clock.advance(found.valid_until - city.clock.now())
    with pytest.raises(Invalid, match="its term is over"):
        city.service.restore(city.authority, found.id, "came")


def test_an_unknown_grant_has_no_scope(city: City) -> None:
    assert city.service.find_scope("grt_none") is None
