"""Scanning: what a column is, by rate, check digits and name; the same definitions for tables, Presidio and text."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import InvalidInput, InvalidPlan, Plan
from desensitize.freetext.redaction import redact_text
from desensitize.identifiers import check_digits
from desensitize.identifiers.check_digits import SCALAR_CHECKS
from desensitize.identifiers.checksums import run_check
from desensitize.identifiers.definitions import BY_ENTITY, IDENTIFIERS, polars_pattern, python_pattern
from desensitize.identifiers.examples import make_examples
from desensitize.transform.techniques import Round

STRONG = [one.entity for one in IDENTIFIERS if not one.weak]
WEAK = [one for one in IDENTIFIERS if one.weak]
SIZE = 2000


def _digits(rng: random.Random, count: int) -> str:
    return rng.choice("123456789") + "".join(rng.choices("0123456789", k=count - 1))


def _scan(values: Any, name: str = "c") -> desensitize.ColumnFinding:
    return desensitize.scan(pl.DataFrame({name: values}))[name]


@pytest.mark.parametrize("entity", STRONG)
def test_scan_knows_a_column_of_identifiers_without_its_name(entity: str) -> None:
    finding = _scan(make_examples(entity, SIZE))
    assert finding.entities[0].entity == entity
    assert (finding.entities[0].how, finding.role) == ("is", BY_ENTITY[entity].role)
    assert finding.hit_rate >= 0.99


@pytest.mark.parametrize("kind", WEAK, ids=lambda kind: kind.entity)
def test_scan_knows_forms_that_many_codes_share_only_under_their_name(kind: Any) -> None:
    cells = make_examples(kind.entity, SIZE)
    assert kind.entity not in [found.entity for found in _scan(cells).entities]
    for name in (kind.words[0], *kind.pinyin[:1]):
        finding = _scan(cells, name)
        assert (finding.entities[0].entity, finding.entities[0].how, finding.role) == (kind.entity, "is", "direct")


@pytest.mark.parametrize("entity", STRONG)
@pytest.mark.parametrize("around", ["请核实{}谢谢", "号码{}，尽快", "（{}）备注"])
def test_scan_and_redaction_find_identifiers_glued_to_chinese(entity: str, around: str) -> None:
    cells = [around.format(value) for value in make_examples(entity, 200)]
    finding = _scan(cells)
    assert entity in [found.entity for found in finding.entities if found.how == "inside"]
    assert finding.hit_rate >= 0.99
    assert finding.technique == {"technique": "redact", "caution": "strict"}
    label = BY_ENTITY[entity].label
    assert {redact_text(cell, names=False) for cell in cells} == {around.format(f"[{label}1]")}


@pytest.mark.parametrize("digits", [8, 16, 17, 18, 19, 20])
def test_scan_does_not_flag_order_numbers(digits: int) -> None:
    rng = random.Random(9)
    finding = _scan([_digits(rng, digits) for _ in range(SIZE)], "order")
    assert (finding.entities, finding.role) == ((), "other")


def test_scan_is_not_misled_by_order_numbers_that_repeat() -> None:
    # Many rows of few numbers: chance carries their count further than as many numbers would.
    for seed in range(40):
        rng = random.Random(seed)
        few = ["6" + _digits(rng, 18) for _ in range(60)]
        assert _scan([number for number in few for _ in range(200)], "order").entities == ()


def test_scan_calls_a_column_with_some_cards_mixed() -> None:
    rng = random.Random(9)
    cards = make_examples("CN_BANK_CARD", SIZE)
    cells = [cards[n] if n % 10 < 3 else "8" + _digits(rng, 15) for n in range(SIZE)]
    finding = _scan(cells, "number")
    assert finding.mixed
    assert finding.entities[0].entity == "CN_BANK_CARD"
    assert finding.entities[0].share == pytest.approx(0.3, abs=0.03)
    assert "mixed" in finding.evidence[0]


def test_scan_does_not_make_a_phone_column_of_one_phone_in_a_thousand() -> None:
    finding = _scan(["无"] * 999 + ["13800138000"])
    assert [found.how for found in finding.entities] == ["stray"]
    assert not finding.mixed
    assert finding.technique == {"technique": "redact", "caution": "strict"}


def test_scan_takes_the_name_for_it_when_check_digits_fail() -> None:
    cells = ["11010519491231" + f"{n:03}" + "5" for n in range(500)]
    assert _scan(cells, "身份证号").entities[0].how in ("is", "named")
    assert _scan(cells, "身份证号").role == "direct"


def test_scan_counts_nulls_out_of_the_hit_rate() -> None:
    finding = _scan([*make_examples("CN_MOBILE", 20), *[None] * 980])
    assert (finding.non_null, finding.hit_rate, finding.entities[0].entity) == (20, 1.0, "CN_MOBILE")


def test_scan_reads_whole_numbers() -> None:
    assert _scan(list(range(13800138000, 13800139000))).entities[0].entity == "CN_MOBILE"


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
            "resident_id": make_examples("CN_RESIDENT_ID", 400),
            "name": ["张伟", "王芳"] * 200,
            "mobile": make_examples("CN_MOBILE", 400),
            "address": ["浙江省杭州市西湖区文三路12号"] * 400,
            "area": [rng.choice(["330105", "330106"]) for _ in range(400)],
            "born": [f"19{rng.randint(60, 63)}-0{rng.randint(1, 3)}-15" for _ in range(400)],
            "note": [f"来电人手机{value}要求尽快回复，并请以书面形式答复" for value in make_examples("CN_MOBILE", 400)],
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
    assert [c.name for c in after if any(f.entity in BY_ENTITY for f in c.entities)] == []
    assert release.risk is not None
    assert release.risk.smallest_class >= 3


def test_published_examples_pass_both_checks() -> None:
    for check, text in [
        ("org_code", "600037341"),
        ("business_registration", "110000000000016"),
        ("uscc", "91110000600037341L"),
    ]:
        assert run_check(check, pl.Series([text])).tolist() == [SCALAR_CHECKS[check](text)]
    assert check_digits.is_org_code("60003734-1")


def test_patterns_compile_for_python_and_polars() -> None:
    for identifier in IDENTIFIERS:
        assert pl.Series(["x"]).str.contains(polars_pattern(identifier)).to_list() == [False]
        assert "(?a:" in python_pattern(identifier)


@pytest.mark.parametrize(
    ("cells", "technique"),
    [
        ([str(n) for n in range(1, 401)], "pseudonymize"),
        (list(range(5000, 5400)), "pseudonymize"),
        ([str(10**17 + 7919 * n) for n in range(400)], "pseudonymize"),
        ([str(7919 * n % 99991) for n in range(400)], "keep"),
        ([f"202603{1 + n % 28:02d}{n % 24:02d}{n // 24 % 60:02d}{n % 59:02d}" for n in range(400)], "keep"),
        ([str(n) for n in range(1, 151)], "keep"),
        ([f"{n}.25" for n in range(400)], "keep"),
    ],
    ids=["counted", "counted whole numbers", "order numbers", "measurements", "moments", "few rows", "fractions"],
)
def test_scan_proposes_pseudonyms_for_running_numbers_alone(cells: list[str | int], technique: str) -> None:
    finding = desensitize.scan(pl.DataFrame({"n": cells}))["n"]
    assert (finding.role, finding.technique["technique"]) == ("other", technique)
    assert bool(finding.evidence) == (technique == "pseudonymize")


def test_cautions_name_what_the_plan_leaves_open_and_nothing_else() -> None:
    rng = random.Random(2)
    frame = pl.DataFrame({
        "订单\n\x07时间": [f"2026-01-{1 + n % 28:02d} {n // 60 % 24:02d}:{n % 60:02d}" for n in range(1500)],
        "工资": [f"{rng.uniform(3000, 9000):.2f}" for _ in range(1500)],
        "病种": [rng.choice(["流感", "骨折"]) for _ in range(1500)],
        "出生日期": [f"{rng.randrange(1950, 2005)}-{rng.randrange(1, 13):02d}-01" for _ in range(1500)],
    })  # fmt: skip
    report = desensitize.scan(frame, combinations=True)
    assert set(report.cautions()) == {"订单\n\x07时间", "工资"}
    assert report.cautions("zh").keys() == report.cautions("en").keys()
    plan = report.to_plan()
    assert Plan.from_toml(plan.to_toml("zh", report.cautions("zh"))) == plan
    assert Plan.from_toml(plan.to_toml("en", {"病种": report.cautions("en")["工资"] + "订单\n\x07时间"})) == plan
    rounded = plan.with_column("工资", Round(100))
    assert set(report.cautions("en", rounded)) == {"订单\n\x07时间"}
    with pytest.raises(InvalidPlan):
        report.cautions("fr")


def test_scan_knows_people_described_in_english() -> None:
    frame = pl.DataFrame({
        "sex": ["Male", "Female"] * 60, "race": ["White", "Amer-Indian-Eskimo"] * 60,
        "native-country": ["United-States", "Japan"] * 60, "race_time": ["12.5", "13.75"] * 60,
    })  # fmt: skip
    assert [column.role for column in desensitize.scan(frame)] == ["quasi", "quasi", "quasi", "other"]
