import re

import polars as pl
import pytest

from products.serving import snapshot
from products.serving.index import KEY_PURPOSE, check_shares, index_folder
from products.serving.subjects import subject_hash
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.money import Price
from tests.products_kit import ProductCity, half_paid, insured, who


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


def look(city, product, *parts):
    found = snapshot.open_current(index_folder(city.folder / "products", product.id))
    return found.find(subject_hash(city.keys.derive(KEY_PURPOSE, product.id), parts))


def test_an_index_answers_as_the_raw_rows_do(city):
    product = city.verification(people=300)
    assert [look(city, product, who(number)) for number in range(300)] == [1 - number % 2 for number in range(300)]
    assert look(city, product, who(9999)) == -1
    assert look(city, product, f" {who(0).lower()} ") == 1


def test_an_index_holds_no_subject_in_the_clear(city):
    product = city.verification()
    folder = index_folder(city.folder / "products", product.id)
    assert not any(re.search(rb"3701021980", path.read_bytes()) for path in folder.iterdir())


def test_two_products_hash_one_subject_differently(city):
    keys = [city.keys.derive(KEY_PURPOSE, name) for name in ("prd_1", "prd_2")]
    assert subject_hash(keys[0], [who(1)]) != subject_hash(keys[1], [who(1)])


def test_build_stays_within_the_row_filter_of_the_grant(city):
    entry, grant = city.granted()  # its row filter keeps pension only
    claims = [
        {"name": "medical", "title": "x", "where": [{"column": "kind", "op": "eq", "value": "medical"}]},
        {"name": "paid", "title": "x", "where": [{"column": "paid", "op": "eq", "value": True}]},
    ]
    product = city.coded(city.deposited(grant, insured(entry, claims=claims)))
    city.registry.list_product(city.operator, product.id, Price(1))
    with pytest.raises(Invalid, match=r"claim `medical` .* 0\.00%"):
        city.index.run_build(product.id)


def test_build_twice_changes_nothing_and_new_rows_make_a_new_version(city):
    product = city.verification()
    first = city.index.run_build(product.id)
    assert city.index.run_build(product.id) == first
    with city.database.read() as work:
        entry = work.get(__import__("shuzha.catalog.store", fromlist=["ENTRIES"]).ENTRIES, product.entry)
    city.ingest(entry, half_paid(220), "bat_more")
    assert city.index.list_stale(entry.id) == (product.id,)
    second = city.index.run_build(product.id)
    assert (second.version, second.subjects) == (first.version + 1, 220)
    assert city.registry.get_product(city.operator, product.id).index_version == second.version


def test_build_is_refused_while_the_authorization_is_suspended(city):
    product = city.verification()
    city.service.suspend(city.authority, product.authorization, "audit")
    city.policies.forget(product.authorization)
    with pytest.raises(NotAllowed, match="not in force"):
        city.index.run_build(product.id)


def test_several_subject_fields_are_one_key(city):
    columns = ("resident_id", "name", "kind", "paid", "district_code")
    entry, grant = city.granted(columns=columns)
    product = city.in_service(city.deposited(grant, insured(entry, subject=["resident_id", "name"])))
    assert look(city, product, who(4), "张0004") == 1
    assert look(city, product, who(4), "张0005") == -1


@pytest.mark.parametrize("share", [0.0, 0.0499, 0.9501, 1.0])
def test_extreme_shares_are_refused(share):
    with pytest.raises(Invalid, match="claim `insured`"):
        check_shares("prd_1", 100, {"insured": share})
    check_shares("prd_1", 100, {"insured": 0.05, "other": 0.95})


def test_an_index_of_few_subjects_is_refused():
    with pytest.raises(Invalid, match="9 subjects"):
        check_shares("prd_1", 9, {"insured": 0.5})


def test_hundred_thousand_subjects_are_indexed(city):
    number = pl.int_range(100_000, eager=True)
    people = pl.DataFrame({"resident_id": "3701" + number.cast(pl.String).str.zfill(14), "paid": number % 2 == 0})
    rows = pl.concat([people.with_columns(kind=pl.lit("pension"), period=pl.lit(f"m{month}")) for month in range(10)])
    entry = city.filled(
        rows.with_columns(name=pl.lit("x"), employer=pl.lit("e"), base=1, district_code=pl.lit("d"), note=pl.lit(""))
    )
    product = city.in_service(city.deposited(city.grant(city.authorize(entry), entry), insured(entry)))
    assert product.index_subjects == 100_000
    assert look(city, product, "3701" + "99998".zfill(14)) == 1
