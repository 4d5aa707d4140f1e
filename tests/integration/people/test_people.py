"""Accounts and sessions through the service, on a real database."""

import datetime as dt
import threading

import pytest

from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.people import AccountState, NotSignedIn, OrganisationKind, TooManyAttempts


def sign_in_badly(people, login="chenwei", times=1):
    for _ in range(times):
        with pytest.raises(NotSignedIn):
            people.sign_in(login, "wrong-wrong-wrong")


def test_bootstrap_makes_one_administrator_and_refuses_a_second(people, city, tags):
    assert city.root.roles == {"administrator"}
    with pytest.raises(Conflict, match="accounts already"):
        people.bootstrap(login="second", password=city.password, name="某人")
    assert tags() == ["account:create", "organisation:create", "account:create"]


def test_bootstrap_refuses_a_weak_password_and_stores_nothing(people, database):
    with pytest.raises(Invalid, match="password"):
        people.bootstrap(login="root", password="root", name="管理员")
    assert database.last_sequence() == 0


def test_create_account_is_for_administrators(people, city):
    with pytest.raises(NotAllowed, match="system administrator"):
        people.create_account(
            city.analyst.actor("portal"), login="mallory", password=city.password, name="马", organisation=city.unit.id,
            roles=["administrator"],
        )  # fmt: skip


@pytest.mark.parametrize("roles", [["administrator", "analyst"], ["auditor", "analyst"], ["platform"], []])
def test_create_account_refuses_roles_that_exclude_each_other(people, city, roles):
    with pytest.raises(Invalid):
        people.create_account(
            city.admin, login="both", password=city.password, name="某人", organisation=city.unit.id, roles=roles
        )


def test_create_account_refuses_a_taken_login_in_any_spelling(people, city, tags):
    before = tags()
    with pytest.raises(Conflict):
        people.create_account(
            city.admin,
            login=" ChenWei",
            password=city.password,
            name="另一人",
            organisation=city.unit.id,
            roles=["analyst"],
        )
    assert tags() == before


def test_create_account_refuses_an_unknown_organisation(people, city):
    with pytest.raises(NotFound, match="organisation"):
        people.create_account(
            city.admin, login="zhao", password=city.password, name="赵", organisation="org_x", roles=["analyst"]
        )


def test_create_organisation_refuses_a_taken_code(people, city):
    with pytest.raises(Conflict):
        people.create_organisation(
            city.admin, code=city.unit.code, name="另一家", kind=OrganisationKind.OPERATOR, responsible_person="王"
        )


def test_the_hash_is_argon2id_and_differs_for_equal_passwords(people, city):
    assert city.root.password_hash.startswith("$argon2id$")
    assert city.root.password_hash != city.analyst.password_hash


def test_sign_in_gives_a_session_that_is_its_account(people, city, tags):
    signed_in = people.sign_in(" ChenWei ", city.password)
    actor = people.actor_of_session(signed_in.token, "portal")
    assert actor == Actor(city.analyst.id, "陈伟", city.unit.id, frozenset({"analyst"}), "portal")
    assert signed_in.token not in signed_in.session.token_hash
    assert tags()[-1] == "session:start"


def test_sign_out_ends_the_session(people, city, tags):
    token = people.sign_in("chenwei", city.password).token
    people.sign_out(token)
    assert people.actor_of_session(token, "portal") is None
    people.sign_out(token)
    assert tags()[-1] == "session:end"
    assert tags().count("session:end") == 1


@pytest.mark.parametrize("login", ["chenwei", "nobody-has-this"])
def test_a_wrong_pair_is_refused_in_the_same_words_and_logged_without_what_was_typed(people, city, database, login):
    with pytest.raises(NotSignedIn) as caught:
        people.sign_in(login, "wrong-wrong-wrong")
    assert caught.value.message == "cannot sign in: the login or the password is wrong"
    failure = database.events_after(0)[-1]
    assert failure.tag == "session:fail"
    assert login not in failure.content + failure.subject + failure.user
    assert failure.user == (city.analyst.id if login == "chenwei" else "nobody")


def test_a_session_idles_out_and_use_keeps_it(people, city, keyboard):
    token = people.sign_in("chenwei", city.password).token
    keyboard.advance(dt.timedelta(hours=1, minutes=30))
    assert people.actor_of_session(token, "portal") is not None
    keyboard.advance(dt.timedelta(hours=1, minutes=30))
    assert people.actor_of_session(token, "portal") is not None
    keyboard.advance(dt.timedelta(hours=2))
    assert people.actor_of_session(token, "portal") is None


def test_a_session_ends_with_its_day_however_busy(people, city, keyboard):
    token = people.sign_in("chenwei", city.password).token
    for _ in range(11):
        keyboard.advance(dt.timedelta(hours=1))
        assert people.actor_of_session(token, "portal") is not None
    keyboard.advance(dt.timedelta(hours=1))
    assert people.actor_of_session(token, "portal") is None


def test_the_citys_date_may_move_without_signing_anybody_out(people, city, database):
    token = people.sign_in("chenwei", city.password).token
    database.clock.advance(dt.timedelta(days=40))
    assert people.actor_of_session(token, "portal") is not None


def test_the_sixth_attempt_is_refused_also_with_the_right_password(people, city, keyboard, tags):
    sign_in_badly(people, times=5)
    with pytest.raises(TooManyAttempts) as caught:
        people.sign_in("chenwei", city.password)
    assert caught.value.retry_after == 30
    assert "session:throttle" in tags()
    keyboard.advance(dt.timedelta(seconds=30))
    assert people.sign_in("chenwei", city.password).account.id == city.analyst.id
    sign_in_badly(people, times=4)
    people.sign_in("chenwei", city.password)


def test_an_unknown_login_is_throttled_like_a_known_one(people, city):
    sign_in_badly(people, "ghost", times=5)
    with pytest.raises(TooManyAttempts):
        people.sign_in("ghost", city.password)
    people.sign_in("chenwei", city.password)


def test_the_throttle_outlives_a_restart(people, city, database, keyboard):
    from policies import NoScopes, Policies
    from shuzha.people import People
    from shuzha.people.passwords import Passwords

    sign_in_badly(people, times=5)
    again = People(
        database, Policies(NoScopes()), csrf_key=b"k" * 32, passwords=Passwords(memory_kib=64, passes=1),
        session_clock=keyboard,
    )  # fmt: skip
    with pytest.raises(TooManyAttempts):
        again.sign_in("chenwei", city.password)


def test_parallel_guesses_gain_nothing(people, city):
    outcomes = []

    def guess():
        try:
            people.sign_in("chenwei", "wrong-wrong-wrong")
        except (NotSignedIn, TooManyAttempts) as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count("not_signed_in") == 5
    assert outcomes.count("too_many_attempts") == 11


def test_suspension_ends_every_session_at_once_and_refuses_sign_in(people, city, tags):
    token = people.sign_in("chenwei", city.password).token
    suspended = people.suspend_account(city.admin, city.analyst.id, "left the unit")
    assert suspended.state == AccountState.SUSPENDED
    assert people.actor_of_session(token, "portal") is None
    sign_in_badly(people)
    with pytest.raises(NotSignedIn):
        people.sign_in("chenwei", city.password)
    people.restore_account(city.admin, city.analyst.id, "came back")
    assert people.actor_of_session(token, "portal") is None, "an ended session stays ended"
    people.sign_in("chenwei", city.password)


def test_the_last_administrator_cannot_be_taken_away(people, city):
    with pytest.raises(Invalid, match="last active administrator"):
        people.suspend_account(city.admin, city.root.id, "by mistake")
    with pytest.raises(Invalid, match="last active administrator"):
        people.change_roles(city.admin, city.root.id, ["provider"], "by mistake")


def test_changed_roles_end_the_sessions_that_had_the_old_ones(people, city):
    token = people.sign_in("chenwei", city.password).token
    people.change_roles(city.admin, city.analyst.id, ["analyst", "operator"], "promoted")
    assert people.actor_of_session(token, "portal") is None
    assert people.sign_in("chenwei", city.password).account.roles == {"analyst", "operator"}


def test_change_password_asks_for_the_old_one_and_ends_other_sessions(people, city):
    here, there = people.sign_in("chenwei", city.password).token, people.sign_in("chenwei", city.password).token
    actor = city.analyst.actor("portal")
    with pytest.raises(NotAllowed, match="old one"):
        people.change_password(actor, "not-the-old-one", "another-horse-8-battery")
    people.change_password(actor, city.password, "another-horse-8-battery", keep_token=here)
    assert people.actor_of_session(here, "portal") is not None
    assert people.actor_of_session(there, "portal") is None
    people.sign_in("chenwei", "another-horse-8-battery")


def test_a_form_of_another_session_is_refused(people, city):
    mine, other = people.sign_in("chenwei", city.password).token, people.sign_in("root", city.password).token
    people.check_csrf(mine, people.csrf_token(mine))
    for sent in ("", "x", "状态", people.csrf_token(other)):
        with pytest.raises(NotAllowed, match="not of this session"):
            people.check_csrf(mine, sent)
    with pytest.raises(NotAllowed):
        people.check_csrf("", people.csrf_token(""))


def test_handles_fit_the_hub_and_lead_back_to_the_account(people, city):
    assert set(city.analyst.handle) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert people.find_by_handle(city.analyst.handle).id == city.analyst.id
    assert people.find_by_handle("u-nobody") is None
