import datetime as dt
import hashlib

import msgspec
import pytest

from policies import Permission
from products.registry.codes import ProductKind, is_code
from products.registry.model import PRODUCT, REGISTRATION, Product, ProductState, Registration
from products.registry.service import encode_evidence
from shuzha.core.clock import city_date, end_of_day
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from shuzha.core.money import Price
from shuzha.core.work import Event
from tests.products_kit import SHEET, ProductCity, insured


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


@pytest.fixture
def product(city):
    entry, grant = city.granted()
    return city.deposited(grant, insured(entry))


def test_every_verb_has_its_permission():
    assert set(REGISTRATION.permissions()) | set(PRODUCT.permissions()) <= {one.value for one in Permission}


def test_deposit_keeps_hashes_and_lineage(city, product):
    lineage = product.evidence.lineage
    assert (lineage.grant, lineage.authorization, lineage.entry) == (
        product.grant,
        product.authorization,
        product.entry,
    )
    assert hashlib.sha256(encode_evidence(product)).hexdigest() == product.evidence.sha256
    assert product.columns == ("kind", "paid", "resident_id")
    stored = city.registry.get_product(city.operator, product.id)
    assert stored == product
    assert stored.evidence.computed_sha256() == product.evidence.sha256


def test_deposit_refuses_the_export_of_another_organisation(city):
    entry, grant = city.granted()
    export = city.release_file(grant, insured(entry))
    with pytest.raises(NotAllowed, match="another organisation"):
        city.registry.deposit(city.rival, export, "insured.json", ProductKind.VERIFICATION, SHEET)


def test_deposit_refuses_a_table_as_a_verification(city):
    _entry, grant = city.granted()
    with pytest.raises(Invalid, match="refuses a file of form table"):
        city.deposited(grant, b"a,b\n1,2\n", form="table", file="t.csv")


def test_deposit_refuses_a_specification_that_reads_beyond_its_grant(city):
    entry, grant = city.granted()
    claims = [{"name": "rich", "title": "rich", "where": [{"column": "base", "op": "gt", "value": 1}]}]
    with pytest.raises(Invalid, match="`base`, which its grant does not hold"):
        city.deposited(grant, insured(entry, claims=claims))


def test_deposit_refuses_an_unknown_export(city):
    with pytest.raises(NotFound):
        city.registry.deposit(city.operator, "exp_none", "x.json", ProductKind.VERIFICATION, SHEET)


def test_code_is_refused_while_the_notice_runs_and_names_its_last_day(city, product):
    registry = city.registry
    registry.apply(city.operator, product.id)
    accepted = registry.accept(city.registrar, product.id)
    assert accepted.review_due == city.law.calendar.due(city.today, 20).date
    registry.pass_review(city.registrar, product.id)
    noticed = registry.announce(city.registrar, product.id, "拟赋码公示")
    assert noticed.notice_due == city.law.calendar.due(city.today, 10).date
    city.clock.advance(end_of_day(noticed.notice_due) - city.clock.now() - dt.timedelta(seconds=1))
    with pytest.raises(Invalid, match=noticed.notice_due.isoformat()) as refused:
        registry.code(city.registrar, product.id)
    assert refused.value.code == "notice_running"
    assert registry.get_product(city.registrar, product.id).code is None
    city.clock.advance(dt.timedelta(seconds=1))
    coded = registry.code(city.registrar, product.id)
    assert is_code(coded.code)
    assert registry.find_by_code(coded.code) == coded


def test_validate_gives_three_years(city, product):
    valid = city.coded(product)
    assert valid.registration is Registration.VALID
    assert (valid.valid_until.year, valid.valid_until.month) == (city.today.year + 3, city.today.month)


def test_codes_count_on(city):
    entry, grant = city.granted()
    codes = [city.coded(city.deposited(grant, insured(entry))).code for _ in range(2)]
    assert [code[5:12] for code in codes] == ["0000001", "0000002"]


def test_a_supplement_goes_back_to_the_applicant(city, product):
    city.registry.apply(city.operator, product.id)
    sent = city.registry.supplement(city.registrar, product.id, "the refresh is missing")
    assert (sent.registration, sent.state_reason) == (Registration.SUPPLEMENT, "the refresh is missing")
    assert city.registry.apply(city.operator, product.id).registration is Registration.APPLIED


def test_the_applicant_cannot_register_its_own_product(city, product):
    city.registry.apply(city.operator, product.id)
    for verb in (city.registry.accept, city.registry.code, city.registry.validate):
        with pytest.raises((NotAllowed, TransitionNotAllowed)):
            verb(city.operator, product.id)


def test_list_is_refused_before_the_registration_is_valid(city, product):
    with pytest.raises(Invalid, match="its registration is evidence"):
        city.registry.list_product(city.operator, product.id, Price(120))


def test_list_refuses_to_waive_a_purpose_beyond_the_grant(city, product):
    city.coded(product)
    with pytest.raises(Invalid, match="cannot waive purpose `marketing`"):
        city.registry.list_product(city.operator, product.id, Price(120), ("marketing",))


def test_start_is_refused_without_an_index(city, product):
    city.registry.list_product(city.operator, city.coded(product).id, Price(120))
    with pytest.raises(Invalid, match="has no index"):
        city.registry.start(city.operator, product.id)


def test_a_suspension_by_the_authority_is_not_lifted_by_the_operator(city):
    product = city.verification()
    assert product.state is ProductState.IN_SERVICE
    city.registry.suspend(city.authority, product.id, "complaints")
    with pytest.raises(NotAllowed, match="another organisation suspended it"):
        city.registry.restore(city.operator, product.id, "please")
    assert city.registry.restore(city.authority, product.id, "mended").state is ProductState.IN_SERVICE


def recall(city, product: Product) -> Event:
    """Recall the export of a product; return the event that the airlock makes of it."""
    export, reason = product.evidence.lineage.export, "wrong period"
    city.shelf.recalled[export] = reason
    with city.database.work(city.authority) as work:
        data = {"authorization": product.authorization, "reason": reason}
        work.emit("export:recall", export, "export recalled", data=data)
    return city.database.events_after(0)[-1]


def test_recall_of_an_export_suspends_its_product_for_good(city):
    entry, grant = city.granted()
    product, other = (city.in_service(city.deposited(grant, insured(entry))) for _ in range(2))
    event = recall(city, product)
    for _ in range(2):  # A durable follower may hear of it twice.
        city.registry.follow_recall(event)
    held = city.registry.get_product(city.operator, product.id)
    assert (held.state, held.state_reason) == (ProductState.SUSPENDED, "its export was recalled: wrong period")
    assert city.registry.get_product(city.operator, other.id).state is ProductState.IN_SERVICE
    with pytest.raises(Invalid, match="which was recalled: wrong period"):
        city.registry.restore(city.authority, product.id, "please")


def test_product_of_a_recalled_export_is_neither_coded_nor_listed(city, product):
    city.coded(product)
    recall(city, product)
    with pytest.raises(Invalid, match="which was recalled"):
        city.registry.list_product(city.operator, product.id, Price(120))


def test_another_operator_does_not_see_the_product(city, product):
    with pytest.raises(NotFound):
        city.registry.get_product(city.rival, product.id)
    assert city.registry.list_products(city.rival) == ()


def test_a_report_is_registered_with_its_file(city):
    _entry, grant = city.granted(output_kinds=("verification", "report"))
    product = city.deposited(
        grant, b"district,count\n370102,41\n", ProductKind.REPORT, form="table", file="by_district.csv"
    )
    assert city.registry.file_path(product).read_bytes().startswith(b"district")
    assert city.in_service(product).state is ProductState.IN_SERVICE


def test_events_name_the_thing_and_hold_no_specification(city, product):
    events = [event for event in city.database.events_after(0) if event.subject == product.id]
    assert [event.tag for event in events] == ["product:deposit"]
    assert "resident" not in msgspec.json.encode(events[0].data).decode()
    assert city_date(events[0].time) == city.today
