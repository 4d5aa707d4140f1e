"""Written addresses become the division they begin with, or `*`."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import InvalidPlan, Plan
from desensitize.regions import REGIONS
from desensitize.transform.divisions import find_divisions, path_of


def _generalize(addresses: list[str | None], **options: Any) -> list[str | None]:
    plan = Plan.from_dict({"columns": {"c": {"technique": "generalize", "kind": "address", **options}}})
    return desensitize.apply(pl.DataFrame({"c": addresses}), plan).frame.collect()["c"].to_list()


WEST_LAKE = "浙江省杭州市西湖区"


@pytest.mark.parametrize(
    ("address", "district", "city", "province"),
    [
        ("浙江省杭州市西湖区文三路1号", WEST_LAKE, "浙江省杭州市", "浙江省"),
        ("杭州西湖区文三路", WEST_LAKE, "浙江省杭州市", "浙江省"),
        ("浙江杭州西湖区", WEST_LAKE, "浙江省杭州市", "浙江省"),
        ("中国 浙江省 杭州市 西湖区", WEST_LAKE, "浙江省杭州市", "浙江省"),
        ("北京市朝阳区建国路", "北京市朝阳区", "北京市", "北京市"),
        ("北京市市辖区朝阳区", "北京市朝阳区", "北京市", "北京市"),
        ("北京市", "*", "北京市", "北京市"),
        ("大理州大理市下关", "云南省大理白族自治州大理市", "云南省大理白族自治州", "云南省"),
        ("内蒙古呼和浩特市新城区", "内蒙古自治区呼和浩特市新城区", "内蒙古自治区呼和浩特市", "内蒙古自治区"),
        ("济南市市中区经四路", "山东省济南市市中区", "山东省济南市", "山东省"),
        ("湖北省仙桃市沔州大道", "湖北省仙桃市", "湖北省直辖县级行政区划", "湖北省"),
        ("义乌市稠城街道", "浙江省金华市义乌市", "浙江省金华市", "浙江省"),
        ("浙江省杭州市下城区", "浙江省杭州市下城区", "浙江省杭州市", "浙江省"),
        ("浙江省文三路", "*", "*", "浙江省"),
        ("浙江省南京市玄武区", "*", "*", "浙江省"),
        ("朝阳区建国路", "*", "*", "*"),
        ("杭州路1号", "*", "*", "*"),
        ("文三路", "*", "*", "*"),
        ("", "*", "*", "*"),
    ],
)
def test_address_becomes_its_division(address: str, district: str, city: str, province: str) -> None:
    levels = ("district", "city", "province")
    assert [_generalize([address, None], level=level) for level in levels] == [
        [district, None],
        [city, None],
        [province, None],
    ]


def test_home_decides_between_divisions_of_one_name() -> None:
    assert _generalize(["朝阳区建国路"], home="110000") == ["北京市朝阳区"]
    assert _generalize(["朝阳区人民大街"], home="220100") == ["吉林省长春市朝阳区"]
    assert _generalize(["西湖区", "杭州市西湖区", "南昌市西湖区"], home="330000") == [
        WEST_LAKE,
        WEST_LAKE,
        "江西省南昌市西湖区",
    ]
    assert _generalize(["朝阳区"], home="330000") == ["*"]
    with pytest.raises(InvalidPlan, match="code of a province or city"):
        _generalize(["x"], home="330106")


def test_code_gives_what_resident_ids_give() -> None:
    ids = pl.DataFrame({"c": ["33010619900101123X"]})
    plan = Plan.from_dict({"columns": {"c": {"technique": "generalize", "kind": "region", "level": "city"}}})
    by_id = desensitize.apply(ids, plan).frame.collect()["c"].to_list()
    assert _generalize(["杭州西湖区文三路"], level="city", code=True) == by_id == ["330100"]


def test_every_current_district_is_found_by_its_path() -> None:
    codes = [code for code in REGIONS if code[4:] != "00"]
    found = find_divisions(pl.Series([path_of(code) + "人民路1号" for code in codes])).to_list()
    wrong = [path_of(code) for code, one in zip(codes, found, strict=True) if one != code]
    assert wrong == []
