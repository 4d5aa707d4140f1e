"""Keys are told apart, die for good and are refused when others can read them; settings say what is wrong."""

import datetime as dt
import time

import pytest

from shuzha.core.clock import FixedClock, OffsetClock
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import IdSource, milliseconds_of, new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.settings import load_settings


@pytest.fixture
def ring(tmp_path):
    return KeyRing.create(tmp_path / "keys")


def test_derived_keys_differ_where_their_context_only_joins_alike(ring):
    assert ring.derive("a", "bc") != ring.derive("ab", "c")
    assert ring.derive("a", "b") == ring.derive("a", "b")


def test_a_destroyed_scenario_key_can_not_be_made_again(ring, tmp_path):
    ring.scenario_key("aut_1", "dem_1", "pseudonym")
    ring.destroy_scenario_key("aut_1", "dem_1")
    with pytest.raises(NotFound, match="destroyed"):
        ring.scenario_key("aut_1", "dem_1", "pseudonym")
    assert not list((tmp_path / "keys" / "salts").glob("aut_1.dem_1"))


def test_scenario_keys_differ_between_scenarios_and_masters(ring, tmp_path):
    other = KeyRing.create(tmp_path / "other")
    keys = {
        ring.scenario_key("aut_1", "dem_1", "p"),
        ring.scenario_key("aut_1", "dem_2", "p"),
        other.scenario_key("aut_1", "dem_1", "p"),
    }
    assert len(keys) == 3


def test_scenario_key_refuses_an_id_that_leaves_its_folder(ring):
    with pytest.raises(Invalid):
        ring.scenario_key("../x", "dem_1", "p")


def test_a_key_file_that_others_can_read_is_refused(ring, tmp_path):
    (tmp_path / "keys" / "master.key").chmod(0o644)
    with pytest.raises(Invalid, match="open to others"):
        KeyRing(tmp_path / "keys")


def test_ids_of_one_process_never_go_backwards():
    source = IdSource()
    made = [source.next("x") for _ in range(5_000)]
    assert made == sorted(set(made))
    assert len(new_id("ent")) == len("ent_") + 26


def test_an_id_says_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made = milliseconds_of(new_id("ent"))
    assert made is not None
    assert before <= made <= time.time_ns() // 1_000_000
    assert milliseconds_of("ent_short") is None
    assert milliseconds_of("ent_" + "u" * 26) is None, "u is no letter of an id"


def test_settings_refuse_a_name_they_do_not_know(tmp_path):
    file = tmp_path / "shuzha.toml"
    file.write_text("portl_port = 1\n")
    with pytest.raises(Invalid, match="portl_port"):
        load_settings(file, {})


def test_settings_refuse_one_host_for_portal_and_sandbox(tmp_path):
    with pytest.raises(Invalid, match="same"):
        load_settings(tmp_path / "none.toml", {"SHUZHA_SANDBOX_HOST": "portal.localhost"})


def test_settings_take_the_environment_before_the_file(tmp_path):
    file = tmp_path / "shuzha.toml"
    file.write_text("portal_port = 1\n")
    assert load_settings(file, {"SHUZHA_PORTAL_PORT": "2"}).portal_port == 2


def test_production_refuses_a_clock_with_an_offset(tmp_path):
    OffsetClock(tmp_path / "run" / "clock-offset").advance(dt.timedelta(days=1))
    settings = load_settings(tmp_path / "none.toml", {"SHUZHA_DATA": str(tmp_path)})
    with pytest.raises(Invalid, match="offset"):
        settings.clock()


def test_clocks_refuse_to_go_back(tmp_path):
    for clock in (FixedClock(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), OffsetClock(tmp_path / "offset")):
        with pytest.raises(Invalid, match="back"):
            clock.advance(dt.timedelta(seconds=-1))


def test_a_city_rule_stands_before_the_national_one():
    assert LawBook.load("jinan").get_rule("authorization.term").years == 2
    assert LawBook.load("wuhan").get_rule("authorization.term").years == 5
    assert LawBook.load("wuhan").due("entry.review", dt.datetime(2026, 9, 24, 2, tzinfo=dt.UTC)).date == dt.date(
        2026, 9, 30
    )


def test_a_jurisdiction_without_a_file_is_refused():
    with pytest.raises(Invalid, match="atlantis"):
        LawBook.load("atlantis")
