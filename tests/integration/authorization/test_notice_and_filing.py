"""From the approval to the filed agreement: the public notice's days, both signatures, the bundle, and the reminder."""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shuzha.authorization.agreement import Term, canonical
from shuzha.authorization.filing import public_key, verify_agreement
from shuzha.authorization.model import Authorization, AuthorizationState
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.clock import FixedClock, end_of_day, start_of_day
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.lawbook import LawBook
from tests.authorization_kit import City

SECOND = dt.timedelta(seconds=1)
# rules.md 5: the day after receipt is day one; make-up days count, holidays do not.
VECTORS = (
    ("2025-09-26", 3, "2025-09-30"), ("2025-09-26", 10, "2025-10-16"), ("2026-02-12", 3, "2026-02-24"),
    ("2026-02-12", 5, "2026-02-26"), ("2026-04-30", 10, "2026-05-18"), ("2026-09-24", 5, "2026-10-09"),
    ("2026-09-24", 10, "2026-10-15"), ("2026-09-30", 20, "2026-11-03"), ("2025-12-25", 20, "2026-01-23"),
)  # fmt: skip


def at(city: City, day: str) -> None:
    """Let it be noon of a city day; the clock of a test may be set back before anything happened."""
    city.clock = FixedClock(dt.datetime.fromisoformat(f"{day}T04:00:00+00:00"))
    city.database.clock = city.clock


def noticed(city: City, days: int, **changes: object) -> Authorization:
    announced = city.announce(notice_days=days)
    entry = city.add_entry()
    found = city.service.apply(city.operator, city.application(entry, announcement=announced, **changes))
    city._qualify(found)
    city._review(found, 80, 80, 80)
    city.service.approve(city.authority, found.id, "JZ-1", "approved")
    return city.service.publicize(city.authority, found.id, "to be seen by all")


@pytest.mark.parametrize(("day", "days", "last"), VECTORS)
def test_the_notice_runs_for_its_working_days_to_the_last_second(city: City, day: str, days: int, last: str) -> None:
    at(city, day)
    found = noticed(city, days)
    assert (found.notice_until, found.notice_provisional) == (dt.date.fromisoformat(last), False)
    assert found.notice_until is not None
    city.clock.advance(end_of_day(found.notice_until) - SECOND - city.clock.now())
    with pytest.raises(Invalid, match=f"public notice of .* runs until {last}"):
        city.service.sign(city.operator, found.id)
    city.clock.advance(SECOND)
    assert city.service.sign(city.operator, found.id).state is AuthorizationState.SIGNED


def test_a_notice_into_a_year_without_a_calendar_says_that_it_guesses(city: City) -> None:
    at(city, "2026-12-21")
    assert noticed(city, 10).notice_provisional


def test_an_approval_is_of_today_or_before(city: City) -> None:
    found = city.authorize(city.add_entry(), to="review")
    with pytest.raises(Invalid, match="dated after today"):
        city.service.approve(city.authority, found.id, "JZ-1", "ok", approved_on=city.today + dt.timedelta(days=1))
    with pytest.raises(Invalid, match="without its number"):
        city.service.approve(city.authority, found.id, " ", "ok")
    day = city.today - dt.timedelta(days=3)
    assert city.service.approve(city.authority, found.id, "JZ-1", "ok", approved_on=day).approved_on == day


@pytest.mark.parametrize("step", ["publicize", "sign"])
@pytest.mark.parametrize("flag", ["secret", "endangers_safety"])
def test_nobody_signs_for_an_entry_that_became_one_of_article_8(city: City, step: str, flag: str) -> None:
    entry = city.add_entry()
    found = city.authorize(entry, to=step)
    city.change_entry(entry, sheet=replace(entry.sheet, **{flag: True}))
    verb: Callable[[], Authorization] = (
        (lambda: city.service.sign(city.operator, found.id)) if step == "publicize"
        else (lambda: city.service.countersign(city.authority, found.id))
    )  # fmt: skip
    with pytest.raises(NotAllowed, match=r"never authorized"):
        verb()
    assert city.service.get_authorization(city.authority, found.id).state is found.state


def test_the_filed_agreement_is_verified_without_the_platform(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry)
    second = city.authorize(entry)
    assert (found.filing, second.filing) == ("SQYY-2026-0001", "SQYY-2026-0002")
    key = bytes.fromhex(public_key(city.keys))
    bundle = city.service.read_agreement(city.operator, found.id)
    report = verify_agreement(bundle, key)
    assert report.sound
    assert (report.authorization, report.number) == (found.id, found.filing)
    assert [check.what for check in report.checks] == [
        "platform", "document", "form", "operator", "authority", "parties",
    ]  # fmt: skip
    document = json.loads(base64.b64decode(json.loads(bundle)["document"]))
    parts = {clause["part"] for clause in document["clauses"]}
    asked = {"entries", "term", "calculation", "allocation", "rights_and_duties", "security", "exit", "asset_disposal"}
    assert asked <= parts, "every content item of J23 art. 4"
    assert document["legal_representative"] == "Han Mei"
    with pytest.raises(NotFound):
        city.service.read_agreement(city.rival, found.id)
    unfiled = city.authorize(entry, to="sign")
    with pytest.raises(NotFound, match="not filed"):
        city.service.read_agreement(city.operator, unfiled.id)


def test_the_filed_copy_does_not_follow_the_record(city: City) -> None:
    found = city.authorize(city.add_entry())
    with city.database.work(city.platform) as work:
        changed = replace(found.agreement, term=Term(found.agreement.term.valid_from, dt.date(2030, 1, 1)))
        work.save(AUTHORIZATIONS, replace(found, agreement=changed))
    bundle = city.service.read_agreement(city.operator, found.id)
    assert verify_agreement(bundle, bytes.fromhex(public_key(city.keys))).sound
    assert b"2030-01-01" not in base64.b64decode(json.loads(bundle)["document"])


def test_another_platforms_key_does_not_verify(city: City) -> None:
    bundle = city.service.read_agreement(city.operator, city.authorize(city.add_entry()).id)
    report = verify_agreement(bundle, bytes(32))
    assert {check.what for check in report.checks if not check.holds} == {"platform"}


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_bundle_is_sound(data: st.DataObject, filed: tuple[bytes, bytes]) -> None:
    bundle, key = filed
    place = data.draw(st.integers(0, len(bundle) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != bundle[place]))
    changed = bundle[:place] + bytes([other]) + bundle[place + 1 :]
    try:
        sound = verify_agreement(changed, key).sound
    except Invalid:
        return
    same = json.loads(changed) == json.loads(bundle)
    assert not sound or same, "a byte that the JSON reads alike changes nothing that is said"


@pytest.fixture
def filed(city: City) -> tuple[bytes, bytes]:
    bundle = city.service.read_agreement(city.operator, city.authorize(city.add_entry()).id)
    return bundle, bytes.fromhex(public_key(city.keys))


def test_a_bundle_signed_anew_by_one_party_alone_is_not_sound(city: City, filed: tuple[bytes, bytes]) -> None:
    """Whoever holds the platform's key and one party's cannot make up the other's consent."""
    bundle, key = filed
    stated = json.loads(bundle)
    stated.pop("platform_signature")
    first = stated["signatures"][0]
    stated["signatures"] = [first, {**first, "organisation": "org_authority"}]
    signature = city.keys.signing_key("agreements").sign(canonical(stated)).hex()
    report = verify_agreement(canonical({**stated, "platform_signature": signature}), key)
    assert {check.what for check in report.checks if not check.holds} == {"parties"}


def test_the_platform_reminds_once_and_forty_working_days_before_the_end(city: City) -> None:
    # The fortieth working day before 2026-09-30 is found by counting forward: from 2026-08-05 the due day is 09-30.
    found = city.authorize(city.add_entry(), term=Term(city.today, dt.date(2026, 9, 30)))
    city.clock.advance(start_of_day(dt.date(2026, 8, 5)) - SECOND - city.clock.now())
    assert city.law.calendar.due(dt.date(2026, 8, 5), 40).date == dt.date(2026, 9, 30)
    assert city.service.remind_due(city.platform) == ()
    city.clock.advance(SECOND)
    assert city.service.remind_due(city.platform) == (found.id,)
    assert city.service.remind_due(city.platform) == ()
    assert city.service.get_authorization(city.operator, found.id).reminded_on == dt.date(2026, 8, 5)
    events = [event for event in city.database.events_after(0) if event.tag == "authorization:remind"]
    assert [event.data["valid_until"] for event in events] == ["2026-09-30"]
    city.authorize(city.add_entry("2020109"), term=Term(city.today, city.today + dt.timedelta(days=5)))
    for actor in (city.operator, city.authority):
        with pytest.raises(NotAllowed):
            city.service.remind_due(actor)


@pytest.mark.parametrize(("jurisdiction", "years"), [("jinan", 2), ("wuhan", 5)])
def test_a_term_ends_at_the_laws_cap_and_not_a_day_later(city: City, jurisdiction: str, years: int) -> None:
    city.service._law = LawBook.load(jurisdiction)
    last = city.today.replace(year=city.today.year + years) - dt.timedelta(days=1)
    assert city.authorize(city.add_entry(), to="apply", term=Term(city.today, last)).agreement.term.valid_until == last
    with pytest.raises(Invalid, match=f"cap of {years} years"):
        city.authorize(city.add_entry("2020110"), to="apply", term=Term(city.today, last + dt.timedelta(days=1)))


def test_the_command_verifies_a_file_with_no_server(filed: tuple[bytes, bytes], tmp_path: Path) -> None:
    bundle, key = filed
    (tmp_path / "good.json").write_bytes(bundle)
    (tmp_path / "bad.json").write_bytes(bundle.replace(b"SQYY-2026-0001", b"SQYY-2026-0002"))
    (tmp_path / "none.json").write_bytes(b"{}")

    def run(file: str, key: str) -> tuple[int, bytes]:
        command = [sys.executable, "-c", "from shuzha.server.entry import main; main()", "agreement", "verify"]
        done = subprocess.run(
            [*command, file, "--platform-key", key, "--json"], cwd=tmp_path, capture_output=True, check=False
        )
        return done.returncode, done.stdout

    code, said = run("good.json", key.hex())
    assert (code, json.loads(said)["sound"], json.loads(said)["filing"]) == (0, True, "SQYY-2026-0001")
    code, said = run("bad.json", key.hex())
    assert (code, json.loads(said)["sound"]) == (1, False)
    assert run("none.json", key.hex())[0] == 2
    assert run("good.json", "ab")[0] == 2
