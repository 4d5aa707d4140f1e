"""Changes, corrections, renewals and cancellations: asked, heard, decided, and done only when they are granted."""

import dataclasses
import datetime as dt
import json

import pytest

from products.registry.case_model import CASE, Asked, CaseKind, CaseState
from products.registry.model import ProductState, Registration
from shuzha.core.clock import end_of_day
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.products_kit import SHEET, ProductCity, insured

K = CaseKind


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


@pytest.fixture
def granted(city):
    return city.granted()


@pytest.fixture
def product(city, granted):
    entry, grant = granted
    return city.in_service(city.deposited(grant, insured(entry)))


def now_of(city, product):
    return city.registry.get(city.registrar, product.id)


def decided(city, case, reason="属实"):
    city.cases.accept(city.registrar, case.id)
    return city.cases.grant(city.registrar, case.id, reason)


def other_claim(entry):
    made = json.loads(insured(entry))
    made["claims"][0] |= {"name": "covered", "title": "pension covered"}
    return json.dumps(made).encode()


def test_a_change_of_the_sheet_is_done_when_it_is_granted_and_not_before(city, product):
    asked = Asked(K.CHANGE, "现为每日更新", {"refresh": "daily"})
    case = city.cases.file(city.operator, product.id, asked)
    assert (case.before, case.due) == ({"refresh": SHEET.refresh}, city.law.calendar.due(city.today, 5).date)
    assert city.cases.accept(city.registrar, case.id).due == city.law.calendar.due(city.today, 20).date
    assert now_of(city, product).sheet == SHEET
    city.cases.grant(city.registrar, case.id, "已核实")
    changed = now_of(city, product)
    assert changed.sheet == dataclasses.replace(SHEET, refresh="daily")
    assert (changed.registration, changed.state, changed.code) == (
        Registration.VALID, ProductState.IN_SERVICE, product.code,
    )  # fmt: skip
    (history,) = city.cases.list_public(product.id)
    assert (history.before["refresh"], history.changes["refresh"]) == (SHEET.refresh, "daily")
    with pytest.raises(TransitionNotAllowed):
        city.cases.grant(city.registrar, case.id, "again")


def test_a_refused_change_leaves_the_registration_as_it_was(city, product):
    before = now_of(city, product)
    case = city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {"refresh": "daily"}))
    assert city.cases.refuse(city.registrar, case.id, "无依据").state is CaseState.REFUSED
    assert now_of(city, product) == before
    assert city.cases.list_public(product.id) == ()


def test_a_new_output_needs_evidence_and_is_served_after_a_new_start(city, granted, product):
    entry, grant = granted
    content = other_claim(entry)
    export = city.release_file(grant, content)
    asked = Asked(K.CHANGE, "核验事项更名", {}, export, "insured.json")
    case = city.cases.file(city.operator, product.id, asked)
    assert case.evidence.lineage.export == export
    assert case.evidence.computed_sha256() == case.evidence.sha256
    old = city.registry.file_path(product).read_bytes()
    assert old != content
    decided(city, case)
    changed = now_of(city, product)
    assert (changed.evidence, changed.superseded) == (case.evidence, (product.evidence,))
    assert (changed.state, changed.index_version) == (ProductState.LISTED, 0)
    assert "covered" in changed.specification
    assert city.registry.file_path(changed).read_bytes() == content
    kept = city.registry.file_path(product).parents[1] / "superseded" / product.evidence.output_sha256
    assert kept.read_bytes() == old
    with pytest.raises(Invalid, match="has no index"):
        city.registry.start(city.operator, product.id)
    assert city.index.run_build(product.id).claims == ("covered",)
    assert city.registry.start(city.operator, product.id).state is ProductState.IN_SERVICE


def test_a_new_output_of_another_grant_or_the_same_output_is_refused(city, granted, product):
    entry, grant = granted
    same = city.release_file(grant, insured(entry))
    with pytest.raises(Invalid, match="is the one it serves"):
        city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {}, same, "insured.json"))
    other_entry, other_grant = city.granted_elsewhere()
    export = city.release_file(other_grant, other_claim(other_entry))
    with pytest.raises(Invalid, match="of another grant"):
        city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {}, export, "insured.json"))
    with pytest.raises(NotFound):
        city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {}, "exp_none", "insured.json"))
    assert city.cases.list(city.operator) == ()


def test_a_party_asks_for_a_correction_and_the_holder_is_heard(city, product):
    asked = Asked(K.CORRECTION, "标题与我局登记不符", {"title_zh": "养老保险缴费核验"})
    case = city.cases.file(city.provider, product.id, asked)
    assert case.response_due == city.law.calendar.due(city.today, 5).date
    city.cases.accept(city.registrar, case.id)
    with pytest.raises(Invalid, match="to be heard"):
        city.cases.grant(city.registrar, case.id, "属实")
    with pytest.raises(NotAllowed):
        city.cases.respond(city.rival, case.id, "no")
    assert city.cases.respond(city.operator, case.id, "同意").response == "同意"
    with pytest.raises(Conflict, match="no response"):
        city.cases.respond(city.operator, case.id, "再次")
    city.cases.grant(city.registrar, case.id, "属实")
    assert now_of(city, product).sheet.title_zh == "养老保险缴费核验"


def test_a_correction_is_decided_once_the_holder_had_its_days(city, product):
    case = city.cases.file(city.provider, product.id, Asked(K.CORRECTION, "x", {"limits": "none"}))
    city.cases.accept(city.registrar, case.id)
    city.clock.advance(end_of_day(case.response_due) - city.clock.now())
    assert city.cases.grant(city.registrar, case.id, "逾期未陈述").state is CaseState.GRANTED


def test_a_field_that_another_case_changed_is_not_corrected_blindly(city, product):
    mine = city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {"limits": "two a call"}))
    theirs = city.cases.file(city.provider, product.id, Asked(K.CORRECTION, "x", {"limits": "three a call"}))
    decided(city, mine)
    city.cases.respond(city.operator, theirs.id, "已变更")
    city.cases.accept(city.registrar, theirs.id)
    with pytest.raises(Conflict, match="field `limits` was changed since"):
        city.cases.grant(city.registrar, theirs.id, "x")
    assert city.cases.get(city.registrar, theirs.id).state is CaseState.ACCEPTED


def test_a_supplement_of_a_case_goes_round(city, product):
    case = city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {"refresh": "daily"}))
    sent = city.cases.supplement(city.registrar, case.id, "说明更新机制")
    assert (sent.state, sent.due) == (CaseState.SUPPLEMENT, city.law.calendar.due(city.today, 15).date)
    done = city.cases.complete(city.operator, case.id, "由省平台每日推送", {"refresh": "every day"})
    assert (done.state, done.changes) == (CaseState.FILED, {"refresh": "every day"})
    with pytest.raises(NotAllowed):
        city.cases.withdraw(city.rival, case.id, "x")
    assert city.cases.withdraw(city.operator, case.id, "不变更了").state is CaseState.WITHDRAWN


def test_a_cancellation_ends_registration_and_service(city, product):
    case = city.cases.file(city.operator, product.id, Asked(K.CANCELLATION, "停止经营"))
    assert now_of(city, product).state is ProductState.IN_SERVICE
    decided(city, case, "同意注销")
    gone = now_of(city, product)
    assert (gone.registration, gone.state) == (Registration.CANCELLED, ProductState.DELISTED)
    assert gone.state_reason == "同意注销"


def test_the_authority_asks_for_a_cancellation_and_another_operator_cannot(city, product):
    with pytest.raises(NotAllowed):
        city.cases.file(city.rival, product.id, Asked(K.CANCELLATION, "a rival's wish"))
    case = city.cases.file(city.authority, product.id, Asked(K.CANCELLATION, "材料不实"))
    city.cases.respond(city.operator, case.id, "无异议")
    decided(city, case)
    assert now_of(city, product).registration is Registration.CANCELLED


def test_a_renewal_is_asked_in_time_holds_the_end_and_adds_three_years(city, product):
    with pytest.raises(Invalid, match="is registered until"):
        city.cases.file(city.operator, product.id, Asked(K.RENEWAL, "续期"))
    until = now_of(city, product).valid_until
    city.clock.advance(end_of_day(until) - city.clock.now() - dt.timedelta(days=10))
    case = city.cases.file(city.operator, product.id, Asked(K.RENEWAL, "续期"))
    city.clock.advance(dt.timedelta(days=20))
    assert city.registry.expire_due(city.platform) == ()
    decided(city, case)
    renewed = now_of(city, product)
    assert (renewed.valid_until, renewed.registration) == (until.replace(year=until.year + 3), Registration.VALID)
    assert renewed.reminded_on is None


def test_a_renewal_that_is_refused_after_the_end_lets_it_come(city, product):
    until = now_of(city, product).valid_until
    city.clock.advance(end_of_day(until) - city.clock.now() - dt.timedelta(days=1))
    case = city.cases.file(city.operator, product.id, Asked(K.RENEWAL, "续期"))
    city.clock.advance(dt.timedelta(days=3))
    city.cases.refuse(city.registrar, case.id, "材料不全")
    assert city.registry.expire_due(city.platform) == (product.id,)


@pytest.mark.parametrize(
    ("who", "asked", "said"),
    [
        ("operator", Asked(K.CHANGE, "x"), "names nothing new"),
        ("operator", Asked(K.CHANGE, "x", {"price": "0"}), "unknown field"),
        ("operator", Asked(K.CHANGE, "x", {"limits": " "}), "leaves `limits` empty"),
        ("operator", Asked(K.CHANGE, "x", {"limits": SHEET.limits}), "leaves `limits` as it is"),
        ("operator", Asked(K.CHANGE, "x", {"limits": "y"}, "exp_0"), "by its export and its file"),
        ("operator", Asked(K.CHANGE, " ", {"limits": "y"}), "without a reason"),
        ("operator", Asked(K.CORRECTION, "x"), "names no field"),
        ("operator", Asked(K.CORRECTION, "x", {"limits": "y"}, "exp_0", "f"), "no new output"),
        ("operator", Asked(K.CANCELLATION, "x", {"limits": "y"}), "changes no field"),
    ],
)
def test_a_case_that_asks_what_its_kind_does_not_allow_is_refused(city, product, who, asked, said):
    with pytest.raises(Invalid, match=said):
        city.cases.file(getattr(city, who), product.id, asked)
    assert city.cases.list(city.registrar) == ()


def test_a_case_needs_a_registration_in_force(city, granted):
    entry, grant = granted
    product = city.deposited(grant, insured(entry))
    with pytest.raises(Invalid, match="its registration is evidence"):
        city.cases.file(city.operator, product.id, Asked(K.CANCELLATION, "x"))
    with pytest.raises(NotFound):
        city.cases.file(city.operator, "ent_1", Asked(K.CANCELLATION, "x"))


def test_one_asks_once_for_the_same(city, product):
    city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {"limits": "y"}))
    with pytest.raises(Conflict, match="asks for a change already"):
        city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {"answers": "y"}))


def test_cases_are_seen_by_both_sides_and_the_registry(city, product):
    case = city.cases.file(city.provider, product.id, Asked(K.CORRECTION, "x", {"limits": "y"}))
    for who in (city.provider, city.operator, city.registrar, city.regulator, city.authority):
        assert city.cases.get(who, case.id) == case
    for who in (city.rival, city.other_provider, city.consumer):
        assert city.cases.list(who) == ()
        with pytest.raises(NotFound):
            city.cases.get(who, case.id)


def test_only_the_registry_decides(city, product):
    case = city.cases.file(city.operator, product.id, Asked(K.CHANGE, "x", {"limits": "y"}))
    for verb in (city.cases.accept, city.cases.grant, city.cases.refuse, city.cases.supplement):
        with pytest.raises(NotAllowed):
            verb(city.operator, case.id, *(() if verb == city.cases.accept else ("yes",)))
    assert CASE.terminal == {CaseState.GRANTED, CaseState.REFUSED, CaseState.WITHDRAWN}
