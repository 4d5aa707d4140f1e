"""Change and event together or not at all, races told apart, the outbox heard in order and at least once."""

import dataclasses
import datetime as dt
import threading
from enum import StrEnum

import pytest
import sqlalchemy as sa

from shuzha.core.actor import platform_actor
from shuzha.core.clock import FixedClock
from shuzha.core.errors import Conflict, NotFound
from shuzha.core.ids import new_id
from shuzha.core.lifecycle import Lifecycle, Move
from shuzha.core.money import Price
from shuzha.core.outbox import Follower
from shuzha.core.records import Noun
from shuzha.core.work import Database


class Light(StrEnum):
    OFF = "off"
    ON = "on"


LIGHT = Lifecycle("light", Light, Light.OFF, [Move("switch", (Light.OFF,), Light.ON)])


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    name: str
    watts: int


@dataclasses.dataclass(frozen=True, slots=True)
class Lamp:
    id: str
    room: str
    state: Light
    bought: dt.datetime
    parts: tuple[Part, ...]
    price: Price
    note: str | None = None
    revision: int = 0


# In no table list of the platform's: what the migrations make is compared with that list in the same test run.
LAMPS = Noun("test_lamps", Lamp, lifecycle=LIGHT, unique=[("room",)], metadata=sa.MetaData())
NOON = dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)
ACTOR = platform_actor("test")


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/records.db", FixedClock(NOON))
    database.create_tables()
    LAMPS.table.metadata.create_all(database.engine)
    return database


def lamp(room="hall"):
    return Lamp(new_id("lmp"), room, Light.OFF, NOON, (Part("bulb", 7),), Price(120))


def test_a_record_comes_back_as_it_was_stored(database):
    with database.work(ACTOR) as work:
        stored = work.add(LAMPS, lamp())
    with database.read() as work:
        assert work.get(LAMPS, stored.id) == stored


def test_a_failing_block_stores_neither_change_nor_event(database):
    def fail():
        with database.work(ACTOR) as work:
            work.add(LAMPS, lamp())
            work.emit("light:add", "x", "a lamp")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as work:
        assert work.list(LAMPS) == ()
    assert database.events_after(0) == ()


def test_save_refuses_the_one_who_was_slower(database):
    with database.work(ACTOR) as work:
        stored = work.add(LAMPS, lamp())
        work.save(LAMPS, dataclasses.replace(stored, note="first"))
        with pytest.raises(Conflict):
            work.save(LAMPS, dataclasses.replace(stored, note="second"))


def test_add_names_the_rule_that_a_duplicate_breaks_and_not_the_value(database):
    with database.work(ACTOR) as work:
        work.add(LAMPS, lamp("attic"))
        with pytest.raises(Conflict) as caught:
            work.add(LAMPS, lamp("attic"))
        assert "attic" not in str(caught.value)
        work.add(LAMPS, lamp("cellar"))
    with database.read() as work:
        assert len(work.list(LAMPS)) == 2


def test_the_database_itself_refuses_a_state_outside_the_table(database):
    row = LAMPS.to_row(lamp()) | {"state": "broken"}
    with database.work(ACTOR) as work, pytest.raises(sa.exc.IntegrityError):
        work.connection.execute(sa.insert(LAMPS.table).values(**row))


def test_get_raises_for_an_unknown_id(database):
    with database.read() as work, pytest.raises(NotFound):
        work.get(LAMPS, "lmp_none")


def test_an_event_carries_the_seven_audit_fields(database):
    with database.work(ACTOR) as work:
        work.emit("light:switch", "lmp_1", "switched", approver="acc_2", data={"on": True})
    (event,) = database.events_after(0)
    fields = (event.approach, event.user, event.approver, event.content, event.time, event.method, event.medium)
    assert fields == ("job", "process:test", "acc_2", "switched", NOON, "service", "database")
    assert event.data == {"on": True}


def test_a_durable_follower_goes_on_where_it_stopped(database):
    heard = []
    follow = lambda: Follower(database, {"light:*": [heard.append]}, durable_name="t")  # noqa: E731
    for number in range(3):
        with database.work(ACTOR) as work:
            work.emit("light:switch", str(number), "switched")
    follow().step()
    with database.work(ACTOR) as work:
        work.emit("light:switch", "3", "switched")
    follow().step()
    assert [event.subject for event in heard] == ["0", "1", "2", "3"]


def test_an_event_whose_handler_failed_is_heard_again(database):
    heard = []

    def fail_first(event):
        heard.append(event.subject)
        if len(heard) == 1:
            raise RuntimeError

    follower = Follower(database, {"*": [fail_first]}, durable_name="t")
    with database.work(ACTOR) as work:
        work.emit("light:switch", "a", "switched")
    with pytest.raises(RuntimeError):
        follower.step()
    follower.step()
    assert heard == ["a", "a"]


def test_a_live_follower_hears_of_a_commit_within_a_second(database):
    heard = threading.Event()
    follower = Follower(database, {"light:switch": [lambda _event: heard.set()]})
    follower.start()
    with database.work(ACTOR) as work:
        work.emit("light:switch", "a", "switched")
    assert heard.wait(1)
    follower.stop()


def test_events_of_many_threads_are_numbered_without_gaps_in_commit_order(database):
    def emit(name):
        for number in range(20):
            with database.work(ACTOR) as work:
                work.emit("light:switch", f"{name}{number}", "switched")

    threads = [threading.Thread(target=emit, args=(name,)) for name in "abcd"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [event.sequence for event in database.events_after(0)] == list(range(1, 81))
