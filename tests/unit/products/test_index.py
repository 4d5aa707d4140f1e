import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from products.serving import snapshot, watching
from products.serving.index import check_shares
from products.serving.places import KEY_PURPOSE, index_folder
from products.serving.subjects import subject_hash
from shuzha.catalog.model import BatchMode
from shuzha.core.errors import Conflict, Invalid, NotAllowed
from shuzha.core.money import Price
from tests.products_kit import ProductCity, half_paid, insured, who

ROOT = Path(__file__).parents[3]


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
    files = [path for path in folder.iterdir() if path.is_file()]
    assert not any(re.search(rb"3701021980", path.read_bytes()) for path in files)


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


def people(numbers, paid=True, kind="pension"):
    rows = [{"resident_id": who(number), "kind": kind, "paid": paid} for number in numbers]
    shared = {"name": "x", "period": "2026-02", "employer": "e", "base": 1, "district_code": "370102", "note": ""}
    return pl.DataFrame([row | shared for row in rows])


def changed(city, product, frame, mode=BatchMode.MERGE, batch="bat_change"):
    """Bring a batch into the raw zone and return the manifest of the index that follows it."""
    source = city.folder / f"{batch}.parquet"
    order = city.zone.scan(product.entry).collect_schema()
    frame.select([pl.col(name).cast(dtype) for name, dtype in order.items()]).write_parquet(source)
    with city.zone.lock(product.entry):
        city.zone.write(product.entry, batch, source, mode, ("resident_id", "kind"), None)
    return city.index.run_build(product.id)


def answers(city, product, numbers):
    return [look(city, product, who(number)) for number in numbers]


def test_a_merge_updates_the_index_without_reading_it_all_anew(city):
    product = city.verification(people=300)
    made = changed(city, product, pl.concat([people([0, 2], paid=False), people([1]), people([900])]))
    assert (made.way, made.version, made.base, made.subjects) == ("update", 2, 1, 301)
    assert answers(city, product, [0, 1, 2, 3, 4, 900, 901]) == [0, 1, 0, 0, 1, 1, -1]
    assert city.registry.get_product(city.operator, product.id).index_version == 2


def test_an_append_updates_the_index(city):
    product = city.verification(people=300)
    made = changed(city, product, pl.concat([people([1], kind="other"), people([700])]), BatchMode.APPEND)
    assert made.way == "update"
    assert answers(city, product, [0, 1, 700]) == [1, 0, 1]


def test_a_full_batch_is_read_anew(city):
    product = city.verification(people=300)
    made = changed(city, product, half_paid(200), BatchMode.FULL)
    assert (made.way, made.subjects) == ("full", 200)


def test_many_changes_are_read_anew(city):
    product = city.verification(people=300)
    assert changed(city, product, people(range(200), paid=False).head(90)).way == "full"


def test_a_table_from_before_the_change_feed_is_read_anew(city, monkeypatch):
    monkeypatch.setattr("shuzha.catalog.changes.FEED", "delta.other")
    product = city.verification(people=300)
    made = changed(city, product, people([0], paid=False))
    assert (made.way, answers(city, product, [0, 2])) == ("full", [0, 1])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_updates_are_what_a_new_build_would_be(tmp_path_factory, data):
    city = ProductCity(tmp_path_factory.mktemp("city"))
    # With those who come, still less than twice 128: a new build would give more subjects another shape.
    product = city.verification(people=150)
    for batch in range(data.draw(st.integers(1, 3))):
        numbers = data.draw(st.lists(st.integers(0, 190), min_size=1, max_size=9, unique=True))
        frame = people(numbers, data.draw(st.booleans()), data.draw(st.sampled_from(["pension", "medical"])))
        spelt = data.draw(st.sampled_from(["", " ", "\u3000"]))  # the same person in another spelling
        frame = frame.with_columns(pl.col("resident_id") + spelt)
        assert changed(city, product, frame, batch=f"bat_{batch}").way == "update"
    folder = index_folder(city.folder / "products", product.id)
    updated = snapshot.read_manifest(folder)
    asked = [look(city, product, who(number)) for number in range(200)]
    shutil.rmtree(folder)
    again = city.index.run_build(product.id)
    assert (again.way, again.subjects, again.shares) == ("full", updated.subjects, updated.shares)
    assert [look(city, product, who(number)) for number in range(200)] == asked
    assert [one.sha256 for one in again.segments] == [one.sha256 for one in updated.segments]


def test_an_update_into_an_extreme_share_is_refused_and_changes_nothing(city):
    product = city.verification(people=300)
    folder = index_folder(city.folder / "products", product.id)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(Invalid, match="claim `insured`"):
        changed(city, product, people(range(0, 300, 2), paid=False))
    assert snapshot.open_current(folder).manifest.version == 1
    city.index.sweep()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_cancelled_build_changes_nothing(city):
    product = city.verification(people=300)
    folder = index_folder(city.folder / "products", product.id)
    with pytest.raises(Conflict, match="no build runs"):
        city.index.cancel_build(city.operator, product.id, "too early")
    assert city.index.find_progress(city.operator, product.id) is None

    def cancel(stage, done, total):
        assert watching.is_building(folder)
        with pytest.raises(NotAllowed):
            city.index.cancel_build(city.consumer, product.id, "mine")
        city.index.cancel_build(city.operator, product.id, "a wrong batch")

    city.zone.write(product.entry, "bat_more", _parquet(city, half_paid(320)), BatchMode.FULL, (), None)
    with pytest.raises(watching.BuildCancelled):
        city.index.run_build(product.id, cancel)
    assert snapshot.open_current(folder).manifest.version == 1
    assert watching.read_progress(folder) is None
    assert city.index.run_build(product.id).version == 2


def _parquet(city, frame):
    frame.write_parquet(city.folder / "more.parquet")
    return city.folder / "more.parquet"


KILLED = """
import datetime as dt, os, sys, types
from pathlib import Path
from shuzha.core.clock import FixedClock
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = ["tests"]
from tests.products_kit import ProductCity
city = ProductCity(Path(sys.argv[1]), FixedClock(dt.datetime.fromisoformat(sys.argv[4])))
city.index.run_build(sys.argv[2], lambda stage, *_: os.kill(os.getpid(), 9) if stage == sys.argv[3] else None)
"""


@pytest.mark.parametrize("stage", ["read", "sort"])
def test_a_killed_build_leaves_the_old_index_and_no_rubbish(city, stage):
    product = city.verification(people=300)
    folder = index_folder(city.folder / "products", product.id)
    before = sorted(path.name for path in folder.iterdir())
    city.zone.write(product.entry, "bat_more", _parquet(city, half_paid(320)), BatchMode.FULL, (), None)
    command = [sys.executable, "-c", KILLED, str(city.folder), product.id, stage, city.clock.now().isoformat()]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr
    assert snapshot.open_current(folder).manifest.version == 1
    city.index.sweep()
    assert sorted(path.name for path in folder.iterdir()) == before
    assert city.index.run_build(product.id).version == 2


def test_an_index_of_a_form_of_before_is_built_at_the_next_start(city):
    product = city.verification(people=300)
    assert city.index.list_unfinished() == ()
    (index_folder(city.folder / "products", product.id) / "current.json").write_text('{"product": "x", "file": "v1"}')
    assert city.index.list_unfinished() == (product.id,)
    assert city.index.run_build(product.id).version == 2
