"""Redaction of free text: what goes, what stays readable, and labels that agree within one cell."""

from __future__ import annotations

import polars as pl
import pytest

import desensitize
from desensitize import Plan
from desensitize.freetext.redaction import redact_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("办结", "办结"),
        ("身份证11010519491231002X，手机13800138000", "身份证[身份证号1]，手机[手机号1]"),
        ("13800138000打来，改约13900139000，再拨13800138000", "[手机号1]打来，改约[手机号2]，再拨[手机号1]"),
        ("电话１３８００１３８０００", "电话[手机号1]"),
        ("138-0013-8000或0571-88888888", "[手机号1]或[电话1]"),
        ("卡号4111111111111111，订单4111111111111112", "卡号[银行卡号1]，订单4111111111111112"),
        ("浙AD12345与浙A12345", "[车牌号1]与[车牌号2]"),
        ("发至zhang.wei@163.com谢谢", "发至[邮箱1]谢谢"),
        ("共1234567890123456789012件", "共1234567890123456789012件"),
    ],
)
def test_redact_identifiers_with_check_digits(text: str, expected: str) -> None:
    assert redact_text(text, names=False) == expected


def test_redact_names_addresses_and_organisations_with_equal_labels() -> None:
    text = "张三丰住在浙江省杭州市西湖区文三路12号3单元501室，张三丰与李娜投诉阿里巴巴网络技术有限公司。"
    assert redact_text(text) == "[姓名1]住在[地址1]，[姓名1]与[姓名2]投诉[机构1]。"


def test_redact_a_column_keeps_nulls_order_and_plain_cells() -> None:
    frame = pl.DataFrame({"note": [None, "已办", "请联系李娜女士，电话13800138000", "已办", "A1"]})
    plan = Plan.from_dict({"columns": {"note": "redact"}})
    expected = [None, "已办", "请联系[姓名1]女士，电话[手机号1]", "已办", "A1"]
    assert desensitize.apply(frame, plan).frame.collect()["note"].to_list() == expected
    without = Plan.from_dict({"columns": {"note": {"technique": "redact", "names": False}}})
    assert "李娜" in desensitize.apply(frame, without).frame.collect()["note"][2]


def test_redact_takes_empty_and_all_null_columns() -> None:
    plan = Plan.from_dict({"columns": {"note": "redact"}})
    for values in ([], [None, None]):
        frame = pl.DataFrame({"note": pl.Series(values, dtype=pl.String)})
        assert desensitize.apply(frame, plan).frame.collect()["note"].to_list() == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("代办人许红，身份证号11010519491231002X", "代办人[姓名1]，身份证号[身份证号1]"),
        ("联系地址变更为山东省济南市历下区前进路75号18栋3单元1303室", "联系地址变更为[地址1]"),
        ("由济南华旋信商贸有限公司代缴", "由[机构1]代缴"),
        ("王先生来电，户主欧阳修文。", "[姓名1]来电，户主[姓名2]。"),
        ("联系人：许红。许红已到场，与李娜一起", "联系人：[姓名1]。[姓名1]已到场，与[姓名2]一起"),
        ("单位批量申报", "单位批量申报"),
        ("转入本市，原参保地已停保", "转入本市，原参保地已停保"),
        ("朝阳区的道路", "朝阳区的道路"),
    ],
)
def test_redact_names_by_rule_and_tagger(text: str, expected: str) -> None:
    assert redact_text(text) == expected
