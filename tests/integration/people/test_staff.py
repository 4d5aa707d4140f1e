"""Who a person is and what he was trained in: recorded by his unit, confirmed by another, never by himself."""

import datetime as dt
from dataclasses import replace

import pytest

from shuzha.core.actor import Actor
from shuzha.core.clock import start_of_day
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.people.model import Account, AccountState
from shuzha.people.service import People
from shuzha.people.staff import TrainingState, check_ready, training_end
from shuzha.people.staff_service import Staff
from shuzha.people.staff_store import IDENTITIES
from shuzha.people.store import ACCOUNTS
from tests.authorization_kit import City, person
from tests.staff_kit import ADMINISTRATOR, AUTHORITY, PROOF, identity_number, train


class StaffCity(City):
    def __post_init__(self):
        super().__post_init__()
        self.staff = Staff(self.database, self.policies, self.law, b"k" * 32)

    def account(self, login: str, organisation: str, *roles: str, name: str = "赵敏") -> Account:
        made = Account(
            f"acc_{login}", login, f"u-{login}", name, organisation, frozenset(roles), "", AccountState.ACTIVE,
            self.clock.now(),
        )  # fmt: skip
        with self.database.work(self.platform) as work:
            return work.add(ACCOUNTS, made)


@pytest.fixture
def city(tmp_path):
    return StaffCity(tmp_path)


@pytest.fixture
def zhao(city):
    return city.account("zhao", "org_operator", "analyst")


def test_identify_keeps_no_number_and_ties_one_person_to_an_account(city, zhao):
    number = identity_number()
    made = city.staff.identify(ADMINISTRATOR, zhao.id, "赵 敏", number)
    with city.database.read() as work:
        row = str(work.get(IDENTITIES, made.id))
    events = " ".join(f"{one.content}{dict(one.data)}" for one in city.database.events_after(0))
    assert number not in row + events
    with pytest.raises(Conflict):
        city.staff.identify(ADMINISTRATOR, zhao.id, "赵敏", identity_number())


@pytest.mark.parametrize(
    ("name", "number", "why"),
    [
        ("钱多", "", "not in the account's name"),
        ("赵敏", "370102199001010019", "no identity number"),
        ("赵敏", "", "no identity number"),
    ],
)
def test_identify_refuses_another_name_and_a_number_that_is_none(city, zhao, name, number, why):
    with pytest.raises(Invalid, match=why) as refused:
        city.staff.identify(ADMINISTRATOR, zhao.id, name, number)
    assert not number or number not in str(refused.value)


def test_one_person_cannot_administer_in_one_account_and_work_in_another(city, zhao):
    number = identity_number()
    city.staff.identify(ADMINISTRATOR, zhao.id, "赵敏", number)
    second = city.account("zhao2", "org_platform", "administrator")
    with pytest.raises(Invalid, match="cannot be") as refused:
        city.staff.identify(ADMINISTRATOR, second.id, "赵敏", number)
    assert "Z20 art. 33" in str(refused.value.rule)
    third = city.account("zhao3", "org_operator", "operator")
    assert city.staff.identify(ADMINISTRATOR, third.id, "赵敏", number).person


def test_identify_is_for_administrators(city, zhao):
    for actor in (city.operator, city.authority, city.analyst):
        with pytest.raises(NotAllowed):
            city.staff.identify(actor, zhao.id, "赵敏", identity_number())


def test_a_training_counts_once_somebody_else_confirmed_it(city, zhao):
    made = city.staff.record_training(city.operator, zhao.id, "岗前培训", PROOF, city.today)
    assert made.state is TrainingState.RECORDED
    assert not made.holds(city.clock.now())
    both = Actor(made.recorded_by, "li", "org_authority", frozenset({"authority"}), "portal")
    with pytest.raises(NotAllowed):
        city.staff.confirm_training(both, made.id, "confirmed by who recorded it")
    done = city.staff.confirm_training(AUTHORITY, made.id, "seen")
    assert done.holds(city.clock.now())
    assert not city.staff.revoke_training(AUTHORITY, made.id, "forged").holds(city.clock.now())


def test_a_unit_records_only_its_own_people_and_sees_only_its_own(city, zhao):
    with pytest.raises(NotAllowed):
        city.staff.record_training(city.rival, zhao.id, "岗前培训", PROOF, city.today)
    made = train(city.staff, city.database, zhao.id)
    assert city.staff.list_trainings(city.rival) == ()
    with pytest.raises(NotFound):
        city.staff.get_training(city.rival, made.id)
    assert city.staff.get_training(city.analyst, made.id) == made


@pytest.mark.parametrize(("proof", "later"), [("no hash", 0), (PROOF.upper(), 0), (PROOF, 1)])
def test_record_refuses_a_proof_without_a_hash_and_a_day_to_come(city, zhao, proof, later):
    with pytest.raises(Invalid):
        city.staff.record_training(city.operator, zhao.id, "岗前培训", proof, city.today + dt.timedelta(days=later))


def test_a_training_holds_to_the_last_moment_of_its_last_day_and_not_a_moment_longer(city, zhao):
    city.staff.identify(ADMINISTRATOR, zhao.id, "赵敏", identity_number())
    made = train(city.staff, city.database, zhao.id, dt.date(2026, 3, 2))
    edge = start_of_day(dt.date(2027, 3, 2))
    with city.database.read() as work:
        identity = work.list(IDENTITIES, account=zhao.id)[0]
    check_ready(zhao.id, identity, (made,), edge - dt.timedelta(seconds=1))
    with pytest.raises(NotAllowed, match="out of date") as refused:
        check_ready(zhao.id, identity, (made,), edge)
    assert refused.value.rule == "J23 art. 12(4)"


def test_a_training_of_a_leap_day_ends_with_the_last_of_february():
    assert training_end(dt.date(2028, 2, 29), 1) == start_of_day(dt.date(2029, 3, 1))


def test_what_is_missing_is_said_to_the_person(city, zhao):
    zhao_acts = person("zhao", "org_operator", "analyst")
    assert "no checked person" in city.staff.find_hindrance(zhao_acts)
    city.staff.identify(ADMINISTRATOR, zhao.id, "赵敏", identity_number())
    assert "no pre-job training" in city.staff.find_hindrance(zhao_acts)
    train(city.staff, city.database, zhao.id)
    assert city.staff.find_hindrance(zhao_acts) == ""


def test_one_person_does_not_act_for_two_organisations_at_a_time(city, zhao):
    number = identity_number()
    city.staff.identify(ADMINISTRATOR, zhao.id, "赵敏", number)
    second = city.account("zhao4", "org_authority", "authority")
    with pytest.raises(Conflict, match="acts for another organisation"):
        city.staff.identify(ADMINISTRATOR, second.id, "赵敏", number)
    with city.database.work(ADMINISTRATOR) as work:
        work.save(ACCOUNTS, replace(work.get(ACCOUNTS, zhao.id), state=AccountState.SUSPENDED))
    assert city.staff.identify(ADMINISTRATOR, second.id, "赵敏", number).person
    with pytest.raises(Conflict, match="acts for another organisation"):
        People(city.database, city.policies, csrf_key=b"k" * 32).restore_account(ADMINISTRATOR, zhao.id, "back again")
