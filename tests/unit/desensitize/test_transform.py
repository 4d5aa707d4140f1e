"""Each technique as a table in and a table out, and what a plan refuses."""

from __future__ import annotations

import hmac
from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import InvalidInput, InvalidPlan, Plan
from tests.unit.desensitize.test_keys import derive

KEY = bytes(range(32))


def _apply(values: Any, **options: Any) -> list[Any]:
    frame = values if isinstance(values, pl.DataFrame) else pl.DataFrame({"c": values})
    plan = Plan.from_dict({"columns": {"c": options}})
    return desensitize.apply(frame, plan, key=KEY).frame.collect()["c"].to_list()


def _pseudonym(text: str, algorithm: str = "hmac-sha256", domain: str = "") -> str:
    subkey = derive(KEY, "pseudonym", algorithm, domain).hex()
    return hmac.new(subkey.encode(), text.encode(), algorithm[5:]).hexdigest()


SPECS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"technique": "keep"}, ["a", None], ["a", None]),
    (
        {"technique": "mask", "keep_first": 3, "keep_last": 4},
        ["13800138000", "1234567", "", None],
        ["138****8000", "****", "****", None],
    ),
    ({"technique": "mask", "keep_first": 1}, ["张三丰", "李"], ["张****", "****"]),
    ({"technique": "mask"}, [13800138000], ["****"]),
    (
        {"technique": "generalize", "kind": "region", "level": "city"},
        ["330106", "330106001000", "33010619900101123X", "330106900101123", "３３０１０６", "3301", "x", None],
        ["330100", "330100", "330100", "330100", "330100", "*", "*", None],
    ),
    ({"technique": "generalize", "kind": "region", "level": "province"}, [330106], ["330000"]),
    (
        {"technique": "generalize", "kind": "address", "level": "district"},
        [
            "浙江省杭州市西湖区文三路1号",
            "北京市朝阳区建国路",
            "杭州市西湖区",
            "云南省大理白族自治州大理市下关",
            "文三路",
            None,
        ],
        ["浙江省杭州市西湖区", "北京市朝阳区", "浙江省杭州市西湖区", "云南省大理白族自治州大理市", "*", None],
    ),
    (
        {"technique": "generalize", "kind": "date", "level": "month"},
        ["1990-05-17", "1990/05/17", "19900517", "１９９０－０５－１７", "1990-13-01", "", None],
        ["1990-05", "1990-05", "1990-05", "1990-05", "*", "*", None],
    ),
    ({"technique": "generalize", "kind": "date", "level": "quarter"}, ["1990-05-17"], ["1990-Q2"]),
    ({"technique": "generalize", "kind": "date", "level": "year"}, ["1990-05-17"], ["1990"]),
    ({"technique": "generalize", "kind": "date", "level": "decade"}, ["1999-05-17"], ["1990s"]),
    (
        {"technique": "generalize", "kind": "number", "width": 1000},
        [5100, 999, 0, -1, None],
        ["[5000,6000)", "[0,1000)", "[0,1000)", "[-1000,0)", None],
    ),
    (
        {"technique": "generalize", "kind": "number", "width": 0.5},
        ["1.2", " １.２ ", "abc", "nan"],
        ["[1.0,1.5)", "[1.0,1.5)", "*", "*"],
    ),
    ({"technique": "generalize", "kind": "number", "edges": [10, 20]}, [9.9, 10, 20], ["<10", "[10,20)", ">=20"]),
    ({"technique": "generalize", "kind": "age", "edges": [18, 60]}, [17, 18, 60], ["<18", "[18,60)", ">=60"]),
    (
        {"technique": "generalize", "kind": "age", "edges": [18, 60], "on": "2026-05-17"},
        ["2008-05-17", "2008-05-18", None],
        ["[18,60)", "<18", None],
    ),
    (
        {
            "technique": "generalize",
            "kind": "table",
            "rows": [["汉", "汉族", "*"], ["回", "少数民族", "*"]],
            "level": 1,
        },
        ["汉", "回", "火星", None],
        ["汉族", "少数民族", "*", None],
    ),
    ({"technique": "round", "to": 100}, [149, 150, -149, None], [100, 200, -100, None]),
    ({"technique": "round", "to": 10}, [2**63 - 1, -(2**63), 2**62], [None, None, 2**62 - 4]),
    ({"technique": "round", "to": 0.5}, [1.3, float("inf"), None], [1.5, None, None]),
    ({"technique": "clip", "bottom": 0, "top": 10}, [-5, 5, 50, None], [0, 5, 10, None]),
    ({"technique": "clip", "top": 10}, ["50", "x"], [10.0, None]),
    ({"technique": "pseudonymize"}, ["a", "a", None], [_pseudonym("a")[:32]] * 2 + [None]),
    ({"technique": "pseudonymize", "length": 64, "domain": "person"}, ["张三"], [_pseudonym("张三", domain="person")]),
    ({"technique": "pseudonymize", "normalize": True}, [" 1x ", "1X", "１Ｘ"], [_pseudonym("1X")[:32]] * 3),
    ({"technique": "pseudonymize", "algorithm": "hmac-sm3"}, ["a", None], [_pseudonym("a", "hmac-sm3")[:32], None]),
    ({"technique": "pseudonymize"}, [7, 7, 8], [_pseudonym(x)[:32] for x in "778"]),
]


@pytest.mark.parametrize(("options", "values", "expected"), SPECS)
def test_apply_turns_values_into(options: dict[str, Any], values: list[Any], expected: list[Any]) -> None:
    assert _apply(values, **options) == expected


@pytest.mark.parametrize("options", [spec[0] for spec in SPECS])
@pytest.mark.parametrize("values", [[], [None, None]])
def test_apply_takes_empty_and_all_null_columns(options: dict[str, Any], values: list[None]) -> None:
    assert _apply(pl.DataFrame({"c": pl.Series(values, dtype=pl.String)}), **options) == values


def test_apply_drops_and_keeps_the_order_of_the_rest() -> None:
    frame = pl.DataFrame({"a": [1], "b": [2], "c": [3]})
    plan = Plan.from_dict({"columns": {"c": "keep", "b": "drop", "a": "keep"}})
    assert desensitize.apply(frame, plan).frame.collect().to_dict(as_series=False) == {"a": [1], "c": [3]}


def test_apply_reads_categories_as_their_text() -> None:
    frame = pl.DataFrame({"c": pl.Series(["30", "7"], dtype=pl.Categorical)})
    assert _apply(frame, technique="generalize", kind="number", width=10) == ["[30,40)", "[0,10)"]
    assert _apply(frame, technique="mask", keep_first=1) == ["3****", "****"]


def test_pseudonyms_of_two_keys_or_domains_are_unrelated() -> None:
    frame = pl.DataFrame({"c": [str(n) for n in range(1000)]})
    plan = Plan.from_dict({"columns": {"c": "pseudonymize"}})
    other = Plan.from_dict({"columns": {"c": {"technique": "pseudonymize", "domain": "x"}}})
    made = [
        set(desensitize.apply(frame, p, key=key).frame.collect()["c"])
        for p, key in ((plan, KEY), (plan, b"k" * 32), (other, KEY))
    ]
    assert [len(one) for one in made] == [1000] * 3
    assert not made[0] & made[1]
    assert not made[0] & made[2]


def test_pseudonyms_are_equal_whether_hashed_once_or_each(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"c": ["a", "b", None] * 50})
    plan = Plan.from_dict({"columns": {"c": "pseudonymize"}})
    once = desensitize.apply(frame, plan, key=KEY).frame.collect()
    monkeypatch.setattr("desensitize.transform.pseudonyms.work_once", lambda values, work: work(values))
    assert desensitize.apply(frame, plan, key=KEY).frame.collect().equals(once)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"c": "keep", "d": "keep"}, "columns that the table does not have: d"),
        ({"d": "keep"}, "says nothing about: c"),
        ({"c": "blur"}, "technique must be one of: keep, drop, mask"),
        (
            {"c": {"technique": "mask", "first": 3}},
            "option `first` is unknown to `mask`; its options: keep_first, keep_last",
        ),
        ({"c": {"technique": "mask", "keep_first": "3"}}, "must be of type int"),
        ({"c": {"technique": "mask", "keep_first": -1}}, "cannot be negative"),
        ({"c": {"technique": "generalize"}}, "takes as kind one of: region, address, date"),
        ({"c": {"technique": "generalize", "kind": "date", "level": "week"}}, "month, quarter, year, decade"),
        ({"c": {"technique": "generalize", "kind": "number"}}, "either a positive width or edges"),
        ({"c": {"technique": "generalize", "kind": "table", "rows": [["a", "b"]], "level": 2}}, "between 1 and 1"),
        ({"c": {"technique": "round"}}, "positive number"),
        ({"c": {"technique": "clip"}}, "bottom, top or both"),
        ({"c": {"technique": "pseudonymize", "algorithm": "md5"}}, "hmac-sha256, hmac-sm3"),
        ({"c": {"technique": "generalize", "kind": "age", "on": "soon"}}, "a day such as"),
    ],
)
def test_apply_refuses_a_plan_it_cannot_carry_out(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlan, match=words):
        desensitize.apply(pl.DataFrame({"c": ["x"]}), Plan.from_dict({"columns": columns}), key=KEY)


def test_apply_refuses_pseudonyms_without_key_with_a_short_key_and_of_fractions() -> None:
    plan = Plan.from_dict({"columns": {"c": "pseudonymize"}})
    with pytest.raises(InvalidPlan, match="column `c` is to pseudonymize: a key is needed"):
        desensitize.apply(pl.DataFrame({"c": ["x"]}), plan)
    with pytest.raises(InvalidPlan, match="at least 16 bytes"):
        desensitize.apply(pl.DataFrame({"c": ["x"]}), plan, key=b"short")
    with pytest.raises(InvalidPlan, match="Float64"):
        desensitize.apply(pl.DataFrame({"c": [1.5]}), plan, key=KEY)


def test_apply_refuses_nested_columns_and_numbers_made_of_dates() -> None:
    with pytest.raises(InvalidInput, match="column `c` is List"):
        desensitize.apply(pl.DataFrame({"c": [[1]]}), Plan.from_dict({"columns": {"c": "keep"}}))
    frame = pl.DataFrame({"c": ["2020-01-01"]}).with_columns(pl.col("c").str.to_date())
    with pytest.raises(InvalidPlan, match="need numbers"):
        desensitize.apply(frame, Plan.from_dict({"columns": {"c": {"technique": "round", "to": 2}}}))


def test_plan_comes_back_from_its_toml() -> None:
    values = {
        "title": '参保 "月" 表',
        "columns": {f"列 {n}": options for n, (options, _, _) in enumerate(SPECS)},
        "anonymity": {
            "k": 7,
            "entity": "列 0",
            "mode": "agreement",
            "quasi_identifiers": {"列 4": {"kind": "region"}, "列 11": {"kind": "number", "widths": [5, 10]}},
        },
    }
    plan = Plan.from_dict(values)
    assert Plan.from_toml(plan.to_toml()) == plan
    assert plan.anonymity is not None
    assert list(plan.anonymity.hierarchies()) == ["列 4", "列 11"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= 1\n", "not TOML"),
        ("title = 'x'\n", "at least one column"),
        ("secret = 1\n[columns]\na = 'keep'\n", "not: secret"),
        ("[columns]\na = 'keep'\n[anonymity]\nk = 5\n", "quasi_identifiers"),
        ("[columns]\na = 'keep'\n[anonymity.quasi_identifiers.a]\nkind = 'tree'\n", "kind must be one of"),
    ],
)
def test_plan_refuses_broken_text(text: str, words: str) -> None:
    with pytest.raises(InvalidPlan, match=words):
        Plan.from_toml(text)


def test_plan_refuses_a_missing_file() -> None:
    with pytest.raises(InvalidPlan, match=r"`no\.toml` does not exist"):
        Plan.from_toml("no.toml")
