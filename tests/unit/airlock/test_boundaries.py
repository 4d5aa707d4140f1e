"""Both sides of the rules that are about an output as a whole: its kind, its bytes, its scope, its notebook."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sandbox.airlock.content import Limits, inspect
from sandbox.airlock.inputs import Source
from sandbox.airlock.model import ExportRequest, ExportState
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Allows, Judged, Screener
from sandbox.airlock.vault import Vault
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind

FRAME = pl.DataFrame({
    "person": range(240), "place": ["A", "B", "C"] * 80, "kind": (["p"] * 3 + ["q"] * 3) * 40,
    "income": [100.0 + (n * 37) % 91 for n in range(240)],
})  # fmt: skip
TABLE: dict[str, Any] = {"kind": "table", "release": "incomes", "rows": ["place"], "aggregate": "entities"}
CSV = b"place,people\nA,80\nB,80\nC,80\n"


class GivenInputs:
    """One release of everybody's incomes."""

    def release(self, release_id: str) -> Source:
        return Source(
            release="rel_1", name="incomes", grant="grt_1", demand="dem_1", authorization="aut_1", operator="org_unit",
            entry="ent_1", entry_code="20", entry_name="incomes", version=3, entity="person", entity_missing=False,
            columns=tuple(FRAME.columns), frame=FRAME.lazy(),
        )  # fmt: skip

    def entry(self, release_id: str) -> Source:
        return self.release(release_id)


def declared(
    kind: str, specification: dict[str, Any] | None, content: bytes | None = None, name: str = "out"
) -> Declared:
    said = None if specification is None else json.dumps(specification).encode()
    return Declared(name, OutputKind(kind), "", said, content, "text/csv")


def request(outputs: Sequence[str] = ()) -> ExportRequest:
    return ExportRequest(
        "exp_1", "t", "c", "acc_a", "org_unit", "ws", "aut_1", "sc", "p", ("rel_1",), tuple(outputs), "",
        ExportState.RERUNNING, dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
    )  # fmt: skip


def judge(
    folder: Path, one: Declared, allows: Allows = lambda *_: None, limits: Limits | None = None, advice: bool = False
) -> Judged:
    screener = Screener(GivenInputs(), Vault(folder / "vault"), Rules(), limits)
    return (screener.advisor() if advice else screener).judge(request(), one, allows)


def rules_of(judged: Judged) -> set[str]:
    return {finding.rule for finding in judged.findings}


@pytest.mark.boundary(
    rule="scope", passes="columns and an operation that the grant gives",
    fails="one column or operation more",
)  # fmt: skip
def test_scope_is_what_the_grant_gives(tmp_path: Path) -> None:
    def allows(source: Source, operation: str, kind: str, columns: frozenset[str]) -> str | None:
        return None if columns <= {"place"} and operation == "aggregate" else "not granted"

    assert judge(tmp_path, declared("table", TABLE), allows).file.verdict == "pass"
    assert rules_of(judge(tmp_path, declared("table", TABLE | {"columns": ["kind"]}), allows)) == {"scope"}


@pytest.mark.boundary(
    rule="free_form", passes="a table that the platform computes itself",
    fails="the same figures as a file of the notebook's own (review)",
)  # fmt: skip
def test_a_file_of_the_notebooks_own_needs_people(tmp_path: Path) -> None:
    assert "free_form" not in rules_of(judge(tmp_path, declared("table", TABLE)))
    judged = judge(tmp_path, declared("file", None, CSV))
    assert judged.file.verdict == "review"
    assert "free_form" in rules_of(judged)


@pytest.mark.boundary(
    rule="plot", passes="a figure that the platform draws from a table of 80 people a bar",
    fails="a picture of the same that the notebook drew",
)  # fmt: skip
def test_a_figure_needs_its_table(tmp_path: Path) -> None:
    asked = declared("figure", {"kind": "figure", "draw": "bar", "table": TABLE})
    judged = judge(tmp_path, asked)
    assert (judged.file.verdict, judged.file.form, judged.file.type) == ("pass", "figure", "svg")
    drawn = Vault(tmp_path / "vault").get(judged.file.sha256)
    assert b"A: 80" in drawn
    own = judge(tmp_path, declared("file", None, drawn))
    assert own.file.verdict == "block"
    assert "plot" in rules_of(own)


@pytest.mark.boundary(
    rule="file_type", passes="a CSV, whatever its name says",
    fails="a pickle, an archive, a program, HTML",
)  # fmt: skip
@pytest.mark.parametrize("data", [b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(40), b"MZ\x90\x00", b"<html></html>"])
def test_a_type_is_told_by_content(data: bytes) -> None:
    assert "file_type" not in {finding.rule for finding in inspect(CSV).findings}
    assert "file_type" in {finding.rule for finding in inspect(data).findings}


@pytest.mark.boundary(
    rule="file_size", parameter="files.bytes", passes="a file of just as many bytes as the limit",
    fails="one byte more",
)  # fmt: skip
def test_bytes_are_limited() -> None:
    at, over = (inspect(CSV, Limits(bytes=size)) for size in (len(CSV), len(CSV) - 1))
    assert "file_size" not in {finding.rule for finding in at.findings}
    assert {finding.rule for finding in over.findings} == {"file_size"}


@pytest.mark.boundary(
    rule="rerun_differs", passes="every output that is meant is made in the clean room",
    fails="one that is meant is not made",
)  # fmt: skip
def test_what_is_meant_is_made(tmp_path: Path) -> None:
    screener = Screener(GivenInputs(), Vault(tmp_path / "vault"), Rules())
    file = declared("file", None, CSV, "made")
    for meant, missing in ((["made"], set()), (["made", "other"], {"other"})):
        judged = screener.judge_all(request(meant), [file], lambda *_: None)
        assert {one.file.name for one in judged if "rerun_differs" in rules_of(one)} == missing


@pytest.mark.boundary(
    rule="claims_counted_later", passes="a submission: the claims are counted",
    fails="advice: they are not, and a note says so",
)  # fmt: skip
def test_claims_are_not_counted_for_advice(tmp_path: Path) -> None:
    asked = declared("verification", {
        "kind": "verification", "entry": "incomes", "subject": ["person"],
        "claims": [{"name": "p", "title": "p", "where": [{"column": "kind", "op": "eq", "value": "p"}]}],
    })  # fmt: skip
    assert "claims_counted_later" not in rules_of(judge(tmp_path, asked))
    assert "claims_counted_later" in rules_of(judge(tmp_path, asked, advice=True))


def test_a_regression_is_fitted_and_leaves_as_a_table(tmp_path: Path) -> None:
    asked = {"kind": "regression", "release": "incomes", "formula": "income ~ C(place) + C(kind)"}
    judged = judge(tmp_path, declared("regression", asked))
    assert (judged.file.verdict, judged.file.form, judged.file.type) == ("pass", "table", "csv")
    assert json.loads(judged.file.specification)["release"] == "rel_1"
    assert judged.file.columns == ("income", "kind", "place")
    written = Vault(tmp_path / "vault").get(judged.file.sha256)
    assert written.startswith(b"term,estimate,std_error,statistic,p_value,low,high\n(intercept),")
    evidence = json.loads(Vault(tmp_path / "vault").get(judged.file.evidence))
    assert evidence["measured"]["entities"] == 240


def test_a_regression_without_a_fit_has_nothing_that_could_leave(tmp_path: Path) -> None:
    asked = {
        "kind": "regression",
        "release": "incomes",
        "formula": "income ~ C(place):C(kind) + C(place) + C(kind) + person",
    }
    judged = judge(tmp_path, declared("regression", asked | {"where": [{"column": "person", "op": "lt", "value": 5}]}))
    assert (judged.file.verdict, judged.file.sha256) == ("block", "")


@pytest.mark.parametrize("kind", ["regression", "figure", "verification"])
def test_a_table_is_no_output_of_another_kind(tmp_path: Path, kind: str) -> None:
    assert rules_of(judge(tmp_path, declared(kind, TABLE))) == {"specification"}


def test_a_blocked_table_comes_with_what_would_mend_it(tmp_path: Path) -> None:
    few = [person for person in range(120) if person % 3 or person < 12]  # four of A, forty of B and of C
    asked = TABLE | {"where": [{"column": "person", "op": "in", "value": few}]}
    judged = judge(tmp_path, declared("table", asked))
    assert judged.file.verdict == "block"
    assert {one.name for one in judged.repairs} >= {"suppress", "merge"}
    evidence = json.loads(Vault(tmp_path / "vault").get(judged.file.evidence))
    for one in evidence["repairs"]:
        assert judge(tmp_path, declared("table", one["specification"])).file.verdict == "pass"
