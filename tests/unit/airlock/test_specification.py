"""The closed grammar: what it accepts, and that it refuses everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.airlock.specification import TableSpecification, VerificationSpecification, encode, parse
from shuzha.core.errors import Invalid

TABLE: dict[str, Any] = {
    "kind": "table",
    "release": "rel_1",
    "where": [{"column": "period", "op": "eq", "value": "2026-10"}, {"column": "note", "op": "is_null"}],
    "rows": ["district_code"],
    "columns": ["kind"],
    "value": "base",
    "aggregate": "mean",
}
VERIFICATION: dict[str, Any] = {
    "kind": "verification",
    "entry": "ent_1",
    "subject": ["resident_id", "name"],
    "claims": [{"name": "insured", "title": "参保", "where": [{"column": "paid", "op": "eq", "value": True}]}],
}


def read(document: dict[str, Any], **changes: Any) -> Any:
    return parse(json.dumps(document | changes).encode())


def test_parse_reads_a_table() -> None:
    table = read(TABLE)
    assert isinstance(table, TableSpecification)
    assert table.dimensions == ("district_code", "kind")
    assert table.used_columns == {"district_code", "kind", "base", "period", "note"}


def test_parse_reads_a_verification() -> None:
    verification = read(VERIFICATION)
    assert isinstance(verification, VerificationSpecification)
    assert verification.used_columns == {"resident_id", "name", "paid"}


@pytest.mark.parametrize("document", [TABLE, VERIFICATION])
def test_encode_gives_what_parse_reads(document: dict[str, Any]) -> None:
    once = encode(read(document))
    assert encode(parse(once)) == once


@pytest.mark.boundary(
    rule="specification", passes="JSON of the grammar",
    fails="an unknown field, aggregate or operator; a value of the wrong type; code",
)  # fmt: skip
@pytest.mark.parametrize(
    "changes",
    [
        {"aggregate": "kurtosis"},
        {"aggregate": "__import__('os')"},
        {"code": "print()"},
        {"plan": "AAAA"},
        {"kind": "model"},
        {"release": ""},
        {"rows": "district_code"},
        {"rows": ["district_code", "district_code"], "columns": []},
        {"columns": ["district_code"]},
        {"value": None},
        {"value": "kind"},
        {"repair": "midpoint"},
        {"repair": "suppress", "aggregate": "std"},
        {"repair": "round"},
        {"coding": {}},
        {"coding": {"step": 0}},
        {"coding": {"step": 1e999}},
        {"coding": {"bottom": 2, "top": 1}},
        {"coding": {"step": 1}, "value": None, "aggregate": "count"},
        {"merges": [{"column": "base", "labels": ["a"], "into": "b"}]},
        {"merges": [{"column": "kind", "labels": [], "into": "b"}]},
        {"merges": [{"column": "kind", "labels": ["a", "a"], "into": "b"}]},
        {"merges": [{"column": "kind", "labels": ["a"], "into": "b\u200b\u200d"}]},  # bits that nobody sees
        {"merges": [{"column": "kind", "labels": ["a"], "into": "b" * 201}]},
        {"repair": "suppress", "rows": [], "columns": [], "aggregate": "sum"},
        {"where": [{"column": "a", "op": "like", "value": "x"}]},
        {"where": [{"column": "a", "op": "eq"}]},
        {"where": [{"column": "a", "op": "eq", "value": ["x"]}]},
        {"where": [{"column": "a", "op": "in", "value": "x"}]},
        {"where": [{"column": "a", "op": "in", "value": []}]},
        {"where": [{"column": "a", "op": "in", "value": list(range(1_001))}]},
        {"where": [{"column": "a", "op": "is_null", "value": 1}]},
        {"where": [{"column": "a", "op": "eq", "value": {"x": 1}}]},
    ],
)
def test_parse_refuses_what_the_grammar_does_not_know(changes: dict[str, Any]) -> None:
    assert isinstance(read(TABLE), TableSpecification)
    with pytest.raises(Invalid) as refused:
        read(TABLE, **changes)
    assert refused.value.rule == "airlock.specification"
    assert refused.value.accepted


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": []},
        {"subject": ["a", "a"]},
        {"claims": []},
        {"claims": [VERIFICATION["claims"][0]] * 2},
        {"claims": [{"name": "all", "title": "x", "where": []}]},
        {"claims": [VERIFICATION["claims"][0] | {"title": "x\U000e0041"}]},
        {"claims": [{"name": "Insured!", "title": "x", "where": VERIFICATION["claims"][0]["where"]}]},
        {"release": "rel_1"},
    ],
)
def test_parse_refuses_a_verification_that_says_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        read(VERIFICATION, **changes)


@pytest.mark.parametrize(
    "data", [b"", b"[", b"null", b"\xff\xfe", b"[" * 50_000, b"{}" + b" " * 70_000, b'{"kind": 1}']
)
def test_parse_refuses_what_is_no_specification(data: bytes) -> None:
    with pytest.raises(Invalid):
        parse(data)


def test_parse_does_not_repeat_the_value_that_it_refuses() -> None:
    with pytest.raises(Invalid) as refused:
        read(TABLE, aggregate="11010519491231002X")
    assert "11010519491231002X" not in str(refused.value)
