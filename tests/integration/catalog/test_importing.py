from pathlib import Path

import polars as pl
import pytest

from shuzha.catalog.importing import infer_draft
from shuzha.catalog.model import BatchState, ElementType, Role, SubjectKind, Title
from shuzha.core.errors import Invalid
from shuzha.server.demo import city
from tests.catalog_kit import CatalogKit, scan_as_plain

ADULT = Path(__file__).parents[4] / "shared" / "data" / "adult" / "adult.csv"
TITLE = Title("导入的数据", "imported data")


def infer(tmp_path, content, **options):
    path = tmp_path / "file.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return infer_draft(path, "3010001", "imported", TITLE, tmp_path, **options)


def types(sheet):
    return {element.name: element.type for element in sheet.elements}


def publish_from_file(kit, path, code="3010001"):
    sheet = infer_draft(path, code, "imported", TITLE, kit.folder)
    entry = kit.service.draft_entry(kit.provider, sheet)
    kit.service.scan_sample(kit.provider, entry.id, path)
    kit.service.submit_entry(kit.provider, entry.id)
    return kit.service.publish_entry(kit.authority, entry.id, "read and agreed")


def test_infer_reads_types_from_every_row(tmp_path):
    content = (
        "n,code,share,day,moment,flag,mixed,empty\n"
        "1,370102,0.5,2026-01-31,2026-01-31 08:00,true,1,\n"
        "-20,370103,1e3,2026/2/1,2026-02-01T09:30:00,false,x,\n"
    )
    sheet = infer(tmp_path, content, scanner=scan_as_plain)
    assert types(sheet) == {
        "n": ElementType.INTEGER, "code": ElementType.TEXT, "share": ElementType.NUMBER, "day": ElementType.DATE,
        "moment": ElementType.DATETIME, "flag": ElementType.BOOLEAN, "mixed": ElementType.TEXT,
        "empty": ElementType.TEXT,
    }  # fmt: skip
    assert [element.nullable for element in sheet.elements] == [False] * 7 + [True]


def test_infer_reads_gb18030_and_leaves_no_working_copy(tmp_path):
    sheet = infer(tmp_path, "城市;人数\n济南市;3\n中山市;12\n".encode("gb18030"), scanner=scan_as_plain)
    assert types(sheet) == {"城市": ElementType.TEXT, "人数": ElementType.INTEGER}
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


def test_infer_keeps_numbers_with_leading_zeros_as_text(tmp_path):
    sheet = infer(tmp_path, "a,b\n007,0.5\n12,00.5\n", scanner=scan_as_plain)
    assert set(types(sheet).values()) == {ElementType.TEXT}


def test_infer_refuses_a_first_line_that_cannot_be_a_header_without_repeating_it(tmp_path):
    with pytest.raises(Invalid, match="column 2") as caught:
        infer(tmp_path, "110105194912310021,济南市 历下区\n1,2\n")
    assert "济南" not in str(caught.value)


def test_infer_finds_whose_data_a_register_is(tmp_path):
    made = city.generate(tmp_path / "city", 7, residents=400, enterprises=60, insurance_rows=2_000, trips=100)
    kit = CatalogKit(tmp_path)
    residents = publish_from_file(kit, made.path("residents"))
    assert (residents.entity_key, residents.key_columns) == ("resident_id", ("resident_id",))
    assert residents.subject_kind is SubjectKind.PERSON
    assert residents.find_element("resident_id").role is Role.DIRECT
    assert residents.grade >= residents.find_element("resident_id").grade > 1
    enterprises = publish_from_file(kit, made.path("enterprises"), "3010002")
    assert (enterprises.entity_key, enterprises.subject_kind) == ("uscc", SubjectKind.ORGANISATION)
    for entry, register in ((residents, "residents"), (enterprises, "enterprises")):
        path = made.path(register)
        batch = kit.service.receive_batch(kit.provider, entry.id, path, "full")
        assert kit.service.run_ingest(batch.id) is not None, kit.aggregation.get_batch(kit.provider, batch.id).refusal
    assert kit.rows(residents)["birth_date"].dtype == pl.Date


def test_real_census_microdata_becomes_an_entry_without_a_subject(tmp_path):
    if not ADULT.exists():
        pytest.skip("the real census extract is not on this machine")
    kit = CatalogKit(tmp_path)
    entry = publish_from_file(kit, ADULT)
    assert (entry.entity_key, entry.subject_kind, entry.key_columns) == (None, SubjectKind.NONE, ())
    assert types(entry.sheet)["age"] is ElementType.INTEGER
    assert not [element.name for element in entry.elements if element.role is Role.DIRECT]
    batch = kit.service.receive_batch(kit.provider, entry.id, ADULT, "full")
    kit.service.run_ingest(batch.id)
    batch = kit.aggregation.get_batch(kit.provider, batch.id)
    assert batch.state is BatchState.INGESTED
    assert (batch.receipt.rows, len(batch.receipt.columns)) == (30_162, 9)
