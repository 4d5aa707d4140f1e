"""Data resources: registered from a published entry, with evidence that the catalogue cannot outrun unseen."""

import dataclasses
import hashlib
import json

import pytest

from products.registry.case_model import Asked, CaseKind
from products.registry.codes import is_code
from products.registry.receipts import verify_receipt
from products.registry.registration import Objector, Registration
from products.registry.resource_model import Access, ResourceSheet
from shuzha.catalog.model import EntryState
from shuzha.core.clock import end_of_day
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from tests.products_kit import ProductCity

SHEET = ResourceSheet("社会保险参保信息", "social insurance", "参保与缴费", "社会保险法第七十四条", "wang@example.cn")


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


@pytest.fixture
def entry(city):
    return city.filled()


@pytest.fixture
def resource(city, entry):
    return city.resources.deposit(city.provider, entry.id, SHEET, Access.AUTHORIZED_OPERATION)


def registered(city, resource, by=None):
    book, one = city.resources, resource.id
    book.apply(by or city.provider, one)
    book.accept(city.registrar, one)
    book.pass_review(city.registrar, one)
    noticed = book.announce(city.registrar, one)
    city.clock.advance(end_of_day(noticed.notice_due) - city.clock.now())
    book.code(city.registrar, one)
    return book.validate(city.registrar, one)


def test_a_resource_gets_a_code_of_its_own_kind(city, resource):
    valid = registered(city, resource)
    assert is_code(valid.code)
    assert valid.code[3:5] == "10"
    assert valid.registration is Registration.VALID
    assert city.resources.find_by_code(valid.code) == valid


def test_its_evidence_is_the_entry_as_it_was_described(city, entry, resource):
    content = city.resources.read_description(city.provider, resource.id)
    assert hashlib.sha256(content).hexdigest() == resource.evidence.output_sha256
    assert json.loads(content)["code"] == entry.code
    receipt = city.resources.read_receipt(city.provider, resource.id)
    assert verify_receipt(receipt, bytes.fromhex(city.registry.public_key()), content).sound


def test_the_authority_registers_for_a_provider_and_nobody_else_does(city, entry):
    for who in (city.other_provider, city.operator, city.registrar):
        with pytest.raises(NotAllowed):
            city.resources.deposit(who, entry.id, SHEET, Access.OPEN)
    made = city.resources.deposit(city.authority, entry.id, SHEET, Access.OPEN)
    assert made.holder == entry.provider
    assert registered(city, made, city.authority).commitment.organisation == entry.provider


def test_an_entry_is_registered_once(city, entry, resource):
    with pytest.raises(Conflict, match=resource.id):
        city.resources.deposit(city.provider, entry.id, SHEET, Access.OPEN)
    city.resources.withdraw(city.provider, resource.id, "重新提交")
    assert city.resources.deposit(city.provider, entry.id, SHEET, Access.OPEN).id != resource.id


@pytest.mark.parametrize("state", [EntryState.DRAFT, EntryState.SUSPENDED, EntryState.RETIRED])
def test_an_entry_that_is_not_published_is_refused(city, entry, state):
    city.change_entry(entry, state=state)
    with pytest.raises(Invalid, match=f"is {state.value}"):
        city.resources.deposit(city.provider, entry.id, SHEET, Access.OPEN)


def test_a_secret_entry_is_never_registered(city, entry):
    city.change_entry(entry, sheet=dataclasses.replace(entry.sheet, secret=True))
    with pytest.raises(NotAllowed, match="never be registered"):
        city.resources.deposit(city.provider, entry.id, SHEET, Access.OPEN)


def test_a_sheet_without_its_basis_is_refused(city, entry):
    with pytest.raises(Invalid, match="leaves `basis` empty"):
        city.resources.deposit(city.provider, entry.id, dataclasses.replace(SHEET, basis=""), Access.OPEN)


def test_an_entry_that_moved_on_stops_the_registration_until_its_evidence_is_deposited_anew(city, entry, resource):
    book = city.resources
    book.apply(city.provider, resource.id)
    city.change_entry(entry, version=2)
    book.accept(city.registrar, resource.id)
    with pytest.raises(Invalid, match="is at version 2"):
        book.pass_review(city.registrar, resource.id)
    book.supplement(city.registrar, resource.id, "目录已更新")
    amended = book.amend(city.provider, resource.id, SHEET)
    assert (amended.entry_version, amended.evidence.sha256 != resource.evidence.sha256) == (2, True)
    assert registered(city, amended).registration is Registration.VALID


def test_a_change_registers_the_entry_as_it_is_now(city, entry, resource):
    registered(city, resource)
    with pytest.raises(Invalid, match="names nothing new"):
        city.cases.file(city.provider, resource.id, Asked(CaseKind.CHANGE, "nothing new"))
    city.change_entry(entry, version=2, sheet=dataclasses.replace(entry.sheet, abstract="缴费与待遇"))
    case = city.cases.file(city.provider, resource.id, Asked(CaseKind.CHANGE, "目录第 2 版"))
    assert city.resources.find(resource.id).entry_version == 1
    city.cases.accept(city.registrar, case.id)
    city.cases.grant(city.registrar, case.id, "一致")
    changed = city.resources.find(resource.id)
    assert (changed.entry_version, changed.superseded) == (2, (resource.evidence,))
    assert json.loads(city.resources.read_description(city.provider, resource.id))["sheet"]["abstract"] == "缴费与待遇"


def test_a_resource_serves_no_output(city, resource):
    registered(city, resource)
    with pytest.raises(Invalid, match="serves no output"):
        city.cases.file(city.provider, resource.id, Asked(CaseKind.CHANGE, "x", {}, "exp_1", "f.csv"))


def test_a_notice_of_a_resource_is_objected_to_like_any_other(city, resource):
    book, one = city.resources, resource.id
    book.apply(city.provider, one)
    book.accept(city.registrar, one)
    book.pass_review(city.registrar, one)
    book.announce(city.registrar, one)
    raised = book.object_publicly(one, Objector("张某", "zhang@example.cn"), "权属有争议")
    book.answer(city.registrar, raised.id, "已核实权属", upheld=False)
    assert book.resume(city.registrar, one).registration is Registration.PUBLIC_NOTICE


def test_what_is_authorized_and_not_registered_is_a_duty(city):
    entry, _grant = city.granted()
    (duty,) = city.resources.list_duties(city.provider)
    assert (duty.entry, duty.due) == (entry.id, city.law.calendar.due(city.today, 20).date)
    assert city.resources.list_duties(city.other_provider) == ()
    assert len(city.resources.list_duties(city.authority)) == 1
    city.resources.deposit(city.provider, entry.id, SHEET, Access.AUTHORIZED_OPERATION)
    assert city.resources.list_duties(city.provider) == ()


def test_another_provider_does_not_see_the_resource(city, resource):
    with pytest.raises(NotFound):
        city.resources.get(city.other_provider, resource.id)
    assert city.resources.list_all(city.operator) == ()
