"""Scanning: what a column is, by rate, check digits and name; the same definitions for tables, Presidio and text."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import desensitize
from desensitize import InvalidInput
from desensitize.freetext.redaction import redact_text
from desensitize.identifiers import check_digits
from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.checksums import run_check
from desensitize.identifiers.definitions import BY_ENTITY, IDENTIFIERS, polars_pattern, python_pattern
from desensitize.identifiers.recognizers import build_recognizers
from desensitize.regions import REGIONS

DISTRICTS = [code for code in REGIONS if code[4:] != "00"]
SIZE = 2000


def _digits(rng: random.Random, count: int) -> str:
    return rng.choice("123456789") + "".join(rng.choices("0123456789", k=count - 1))


def _resident_id(rng: random.Random) -> str:
    day = f"{rng.randint(1940, 2020)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    body = f"{rng.choice(DISTRICTS)}{day}{rng.randint(0, 999):03}"
    return body + check_digits.resident_id_check_digit(body)


def _resident_id_15(rng: random.Random) -> str:
    day = f"{rng.randint(40, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    return f"{rng.choice(DISTRICTS)}{day}{rng.randint(0, 999):03}"


def _uscc(rng: random.Random) -> str:
    body = "91" + rng.choice(DISTRICTS) + "".join(rng.choices(check_digits.USCC_ALPHABET, k=9))
    return body + check_digits.uscc_check_character(body)


def _bank_card(rng: random.Random) -> str:
    body = "62" + _digits(rng, rng.choice([13, 14, 15, 16]))
    return body + check_digits.luhn_digit(body)


def _mobile(rng: random.Random) -> str:
    return rng.choice(["138", "159", "177", "186", "199"]) + "".join(rng.choices("0123456789", k=8))


def _email(rng: random.Random) -> str:
    return f"u{rng.randint(0, 10**6)}.x@{rng.choice(['163.com', 'qq.com', 'mail.gov.cn'])}"


def _plate(rng: random.Random) -> str:
    return (
        rng.choice("京浙粤") + rng.choice("ABC") + rng.choice([_digits(rng, 5), "D" + _digits(rng, 5), "12F4" + "学"])
    )


def _landline(rng: random.Random) -> str:
    return rng.choice(["010-6", "0571-8", "0755 2"]) + _digits(rng, 7)


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "CN_RESIDENT_ID": _resident_id,
    "CN_RESIDENT_ID_15": _resident_id_15,
    "CN_USCC": _uscc,
    "CN_BANK_CARD": _bank_card,
    "CN_MOBILE": _mobile,
    "EMAIL_ADDRESS": _email,
    "CN_PLATE": _plate,
    "CN_LANDLINE": _landline,
}


def _column(make: Callable[[random.Random], str], size: int = SIZE) -> list[str]:
    rng = random.Random(5)
    return [make(rng) for _ in range(size)]


def _scan(values: Any, name: str = "c") -> desensitize.ColumnFinding:
    return desensitize.scan(pl.DataFrame({name: values}))[name]


@pytest.mark.parametrize("entity", MAKERS)
def test_scan_knows_a_column_of_identifiers_without_its_name(entity: str) -> None:
    finding = _scan(_column(MAKERS[entity]))
    assert finding.entities[0].entity == entity
    assert (finding.entities[0].how, finding.role) == ("is", "direct")
    assert finding.hit_rate >= 0.99


@pytest.mark.parametrize("entity", MAKERS)
@pytest.mark.parametrize("around", ["请核实{}谢谢", "号码{}，尽快", "（{}）备注"])
def test_scan_and_redaction_find_identifiers_glued_to_chinese(entity: str, around: str) -> None:
    cells = [around.format(value) for value in _column(MAKERS[entity], 300)]
    finding = _scan(cells)
    assert entity in [found.entity for found in finding.entities if found.how == "inside"]
    assert finding.hit_rate >= 0.99
    assert finding.technique == {"technique": "redact"}
    label = BY_ENTITY[entity].label
    assert {redact_text(cell, names=False) for cell in cells} == {around.format(f"[{label}1]")}


@pytest.mark.parametrize("digits", [8, 16, 17, 18, 19, 20])
def test_scan_does_not_flag_order_numbers(digits: int) -> None:
    rng = random.Random(9)
    finding = _scan([_digits(rng, digits) for _ in range(SIZE)], "order")
    assert (finding.entities, finding.role) == ((), "other")


def test_scan_calls_a_column_with_some_cards_mixed() -> None:
    rng = random.Random(9)
    cells = [_bank_card(rng) if n % 10 < 3 else "8" + _digits(rng, 15) for n in range(SIZE)]
    finding = _scan(cells, "number")
    assert finding.mixed
    assert finding.entities[0].entity == "CN_BANK_CARD"
    assert finding.entities[0].share == pytest.approx(0.3, abs=0.03)
    assert "mixed" in finding.evidence[0]


def test_scan_does_not_make_a_phone_column_of_one_phone_in_a_thousand() -> None:
    finding = _scan(["无"] * 999 + ["13800138000"])
    assert [found.how for found in finding.entities] == ["stray"]
    assert not finding.mixed
    assert finding.technique == {"technique": "redact"}


def test_scan_takes_the_name_for_it_when_check_digits_fail() -> None:
    cells = ["11010519491231" + f"{n:03}" + "5" for n in range(500)]
    assert _scan(cells, "身份证号").entities[0].how in ("is", "named")
    assert _scan(cells, "身份证号").role == "direct"


def test_scan_counts_nulls_out_of_the_hit_rate() -> None:
    finding = _scan([*_column(_mobile, 20), *[None] * 980])
    assert (finding.non_null, finding.hit_rate, finding.entities[0].entity) == (20, 1.0, "CN_MOBILE")


def test_scan_reads_whole_numbers() -> None:
    assert _scan([int(value) for value in _column(_mobile)]).entities[0].entity == "CN_MOBILE"


@pytest.mark.parametrize(
    ("name", "values", "entity", "role"),
    [
        ("name", ["张伟", "王芳", "李娜", "欧阳修"], "PERSON", "direct"),
        ("姓名", ["买买提·艾力", "John"], "PERSON", "direct"),
        ("address", ["浙江省杭州市西湖区文三路12号", "杭州市上城区解放路5号2室"], "CN_ADDRESS", "direct"),
        ("birth_date", ["1990-01-01", "19851231"], "BIRTH_DATE", "quasi"),
        ("sex", ["男", "女"], "SEX", "quasi"),
        ("age", [3, 88], "AGE", "quasi"),
        ("code", ["330106", "330105"], "CN_REGION", "quasi"),
        ("district", ["西湖区", "上城区"], "CN_REGION_NAME", "quasi"),
        ("wage", [5000, 6000], "FINANCE", "sensitive"),
        ("diagnosis", ["感冒", "骨折"], "HEALTH", "sensitive"),
        ("employer_name", ["杭州某某有限公司", "宁波医院"], "ORGANISATION", "quasi"),
    ],
)
def test_scan_knows_roles_by_name_and_values(name: str, values: list[Any], entity: str, role: str) -> None:
    finding = _scan(values, name)
    assert (finding.entities[0].entity, finding.role) == (entity, role)


def test_scan_knows_names_and_codes_of_one_person_each_by_their_values() -> None:
    rng = random.Random(2)
    people = [rng.choice("王李张刘陈") + rng.choice("伟芳娜敏静") + rng.choice("丽强磊军洋") for _ in range(200)]
    assert _scan(people, "c").technique == {"technique": "drop"}
    assert _scan(["成功", "方案"] * 100, "c").role == "other"
    codes = _scan([f"鲁食品字第{n:08}号" for n in range(200)], "licence")
    assert (codes.role, codes.technique["technique"], codes.entities) == ("quasi", "pseudonymize", ())
    assert _scan(["a1", "b2"], "card").entities[0].entity == "ACCOUNT"


@pytest.mark.parametrize("name", ["product_name", "状态", "floor_area"])
def test_scan_leaves_plain_columns_alone(name: str) -> None:
    finding = _scan(["电热水壶", "办结", "120.5"], name)
    assert (finding.role, finding.grade, finding.technique) == ("other", 1, {"technique": "keep"})


@pytest.mark.parametrize("values", [[], [None, None], [""], ["x"]])
def test_scan_takes_empty_null_and_tiny_columns(values: list[Any]) -> None:
    finding = _scan(pl.Series(values, dtype=pl.String))
    assert (finding.entities, finding.role) == ((), "other")


def test_scan_takes_a_table_without_columns_and_refuses_nested_ones() -> None:
    assert desensitize.scan(pl.DataFrame()).columns == ()
    with pytest.raises(InvalidInput, match="column `c` is List"):
        desensitize.scan(pl.DataFrame({"c": [[1]]}))


def test_report_holds_no_value_and_its_plan_leaves_no_direct_identifier(tmp_path: Path) -> None:
    rng = random.Random(3)
    frame = pl.DataFrame(
        {
            "resident_id": _column(_resident_id, 400),
            "name": ["张伟", "王芳"] * 200,
            "mobile": _column(_mobile, 400),
            "address": ["浙江省杭州市西湖区文三路12号"] * 400,
            "area": [rng.choice(["330105", "330106"]) for _ in range(400)],
            "born": [f"19{rng.randint(60, 63)}-0{rng.randint(1, 3)}-15" for _ in range(400)],
            "note": [f"来电人手机{value}要求尽快回复，并请以书面形式答复" for value in _column(_mobile, 400)],
            "amount": [rng.randint(1, 99) for _ in range(400)],
        }
    )
    frame.write_csv(tmp_path / "t.csv")
    report = desensitize.scan(tmp_path / "t.csv")
    text = str(report.to_dict())
    assert not any(str(cell) in text for cell in [*frame["resident_id"], *frame["mobile"], "文三路"])
    assert report.find_entity_column() == "resident_id"
    plan = desensitize.Plan.from_toml(report.to_plan(k=3).to_toml())
    release = desensitize.protect(tmp_path / "t.csv", plan, bytes(32), found=report.to_dict())
    after = desensitize.scan(release.frame)
    assert release.certificate["found"]["columns"][0]["entities"][0]["entity"] == "CN_RESIDENT_ID"
    assert [c.name for c in after if any(f.entity in MAKERS for f in c.entities)] == []
    assert release.risk is not None
    assert release.risk.smallest_class >= 3


ALPHABETS = {"luhn": "0123456789", "uscc": check_digits.USCC_ALPHABET, "org_code": "0123456789ABCX"}
LENGTHS = {"resident_id": 18, "resident_id_15": 15, "uscc": 18, "luhn": 16, "org_code": 9, "business_registration": 15}


@pytest.mark.parametrize("check", SCALAR_CHECKS)
@given(data=st.data())
def test_table_checks_equal_scalar_checks(check: str, data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 10**6)))
    alphabet = ALPHABETS.get(check, "0123456789")
    texts = ["".join(rng.choices(alphabet, k=LENGTHS[check])) for _ in range(40)]
    texts += [_resident_id(rng) for _ in range(5)] if check == "resident_id" else []
    texts += [_resident_id_15(rng) for _ in range(5)] if check == "resident_id_15" else []
    pattern = next(one for one in IDENTIFIERS if one.check == check)
    cells = pl.Series(texts)
    cells = cells.filter(cells.str.contains("^(?:" + polars_pattern(pattern) + ")$"))
    assert run_check(check, cells).tolist() == [SCALAR_CHECKS[check](text) for text in cells]


def test_published_examples_pass_both_checks() -> None:
    for check, text in [
        ("org_code", "600037341"),
        ("business_registration", "110000000000016"),
        ("uscc", "91110000600037341L"),
    ]:
        assert run_check(check, pl.Series([text])).tolist() == [SCALAR_CHECKS[check](text)]
    assert check_digits.is_org_code("60003734-1")


@pytest.fixture(scope="module")
def recognizers() -> list[Any]:
    return build_recognizers()


@pytest.mark.parametrize("entity", MAKERS)
def test_presidio_recognizers_agree_with_the_detectors(entity: str, recognizers: list[Any]) -> None:
    recognizer = next(one for one in recognizers if one.supported_entities == [entity])
    assert recognizer.supported_language == "zh"
    for value in _column(MAKERS[entity], 30):
        found = recognizer.analyze(f"请核实{value}谢谢", [entity])
        assert [(one.start, one.end) for one in found] == [(3, 3 + len(value))]


def test_presidio_recognizer_drops_a_match_whose_check_fails(recognizers: list[Any]) -> None:
    recognizer = next(one for one in recognizers if one.supported_entities == ["CN_BANK_CARD"])
    assert recognizer.analyze("卡号4111111111111112请核实", ["CN_BANK_CARD"]) == []


def test_patterns_compile_for_python_and_polars() -> None:
    for identifier in IDENTIFIERS:
        assert pl.Series(["x"]).str.contains(polars_pattern(identifier)).to_list() == [False]
        assert "(?a:" in python_pattern(identifier)
