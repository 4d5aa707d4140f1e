"""Rights that events take and give back: holds add up, and none undoes another or a person's decision."""

import datetime as dt
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from policies import Context, Resource
from shuzha.authorization.holds import ORDERS, RightsService
from shuzha.authorization.model import AuthorizationState
from shuzha.authorization.service import FORGET_TAGS, forget_ids
from shuzha.catalog.model import EntryState
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.outbox import Follower
from tests.authorization_kit import City


class HeldCity(City):
    """A city with one grant in force; `tell` is an event that somebody above emits."""

    def __post_init__(self):
        super().__post_init__()
        self.rights = RightsService(self.database, self.policies, self.law, self.keys, self.service.terminate)
        self.entry = self.add_entry()
        self.authorization = self.authorize(self.entry)
        self.found = self.grant(self.authorization, self.entry)
        forget = [lambda event: [self.policies.forget(one) for one in forget_ids(event)]]
        orders = {f"{noun}:*": [self.rights.follow_order] for noun in ("entry", "rectification")}
        self.follower = Follower(self.database, {**dict.fromkeys(FORGET_TAGS, forget), **orders}, durable_name="x")

    def tell(self, tag: str, subject: str, **data: str) -> None:
        with self.database.work(self.authority) as work:
            work.emit(tag, subject, f"{tag} told", data={"reason": f"because of {subject}"} | data)
        while self.follower.step():
            pass

    def decision(self):
        resource = Resource("data", "", "org_operator", self.analyst.id, self.authorization.id, self.found.id)
        asked = Context(at=self.clock.now(), entry=self.entry.id, operation="aggregate", place="workspace")
        return self.policies.decide(self.analyst, "data:open", resource, asked)


@pytest.fixture
def city(tmp_path):
    made = HeldCity(tmp_path)
    assert made.decision().allowed
    return made


def test_a_suspended_entry_holds_its_grants_until_it_is_restored(city):
    city.tell("entry:suspend", city.entry.id)
    refused = city.decision()
    assert (refused.allowed, refused.code) == (False, "scope.inactive")
    assert f"held by entry:suspend of {city.entry.id}" in refused.reason
    city.tell("entry:restore", city.entry.id)
    assert city.decision().allowed


def test_a_retired_entry_is_never_used_again(city):
    city.tell("entry:retire", city.entry.id)
    assert not city.decision().allowed


def test_an_ordered_rectification_holds_the_whole_authorization_and_a_passed_one_lifts_it(city):
    city.tell("rectification:order", "rec_1", authorization=city.authorization.id)
    assert not city.decision().allowed
    assert city.rights.is_held(city.authorization.id)
    city.tell("rectification:pass", "rec_2", authorization=city.authorization.id)
    assert not city.decision().allowed, "another rectification lifts nothing"
    city.tell("rectification:pass", "rec_1", authorization=city.authorization.id)
    assert city.decision().allowed


def test_a_rectification_that_lapses_ends_the_authorization(city):
    city.tell("rectification:order", "rec_1", authorization=city.authorization.id)
    city.tell("rectification:lapse", "rec_1", authorization=city.authorization.id)
    found = city.service.get_authorization(city.authority, city.authorization.id)
    assert found.state is AuthorizationState.TERMINATED
    city.tell("rectification:lapse", "rec_1", authorization=city.authorization.id)
    assert city.service.get_authorization(city.authority, city.authorization.id) == found


def test_holds_add_up_in_either_order(city):
    city.tell("entry:suspend", city.entry.id)
    city.tell("rectification:order", "rec_1", authorization=city.authorization.id)
    city.tell("entry:restore", city.entry.id)
    assert "rec_1" in city.decision().reason
    city.tell("entry:suspend", city.entry.id)
    city.tell("rectification:pass", "rec_1", authorization=city.authorization.id)
    assert city.entry.id in city.decision().reason
    city.tell("entry:restore", city.entry.id)
    assert city.decision().allowed


def test_an_event_does_not_undo_a_persons_decision_nor_he_an_event(city):
    city.service.suspend_grant(city.authority, city.found.id, "a complaint is looked into")
    city.tell("entry:suspend", city.entry.id)
    city.tell("entry:restore", city.entry.id)
    assert "a complaint is looked into" in city.decision().reason
    city.tell("entry:suspend", city.entry.id)
    city.service.restore_grant(city.authority, city.found.id, "nothing was found")
    city.tell("note:say", "x")
    assert "held by entry:suspend" in city.decision().reason


def test_the_same_event_heard_twice_holds_once(city):
    city.tell("entry:suspend", city.entry.id)
    city.tell("entry:suspend", city.entry.id)
    assert len(city.rights.list_holds(city.authority, city.authorization.id)) == 1
    city.tell("entry:restore", city.entry.id)
    city.tell("entry:restore", city.entry.id)
    assert city.rights.list_holds(city.authority, city.authorization.id) == ()


def test_an_order_heard_again_after_a_later_one_undoes_nothing(city):
    city.tell("entry:suspend", city.entry.id)
    city.tell("entry:restore", city.entry.id)
    first = [one for one in city.database.events_after(0) if one.tag in ORDERS]
    city.rights.follow_order(first[0])
    assert city.rights.list_holds(city.authority, city.authorization.id) == (), "it is restored since"
    city.tell("entry:suspend", city.entry.id)
    city.rights.follow_order(first[1])
    assert len(city.rights.list_holds(city.authority, city.authorization.id)) == 1, "it is suspended since"
    assert not city.decision().allowed


@pytest.mark.parametrize("state", [EntryState.SUSPENDED, EntryState.RETIRED])
def test_an_entry_that_is_out_of_use_is_not_used_before_anybody_has_followed(city, state):
    city.change_entry(city.entry, state=state)
    with city.database.work(city.authority) as work:
        work.emit("entry:suspend", city.entry.id, "entry suspended")  # The worker is down: no hold follows.
    (event,) = [one for one in city.database.events_after(0) if one.tag == "entry:suspend"]
    for identifier in forget_ids(event):
        city.policies.forget(identifier)
    refused = city.decision()
    assert (refused.allowed, refused.code) == (False, "scope.inactive")
    assert city.entry.code in refused.reason
    assert any(fnmatchcase(event.tag, tag) for tag in FORGET_TAGS), "every process hears of it"
    city.change_entry(city.entry, state=EntryState.PUBLISHED)
    city.policies.forget(city.entry.id)
    assert city.decision().allowed


def test_an_entry_that_became_one_of_article_8_is_used_no_more(city):
    city.change_entry(city.entry, sheet=replace(city.entry.sheet, endangers_safety=True))
    city.policies.forget(city.entry.id)
    assert "public safety" in city.decision().reason


def test_the_authority_may_lift_one_grants_hold_while_the_entry_stays_suspended(city):
    city.clock.advance(dt.timedelta(minutes=1))
    city.change_entry(city.entry, state=EntryState.SUSPENDED, updated_at=city.clock.now())
    city.tell("entry:suspend", city.entry.id)
    (hold,) = city.rights.list_holds(city.operator, city.authorization.id)
    city.rights.lift_hold(city.authority, hold.id, "the fault does not touch this grant")
    city.tell("note:say", "x")
    assert city.decision().allowed
    city.clock.advance(dt.timedelta(minutes=1))
    city.change_entry(city.entry, updated_at=city.clock.now())
    city.policies.forget(city.entry.id)
    assert not city.decision().allowed, "the entry was suspended again"


def test_a_hold_is_lifted_by_the_authority_alone_with_a_reason_and_once(city):
    city.tell("entry:suspend", city.entry.id)
    (hold,) = city.rights.list_holds(city.operator, city.authorization.id)
    for actor in (city.operator, city.provider, city.regulator):
        with pytest.raises(NotAllowed):
            city.rights.lift_hold(actor, hold.id, "please")
    with pytest.raises(Invalid):
        city.rights.lift_hold(city.authority, hold.id, " ")
    city.rights.lift_hold(city.authority, hold.id, "the entry's fault does not touch this grant")
    city.tell("note:say", "x")
    assert city.decision().allowed
    with pytest.raises(Invalid, match="lifted before"):
        city.rights.lift_hold(city.authority, hold.id, "again")


def test_holds_of_others_are_not_seen(city):
    with pytest.raises(NotFound):
        city.rights.list_holds(city.rival, city.authorization.id)


def test_the_last_moment_of_the_last_day_is_in_force_and_the_next_is_not(city):
    city.service.suspend(city.authority, city.authorization.id, "order to correct")
    edge = city.authorization.valid_until
    city.clock.advance(edge - city.clock.now() - dt.timedelta(seconds=1))
    city.service.expire_due(city.platform)
    state = city.service.get_authorization(city.authority, city.authorization.id).state
    assert state is AuthorizationState.SUSPENDED
    city.clock.advance(dt.timedelta(seconds=1))
    assert city.authorization.id in city.service.expire_due(city.platform)
    ended = city.service.get_authorization(city.authority, city.authorization.id)
    assert ended.state is AuthorizationState.EXPIRED
    assert city.service.expire_due(city.platform) == ()
    with pytest.raises(Exception, match="cannot restore"):
        city.service.restore(city.authority, city.authorization.id, "too late")
