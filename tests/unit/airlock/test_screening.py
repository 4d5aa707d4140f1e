"""Screening of one output over given tables: the notebook's bytes, the grant, and faults of the checker."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.inputs import Source, find_source
from sandbox.airlock.kernel_bytes import same_table
from sandbox.airlock.model import KEPT_FINDINGS, ExportRequest, ExportState
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Judged, Screener, kept_findings
from sandbox.airlock.vault import Vault
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind
from shuzha.core.errors import Invalid

FRAME = pl.DataFrame({"person": range(60), "place": ["A", "B", "C"] * 20, "income": [100.0 + n for n in range(60)]})
RESULT = pl.DataFrame({"place": ["A", "B", None], "count": [1.5, 2.0, None]})


def source(**changes: Any) -> Source:
    fields: dict[str, Any] = {
        "release": "rel_1", "name": "incomes", "grant": "grt_1", "demand": "dem_1", "authorization": "aut_1",
        "operator": "org_unit", "entry": "ent_1", "entry_code": "20", "entry_name": "incomes", "version": 3,
        "entity": "person", "entity_missing": False, "columns": tuple(FRAME.columns), "frame": FRAME.lazy(),
    }  # fmt: skip
    return Source(**(fields | changes))


class GivenInputs:
    """Tables that are given to it."""

    def __init__(self, one: Source) -> None:
        self._one = one

    def release(self, release_id: str) -> Source:
        return self._one

    def entry(self, release_id: str) -> Source:
        return self._one


class BrokenInputs:
    """Raises what no check expects."""

    def release(self, release_id: str) -> Source:
        raise ZeroDivisionError

    def entry(self, release_id: str) -> Source:
        raise ZeroDivisionError


def judge(
    tmp_path: Path, specification: dict[str, Any], kind: str = "table", inputs: Any = None, **declared: Any
) -> Judged:
    request = ExportRequest(
        "exp_1", "t", "c", "acc_a", "org_unit", "ws", "aut_1", "sc", "p", ("rel_1",), (), "", ExportState.RERUNNING,
        dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
    )  # fmt: skip
    fields: dict[str, Any] = {"name": "out", "context": "", "content": None, "media": "text/csv"} | declared
    one = Declared(kind=OutputKind(kind), specification=json.dumps(specification).encode(), **fields)
    screener = Screener(inputs or GivenInputs(source()), Vault(tmp_path / "vault"), Rules())
    return screener.judge(request, one, lambda *_: None)


TABLE: dict[str, Any] = {
    "kind": "table",
    "release": "incomes",
    "rows": ["place"],
    "aggregate": "mean",
    "value": "income",
}


def rules_of(judged: Judged) -> set[str]:
    return {finding.rule for finding in judged.findings if finding.severity is not Severity.NOTE}


def test_judge_passes_a_good_table_and_keeps_what_leaves(tmp_path: Path) -> None:
    judged = judge(tmp_path, TABLE)
    assert (judged.file.verdict, judged.findings, judged.file.rows) == ("pass", (), 3)
    assert Vault(tmp_path / "vault").get(judged.file.sha256).startswith(b"place,mean_income\nA,")
    evidence = json.loads(Vault(tmp_path / "vault").get(judged.file.evidence))
    assert evidence["verdict"] == "pass"
    assert json.loads(judged.file.specification)["release"] == "rel_1"


@pytest.mark.boundary(
    rule="checker_failed", passes="a check that ends",
    fails="a check that raises: blocked, and nothing is kept to leave",
)  # fmt: skip
def test_judge_blocks_when_the_checker_fails(tmp_path: Path) -> None:
    assert judge(tmp_path, TABLE).file.verdict == "pass"
    judged = judge(tmp_path, TABLE, inputs=BrokenInputs())
    assert (judged.file.verdict, rules_of(judged), judged.file.sha256) == ("block", {"checker_failed"}, "")


def test_judge_blocks_without_the_entity_key(tmp_path: Path) -> None:
    bare = source(entity=None, entity_missing=True, frame=FRAME.lazy().drop("person"))
    assert rules_of(judge(tmp_path, TABLE, inputs=GivenInputs(bare))) == {"min_count"}


def test_judge_blocks_a_specification_of_another_kind(tmp_path: Path) -> None:
    assert rules_of(judge(tmp_path, TABLE, kind="verification")) == {"specification"}


def test_judge_blocks_an_identifier_in_name_or_context(tmp_path: Path) -> None:
    for declared in ({"context": "问13812345678"}, {"name": "a_13812345678"}):
        assert rules_of(judge(tmp_path, TABLE, **declared)) == {"label_pii"}


def test_judge_leaves_blocked_what_suppression_cannot_repair(tmp_path: Path) -> None:
    asked = {"kind": "table", "release": "incomes", "rows": ["place"], "repair": "suppress"}
    few = source(frame=FRAME.lazy().head(12))
    assert rules_of(judge(tmp_path, asked, inputs=GivenInputs(few))) == {"min_count"}


@pytest.mark.boundary(
    rule="kernel_differs", passes="the notebook's bytes agree to 1 in a million",
    fails="another figure, label, row or heading (review)",
)  # fmt: skip
@pytest.mark.parametrize(
    ("data", "same"),
    [
        (b"place,count\nA,1.5\nB,2\n,\n", True),
        (b"count,place\n2.0000000001,B\n1.5,A\n,\n", True),
        (b"place,count\nA,1.5\nB,3\n,\n", False),
        (b"place,count\nA,1.5\nB,\n,\n", False),
        (b"place,count\nA,1.5\nB,2\n", False),
        (b"place,count\nA,1.5\nA,1.5\nA,1.5\n", False),
        (b"place,number\nA,1.5\nB,2\n,\n", False),
        (b"place,count\nA,lots\nB,2\n,\n", False),
        (b"", False),
        (b"\xff\xfe", False),
    ],
)
def test_same_table_compares_labels_and_figures(data: bytes, same: bool) -> None:
    assert same_table(data, RESULT) is same


def test_same_table_compares_one_figure() -> None:
    assert same_table(b"count\n5\n", pl.DataFrame({"count": [5]}))
    assert not same_table(b"count\n6\n", pl.DataFrame({"count": [5]}))


def test_kept_findings_keeps_the_worst_first() -> None:
    notes = [Finding("n", Severity.NOTE, "")] * KEPT_FINDINGS
    kept = kept_findings([*notes, Finding("b", Severity.BLOCK, "")])
    assert len(kept) == KEPT_FINDINGS
    assert kept[0].rule == "b"


def test_find_source_refuses_a_name_that_two_have() -> None:
    both = [source(), source(release="rel_2")]
    assert find_source(both, "rel_2", by_entry=False).release == "rel_2"
    for asked in ("incomes", "elsewhere"):
        with pytest.raises(Invalid):
            find_source(both, asked, by_entry=False)
