"""A registration's way with everything that can happen on it: commitment, supplement, objections, its end."""

import datetime as dt
import json

import pytest

from products.registry.letters import is_committed
from products.registry.model import ProductState, Registration
from products.registry.receipts import verify_receipt
from products.registry.registration import Agent, Application, Objector, Outcome
from shuzha.core.clock import end_of_day
from shuzha.core.errors import Conflict, Invalid, NotAllowed, TransitionNotAllowed
from shuzha.core.work import OUTBOX
from tests.products_kit import SHEET, ProductCity, insured

NEIGHBOUR = Objector("王某", "13800000000")


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


@pytest.fixture
def product(city):
    entry, grant = city.granted()
    return city.deposited(grant, insured(entry))


@pytest.fixture
def noticed(city, product):
    city.registry.apply(city.operator, product.id)
    city.registry.accept(city.registrar, product.id)
    city.registry.pass_review(city.registrar, product.id)
    return city.registry.announce(city.registrar, product.id, "特此公示。")


def days_on(city, count):
    city.clock.advance(dt.timedelta(days=count))


def test_a_receipt_is_verified_offline_and_every_change_to_it_is_found(city, product):
    key = bytes.fromhex(city.registry.public_key())
    receipt = city.registry.read_receipt(city.operator, product.id)
    output = city.registry.file_path(product).read_bytes()
    assert verify_receipt(receipt, key, output).sound
    assert verify_receipt(receipt, key).subject == product.id
    assert not verify_receipt(receipt, key, output + b" ").sound
    assert not verify_receipt(receipt, b"\1" * 32, output).sound
    stated = json.loads(receipt)
    for part, value in (("holder", "org_rival"), ("sha256", "0" * 64), ("signature", "00")):
        assert not verify_receipt(json.dumps(stated | {part: value}).encode(), key).sound
    later = stated | {"evidence": stated["evidence"] | {"deposited_at": "2020-01-01T00:00:00Z"}}
    assert [one.holds for one in verify_receipt(json.dumps(later).encode(), key).checks] == [False, False]
    with pytest.raises(Invalid, match="no receipt"):
        verify_receipt(b"{}", key)


def test_applying_gives_a_signed_commitment_that_names_the_agent(city, product):
    agent = Agent("代登事务所", "91370100MA3C000000", "2026-03-01")
    assert "代登事务所" in city.registry.preview_commitment(city.operator, product.id, agent)
    applied = city.registry.apply(city.operator, product.id, Application("贷前核验", agent))
    assert applied.application.agent == agent
    given = applied.commitment
    assert "代登事务所" in given.text
    assert product.evidence.sha256 in given.text
    assert (given.organisation, given.account) == (city.operator.organisation, city.operator.id)
    assert is_committed(city.keys, given)
    assert applied.due == city.law.calendar.due(city.today, 5).date


def test_applying_is_refused_once_the_deposited_file_was_changed(city, product):
    city.registry.file_path(product).write_bytes(b"{}")
    with pytest.raises(Invalid, match="does not hold"):
        city.registry.apply(city.operator, product.id)
    assert city.registry.get(city.operator, product.id).registration is Registration.EVIDENCE


def test_an_agent_without_a_mandate_is_refused(city, product):
    with pytest.raises(Invalid, match="leaves `mandate` empty"):
        city.registry.apply(city.operator, product.id, Application(agent=Agent("x", "y", " ")))


def test_a_supplement_amends_the_sheet_and_keeps_its_clock(city, product):
    registry = city.registry
    registry.apply(city.operator, product.id)
    asked = registry.supplement(city.registrar, product.id, "say how often")
    assert asked.due == city.law.calendar.due(city.today, 15).date
    sheet = SHEET.__class__(**{n: getattr(SHEET, n) for n in SHEET.__dataclass_fields__} | {"refresh": "每日"})
    amended = registry.amend(city.operator, product.id, sheet)
    assert (amended.sheet.refresh, amended.registration, amended.due) == ("每日", Registration.SUPPLEMENT, asked.due)
    assert registry.apply(city.operator, product.id).registration is Registration.APPLIED
    with pytest.raises(TransitionNotAllowed):
        registry.amend(city.operator, product.id, SHEET)
    with pytest.raises(NotAllowed):
        registry.amend(city.rival, product.id, SHEET)


def test_the_notice_is_written_from_the_records_and_previewed(city, product):
    registry = city.registry
    registry.apply(city.operator, product.id)
    registry.accept(city.registrar, product.id)
    registry.pass_review(city.registrar, product.id)
    preview = registry.preview_notice(city.registrar, product.id, "备注")
    noticed = registry.announce(city.registrar, product.id, "备注")
    assert noticed.notice_text == preview
    for said in (SHEET.title_zh, "社会保险", noticed.notice_due.isoformat(), "10个工作日", "备注"):
        assert said in preview


def test_an_answered_objection_lets_the_notice_run_on_for_the_days_that_were_left(city, noticed):
    registry = city.registry
    days_on(city, 7)
    left = city.law.calendar.remaining(city.today, noticed.notice_due)
    raised = registry.object_publicly(noticed.id, NEIGHBOUR, "与我单位产品重名")
    held = registry.get(city.operator, noticed.id)
    assert (held.registration, held.notice_left, held.due) == (
        Registration.HELD, left, city.law.calendar.due(city.today, 10).date,
    )  # fmt: skip
    with pytest.raises(TransitionNotAllowed):
        registry.code(city.registrar, noticed.id)
    with pytest.raises(Invalid, match="1 objections to"):
        registry.resume(city.registrar, noticed.id)
    with pytest.raises(Invalid, match="1 objections to"):
        registry.refuse(city.registrar, noticed.id, "objected")
    days_on(city, 5)
    answered = registry.answer(city.registrar, raised.id, "名称不同，不构成重名", upheld=False)
    assert answered.outcome is Outcome.DISMISSED
    resumed = registry.resume(city.registrar, noticed.id)
    assert resumed.notice_due == city.law.calendar.due(city.today, left).date
    city.clock.advance(end_of_day(resumed.notice_due) - city.clock.now())
    assert registry.code(city.registrar, noticed.id).registration is Registration.CODED


def test_an_upheld_objection_ends_the_notice(city, noticed):
    raised = city.registry.object_publicly(noticed.id, NEIGHBOUR, "侵犯我单位权益")
    city.registry.answer(city.registrar, raised.id, "属实", upheld=True)
    with pytest.raises(Invalid, match="was upheld"):
        city.registry.resume(city.registrar, noticed.id)
    with pytest.raises(Conflict, match="answered already"):
        city.registry.answer(city.registrar, raised.id, "再答", upheld=False)
    refused = city.registry.refuse(city.registrar, noticed.id, "异议成立")
    assert (refused.registration, refused.code) == (Registration.REFUSED, None)
    with pytest.raises(TransitionNotAllowed):
        city.registry.apply(city.operator, noticed.id)


def test_after_an_upheld_objection_a_supplement_leads_to_a_new_notice(city, noticed):
    registry, one = city.registry, noticed.id
    raised = registry.object_publicly(one, NEIGHBOUR, "标题误导")
    registry.answer(city.registrar, raised.id, "应当更名", upheld=True)
    registry.supplement(city.registrar, one, "更名")
    days_on(city, 1)
    registry.apply(city.operator, one)
    registry.accept(city.registrar, one)
    registry.pass_review(city.registrar, one)
    assert registry.announce(city.registrar, one).registration is Registration.PUBLIC_NOTICE
    late = registry.object_publicly(one, NEIGHBOUR, "仍不妥")
    registry.answer(city.registrar, late.id, "已更正", upheld=False)
    assert registry.resume(city.registrar, one).registration is Registration.PUBLIC_NOTICE


@pytest.mark.parametrize(
    ("objector", "text", "said"),
    [
        (Objector("", "x"), "why", "leaves `name` empty"),
        (Objector("王某", " "), "why", "leaves `contact` empty"),
        (NEIGHBOUR, "", "without a reason"),
        (NEIGHBOUR, "长" * 1001, "without a reason"),
    ],
)
def test_an_objection_that_cannot_be_answered_is_refused(city, noticed, objector, text, said):
    with pytest.raises(Invalid, match=said):
        city.registry.object_publicly(noticed.id, objector, text)
    assert city.registry.get(city.operator, noticed.id).registration is Registration.PUBLIC_NOTICE
    assert city.registry.list_public_objections(noticed.id) == ()


def test_an_objection_after_the_notice_is_refused(city, noticed):
    city.clock.advance(end_of_day(noticed.notice_due) - city.clock.now())
    with pytest.raises(Invalid, match="ended on"):
        city.registry.object_publicly(noticed.id, NEIGHBOUR, "too late")


def test_an_account_objects_once_and_strangers_as_often_as_they_are_many(city, noticed):
    city.registry.object_to(city.provider, noticed.id, "ours")
    with pytest.raises(Conflict, match="objected already"):
        city.registry.object_to(city.provider, noticed.id, "ours again")
    first = city.registry.get(city.operator, noticed.id).due
    days_on(city, 3)
    city.registry.object_publicly(noticed.id, NEIGHBOUR, "mine")
    assert city.registry.get(city.operator, noticed.id).due == first


def test_who_objects_is_told_to_the_registry_alone_and_stands_in_no_event(city, noticed):
    city.registry.object_publicly(noticed.id, NEIGHBOUR, "秘密理由")
    city.registry.object_to(city.provider, noticed.id, "ours")
    seen = [one.objector.name for one in city.registry.list_objections(city.registrar, noticed.id)]
    assert seen == [NEIGHBOUR.name, city.provider.name]
    own = [one.objector.name for one in city.registry.list_objections(city.provider, noticed.id)]
    assert own == ["", city.provider.name]
    assert {(one.objector.contact, one.text) for one in city.registry.list_public_objections(noticed.id)} == {("", "")}
    with city.database.read() as work:
        told = " ".join(f"{row.content} {row.data}" for row in work.connection.execute(OUTBOX.select()))
    assert NEIGHBOUR.contact not in told
    assert NEIGHBOUR.name not in told
    assert "秘密理由" not in told


def test_an_application_is_withdrawn_by_its_holder_only(city, noticed):
    with pytest.raises(NotAllowed):
        city.registry.withdraw(city.rival, noticed.id, "x")
    assert city.registry.withdraw(city.operator, noticed.id, "改方案").registration is Registration.WITHDRAWN


def test_a_registration_is_reminded_of_and_expires_with_its_service(city, product):
    served = city.in_service(product)
    assert city.registry.remind_due(city.platform) == ()
    city.clock.advance(end_of_day(served.valid_until) - city.clock.now() - dt.timedelta(days=62))
    assert city.registry.remind_due(city.platform) == ()
    days_on(city, 1)
    assert city.registry.remind_due(city.platform) == (product.id,)
    assert city.registry.remind_due(city.platform) == ()
    days_on(city, 60)
    assert city.registry.expire_due(city.platform) == ()
    with pytest.raises(Invalid, match="registered until"):
        city.registry.expire(city.platform, product.id)
    days_on(city, 1)
    assert city.registry.expire_due(city.platform) == (product.id,)
    ended = city.registry.get(city.operator, product.id)
    assert (ended.registration, ended.state) == (Registration.EXPIRED, ProductState.DELISTED)
    assert city.registry.expire_due(city.platform) == ()


def test_start_is_refused_once_the_file_is_not_what_was_registered(city):
    entry, grant = city.granted()
    product = city.in_service(city.deposited(grant, insured(entry)))
    city.registry.suspend(city.operator, product.id, "mend")
    city.registry.file_path(product).write_bytes(b"other")
    with pytest.raises(Invalid, match="does not hold"):
        city.registry.restore(city.operator, product.id, "mended")
